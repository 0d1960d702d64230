"""Paired differences between entries: on the same images, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from benchmark.records.statistics import PairedDifference, bootstrap_weights, paired_differences
from benchmark.suites.spec import Axis, Suite
from leaderboard.data.entries import Entry
from leaderboard.data.rankings import axes_of, reference_of

__all__ = ["Pair", "pairs"]


@dataclass(frozen=True)
class Pair:
    """Two entries and, by axis, how much higher the first one scores; axes that one of them lacks are absent."""

    first: str
    second: str
    differences: dict[Axis, PairedDifference]


def pairs(suite: Suite, entries: Sequence[Entry]) -> list[Pair]:
    """Return the paired differences of all rankable entries, each target weighing the same.

    Scores are the anchored, unclipped axis scores of the images, so that a difference of means is the mean of
    differences.
    """
    rankable = [entry for entry in entries if entry.rankable and reference_of(entry) is None]
    by_names: dict[tuple[str, str], dict[Axis, PairedDifference]] = {
        (a.submission.id, b.submission.id): {} for a, b in combinations(rankable, 2)
    }
    for axis in axes_of(suite):
        scores = {entry.submission.id: entry.image_axis(None, axis) for entry in rankable}
        held = {name: values for name, values in scores.items() if values is not None}
        if held:
            images = len(next(iter(held.values())))
            weights = bootstrap_weights(images, suite.bootstrap_resamples, suite.bootstrap_seed)
            for names, difference in paired_differences(held, weights, suite.bootstrap_seed).items():
                by_names[names][axis] = difference
    return [Pair(first, second, differences) for (first, second), differences in by_names.items()]
