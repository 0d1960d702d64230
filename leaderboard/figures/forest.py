"""Estimates with their intervals, one a line, beside the bound that they are asked to lie above."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from leaderboard.figures.chart import Chart, clean, known, number, shorten, tell, title_lines
from leaderboard.figures.palette import INK, RULE, SERIES, SOFT
from leaderboard.figures.sheet import NOTE, XY, Sheet, sheet

__all__ = ["Estimated", "Mark", "forest_chart"]

Mark = Literal["disk", "cross", "ring"]
WIDTH, _ROW, _MARGIN = 360, 28.0, 14.0
_SIZE, _MOST = 10.5, 55
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


@dataclass(frozen=True)
class _Place:
    """From values to pixels: the plot spans the width of the sheet, from `top` to `bottom`."""

    low: float
    high: float
    top: float
    bottom: float

    def x(self, value: float) -> float:
        return _MARGIN + (value - self.low) / (self.high - self.low) * (WIDTH - 2 * _MARGIN)

    def y(self, index: int) -> float:
        """Height of the mark of a line; its label stands above."""
        return self.top + _ROW * (index + 0.7)


def _draw_axis(page: Sheet, place: _Place, step: float) -> None:
    x = place.x
    ticks = [step * i for i in range(math.ceil(place.low / step), math.floor(place.high / step) + 1)]
    page.lines([[(x(tick), place.top), (x(tick), place.bottom)] for tick in ticks], RULE, 0.8)
    page.lines([[(x(0.0), place.top), (x(0.0), place.bottom)]], SOFT, 0.9)
    names = [number(tick, _digits(step)).replace("-", "\N{MINUS SIGN}") for tick in ticks]
    page.texts([(x(t), place.bottom + 9, name) for t, name in zip(ticks, names, strict=True)],
               size=_SIZE, color=SOFT, anchor="middle")  # fmt: skip


def _draw_rows(page: Sheet, rows: Sequence[Estimated], place: _Place) -> None:
    bounds: list[list[XY]] = []
    for index, row in enumerate(rows):
        x, y = place.x, place.y(index)
        color, marker, hollow = _LOOKS[row.mark]
        value, start, end, bound = (known(part) for part in (row.value, row.low, row.high, row.bound))
        if bound is not None:
            bounds.append([(x(bound), y - 0.26 * _ROW), (x(bound), y + 0.26 * _ROW)])
        if value is None:
            page.text(_MARGIN, y, "not measured", size=10, color=SOFT)
            continue
        if start is not None and end is not None:
            page.lines([[(x(start), y), (x(end), y)]], color, 1.8)
        page.marks([(x(value), y)], marker, color, hollow=hollow)
    page.lines(bounds, INK, 1.1, [(2.5, 1.8)] * len(bounds))


def forest_chart(title: str, rows: Sequence[Estimated], legend: Sequence[str]) -> Chart:
    """The chart of some estimates with their intervals and bounds, from top to bottom.

    Args:
        title: what is shown.
        rows: what is drawn; the axis fits them all, and 0.
        legend: what the marks and the dashed bounds mean, line by line.
    """
    heading = title_lines(title, WIDTH)
    top = 17.0 * len(heading) + 6
    bottom = top + _ROW * max(len(rows), 1) + 4
    height = math.ceil(bottom + 24 + NOTE * len(legend))
    low, high, step = _limits(rows)
    place = _Place(low, high, top, bottom)
    alt = _render_alt(title, rows)
    data = tuple(
        (clean(row.name), known(row.value), known(row.low), known(row.high), known(row.bound), clean(row.finding))
        for row in rows
    )
    with sheet(WIDTH, height) as page:
        page.title(heading)
        _draw_axis(page, place, step)
        _draw_rows(page, rows, place)
        labels = [(2.0, place.y(i) - 0.45 * _ROW, shorten(row.name, _MOST)) for i, row in enumerate(rows)]
        page.texts(labels, size=_SIZE, halo=True)
        page.notes(bottom + 27, legend)
        return Chart(page.svg(title, alt), alt, WIDTH, height, HEAD, data)
