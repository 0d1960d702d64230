"""Which charts a board draws: from its entries to figures, and their files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.files.spreadsheets import guarded
from benchmark.records.audit import decode_png
from benchmark.records.record import AxisScore, StageLayers
from benchmark.suites.spec import INPUT, Axis, Suite, TargetSpec
from leaderboard.data.board import Board
from leaderboard.data.entries import Entry
from leaderboard.data.pictures import Gallery
from leaderboard.data.rankings import cost_of, label_of
from leaderboard.data.views import AS_DEFINED, axes_of, kinds_of, scopes_of
from leaderboard.data.workers import iter_results
from leaderboard.figures import (
    Chart,
    CostPoint,
    HueMark,
    Line,
    Panel,
    cost_chart,
    depth_chart,
    front,
    heat_chart,
    hue_chart,
    measure_hues,
)

__all__ = ["Drawn", "Plan", "draw_charts", "plan_cost", "plan_depth", "plan_heat", "plan_hues", "plan_layers"]

COST_POINTS = 20
"""So many submissions, from the first of the table, are in the charts of cost, beside all on the Pareto front."""

_ALONE = 96
"""Up to so many charts are drawn faster than other processes start."""


@dataclass(frozen=True)
class Plan:
    """A chart to be drawn: its title, its file without suffix, relative to the page, and what draws it."""

    file: str
    title: str
    make: Callable[[], Chart | None]


@dataclass(frozen=True)
class Drawn:
    """A chart whose files are written; `chart.svg` is no longer kept."""

    file: str
    title: str
    chart: Chart


def _cell(value: str | float | None) -> str | float:
    return "" if value is None else guarded(value) if isinstance(value, str) else value


def _write_chart(plan: Plan, folder: Path) -> Drawn | None:
    """Draw a chart and write it as SVG and its numbers as CSV; None where there is nothing to draw."""
    chart = plan.make()
    if chart is None:
        return None
    path = folder / plan.file
    path.with_name(f"{path.name}.svg").write_bytes(chart.svg)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(chart.head)
    writer.writerows([[_cell(value) for value in row] for row in chart.rows])
    path.with_name(f"{path.name}.csv").write_text(text.getvalue(), encoding="utf-8", newline="\n")
    return Drawn(plan.file, plan.title, replace(chart, svg=b""))


def draw_charts(plans: Sequence[Plan], folder: Path) -> Iterator[Drawn]:
    """Return the charts that have something to draw; their files are written below `folder`.

    Many are drawn by other processes, which begin at once.
    """
    for parent in {(folder / plan.file).parent for plan in plans}:
        parent.mkdir(parents=True, exist_ok=True)
    charts = iter_results(partial(_write_chart, folder=folder), plans, _ALONE, at_once=4)
    return (drawn for drawn in charts if drawn is not None)


def _depth_line(board: Board, entry: Entry, target: TargetSpec, axis: Axis) -> Line:
    taps = entry.record.targets[target.id].taps
    none = AxisScore(value=None, parts={})
    scores = [taps[t.name].axes.get(axis, none) if t.name in taps else none for t in target.taps]
    values, lows, highs = (tuple(getattr(s, name) for s in scores) for name in ("value", "low", "high"))
    return Line(label_of(entry), board.styles[entry.submission.id], values, lows, highs)


def plan_depth(board: Board, target: TargetSpec) -> list[Plan]:
    """Return the charts of score against depth of a target, one per axis."""
    entries, plans = [*board.references(target.id), *board.drawn(target.id)], []
    for axis in axes_of(board.suite):
        title = f"{axis.upper()} at the taps of {target.id}"
        lines = [_depth_line(board, entry, target, axis) for entry in entries]
        make = partial(depth_chart, title, target.tap_names, [tap.depth for tap in target.taps], lines)
        plans.append(Plan(f"charts/depth-{target.id}-{axis}", title, make))
    return plans


def _points(board: Board, target: str | None, axis: Axis, costs: Mapping[str, float | None]) -> list[CostPoint]:
    points = []
    for row in board.tables[target].ranked:
        name = row.entry.submission.id
        score = next(cell.score for cell in row.cells if cell.axis == axis)
        if score is not None:
            points.append(CostPoint(name, board.styles[name], costs.get(name), score.value, score.low, score.high))
    best = front(points)
    return [point for index, point in enumerate(points) if index < COST_POINTS or point in best]


def plan_cost(board: Board, target: str | None) -> list[Plan]:
    """Return the charts of quality against parameters and, on the device most often used, against time, per axis."""
    rows, where = board.tables[target].ranked, target or "all targets"
    if len(rows) < 2:
        return []
    costs = {row.entry.submission.id: cost_of(board.suite, row.entry.record, target) for row in rows}
    devices = [cost.device for cost in costs.values() if cost.ms_per_recon is not None]
    device = max(sorted(set(devices)), key=devices.count, default="")
    kinds: list[tuple[str, str, dict[str, float | None]]] = [
        ("parameters", "parameters of the inverse", {name: cost.parameters for name, cost in costs.items()})
    ]
    if devices.count(device) > 1:
        times = {name: cost.ms_per_recon for name, cost in costs.items() if cost.device == device}
        kinds.append(("time", f"ms per recon on {device}", times))
    plans = []
    for kind, label, values in kinds:
        for axis in axes_of(board.suite):
            title = f"{axis.upper()} on {where} against {label}"
            make = partial(cost_chart, title, label, _points(board, target, axis, values))
            plans.append(Plan(f"charts/{kind}-{target or 'all'}-{axis}", title, make))
    return plans


def plan_heat(suite: Suite, entry: Entry, target: TargetSpec) -> Plan | None:
    """Return the chart of an entry's axes under every perturbation and at every tap, one panel per axis."""
    scopes, kinds = list(scopes_of(target)), list(kinds_of(suite))
    values = entry.shown[target.id][[scopes.index(tap) for tap in target.tap_names], :, :, 0]
    panels = []
    for index, axis in enumerate(axes_of(suite)):
        used = [k for k, kind in enumerate(kinds) if kind != AS_DEFINED and not np.isnan(values[:, k, index]).all()]
        if len(used) > 1:
            cells = tuple(tuple(None if np.isnan(v) else float(v) for v in values[:, k, index]) for k in used)
            panels.append(Panel(axis.upper(), tuple(kinds[k] for k in used), target.tap_names, cells))
    if not panels:
        return None
    title = f"{label_of(entry)} on {target.id} under every perturbation"
    return Plan(f"charts/heat-{target.id}-{entry.submission.id}", title, partial(heat_chart, title, panels, 0.0, 1.0))


def _layer_panels(stages: Sequence[StageLayers]) -> Iterator[Panel]:
    for stage in stages:
        yield Panel(f"frc transfer, {stage.stage}", stage.taps, stage.taps, stage.normalized)
        yield Panel(f"CKA, {stage.stage}", stage.taps, stage.taps, stage.cka)


def plan_layers(entry: Entry, target: TargetSpec) -> Plan | None:
    """Return the chart of how the taps of a target read each other: transfer and CKA, two panels per stage."""
    stages = entry.record.layers.get(target.id, ())
    if not stages:
        return None
    title = f"Layers of {target.id} as {label_of(entry)} reads them"
    panels = list(_layer_panels(stages))
    make = partial(heat_chart, title, panels, 0.0, 1.0, row_label="features of", column_label="inverse of")
    return Plan(f"charts/layers-{target.id}-{entry.submission.id}", title, make)


@dataclass(frozen=True)
class _HueFiles:
    """Files of one image: the unperturbed input, and by perturbation the input and the recons, tap by tap."""

    identity: str
    seen: Mapping[str, str]
    recons: Mapping[str, Sequence[str]]


def _hue_taps(gallery: Gallery, name: str) -> tuple[str, ...]:
    """Return the taps with recons of recolored images: those that the suite stores."""
    there = {tap for method, _, tap, kind in gallery.files if method == name and kind.startswith("hue_set")}
    return tuple(tap for tap in gallery.target.tap_names if tap in there)


def _hue_files(gallery: Gallery, name: str) -> Iterator[_HueFiles]:
    kinds, taps = sorted({kind for *_, kind in gallery.files if kind.startswith("hue_set")}), _hue_taps(gallery, name)
    for _, image in gallery.choice.images:
        identity = gallery.seen(image, "identity")
        seen, recons = {}, {}
        for kind in kinds:
            shown = gallery.files.get(("", image, INPUT, kind))
            files = [gallery.files.get((name, image, tap, kind)) for tap in taps]
            if shown is not None and files and all(files):
                seen[kind], recons[kind] = shown, [file for file in files if file]
        if identity is not None and seen:
            yield _HueFiles(identity, seen, recons)


def _draw_hues(
    title: str, target: TargetSpec, taps: Sequence[str], files: Sequence[_HueFiles], store: Path
) -> Chart | None:
    def pixels(name: str) -> npt.NDArray[np.uint8]:
        return decode_png((store / f"{name}.png").read_bytes(), target.input_size)

    marks: dict[str, list[HueMark]] = {tap: [] for tap in taps}
    for image in files:
        seen = {kind: pixels(file) for kind, file in image.seen.items()}
        recons = {kind: np.stack([pixels(file) for file in names]) for kind, names in image.recons.items()}
        by_tap = measure_hues(pixels(image.identity), seen, recons)
        for tap, here in zip(taps, by_tap, strict=True):
            marks[tap] += here
    return hue_chart(title, taps, marks) if any(marks.values()) else None


def plan_hues(gallery: Gallery, entry: Entry, store: Path) -> Plan | None:
    """Return the chart of one submission's color story: hue in against hue out at every tap, over the gallery's images.

    `store` is the folder of the gallery's images.
    """
    target, name = gallery.target, entry.submission.id
    files = list(_hue_files(gallery, name))
    if not files:
        return None
    title = f"Hue in, hue out: {label_of(entry)} on {target.id}"
    return Plan(
        f"charts/hue-{target.id}-{name}",
        title,
        partial(_draw_hues, title, target, _hue_taps(gallery, name), files, store),
    )
