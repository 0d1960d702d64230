"""The charts of the board: complete in themselves, the same on every machine, true to their data, legible to all."""

from __future__ import annotations

import colorsys
import hashlib
import itertools
import json
import math
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps

from benchmark.errors import SpecError
from leaderboard.figures import (
    Chart,
    CostPoint,
    HueMark,
    Line,
    Panel,
    cost_chart,
    depth_chart,
    heat_chart,
    hue_chart,
    measure_hues,
)
from leaderboard.figures.chart import ALT_LIMIT, tell
from leaderboard.figures.cost import front
from leaderboard.figures.heat import COLORS
from leaderboard.figures.labels import place_labels, spread
from leaderboard.figures.palette import DARK, contrast_color, look

SVG = "{http://www.w3.org/2000/svg}"
ROOT = Path(__file__).parents[3]
HOSTILE = """a<b> & "c" 'd' $\\frac{x}{y}$ </text><script>alert(1)</script>"""
TAPS = ("backbone", *(f"encoder.{i}" for i in range(6)), *(f"decoder.{i}" for i in range(6)), "prediction")
DEPTHS = [i / 13 for i in range(14)]


def a_line(name: str, style: int | None, values: list[float | None]) -> Line:
    lows = tuple(None if value is None else value - 0.03 for value in values)
    highs = tuple(None if value is None else value + 0.03 for value in values)
    return Line(name, style, tuple(values), lows, highs)


def some_lines(count: int = 10) -> list[Line]:
    rng = np.random.default_rng(1)
    return [a_line(f"method-{i}", i, [float(v) for v in rng.uniform(0.1, 0.9, 14)]) for i in range(count)]


def some_points(count: int = 12) -> list[CostPoint]:
    rng = np.random.default_rng(2)
    costs, values = 10 ** rng.uniform(0, 3, count), rng.uniform(0.2, 0.8, count)
    return [
        CostPoint(f"method-{i}", i, float(cost), float(value), float(value) - 0.04, float(value) + 0.04)
        for i, (cost, value) in enumerate(zip(costs, values, strict=True))
    ]


def some_marks() -> dict[str, list[HueMark]]:
    return {
        tap: [HueMark(hue, (hue + 9 * i) % 360, 1 - i / 13) for hue in (38.0, 136.0, 304.0)]
        for i, tap in enumerate(TAPS)
    }


def some_panels(count: int = 6) -> list[Panel]:
    rng = np.random.default_rng(3)
    columns = ("identity", "gray", "hue_set_0", "hue_set_120", "hue_set_240", "hue_shift_120", "hue_shift_240")
    return [
        Panel(f"metric {k}", TAPS, columns, tuple(tuple(float(v) for v in row) for row in rng.random((14, 7))))
        for k in range(count)
    ]


def charts() -> dict[str, Chart]:
    empty = Panel(HOSTILE, (HOSTILE,), ("x", "y"), ((None, float("nan")),))
    return {
        "depth": depth_chart("Fidelity", TAPS, DEPTHS, [*some_lines(), a_line("copy", None, [1.0] * 14)]),
        "depth of one": depth_chart(HOSTILE, [HOSTILE], [0.0], [a_line(HOSTILE, 11, [0.5])]),
        "depth of none": depth_chart("Nothing", [], [], []),
        "cost": cost_chart("Cost", "ms per recon", [*some_points(), CostPoint("copy", None, 0.0, 1.0, 1.0, 1.0)]),
        "cost of one": cost_chart(HOSTILE, HOSTILE, [CostPoint(HOSTILE, 3, 2.0, -4.0, None, None)]),
        "cost of none": cost_chart("Nothing", "ms", [CostPoint("x", 0, None, 0.5, None, None)]),
        "hue": hue_chart("Hue", TAPS, some_marks()),
        "hue of one": hue_chart(HOSTILE, [HOSTILE], {HOSTILE: [HueMark(10.0, 200.0, 7.0)]}),
        "hue of none": hue_chart("Nothing", ["a"], {}),
        "heat": heat_chart("Heat", some_panels(), 0, 1, row_label="tap", column_label="perturbation"),
        "heat of gaps": heat_chart(HOSTILE, [empty], 0, 1, row_label=HOSTILE, column_label=HOSTILE),
        "heat of none": heat_chart("Nothing", [], 0, 1),
    }


@pytest.fixture(scope="module")
def drawn() -> dict[str, Chart]:
    return charts()


def root_of(chart: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(chart.svg)


def texts(chart: Chart) -> list[tuple[float, float, str, str]]:
    """Return x, y, anchor and text of every text."""
    found = []
    for group in root_of(chart).iter(f"{SVG}g"):
        for text in group.findall(f"{SVG}text"):
            where = float(text.attrib["x"]), float(text.attrib["y"])
            found.append((*where, group.attrib["text-anchor"], text.text or ""))
    return found


def said(chart: Chart) -> list[str]:
    return [text for *_, text in texts(chart)]


def test_every_chart_is_a_whole_file_with_title_description_and_size(drawn: dict[str, Chart]) -> None:
    for name, chart in drawn.items():
        root = root_of(chart)
        assert root.tag == f"{SVG}svg" and root.attrib["role"] == "img", name
        assert root.find(f"{SVG}title").text and root.find(f"{SVG}desc").text == chart.alt, name
        assert root.attrib["viewBox"] == f"0 0 {chart.width} {chart.height}", name
        assert (root.attrib["width"], root.attrib["height"]) == (str(chart.width), str(chart.height)), name
        assert 0 < len(chart.alt) <= ALT_LIMIT, name
        assert all(len(row) == len(chart.head) for row in chart.rows), name
        ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
        assert len(ids) == len(set(ids)), name


def test_no_chart_refers_to_anything_outside_itself_or_runs_anything(drawn: dict[str, Chart]) -> None:
    for name, chart in drawn.items():
        assert b"<!" not in chart.svg and b"@import" not in chart.svg, name
        for element in root_of(chart).iter():
            assert element.tag.removeprefix(SVG) not in ("script", "image", "a", "foreignObject", "metadata"), name
            for key, value in element.attrib.items():
                assert not key.startswith("on") and "url(" not in value and "//" not in value, (name, key, value)
                assert not key.endswith("href") or value.startswith("#"), (name, value)


def test_hostile_names_stay_text(drawn: dict[str, Chart]) -> None:
    for name in ("depth of one", "cost of one", "hue of one", "heat of gaps"):
        assert root_of(drawn[name]).find(f"{SVG}title").text == HOSTILE, name
        assert any(text.startswith("a<b> &") for text in said(drawn[name])), name
    controls = depth_chart("t\x00\u202e\ud800\n<", ["\x07tap"], [0.0], [a_line("x\ty\u200b", 0, [0.5])])
    assert root_of(controls).find(f"{SVG}title").text == "t <"
    assert controls.rows[0][:2] == ("x y", "tap")


def test_the_same_input_gives_the_same_bytes_in_another_process_with_other_settings(
    drawn: dict[str, Chart], tmp_path: Path
) -> None:
    (tmp_path / "matplotlibrc").write_text(
        "font.size: 40\nlines.linewidth: 9\nsvg.fonttype: path\npath.sketch: 2,9,2\n"
    )
    program = (
        f"import runpy, hashlib, json, sys; charts = runpy.run_path({__file__!r})['charts']()\n"
        "print(json.dumps({k: hashlib.sha256(v.svg).hexdigest() for k, v in charts.items()}))\n"
        "print(json.dumps([m for m in ('torch', 'matplotlib.pyplot') if m in sys.modules]))"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, check=True)
    hashes, heavy = map(json.loads, run.stdout.decode().splitlines())
    assert hashes == {name: hashlib.sha256(chart.svg).hexdigest() for name, chart in drawn.items()}
    assert heavy == []


def test_the_colors_are_those_of_the_style_sheet_and_each_has_its_dark_one(drawn: dict[str, Chart]) -> None:
    css = (ROOT / "leaderboard" / "site" / "static" / "board.css").read_text()
    light, dark = css.split("@media screen and (prefers-color-scheme: dark)", 1)

    def pick(text: str) -> dict[str, str]:
        wanted = re.findall(r"--(ink|soft|rule|paper|p[0-7]): (#[0-9a-f]{6});", text)
        return dict(reversed(wanted))

    assert {pick(light)[name]: value for name, value in pick(dark).items()} == DARK
    svg = drawn["depth"].svg.decode()
    assert "@media screen and (prefers-color-scheme:dark)" in svg
    for color in DARK:
        if f"stroke: {color}" in svg.split("</style>")[1]:
            assert f'[style*="stroke: {color}"]{{stroke:{DARK[color]} !important}}' in svg
        if f'fill="{color}"' in svg.split("</style>")[1]:
            assert f'[fill="{color}"]{{fill:{DARK[color]}}}' in svg


def test_no_two_of_sixteen_series_look_the_same_even_without_color() -> None:
    looks = [look(i) for i in range(16)]
    assert len({(one.color, one.marker) for one in looks}) == 16
    assert len({(one.marker, one.dash) for one in looks[:8]}) == 8
    assert look(None).color not in {one.color for one in looks}
    assert look(None, 0).dash != look(None, 1).dash


def test_labels_at_line_ends_name_every_line_and_keep_apart(drawn: dict[str, Chart]) -> None:
    same = [a_line(f"m{i}", i, [0.5] * 14) for i in range(20)]
    for chart, count in ((drawn["depth"], 11), (depth_chart("Crowded", TAPS, DEPTHS, same), 20)):
        labels = [(y, text) for x, y, anchor, text in texts(chart) if anchor == "start" and x > 200]
        assert len(labels) == count
        heights = sorted(y for y, _ in labels)
        assert min(b - a for a, b in itertools.pairwise(heights)) >= 12.9
        assert heights[0] > 0 and heights[-1] < chart.height
    assert {text for text in said(drawn["depth"]) if text in TAPS} == set(TAPS)


def test_a_missing_score_is_a_gap_and_no_zero() -> None:
    whole = depth_chart("t", TAPS[:5], DEPTHS[:5], [a_line("m", 0, [0.9, 0.8, 0.7, 0.6, 0.5])])
    split = depth_chart("t", TAPS[:5], DEPTHS[:5], [a_line("m", 0, [0.9, 0.8, None, 0.6, 0.5])])
    ends = [0.9, 0.8, None, float("nan"), None]
    late = depth_chart("t", TAPS[:5], DEPTHS[:5], [Line("m", 0, tuple(ends), (None,) * 5, (None,) * 5)])

    def paths(chart: Chart) -> int:
        return chart.svg.count(b"stroke: #0a6db0; stroke-width: 1.8")

    assert (paths(whole), paths(split), paths(late)) == (1, 2, 1)
    assert split.rows[2] == ("m", "encoder.1", DEPTHS[2], None, None, None)
    assert late.rows[3][3] is None and "0.80 at encoder.0" in late.alt
    with pytest.raises(ValueError, match="zip"):
        depth_chart("t", TAPS, DEPTHS, [a_line("m", 0, [0.5])])


def test_the_text_alternative_says_the_extremes_and_both_ends_of_the_lines() -> None:
    lines = [a_line("one", 0, [0.91, 0.5, 0.2]), a_line("two", 1, [0.7, 0.99, 0.11])]
    alt = depth_chart("Color", TAPS[:3], [0, 0.5, 1], lines).alt
    assert "Highest 0.99: two at encoder.0" in alt and "lowest 0.11: two at encoder.1" in alt
    assert "one 0.91 at backbone to 0.20 at encoder.1" in alt
    long = depth_chart("Color " * 90, TAPS, DEPTHS, [a_line("n" * 99 + str(i), i, [0.5] * 14) for i in range(90)]).alt
    assert len(long) <= ALT_LIMIT and long.endswith("more in the table.")


def test_a_list_too_long_to_tell_says_how_much_is_left_out() -> None:
    assert tell(["A."], ["b", "c"]) == "A. b; c."
    assert tell(["A."], []) == "A."
    told = tell(["A."], ["x" * 50] * 40)
    shown = told.count("x" * 50)
    assert len(told) <= ALT_LIMIT and told.endswith(f"; {40 - shown} more in the table.") and shown > 9
    assert len(tell(["y" * 900], ["z"])) == ALT_LIMIT


def test_spread_keeps_the_gap_the_order_and_the_limits() -> None:
    moved = spread([5.0, 5.0, 5.0, 90.0], 10, 0, 100)
    assert moved == [5.0, 15.0, 25.0, 90.0]
    assert spread([99.0, 100.0], 10, 0, 100) == [90.0, 100.0]


def test_labels_of_points_cover_neither_each_other_nor_points() -> None:
    rng = np.random.default_rng(5)
    points = [(float(x), float(y)) for x, y in rng.uniform((40, 40), (320, 220), (14, 2))]
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    boxes = place_labels(points, [(60.0, 13.0)] * 14, taken, (0, 0, 360, 260))
    for a, b in itertools.combinations([*boxes, *taken], 2):
        if a in boxes or b in boxes:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    assert all(min(left, top) >= 0 and right <= 360 and bottom <= 260 for left, top, right, bottom in boxes)


def test_the_front_holds_what_nothing_beats_on_cost_and_score() -> None:
    rng = np.random.default_rng(6)
    for _ in range(50):
        points = [
            CostPoint(str(i), i, float(c), float(v), None, None)
            for i, (c, v) in enumerate(zip(rng.integers(1, 6, 12), rng.integers(0, 6, 12), strict=True))
        ]
        expected = {
            p.name
            for p in points
            if not any(
                q.cost <= p.cost and q.value >= p.value and (q.cost, q.value) != (p.cost, p.value) for q in points
            )
        }
        assert {p.name for p in front(points)} == expected
    chart = cost_chart(
        "t",
        "ms",
        [
            CostPoint("fast", 0, 1.0, 0.4, 0.3, 0.5),
            CostPoint("good", 1, 90.0, 0.8, 0.7, 0.9),
            CostPoint("beaten", 2, 95.0, 0.7, None, None),
            CostPoint("untimed", 3, None, 0.9, None, None),
            CostPoint("copy", None, 0.0, 1.0, 1.0, 1.0),
        ],
    )
    assert {row[0]: row[-1] for row in chart.rows if row[-1] == "yes"} == {"fast": "yes", "good": "yes"}
    assert "fast 0.40 at 1; good 0.80 at 90" in chart.alt and "beaten" not in chart.alt.split("front")[1]
    assert {"fast", "good", "beaten", "copy"} <= set(said(chart)) and "untimed" not in said(chart)
    assert ("untimed", None, 0.9, None, None, "no") in chart.rows


def test_the_cost_axis_is_logarithmic_only_where_costs_span_more_than_tenfold() -> None:
    def marks(*costs: float) -> list[str]:
        chart = cost_chart("t", "ms", [CostPoint(f"m{i}", i, cost, 0.5, None, None) for i, cost in enumerate(costs)])
        return [text for x, _, anchor, text in texts(chart) if anchor == "middle" and not text.startswith("m")]

    assert marks(10, 90)[0] == "0"
    assert {"1", "10", "100", "1,000"} <= set(marks(1, 1000))
    assert "0" not in marks(1, 1000) and marks(0, 1, 1000)[0] == "0"


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


def test_every_cell_says_its_number_in_a_color_that_can_be_read(drawn: dict[str, Chart]) -> None:
    numbers = [text for text in said(drawn["heat"]) if re.fullmatch(r"\d\.\d\d", text)]
    expected = [f"{value:.2f}" for panel in some_panels() for row in panel.values for value in row]
    assert sorted(numbers) == sorted([*expected, "0.00", "1.00"])
    lift = {"#000000": 0.0, "#ffffff": 1.0}
    for step in range(256):
        red, green, blue, _ = colormaps[COLORS](step)
        rgb = np.array([red, green, blue])
        light = float(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722))
        text = lift[contrast_color((red, green, blue))]
        assert (max(light, text) + 0.05) / (min(light, text) + 0.05) >= 4.5
        assert "#" + "".join(f"{round(255 * c):02x}" for c in rgb) not in DARK


def test_a_cell_without_a_number_is_hatched_and_says_a_dash(drawn: dict[str, Chart]) -> None:
    chart = drawn["heat of gaps"]
    assert said(chart).count("–") == 2 and "nan" not in chart.svg.decode()
    assert [row[-1] for row in chart.rows] == [None, None]
    assert "no numbers" in chart.alt


def test_numbers_fit_narrow_cells_and_columns_wrap_by_width() -> None:
    ring = Panel("r", TAPS, TAPS, tuple(tuple(math.cos(i - j) for j in range(14)) for i in range(14)))
    chart = heat_chart("Correlation", [ring], -1, 1)
    assert chart.width == 360 and {"1.0", ".54", "−.42"} <= set(said(chart))
    narrow = heat_chart("t", some_panels(), 0, 1)
    wide = heat_chart("t", some_panels(), 0, 1, width=1100)
    assert narrow.width == 360 and 900 < wide.width <= 1100 and wide.height < narrow.height / 2
    assert narrow.rows == wide.rows
    small = Panel("s", ("a", "b"), ("a", "b"), ((1.0, 0.5), (0.5, 1.0)))
    titles = [y for _, y, _, text in texts(heat_chart("t", [small, small], 0, 1)) if text == "s"]
    assert len(set(titles)) == 1


def test_a_scale_or_a_shape_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="low must be below high"):
        heat_chart("t", [], 1, 1)
    with pytest.raises(ValueError, match="zip"):
        heat_chart("t", [Panel("p", ("a",), ("x", "y"), ((0.5,),))], 0, 1)


def test_the_text_alternative_of_heat_maps_says_where_the_extremes_are() -> None:
    panel = Panel("color", ("shallow", "deep"), ("gray", "blue"), ((0.9, 0.25), (-0.001, 0.6)))
    chart = heat_chart("Scores", [panel], 0, 1, row_label="tap", column_label="change")
    assert "1 heat map of tap by change" in chart.alt
    assert "Highest 0.90 (shallow, gray)" in chart.alt and "lowest 0.00 (deep, gray)" in chart.alt
    assert chart.head == ("panel", "tap", "change", "value") and chart.rows[1] == ("color", "shallow", "blue", 0.25)
