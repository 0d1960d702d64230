"""The chart of hues: what was shown, what came out, in CIELAB."""

from __future__ import annotations

import colorsys
import math
import re

import numpy as np
import pytest
from figures import TAPS, said, some_marks, texts

from benchmark.errors import SpecError
from leaderboard.figures import (
    Chart,
    HueMark,
    hue_chart,
    measure_hues,
)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of sRGB (uint8) by its definition (IEC 61966-2-1; CIE 15; D65, 2 degrees)."""
    c = rgb / 255.0
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    matrix = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.119192, 0.9503041]]
    )
    xyz = linear @ matrix.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(8)
    identity = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    seen = {}
    for degrees in (0, 120, 240):
        shown = identity.copy()
        shown[5:15, 8:20] = [round(255 * c) for c in colorsys.hsv_to_rgb(degrees / 360, 0.8, 0.7)]
        shown[5:15, 8:20] += rng.integers(0, 20, (10, 12, 3), dtype=np.uint8)
        seen[f"hue_set_{degrees}"] = shown
    return identity, seen


def test_hue_and_chroma_are_those_of_the_recolored_pixels(scene: tuple[np.ndarray, dict[str, np.ndarray]]) -> None:
    identity, seen = scene
    rng = np.random.default_rng(9)
    recons = {name: rng.integers(0, 256, (3, 24, 32, 3), dtype=np.uint8) for name in seen}
    marks = measure_hues(identity, seen, recons)
    assert [len(tap) for tap in marks] == [3, 3, 3]
    for i, name in enumerate(seen):
        moved = np.any(seen[name] != identity, axis=-1)
        shown = complex(*lab(seen[name][moved])[:, 1:].mean(axis=0))
        for tap in range(3):
            out, mark = complex(*lab(recons[name][tap][moved])[:, 1:].mean(axis=0)), marks[tap][i]
            assert mark.share == pytest.approx(abs(out) / abs(shown), rel=2e-3)
            turned = math.degrees(math.atan2(out.imag, out.real)) - mark.out_deg
            assert abs((turned + 180) % 360 - 180) < 0.2
            assert mark.shown_deg == pytest.approx(math.degrees(math.atan2(shown.imag, shown.real)) % 360, abs=0.1)


def test_a_perfect_recon_keeps_its_hue_and_a_gray_one_loses_its_chroma(
    scene: tuple[np.ndarray, dict[str, np.ndarray]],
) -> None:
    identity, seen = scene
    gray = np.full_like(identity, 128)
    perfect, lost = measure_hues(identity, seen, {name: np.stack([shown, gray]) for name, shown in seen.items()})
    for mark in perfect:
        assert mark.out_deg == mark.shown_deg and mark.share == pytest.approx(1.0)
    assert all(mark.share < 1e-3 for mark in lost)
    assert len({round(mark.shown_deg) for mark in perfect}) == 3


def test_what_recolors_nothing_or_to_gray_gives_no_mark(scene: tuple[np.ndarray, dict[str, np.ndarray]]) -> None:
    identity, seen = scene
    still = {"identity": identity, "gray": np.full_like(identity, 90), **seen}
    marks = measure_hues(identity, still, {name: shown[None] for name, shown in still.items()})
    assert [len(tap) for tap in marks] == [3]
    assert measure_hues(identity, {}, {}) == []
    with pytest.raises(SpecError, match="hue_set_120"):
        measure_hues(identity, seen, {"hue_set_0": seen["hue_set_0"][None]})
    with pytest.raises(SpecError, match="hue_set_0"):
        measure_hues(identity, seen, {name: shown[None, :5] for name, shown in seen.items()})


def test_a_pin_points_to_the_hue_out_as_long_as_its_share_and_no_longer_than_the_panel() -> None:
    marks = {"tap": [HueMark(0.0, 0.0, 1.0), HueMark(120.0, 90.0, 0.5), HueMark(240.0, 180.0, 9.0)]}
    chart = hue_chart("t", ["tap"], marks)
    pins = re.findall(r'd="M([\d. ]+)L([\d. ]+)"[^>]*stroke-width: 1\.3', chart.svg.decode())
    (start, *_), tips = zip(*[[tuple(map(float, end.split())) for end in pin] for pin in pins], strict=True)
    radius = tips[0][0] - start[0]
    moves = [((x - start[0]) / radius, (start[1] - y) / radius) for x, y in tips]
    assert np.allclose(moves, [(1, 0), (0, 0.5), (-1.2, 0)], atol=0.01)
    assert chart.rows[1] == ("tap", 120.0, 90.0, 30.0, 0.5)


def test_shown_hues_have_markers_of_their_own_and_panels_wrap(drawn: dict[str, Chart]) -> None:
    names = {text: (x, y) for x, y, _, text in texts(drawn["hue"]) if text in TAPS}
    assert set(names) == set(TAPS) and len({y for _, y in names.values()}) == 4
    assert len({x for x, _ in names.values()}) == 4
    wide = hue_chart("t", TAPS, some_marks(), width=900)
    assert len({x for x, _, _, text in texts(wide) if text in TAPS}) == 5
    assert [text for text in said(drawn["hue"]) if text.endswith("°")] == ["38°", "136°", "304°"]
    around = hue_chart("t", ["a"], {"a": [HueMark(hue, hue, 1.0) for hue in (358.0, 2.0, 180.0)]})
    assert [text for text in said(around) if text.endswith("°")] == ["0°", "180°"]
