"""Scores of a target, or of all targets together, as thumbnails that are as good."""

from __future__ import annotations

from collections.abc import Mapping

from benchmark.records.equivalent import Equivalent, find_equivalent, yardstick_of
from benchmark.records.record import Estimate
from benchmark.records.statistics import mean_over_targets
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Axis, Suite
from leaderboard.data.views import axes_of

__all__ = ["Yardsticks", "find_equivalents", "yardsticks_of"]

Yardsticks = dict[Axis, dict[int, float]]
"""By axis, the scores of thumbnails by their rows."""


def yardsticks_of(suite: Suite, lock: Lock, target: str | None) -> Yardsticks:
    """Return the scores of thumbnails on a target; None: the mean over all targets, of thumbnails that all have."""
    targets = [item for item in suite.targets if target in (None, item.id)]
    found: Yardsticks = {}
    for axis in axes_of(suite):
        each = {item.id: yardstick_of(lock, item, axis) for item in targets}
        rows = sorted(set.intersection(*map(set, each.values())))
        found[axis] = {
            count: float(mean_over_targets(suite, {name: one[count] for name, one in each.items()})) for count in rows
        }
    return found


def find_equivalents(
    suite: Suite, lock: Lock, target: str | None, scores: Mapping[Axis, Estimate]
) -> dict[Axis, Equivalent]:
    """Return, by axis, the thumbnails that score the same; see `find_equivalent` for those that have none."""
    yardsticks = yardsticks_of(suite, lock, target)
    every = {axis: find_equivalent(yardsticks[axis], axis, score) for axis, score in scores.items()}
    return {axis: equivalent for axis, equivalent in every.items() if equivalent is not None}
