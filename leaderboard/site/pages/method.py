"""The page of one submission: who, what, all its scores, the evidence, its costs, its history and its recons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.metrics.spec import get_metric
from benchmark.records.record import Cell, Estimate
from benchmark.suites.spec import Axis, Suite, TargetSpec
from leaderboard.data.board import Board
from leaderboard.data.entries import Entry
from leaderboard.data.pictures import Choice, Gallery
from leaderboard.data.rankings import reference_of, unscored
from leaderboard.data.views import AS_DEFINED, axes_of, columns_of, kinds_of, overall_of, scopes_of
from leaderboard.site.citation import cite_submission
from leaderboard.site.drawings import Drawn
from leaderboard.site.marks import Marks, units_words
from leaderboard.site.pages.pulls import pull_answers, pull_of
from leaderboard.site.pages.strips import Shot, shots

__all__ = ["method_context"]


def _columns(suite: Suite, entry: Entry, target: TargetSpec) -> list[tuple[Axis, list[str]]]:
    """Return by axis the kinds under which anything is scored; identity is left out where it is as defined."""
    scored = np.any(~np.isnan(entry.shown[target.id][..., 0]), axis=0)  # (kinds, axes)
    columns = columns_of(suite)
    return [
        (axis, [kind for k, kind in enumerate(kinds_of(suite)) if scored[k, a] and (axis, kind) in columns])
        for a, axis in enumerate(axes_of(suite))
        if scored[:, a].any()
    ]


def _views(
    suite: Suite, entry: Entry, target: TargetSpec, columns: list[tuple[Axis, list[str]]], marks: Marks
) -> list[Any]:
    """Return per tap (and for all taps) value, low, high of every column, whether it begins an axis, and remarks."""
    axes, kinds, views = axes_of(suite), kinds_of(suite), entry.shown[target.id]
    rows = []
    for number, scope in enumerate(scopes_of(target)):
        if scope.startswith("stage:"):
            continue
        cells = []
        for axis, used in columns:
            for kind in used:
                triple = views[number, kinds.index(kind), axes.index(axis)]
                value, low, high = (None if np.isnan(v) else float(v) for v in triple)
                score = Estimate(value=value, low=low, high=high)
                said = marks.remarks(axis, score) if kind == AS_DEFINED and value is not None else ()
                cells.append((value, low, high, kind == used[0], said))
        rows.append(("all taps" if scope == "*" else scope, cells))
    return rows


Unperturbed = Mapping[tuple[str, str, str], Cell]
"""By target, tap and metric."""


NOTHING = Choice((), {})


def _reported(suite: Suite, cells: Unperturbed, target: TargetSpec) -> tuple[list[Any], list[Any]]:
    """Return the metrics of the unperturbed images, and their values at every tap with reasons for what is missing."""
    metrics = [m for m in suite.metrics if any((target.id, tap, m) in cells for tap in target.tap_names)]
    rows = []
    for tap in target.tap_names:
        of_tap = [cells.get((target.id, tap, metric)) for metric in metrics]
        reasons = ["; ".join(sorted(cell.unscored)) if cell else "" for cell in of_tap]
        rows.append(
            (
                tap,
                [
                    (c.value if c else None, why or "no score in the record")
                    for c, why in zip(of_tap, reasons, strict=True)
                ],
            )
        )
    return [get_metric(metric) for metric in metrics], rows


def _strips(suite: Suite, entry: Entry, gallery: Gallery) -> list[tuple[str, str, str | None, list[Shot]]]:
    return [
        (role, image, gallery.seen(image, "identity"), shots(suite, gallery, entry, image, "identity"))
        for role, image in gallery.own[entry.submission.id].images
    ]


def method_context(
    board: Board, entry: Entry, galleries: Mapping[str, Gallery], figures: Mapping[str, Sequence[Drawn]]
) -> dict[str, Any]:
    """Context of the template `method.html.j2`; `figures` holds the charts of this submission by target."""
    suite, name = board.suite, entry.submission.id
    targets: list[dict[str, Any]] = []
    cells = {(c.target, c.tap, c.metric): c for c in entry.record.cells if c.perturbation == "identity"}
    marks = {key: Marks(board, key) for key in board.tables}
    for target in (target for target in suite.targets if target.id in entry.record.targets):
        columns = _columns(suite, entry, target)
        metrics, reported = _reported(suite, cells, target)
        targets.append(
            {
                "target": target,
                "columns": columns,
                "views": _views(suite, entry, target, columns, marks[target.id]),
                "pull": pull_of(entry, target),
                "answers": pull_answers(board.lock, target),
                "metrics": metrics,
                "reported": reported,
                "figures": figures.get(target.id, []),
                "credits": galleries[target.id].credited(
                    {image for _, image in galleries[target.id].own.get(name, NOTHING).images}
                ),
                "strips": _strips(suite, entry, galleries[target.id]) if name in galleries[target.id].methods else [],
            }
        )
    rows = {key: next(r for r in table.rows if r.entry is entry) for key, table in board.tables.items()}
    old = [(record, f"superseded on {event.date}: {event.reason}") for event, record in entry.superseded]
    state = f"withdrawn on {entry.withdrawal.date}" if entry.withdrawal else "present"
    return {
        "entry": entry,
        "marks": marks,
        "units": units_words(board),
        "reference": reference_of(entry),
        "badges": rows[None].badges,
        "axes": axes_of(suite),
        "styles": board.styles,
        "rows": list(rows.items()),
        "targets": targets,
        "left_out": unscored(entry.record),
        "history": [(record, overall_of(suite, record), words) for record, words in [*old, (entry.record, state)]],
        "citation": cite_submission(entry.submission),
        "whole": any(
            name in galleries[item["target"].id].methods[: galleries[item["target"].id].full] for item in targets
        ),
        "withheld": sorted({item for gallery in galleries.values() for item in gallery.withheld}),
        "block_links": [item["target"].id for item in targets if item["strips"]],
    }
