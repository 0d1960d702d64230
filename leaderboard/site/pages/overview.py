"""The ranked table of a target, or of all targets together, with its charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from benchmark.metrics.spec import AXIS_WORDS
from benchmark.suites.lock import Lock
from benchmark.suites.spec import TargetSpec
from leaderboard.data.board import STYLES, Board
from leaderboard.data.entries import Entry
from leaderboard.data.rankings import RANK_RULE, Table, color_means, reference_of, why_missing
from leaderboard.data.views import axes_of
from leaderboard.data.wording import counting_words, join_words, verdict
from leaderboard.site.drawings import Drawn
from leaderboard.site.marks import Marks, units_words
from leaderboard.site.pages.claims import verdicts_words
from leaderboard.site.pages.pulls import answers_of, find_pulls, pull_answers

__all__ = ["differences_words", "overview_context"]

COLOR_METRICS = ("gain_perturbed", "gain_original", "hue_error_deg")


def _gains(entry: Entry, target: TargetSpec) -> tuple[str, list[Any]]:
    why = partial(why_missing, entry.record, target=target.id)
    rows = []
    for tap in target.tap_names:
        values = [(metric, color_means(entry.record, target.id, tap, metric)) for metric in COLOR_METRICS]
        rows.append((tap, [(m, value, "" if value is not None else why([m], tap=tap)) for m, value in values]))
    return entry.submission.id, rows


def _mean_gains(lock: Lock, target: TargetSpec) -> list[tuple[str, float | None]]:
    """Return what the training mean image has of the color metrics; empty where the lock has not measured it."""
    answer = answers_of(lock, target).get("training_mean")
    return [(metric, answer.metrics.get(metric)) for metric in COLOR_METRICS] if answer else []


def differences_words(table: Table) -> list[str]:
    """Which axis makes the differences between the ranked submissions, and who leads on all axes."""
    if len(table.ranked) < 2:
        return []
    sentences = []
    if table.shares:
        order = sorted(table.shares.items(), key=lambda item: -item[1])
        shares = join_words([f"{axis.upper()} {100 * share:.0f}\N{NO-BREAK SPACE}%" for axis, share in order])
        sentences.append(f"Share of each axis in the variance between the ranked submissions: {shares}.")
    if table.leaders:
        leads = "leads" if len(table.leaders) == 1 else "share the lead"
        sentences.append(f"{join_words(table.leaders)} {leads} on all axes.")
    else:
        sentences.append("No submission leads on all axes.")
    return sentences


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
    where = f"on {target.id}: means over its taps" if target else f"over all targets, {counting_words(board.suite)}"
    charted = board.charted(target.id) if target else []
    layers = [stage for entry in charted if target for stage in entry.record.layers.get(target.id, ())]
    note = f"The first {STYLES} in the order of the table are drawn." if ranked > STYLES else ""
    return {
        "target": target,
        "table": table,
        "axes": axes,
        "axis_words": AXIS_WORDS,
        "verdicts": {axis: verdict(table, axis) for axis in axes},
        "stages": stages,
        "families": sorted({entry.submission.method for entry in board.entries if reference_of(entry) is None}),
        "caption": f"Scores {where}, with 95 % intervals; 0: an answer that ignores the image, 1: the image itself.",
        "marks": Marks(board, target.id if target else None),
        "units": units_words(board),
        "differences": differences_words(table),
        "styles": board.styles,
        "rank_rule": RANK_RULE,
        "depth": depth,
        "cost": cost,
        "drawn_note": note,
        "gains": [_gains(entry, target) for entry in charted] if target else [],
        "mean_gains": _mean_gains(board.lock, target) if target else [],
        "pulls": find_pulls(charted, target) if target else [],
        "answers": pull_answers(board.lock, target) if target else [],
        "layer_images": layers[0].images if layers else None,
        "left_out": board.left_out if target is None else (),
        "claims": verdicts_words(board.claims) if target is None else [],
        **own,
    }
