"""Estimates with intervals: every line is named, all ends fit, gaps are said, the bound can be seen."""

from __future__ import annotations

from itertools import pairwise

import pytest
from figures import HOSTILE, said, some_estimates, texts

from leaderboard.figures import Chart, Estimated, forest_chart


def test_every_estimate_is_named_and_in_the_data(drawn: dict[str, Chart]) -> None:
    chart, rows = drawn["forest"], some_estimates()
    assert {row.name for row in rows} <= set(said(chart))
    assert chart.head == ("what", "value", "low", "high", "bound", "finding")
    assert [row[0] for row in chart.rows] == [row.name for row in rows]
    assert [row[1:5] for row in chart.rows] == [(row.value, row.low, row.high, row.bound) for row in rows]
    heights = [y for _, y, _, text in texts(chart) if text.startswith("statistic")]
    assert heights == sorted(heights) and min(b - a for a, b in pairwise(heights)) > 20


def test_the_text_alternative_counts_findings_and_tells_values(drawn: dict[str, Chart]) -> None:
    alt = drawn["forest"].alt
    assert "7 estimates" in alt and "3 holds" in alt and "2 does not hold" in alt
    assert "statistic 0 -0.150 (-0.200 to -0.120)" in alt


def test_what_is_not_measured_is_said_and_drawn_nowhere(drawn: dict[str, Chart]) -> None:
    chart = drawn["forest of gaps"]
    assert "not measured" in said(chart) and chart.rows[0][1] is None
    nan = forest_chart("t", [Estimated("a", float("nan"), float("inf"), None, None, "ring", "x")], ())
    assert nan.rows[0][1:5] == (None, None, None, None) and b"nan" not in nan.svg and b"inf" not in nan.svg


@pytest.mark.parametrize("scale", [1e-6, 0.003, 1.0, 70.0, 1e5])
def test_the_axis_fits_any_values_with_a_few_ticks(scale: float) -> None:
    chart = forest_chart("t", [Estimated("one", scale, 0.5 * scale, 2 * scale, -scale, "disk", "x")], ())
    ticks = [(x, text) for x, _, anchor, text in texts(chart) if anchor == "middle"]
    assert 3 <= len(ticks) <= 10 and len({text for _, text in ticks}) == len(ticks)
    assert all(0 <= x <= chart.width for x, _ in ticks)
    assert any(float(text.replace("−", "-")) == 0 for _, text in ticks)


def test_legends_stand_below_and_long_names_are_cut() -> None:
    chart = forest_chart("t", [Estimated("n" * 200, 0.1, 0.0, 0.2, None, "cross", HOSTILE)], ("first", "second"))
    assert {"first", "second"} <= set(said(chart)) and chart.width == 360
    assert max(len(text) for text in said(chart)) <= 60
    assert chart.rows[0][0] == "n" * 200
