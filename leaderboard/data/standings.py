"""Who stands where on a target: places by score and by axis, and which axis makes the differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from benchmark.records.pairs import compare_pairs, contributions, stack_parts
from benchmark.records.places import Standing, find_leaders, find_standings, variance_shares
from benchmark.suites.spec import Axis, Suite
from leaderboard.data.scores import ImageScores
from leaderboard.data.views import axes_of

__all__ = ["Ranking", "rank_entries"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ranking:
    """How the entries stand that are ranked on a target; all is empty where there are none.

    Attributes:
        standings: by submission id.
        ranks: by axis and submission id, the position on that axis.
        tied: likewise, who is not significantly different there.
        shares: by axis, its share of the variance between the entries: which axis makes the differences; empty where
            they do not differ.
        leaders: entries that none exceeds on any axis: one, several that are equal, or none.
    """

    standings: Mapping[str, Standing] = field(default_factory=dict)
    ranks: Mapping[Axis, Mapping[str, int]] = field(default_factory=dict)
    tied: Mapping[Axis, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    shares: Mapping[Axis, float] = field(default_factory=dict)
    leaders: tuple[str, ...] = ()


def rank_entries(suite: Suite, scores: ImageScores, weights: Mapping[Axis, float]) -> Ranking:
    """Place entries by their weighted mean of axes, and by each axis; nothing where an axis that counts is unscored.

    Raises:
        SpecError: two entries are not scored on the same images.
    """
    names, stacked, axes = list(scores.parts), stack_parts(scores.parts), axes_of(suite)
    present = ~np.isnan(stacked[0])

    def compare(shares: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
        added, scored = contributions(stacked, shares), present[:, shares != 0].any(1)
        return added.sum(1), compare_pairs(added, scores.bootstrap, suite.bootstrap_seed, scored).separated

    whole, separated = compare(scores.shares(weights))
    if np.isnan(whole).any():
        return Ranking()
    standings = dict(zip(names, find_standings(whole, separated), strict=True))
    ranks: dict[Axis, dict[str, int]] = {}
    tied: dict[Axis, dict[str, tuple[str, ...]]] = {}
    means = np.full((len(names), len(axes)), np.nan)
    for index, axis in enumerate(axes):
        means[:, index], apart = compare(scores.shares({axis: 1.0}))
        of_axis = find_standings(means[:, index], apart)
        ranks[axis] = {name: standing.place for name, standing in zip(names, of_axis, strict=True)}
        close = ~(apart | np.eye(len(names), dtype=bool))
        tied[axis] = {name: tuple(names[i] for i in np.flatnonzero(close[e])) for e, name in enumerate(names)}
    variances = variance_shares(means)
    shares = {axis: float(share) for axis, share in zip(axes, variances, strict=True) if not np.isnan(share)}
    return Ranking(standings, ranks, tied, shares, tuple(names[index] for index in find_leaders(means)))
