"""One chart of every kind, and what its SVG says."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np

from leaderboard.figures import (
    Chart,
    CostPoint,
    Estimated,
    HueMark,
    Line,
    Panel,
    cost_chart,
    depth_chart,
    forest_chart,
    heat_chart,
    hue_chart,
)
from leaderboard.figures.forest import Mark

SVG = "{http://www.w3.org/2000/svg}"
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


def some_estimates() -> list[Estimated]:
    marks: tuple[tuple[Mark, str], ...] = (("disk", "holds"), ("cross", "does not hold"), ("ring", "undetermined"))
    return [
        Estimated(f"statistic {i}", 0.1 * i - 0.15, 0.1 * i - 0.2, 0.1 * i - 0.12, 0.05, *marks[i % 3])
        for i in range(7)
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
        "forest": forest_chart("Estimates", some_estimates(), ("disk: so", "dashed: the bound")),
        "forest of one": forest_chart(
            HOSTILE, [Estimated(HOSTILE, 3.0, None, None, 0.5, "cross", HOSTILE)], (HOSTILE,)
        ),
        "forest of gaps": forest_chart("Gaps", [Estimated("a", None, None, None, None, "ring", "")], ()),
        "forest of none": forest_chart("Nothing", [], ()),
        "heat of none": heat_chart("Nothing", [], 0, 1),
    }


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
