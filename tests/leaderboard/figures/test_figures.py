"""The charts of the board: complete in themselves, the same on every machine, true to their data, legible to all."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import figures
import pytest
from figures import DEPTHS, HOSTILE, SVG, TAPS, a_line, root_of, said, texts

from leaderboard.figures import (
    Chart,
    Line,
    depth_chart,
)
from leaderboard.figures.chart import ALT_LIMIT, tell
from leaderboard.figures.labels import spread
from leaderboard.figures.palette import DARK, look

ROOT = Path(__file__).parents[3]


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
    for name in ("depth of one", "cost of one", "hue of one", "heat of gaps", "forest of one"):
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
        f"import runpy, hashlib, json, sys; charts = runpy.run_path({figures.__file__!r})['charts']()\n"
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


def test_a_score_a_little_below_0_is_drawn_below_the_mark_of_0() -> None:
    def height_of(chart: Chart, mark: str) -> float:
        return next(y for _, y, anchor, text in texts(chart) if anchor == "end" and text == mark)

    def lowest_point(chart: Chart) -> float:
        (path,) = re.findall(rb'd="([^"]*)"[^>]*stroke: #0a6db0; stroke-width: 1.8', chart.svg)
        return max(float(y) for y in re.findall(rb"[\d.]+ ([\d.]+)", path))

    above, below = (depth_chart("t", TAPS[:2], DEPTHS[:2], [a_line("m", 0, [0.9, v])]) for v in (0.04, -0.04))
    half = 0.35 * 10.5  # from the middle of a text to its baseline
    assert lowest_point(above) < height_of(above, "0") - half
    assert lowest_point(below) > height_of(below, "0") - half
    scale = (height_of(below, "0") - height_of(below, "1")), (height_of(above, "0") - height_of(above, "1"))
    assert scale[0] / scale[1] == pytest.approx(1 / 1.1, abs=0.01), "the axis reaches down to the interval"
    assert "lowest -0.04" in below.alt


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
