"""Paired differences between entries: on the same images, with intervals over their groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.records.pairs import PairedDifference, paired_differences
from benchmark.suites.spec import Axis, Suite
from leaderboard.data.entries import Entry
from leaderboard.data.scores import ranked_on, scores_of
from leaderboard.data.views import axes_of

__all__ = ["Pair", "pairs"]


@dataclass(frozen=True)
class Pair:
    """Two entries and how much higher the first one scores: in the mean of the axes, and by axis."""

    first: str
    second: str
    score: PairedDifference
    differences: dict[Axis, PairedDifference]


def pairs(suite: Suite, entries: Sequence[Entry], target: str | None = None) -> list[Pair]:
    """Return the paired differences of all entries that are ranked on a target; None: on all.

    Raises:
        SpecError: two entries are not scored on the same images.
    """
    scores = scores_of(suite, ranked_on(entries, target), target)
    if scores is None:
        return []
    weights: list[dict[Axis, float]] = [dict.fromkeys(axes_of(suite), 1.0), *({axis: 1.0} for axis in axes_of(suite))]
    whole, *by_axis = (
        paired_differences(scores.parts, scores.shares(one), scores.bootstrap, suite.bootstrap_seed) for one in weights
    )
    return [
        Pair(*names, score, {axis: its[names] for axis, its in zip(axes_of(suite), by_axis, strict=True)})
        for names, score in whole.items()
    ]
