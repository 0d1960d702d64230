"""Estimates with their intervals, one a line, beside the bound that they are asked to lie above."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from leaderboard.figures.chart import Chart, clean, known, number, shorten, tell, text_width, title_lines
from leaderboard.figures.palette import INK, RULE, SERIES, SOFT
from leaderboard.figures.sheet import XY, Sheet, sheet

__all__ = ["Estimated", "Mark", "forest_chart"]

Mark = Literal["disk", "cross", "ring"]
WIDTH, _ROW, _PLOT = 700, 19.0, 250.0
_SIZE, _MOST = 10.5, 64
_TICKS = 5
HEAD = ("what", "value", "low", "high", "bound", "finding")
_LOOKS: dict[Mark, tuple[str, str, bool]] = {
    "disk": (SERIES[0], "o", False),
    "cross": (SERIES[1], "X", False),
    "ring": (SOFT, "o", True),
}
"""Color, marker, and whether it is hollow."""


@dataclass(frozen=True)
class Estimated:
    """One line of the chart.

    Attributes:
        name: its label.
        value: None leaves the line without a mark.
        low, high: ends of the 95 % interval; None where there is none.
        bound: where a short dashed line stands; None for none.
        mark: how it is drawn.
        finding: what follows from it, in words.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    bound: float | None
    mark: Mark
    finding: str


def _step(span: float) -> float:
    """A round distance between about five ticks."""
    rough = span / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return float(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999))


def _limits(rows: Sequence[Estimated]) -> tuple[float, float, float]:
    """Ends of the axis, and the distance of its ticks: all values, intervals and bounds fit, and 0."""
    ends = [end for row in rows for end in map(known, (row.value, row.low, row.high, row.bound)) if end is not None]
    low, high = min([*ends, 0.0]), max([*ends, 0.0])
    span = high - low or 1.0
    return low - 0.04 * span, high + 0.04 * span, _step(span)


def _digits(step: float) -> int:
    return max(0, math.ceil(-math.log10(step) - 1e-9))


def _render_alt(title: str, rows: Sequence[Estimated]) -> str:
    shown = [row for row in rows if known(row.value) is not None]
    counts = Counter(clean(row.finding) for row in rows)
    words = ", ".join(f"{count} {shorten(finding, 40)}" for finding, count in counts.most_common(4))
    first = [f"{shorten(title, 160)}. {len(rows)} estimates with 95 % intervals: {words or 'none'}."]
    said = []
    for row in shown:
        value, low, high = (known(end) for end in (row.value, row.low, row.high))
        ends = "" if low is None or high is None else f" ({number(low, 3)} to {number(high, 3)})"
        said.append(f"{shorten(row.name, 60)} {number(value or 0.0, 3)}{ends}")
    return tell(first, said)


def _draw_axis(page: Sheet, xs: tuple[float, float], ys: tuple[float, float], ends: tuple[float, float, float]) -> None:
    low, high, step = ends

    def x(value: float) -> float:
        return xs[0] + (value - low) / (high - low) * (xs[1] - xs[0])

    ticks = [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    page.lines([[(x(tick), ys[0]), (x(tick), ys[1])] for tick in ticks], RULE, 0.8)
    page.lines([[(x(0.0), ys[0]), (x(0.0), ys[1])]], SOFT, 0.9)
    texts = [(x(tick), ys[1] + 9, number(tick, _digits(step)).replace("-", "\N{MINUS SIGN}")) for tick in ticks]
    page.texts(texts, size=_SIZE, color=SOFT, anchor="middle")


def _draw_rows(page: Sheet, rows: Sequence[Estimated], left: float, top: float, ends: tuple[float, float]) -> None:
    low, high = ends

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * _PLOT

    bounds: list[list[XY]] = []
    for index, row in enumerate(rows):
        y = top + _ROW * (index + 0.5)
        color, marker, hollow = _LOOKS[row.mark]
        value, start, end, bound = (known(part) for part in (row.value, row.low, row.high, row.bound))
        if bound is not None:
            bounds.append([(x(bound), y - 0.42 * _ROW), (x(bound), y + 0.42 * _ROW)])
        if value is None:
            page.text(left + 4, y, "not measured", size=10, color=SOFT)
            continue
        if start is not None and end is not None:
            page.lines([[(x(start), y), (x(end), y)]], color, 1.8)
        page.marks([(x(value), y)], marker, color, hollow=hollow)
    page.lines(bounds, INK, 1.1, [(2.5, 1.8)] * len(bounds))


def forest_chart(title: str, rows: Sequence[Estimated], legend: str) -> Chart:
    """The chart of some estimates with their intervals and bounds, from top to bottom.

    Args:
        title: what is shown.
        rows: what is drawn; the axis fits them all, and 0.
        legend: what the marks and the dashed bounds mean.
    """
    names = [shorten(row.name, _MOST) for row in rows]
    left = max((text_width(name, _SIZE) for name in names), default=0.0) + 12
    width = math.ceil(max(WIDTH if rows else 0, left + _PLOT + 14))
    left = width - _PLOT - 14
    heading = title_lines(title, width)
    top = 17.0 * len(heading) + 8
    bottom = top + _ROW * max(len(rows), 1)
    height = math.ceil(bottom + 38)
    low, high, step = _limits(rows)
    alt = _render_alt(title, rows)
    data = tuple(
        (clean(row.name), known(row.value), known(row.low), known(row.high), known(row.bound), clean(row.finding))
        for row in rows
    )
    with sheet(width, height) as page:
        page.title(heading)
        _draw_axis(page, (left, left + _PLOT), (top, bottom), (low, high, step))
        page.texts(
            [(left - 10, top + _ROW * (i + 0.5), name) for i, name in enumerate(names)], size=_SIZE, anchor="end"
        )
        _draw_rows(page, rows, left, top, (low, high))
        page.notes(bottom + 29, [legend])
        return Chart(page.svg(title, alt), alt, width, height, HEAD, data)
