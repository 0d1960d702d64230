"""The ranked table of a target, or of all targets together, with its charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from benchmark.metrics.spec import AXIS_WORDS
from benchmark.suites.spec import TargetSpec
from leaderboard.data.board import STYLES, Board
from leaderboard.data.entries import Entry
from leaderboard.data.rankings import RANK_RULE, color_means, reference_of, why_missing
from leaderboard.data.views import axes_of
from leaderboard.data.wording import verdict
from leaderboard.site.drawings import Drawn

__all__ = ["overview_context"]

COLOR_METRICS = ("gain_perturbed", "gain_original", "hue_error_deg")


def _gains(entry: Entry, target: TargetSpec) -> tuple[str, list[Any]]:
    why = partial(why_missing, entry.record, target=target.id)
    rows = []
    for tap in target.tap_names:
        values = [(metric, color_means(entry.record, target.id, tap, metric)) for metric in COLOR_METRICS]
        rows.append((tap, [(m, value, "" if value is not None else why([m], tap=tap)) for m, value in values]))
    return entry.submission.id, rows


def overview_context(
    board: Board,
    target: TargetSpec | None,
    *,
    depth: Sequence[Drawn],
    cost: Sequence[Drawn],
    own: Mapping[str, Sequence[Drawn]],
) -> dict[str, Any]:
    """Context of the template `overview.html.j2`.

    `own` holds, by kind (`hues`, `heats`, `layers`), the charts of single submissions on this target.
    """
    axes = axes_of(board.suite)
    table = board.tables[target.id if target else None]
    ranked = len(table.ranked) + len(table.unranked)
    stages = list(dict.fromkeys(tap.stage for tap in target.taps)) if target else []
    where = f"on {target.id}: mean over its taps" if target else "over all targets, each weighing the same"
    note = f"The first {STYLES} in the order of the table are drawn." if ranked > STYLES else ""
    return {
        "target": target,
        "table": table,
        "axes": axes,
        "axis_words": AXIS_WORDS,
        "verdicts": {axis: verdict(table, axis) for axis in axes},
        "stages": stages,
        "families": sorted({entry.submission.method for entry in board.entries if reference_of(entry) is None}),
        "caption": f"Scores {where}, with 95 % intervals; 0 is the best trivial answer, 1 the image itself.",
        "styles": board.styles,
        "rank_rule": RANK_RULE,
        "depth": depth,
        "cost": cost,
        "drawn_note": note,
        "gains": [_gains(entry, target) for entry in board.charted(target.id)] if target else [],
        **own,
    }
