"""Heat maps: numbers that can be read, gaps that are seen."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from figures import TAPS, said, some_panels, texts
from matplotlib import colormaps

from leaderboard.figures import (
    Chart,
    Panel,
    heat_chart,
)
from leaderboard.figures.heat import COLORS
from leaderboard.figures.palette import DARK, contrast_color


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
