"""Score against depth: one line per method over the taps of a target, with 95 % bands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.figures.chart import Chart, clean, known, number, shorten, tell, text_width, title_lines
from leaderboard.figures.labels import spread
from leaderboard.figures.palette import RULE, SOFT, Look, look
from leaderboard.figures.sheet import XY, Sheet, sheet

__all__ = ["Line", "depth_chart"]

WIDTH, PLOT_HEIGHT = 360, 190.0
LEFT = 36.0
_STEP = 0.05
_LABEL_SIZE, _LABEL_GAP, _LABEL_MOST = 11.0, 13.0, 18
_TAP_SIZE, _TAP_GAP, _TAP_MOST, _TAP_TURN = 10.5, 13.0, 16, 50.0
SCORE = "Score (0: ignores the image, 1: the image itself)"
HEAD = ("name", "tap", "depth", "score", "low", "high")


@dataclass(frozen=True)
class Line:
    """One line of the chart.

    Attributes:
        name: its label.
        style: number of its color, marker and dash; None for a reference point (thin, gray, dashed, no band).
        values: score per tap, at most 1 and in the mean at least about 0; None is a gap.
        lows, highs: ends of the 95 % interval per tap; None where there is none.
    """

    name: str
    style: int | None
    values: tuple[float | None, ...]
    lows: tuple[float | None, ...]
    highs: tuple[float | None, ...]


@dataclass(frozen=True)
class _Scale:
    """From scores to pixels; `low` is the score at the bottom: 0, or less where scores are negative."""

    left: float
    right: float
    top: float
    bottom: float
    low: float = 0.0

    def y(self, score: float) -> float:
        share = (min(max(score, self.low), 1.0) - self.low) / (1.0 - self.low)
        return self.bottom - share * (self.bottom - self.top)

    def xs(self, depths: Sequence[float]) -> list[float]:
        low, high = min(depths, default=0.0), max(depths, default=0.0)
        width = self.right - self.left
        return [self.left + (depth - low) / (high - low) * width if high > low else self.left for depth in depths]


def _lowest(lines: Sequence[Line]) -> float:
    """Return the bottom of the axis: 0, or the step of .05 below the smallest score or interval end, at least -1."""
    ends = (known(end) for line in lines for end in (*line.values, *(line.lows if line.style is not None else ())))
    smallest = min((end for end in ends if end is not None), default=0.0)
    return max(-1.0, min(0.0, math.floor(smallest / _STEP) * _STEP))


def _runs(line: Line) -> list[list[int]]:
    """Return the positions of the scores of a line, split where one is missing."""
    runs: list[list[int]] = [[]]
    for i, value in enumerate(line.values):
        if known(value) is None:
            runs.append([])
        else:
            runs[-1].append(i)
    return [run for run in runs if run]


@dataclass(frozen=True)
class _Drawn:
    """A line in pixels: its paths, its bands, and its last point, where the label is tied."""

    name: str
    look: Look
    reference: bool
    paths: list[list[XY]]
    bands: list[list[XY]]

    @property
    def end(self) -> XY:
        return self.paths[-1][-1]


def _draw_line(line: Line, reference: int, xs: Sequence[float], scale: _Scale) -> _Drawn:
    def edge(run: Sequence[int], ends: Sequence[float | None]) -> list[XY]:
        edges = [(i, known(ends[i]), known(line.values[i])) for i in run]
        return [(xs[i], scale.y(value if end is None else end)) for i, end, value in edges if value is not None]

    runs = _runs(line)
    bands = [edge(run, line.highs) + edge(run, line.lows)[::-1] for run in runs if len(run) > 1]
    return _Drawn(
        name=shorten(line.name, _LABEL_MOST),
        look=look(line.style, reference),
        reference=line.style is None,
        paths=[edge(run, line.values) for run in runs],
        bands=[] if line.style is None else bands,
    )


def _render_alt(title: str, taps: Sequence[str], lines: Sequence[Line], unit: str) -> str:
    known_points = [
        (value, line.name, tap)
        for line in lines
        for tap, score in zip(taps, line.values, strict=True)
        if (value := known(score)) is not None
    ]
    start = f"{shorten(title, 120)}. {unit} against depth, {len(taps)} taps"
    if not known_points:
        return f"{start}; no scores."
    (low, low_name, low_tap), (high, high_name, high_tap) = min(known_points), max(known_points)
    first = [
        f"{start} from {shorten(taps[0], 30)} to {shorten(taps[-1], 30)}.",
        f"Highest {number(high)}: {shorten(high_name, 30)} at {shorten(high_tap, 30)};",
        f"lowest {number(low)}: {shorten(low_name, 30)} at {shorten(low_tap, 30)}.",
    ]
    said = []
    for line in lines:
        scores = ((tap, known(value)) for tap, value in zip(taps, line.values, strict=True))
        points = [(shorten(tap, 30), value) for tap, value in scores if value is not None]
        if points:
            (tap, value), (last_tap, last) = points[0], points[-1]
            said.append(f"{shorten(line.name, 30)} {number(value)} at {tap} to {number(last)} at {last_tap}")
    return tell(first, said)


def _draw_axes(page: Sheet, scale: _Scale, xs: Sequence[float], names: Sequence[str]) -> None:
    """Rules across, a dark one at 0 above negative scores, and as many taps below as there is room for."""
    marks = [(value, scale.y(value)) for value in (0.0, 0.25, 0.5, 0.75, 1.0)]
    page.lines([[(scale.left - 6, y), (scale.right, y)] for _, y in marks], RULE, 0.8)
    if scale.low < 0:
        page.lines([[(scale.left - 6, scale.y(0.0)), (scale.right, scale.y(0.0))]], SOFT, 0.9)
    page.texts([(scale.left - 11, y, f"{value:g}") for value, y in marks], color=SOFT, anchor="end")

    every = math.ceil(_TAP_GAP * (len(names) - 1) / (scale.right - scale.left)) or 1
    picked = range(0, len(names), every)
    moved = spread([xs[i] for i in picked], _TAP_GAP, scale.left, scale.right)
    ticks = [
        [(xs[i], scale.bottom), (xs[i], scale.bottom + 3), (x, scale.bottom + 7)]
        for i, x in zip(picked, moved, strict=True)
    ]
    page.lines(ticks, SOFT, 0.7)
    page.texts(
        [(x + 2, scale.bottom + 13, names[i]) for i, x in zip(picked, moved, strict=True)],
        size=_TAP_SIZE,
        color=SOFT,
        anchor="end",
        turn=-_TAP_TURN,
    )


def _draw_curves(page: Sheet, drawn: Sequence[_Drawn]) -> None:
    """Bands, lines and markers."""
    page.areas([band for line in drawn for band in line.bands], [d.look.color for d in drawn for _ in d.bands], 0.13)
    page.lines(
        [path for line in drawn for path in line.paths],
        [line.look.color for line in drawn for _ in line.paths],
        [1.2 if line.reference else 1.8 for line in drawn for _ in line.paths],
        [line.look.dash for line in drawn for _ in line.paths],
    )
    for line in drawn:
        # A reference line needs no markers, unless gaps leave lone points of it.
        lone = any(len(path) == 1 for path in line.paths)
        if lone or not line.reference:
            page.marks([point for path in line.paths for point in path], line.look.marker, line.look.color)


def _draw_labels(page: Sheet, scale: _Scale, drawn: Sequence[_Drawn]) -> None:
    """Names at the right, moved apart, each tied to the end of its line."""
    heights = spread([line.end[1] for line in drawn], _LABEL_GAP, scale.top, scale.bottom)
    leaders = [[(line.end[0] + 5, line.end[1]), (scale.right + 14, y)] for line, y in zip(drawn, heights, strict=True)]
    page.lines(leaders, [line.look.color for line in drawn], 0.7, alpha=0.6)
    for line, y in zip(drawn, heights, strict=True):
        page.text(scale.right + 17, y, line.name, size=_LABEL_SIZE, color=line.look.color, bold=not line.reference)


def depth_chart(
    title: str, taps: Sequence[str], depths: Sequence[float], lines: Sequence[Line], unit: str = SCORE
) -> Chart:
    """Return the chart of score against depth.

    Args:
        title: what is shown, such as the axis and the target.
        taps: names, from shallow to deep.
        depths: where they are, 0 to 1.
        lines: what is drawn; those without any score are left out of the drawing.
        unit: what the values are, for the text alternative.

    Raises:
        ValueError: `depths` or a line has another length than `taps`.
    """
    rows = tuple(
        (clean(line.name), clean(tap), depth, known(value), known(low), known(high))
        for line in lines
        for tap, depth, value, low, high in zip(taps, depths, line.values, line.lows, line.highs, strict=True)
    )
    # Reference points first: they lie below.
    shown = sorted((line for line in lines if _runs(line)), key=lambda line: line.style is not None)
    heading = title_lines(title, WIDTH)
    widest = max(
        (text_width(shorten(line.name, _LABEL_MOST), _LABEL_SIZE, line.style is not None) for line in shown),
        default=40.0,
    )
    top = 17.0 * len(heading) + 12
    tall = max(PLOT_HEIGHT, 1.3 * _LABEL_GAP * len(shown))
    names = [shorten(tap, _TAP_MOST) for tap in taps]
    lengths = [text_width(name, _TAP_SIZE) for name in names]
    longest, lean = max(lengths, default=0.0), math.radians(_TAP_TURN)
    # Turned names reach to the left of their taps.
    left = max([LEFT, *(length * math.cos(lean) + 8 - _TAP_GAP * i for i, length in enumerate(lengths))])
    scale = _Scale(left=left, right=WIDTH - widest - 20, top=top, bottom=top + tall, low=_lowest(shown))
    height = math.ceil(scale.bottom + 14 + longest * math.sin(lean) + 20)

    xs = scale.xs(depths)
    drawn = [_draw_line(line, i, xs, scale) for i, line in enumerate(shown)]
    alt = _render_alt(title, taps, lines, unit)
    with sheet(WIDTH, height) as page:
        page.title(heading)
        _draw_axes(page, scale, xs, names)
        page.notes(height - 8, ["band: 95 % interval"] if any(line.bands for line in drawn) else [])
        page.text(scale.right, height - 8, "tap, by depth →", size=10, color=SOFT, anchor="end")
        _draw_curves(page, drawn)
        _draw_labels(page, scale, drawn)
        return Chart(page.svg(title, alt), alt, WIDTH, height, HEAD, rows)
