"""Curves of an axis over the taps of a target, as SVG that takes its colors from the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment
from markupsafe import Markup

from benchmark.records import AxisScore
from benchmark.spec import Axis, TargetSpec
from leaderboard.entries import Entry
from leaderboard.tables import number, reference_of

__all__ = ["STYLES", "Series", "render_curves", "series_of", "spread", "styles_of"]

STYLES = 8
"""How many colors the style sheet has; more entries repeat them with other markers."""

WIDTH, HEIGHT = 360.0, 274.0
LEFT, RIGHT, TOP, BOTTOM = 36.0, 84.0, 12.0, 68.0
_LABEL_GAP = 13.0
_MARKERS = (
    "M-3.2 0a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0 -6.4 0Z",
    "M-2.9 -2.9H2.9V2.9H-2.9Z",
    "M0 -3.8L3.7 2.8H-3.7Z",
    "M0 -4.1L4.1 0L0 4.1L-4.1 0Z",
    "M0 3.8L3.7 -2.8H-3.7Z",
    "M-1.2 -3.8H1.2V-1.2H3.8V1.2H1.2V3.8H-1.2V1.2H-3.8V-1.2H-1.2Z",
    "M-3.4 -1.7V1.7L-1.7 3.4H1.7L3.4 1.7V-1.7L1.7 -3.4H-1.7Z",
    "M0 -4.4L1.3 -1.3L4.4 0L1.3 1.3L0 4.4L-1.3 1.3L-4.4 0L-1.3 -1.3Z",
)


@dataclass(frozen=True)
class Series:
    """One line of a chart: a score for every tap, None where there is none."""

    name: str
    style: int | None
    scores: tuple[AxisScore | None, ...]


def styles_of(entries: Sequence[Entry]) -> dict[str, int | None]:
    """Return the style number of every submission: the same everywhere on the page; None for reference points."""
    names = sorted(entry.submission.id for entry in entries if reference_of(entry) is None)
    return {entry.submission.id: None for entry in entries} | {name: i for i, name in enumerate(names)}


def series_of(entries: Sequence[Entry], target: TargetSpec, axis: Axis) -> list[Series]:
    """Return the line of every entry that was evaluated on a target, reference points first (drawn below)."""
    styles, lines = styles_of(entries), []
    for entry in entries:
        found = entry.record.targets.get(target.id)
        taps = [found.taps.get(tap.name) if found else None for tap in target.taps]
        scores = [tap.axes.get(axis) if tap else None for tap in taps]
        if any(score is not None and score.value is not None for score in scores):
            lines.append(Series(entry.submission.id, styles[entry.submission.id], tuple(scores)))
    return sorted(lines, key=lambda line: (line.style is not None, line.name))


def spread(heights: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move `heights` apart to at least `gap`, as little as needed and within [low, high] if they fit."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    placed = [0.0] * len(heights)
    floor = low
    for i in order:
        placed[i] = max(heights[i], floor)
        floor = placed[i] + gap
    ceiling = high
    for i in reversed(order):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - gap
    return placed


def _y(value: float) -> float:
    return TOP + (1 - min(max(value, 0.0), 1.0)) * (HEIGHT - TOP - BOTTOM)


def _segments(xs: Sequence[float], scores: Sequence[AxisScore | None]) -> list[list[tuple[float, AxisScore, float]]]:
    """Split a line where a score is missing."""
    segments: list[list[tuple[float, AxisScore, float]]] = [[]]
    for x, score in zip(xs, scores, strict=True):
        if score is None or score.value is None:
            segments.append([])
        else:
            segments[-1].append((x, score, score.value))
    return [segment for segment in segments if segment]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _band(segment: Sequence[tuple[float, AxisScore, float]]) -> str:
    upper = [(x, _y(value if s.high is None else s.high)) for x, s, value in segment]
    lower = [(x, _y(value if s.low is None else s.low)) for x, s, value in segment]
    return _path(upper + lower[::-1]) + "Z"


@dataclass(frozen=True)
class _Drawn:
    """A series in the coordinates of the drawing; `end` is its last point, where the label is tied."""

    name: str
    css: str
    bands: tuple[str, ...]
    lines: tuple[str, ...]
    marks: tuple[tuple[str, str], ...]
    marker: str
    end: tuple[float, float]


def _draw(series: Series, xs: Sequence[float]) -> _Drawn:
    segments, style = _segments(xs, series.scores), series.style
    points = [[(x, _y(value)) for x, _, value in segment] for segment in segments]
    # A reference line needs no markers, unless gaps leave lone points of it.
    marked = style is not None or any(len(segment) == 1 for segment in points)
    return _Drawn(
        name=series.name,
        css="reference" if style is None else f"s{style % STYLES}",
        bands=tuple(_band(s) for s in segments if style is not None and len(s) > 1),
        lines=tuple(_path(segment) for segment in points if len(segment) > 1),
        marks=tuple((f"{x:.1f}", f"{y:.1f}") for segment in points for x, y in segment if marked),
        marker=_MARKERS[0 if style is None else (style + style // STYLES) % len(_MARKERS)],
        end=points[-1][-1],
    )


def _describe(taps: Sequence[str], series: Sequence[Series]) -> str:
    said = []
    for line in series:
        points = [(tap, s.value) for tap, s in zip(taps, line.scores, strict=True) if s is not None]
        known = [(tap, value) for tap, value in points if value is not None]
        (first, start), (last, stop) = known[0], known[-1]
        said.append(f"{line.name}: {number(start, 2)} at {first}, {number(stop, 2)} at {last}")
    return "; ".join(said) + "." if said else "No scores."


def render_curves(env: Environment, ident: str, axis: Axis, target: TargetSpec, entries: Sequence[Entry]) -> Markup:
    """Return the SVG of one axis of one target; `ident` makes its element ids unique on the page."""
    series = series_of(entries, target, axis)
    taps = [tap.name for tap in target.taps]
    step = (WIDTH - LEFT - RIGHT) / max(len(taps) - 1, 1)
    xs = [LEFT + step * i for i in range(len(taps))]
    lines = [_draw(line, xs) for line in series]
    heights = spread([line.end[1] for line in lines], _LABEL_GAP, TOP, HEIGHT - BOTTOM)
    labels = [
        (line.css, line.name, f"{line.end[0] + 5:.1f}", f"{line.end[1]:.1f}", f"{WIDTH - RIGHT + 11:.1f}", f"{y:.1f}")
        for line, y in zip(lines, heights, strict=True)
    ]
    return Markup(
        env.get_template("curves.svg.j2").render(
            ident=ident,
            title=f"{axis.upper()} at the taps of {target.id}",
            text=_describe(taps, series),
            size=(WIDTH, HEIGHT),
            plot=(LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM),
            grid=[(f"{_y(v):.1f}", f"{v:g}") for v in (0.0, 0.25, 0.5, 0.75, 1.0)],
            taps=[(f"{x:.1f}", name) for x, name in zip(xs, taps, strict=True)],
            lines=lines,
            labels=labels,
        )
    )
