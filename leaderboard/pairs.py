"""Paired differences between entries: on the same images, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from benchmark.spec import Axis, Suite
from benchmark.stats import Difference, bootstrap_weights, paired_difference
from leaderboard.entries import Entry
from leaderboard.tables import axes_of, reference_of

__all__ = ["Pair", "pairs"]


@dataclass(frozen=True)
class Pair:
    """Two entries and, by axis, how much higher the first one scores; axes that one of them lacks are absent."""

    first: str
    second: str
    differences: dict[Axis, Difference]


def pairs(suite: Suite, entries: Sequence[Entry]) -> list[Pair]:
    """Return the paired differences of all rankable entries, each target weighing the same.

    Scores are the anchored, unclipped axis scores of the images, so that a difference of means is the mean of
    differences.
    """
    rankable = [entry for entry in entries if entry.rankable and reference_of(entry) is None]
    found = []
    for first, second in combinations(rankable, 2):
        differences = {}
        for axis in axes_of(suite):
            a, b = first.image_axis(None, axis), second.image_axis(None, axis)
            if a is not None and b is not None:
                weights = bootstrap_weights(len(a), suite.bootstrap_resamples, suite.bootstrap_seed)
                differences[axis] = paired_difference(a, b, weights, suite.bootstrap_seed)
        found.append(Pair(first.submission.id, second.submission.id, differences))
    return found
