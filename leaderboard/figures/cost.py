"""Score against cost: which methods nothing else beats on both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator

from leaderboard.figures.chart import Chart, clean, known, number, shorten, tell, text_width, title_lines
from leaderboard.figures.labels import Box, place_labels
from leaderboard.figures.palette import RULE, SOFT, look
from leaderboard.figures.sheet import NOTE, XY, Sheet, sheet

__all__ = ["CostPoint", "cost_chart", "front"]

WIDTH, PLOT_HEIGHT = 360, 220.0
LEFT, RIGHT = 44.0, 346.0
_SIZE, _MOST = 11.0, 20
_PAD = 0.07
"""Free room at both ends of the cost axis, as a share of its length."""
_ZOOM = 0.4
"""Scores that lie closer together than this have an axis of their own; the others reach from 0, or below, to 1."""
_BELOW = 0.05
"""Negative scores lengthen the axis by whole steps of this."""
_NOTES = ("step line: the front (nothing cheaper is as good)", "whisker: 95 % interval; gray ring: reference point")
HEAD = ("name", "cost", "value", "low", "high", "on the front")


@dataclass(frozen=True)
class CostPoint:
    """A method: its cost (not negative; less is better) and its score (more is better) with its 95 % interval.

    `style` is the number of its color and marker; None for a reference point, which is drawn gray and takes no part
    in the front: one that copies the input for nothing would be the whole of it.
    """

    name: str
    style: int | None
    cost: float | None
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class _Point:
    point: CostPoint
    cost: float
    value: float


def _shown(points: Sequence[CostPoint]) -> list[_Point]:
    candidates = ((point, known(point.cost), known(point.value)) for point in points)
    return [
        _Point(p, cost, value) for p, cost, value in candidates if cost is not None and cost >= 0 and value is not None
    ]


def front(points: Sequence[CostPoint]) -> list[CostPoint]:
    """Return the points on the Pareto front, by cost: no other is at least as good on both and better on one."""
    methods = [shown for shown in _shown(points) if shown.point.style is not None]

    def beaten(one: _Point) -> bool:
        return any(
            (other.cost <= one.cost and other.value >= one.value) and (other.cost < one.cost or other.value > one.value)
            for other in methods
        )

    best = sorted((one for one in methods if not beaten(one)), key=lambda one: (one.cost, one.value))
    return [one.point for one in best]


@dataclass(frozen=True)
class _Axis:
    """From numbers to pixels, plain or logarithmic; zero has a mark of its own left of a logarithmic axis."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    zero: float | None = None

    def at(self, value: float) -> float:
        if self.zero is not None and value <= 0:
            return self.zero
        low, high, value = (
            (math.log10(v) for v in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        )
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        """Return the pixels and the texts of the marks on the axis."""
        if self.log:
            decades = math.log10(self.high / self.low)
            values = LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)).tick_values(self.low, self.high)
        else:
            values = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high)
        slack = (self.high - self.low) * 1e-9
        inside = [float(v) for v in values if self.low - slack <= v <= self.high + slack]
        marks = [(self.at(v), _tick(v)) for v in inside]
        return marks if self.zero is None else [(self.zero, "0"), *marks]


def _tick(value: float) -> str:
    """Return a number as a short mark: thousands and more with their prefix."""
    return EngFormatter(sep="\N{NO-BREAK SPACE}")(value) if abs(value) >= 1e4 else f"{value:,.6g}"


def _cost_axis(costs: Sequence[float]) -> _Axis:
    positive = [cost for cost in costs if cost > 0]
    if positive and max(positive) > 10 * min(positive):
        zero = LEFT + 12 if len(positive) < len(costs) else None
        pad = (max(positive) / min(positive)) ** _PAD
        start = LEFT if zero is None else LEFT + 24
        return _Axis(min(positive) / pad, max(positive) * pad, start, RIGHT, log=True, zero=zero)
    high = max(positive, default=1.0)
    return _Axis(0.0, high * (1 + _PAD), LEFT, RIGHT)


def _value_axis(shown: Sequence[_Point], top: float, bottom: float) -> _Axis:
    ends = [end for one in shown for end in (one.value, known(one.point.low), known(one.point.high)) if end is not None]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    if low >= -1 and high <= 1 and high - low > _ZOOM:
        return _Axis(min(0.0, math.floor(low / _BELOW) * _BELOW), 1.0, bottom, top)
    ticks = MaxNLocator(5).tick_values(min(ends), max(ends))
    return _Axis(float(ticks[0]), float(ticks[-1]), bottom, top)


def _by_cost(shown: Sequence[_Point], best: Sequence[CostPoint]) -> list[int]:
    """Return which of the shown points are on the front, in its order."""
    return sorted(
        (i for i, one in enumerate(shown) if one.point in best), key=lambda i: (shown[i].cost, shown[i].value)
    )


def _step(centers: Sequence[XY]) -> list[list[XY]]:
    """Return the border of what the front reaches: right along each point's score, up at the next point's cost."""
    path: list[XY] = []
    for x, y in centers:
        path += [(x, path[-1][1]), (x, y)] if path else [(x, y)]
    return [[*path, (RIGHT, path[-1][1])]] if path else []


def _whisker(one: _Point, x: float, up: _Axis) -> list[XY]:
    """Return the interval of a point from its upper to its lower end; empty where it has none."""
    low, high = known(one.point.low), known(one.point.high)
    return [(x, up.at(high)), (x, up.at(low))] if low is not None and high is not None else []


def _leaders(centers: Sequence[XY], boxes: Sequence[Box], colors: Sequence[str]) -> tuple[list[list[XY]], list[str]]:
    """Return the lines that tie labels to their points, and their colors, where a label is not beside its point."""
    lines, used = [], []
    for (x, y), (left, top, right, bottom), color in zip(centers, boxes, colors, strict=True):
        end = (min(max(x, left), right), min(max(y, top + 3), bottom - 3))
        if math.dist((x, y), end) > 13:
            lines.append([(x, y), end])
            used.append(color)
    return lines, used


def _render_alt(title: str, cost_label: str, shown: Sequence[_Point], best: Sequence[CostPoint], left_out: int) -> str:
    start = f"{shorten(title, 120)}. Score against {shorten(cost_label, 60)}"
    if not shown:
        return f"{start}; nothing to show."
    cheap, dear = min(shown, key=lambda one: one.cost), max(shown, key=lambda one: one.cost)
    top, last = max(shown, key=lambda one: one.value), min(shown, key=lambda one: one.value)
    first = [
        f"{start}, {len(shown)} points{f' ({left_out} without both are left out)' if left_out else ''}.",
        f"Cost from {cheap.cost:.3g} ({shorten(cheap.point.name, 30)}) to {dear.cost:.3g}",
        f"({shorten(dear.point.name, 30)});",
        f"score from {number(last.value)} ({shorten(last.point.name, 30)}) to {number(top.value)}",
        f"({shorten(top.point.name, 30)}).",
    ]
    if not best:
        return tell(first, ())
    said = [f"{shorten(p.name, 30)} {number(p.value or 0.0)} at {p.cost or 0.0:.3g}" for p in best]
    return tell([*first, "On the front, nothing cheaper is as good:"], said)


def _draw_labels(
    page: Sheet,
    frame: Box,
    shown: Sequence[_Point],
    centers: Sequence[XY],
    whiskers: Sequence[Sequence[XY]],
    border: Sequence[Sequence[XY]],
) -> None:
    """Names beside their points, where nothing else is drawn."""
    colors = [look(one.point.style).color for one in shown]
    names = [shorten(one.point.name, _MOST) for one in shown]
    sizes = [(text_width(name, _SIZE, bold=True) + 4, 13.0) for name in names]
    taken: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for x, y in centers]
    taken += [(w[0][0] - 2, w[0][1], w[0][0] + 2, w[1][1]) for w in whiskers]
    taken += [
        (min(a, c) - 1, min(b, d) - 1, max(a, c) + 1, max(b, d) + 1)
        for path in border
        for (a, b), (c, d) in pairwise(path)
    ]
    boxes = place_labels(centers, sizes, taken, frame)
    page.lines(*_leaders(centers, boxes, colors), 0.7)
    for (x, _), (left, upper, right, lower), name, color in zip(centers, boxes, names, colors, strict=True):
        # Tied to its point at the near end: how wide the text is depends on the font of the reader.
        at, anchor = (right - 2, "end") if right <= x else (left + 2, "start")
        page.text(at, (upper + lower) / 2, name, size=_SIZE, color=color, anchor=anchor, bold=color != SOFT, halo=True)


def cost_chart(title: str, cost_label: str, points: Sequence[CostPoint]) -> Chart:
    """Return the chart of score against cost, with the Pareto front as a step line.

    The cost axis is logarithmic where costs above zero span more than a factor of 10. Points without cost or value
    are only in the table.

    Args:
        title: what is shown.
        cost_label: what the cost is, with its unit.
        points: the methods and reference points.
    """
    shown, best = _shown(points), front(points)
    rows = tuple(
        (clean(p.name), known(p.cost), known(p.value), known(p.low), known(p.high), "yes" if p in best else "no")
        for p in points
    )
    alt = _render_alt(title, cost_label, shown, best, len(points) - len(shown))
    heading = title_lines(title, WIDTH)
    top = 17.0 * len(heading) + 28
    bottom = top + max(PLOT_HEIGHT, 14.0 * len(shown))
    height = math.ceil(bottom + 46 + NOTE * len(_NOTES))
    across, up = _cost_axis([one.cost for one in shown]), _value_axis(shown, top, bottom)
    centers = [(across.at(one.cost), up.at(one.value)) for one in shown]
    colors = [look(one.point.style).color for one in shown]

    with sheet(WIDTH, height) as page:
        page.title(heading)
        page.text(2, top - 14, "score: higher is better", size=10, color=SOFT)
        page.lines([[(LEFT, y), (RIGHT, y)] for y, _ in up.ticks()], RULE, 0.8)
        page.texts([(LEFT - 5, y, text) for y, text in up.ticks()], color=SOFT, anchor="end")
        page.lines([[(x, bottom), (x, bottom + 4)] for x, _ in across.ticks()], SOFT, 0.7)
        page.texts([(x, bottom + 13, text) for x, text in across.ticks()], color=SOFT, anchor="middle")
        scale = ", logarithmic" if across.log else ""
        page.text(RIGHT, bottom + 30, shorten(cost_label, 44) + scale, size=10.5, color=SOFT, anchor="end")

        page.notes(bottom + 48, _NOTES)
        border = _step([centers[i] for i in _by_cost(shown, best)])
        page.lines(border, SOFT, 1.4)
        whiskers = [_whisker(one, x, up) for one, (x, _) in zip(shown, centers, strict=True)]
        page.lines([w for w in whiskers if w], [c for c, w in zip(colors, whiskers, strict=True) if w], 1.1, alpha=0.75)
        for (x, y), one in zip(centers, shown, strict=True):
            drawn = look(one.point.style)
            page.marks([(x, y)], drawn.marker, drawn.color, 8.0, hollow=one.point.style is None)

        frame = (LEFT, top - 8, WIDTH, bottom - 2)
        _draw_labels(page, frame, shown, centers, [w for w in whiskers if w], border)
        return Chart(page.svg(title, alt), alt, WIDTH, height, HEAD, rows)
