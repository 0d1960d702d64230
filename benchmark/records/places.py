"""Places by score, with what the data cannot separate, and which axis makes the differences (numpy only)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["DIGITS", "Standing", "find_leaders", "find_standings", "variance_shares"]

Array = npt.NDArray[np.float64]

DIGITS = 6
"""The digits of a score that records keep: what differs beyond them is equal."""


class Standing(NamedTuple):
    """The place of one entry among n.

    Attributes:
        place: 1 + the number of entries with a higher score; scores that are equal in `DIGITS` digits share a place.
        best: 1 + the number of entries that are significantly better.
        worst: n - the number of entries that are significantly worse.
        equal: whether a neighbour in the order of scores is not significantly different ("=" beside the place).
    """

    place: int
    best: int
    worst: int
    equal: bool


def find_standings(scores: Array, separated: npt.NDArray[np.bool_]) -> list[Standing]:
    """Place entries by score, as records state it; which two come first depends on these two alone.

    Args:
        scores: (E,).
        separated: (E, E), pairs that differ significantly; see `pairs.PairTests`.
    """
    scores, count = np.round(scores, DIGITS), len(scores)
    higher = scores[None] > scores[:, None]
    best = 1 + (higher & separated).sum(1)
    worst = count - (higher.T & separated).sum(1)
    order = np.argsort(-scores, kind="stable")
    close = ~separated[order[:-1], order[1:]]
    equal = np.zeros(count, np.bool_)
    equal[order[:-1]] |= close
    equal[order[1:]] |= close
    columns = (1 + higher.sum(1), best, worst, equal)
    return [Standing(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def variance_shares(scores: Array) -> Array:
    """Share of the variance between entries that each axis has, (axes,): which axis makes the differences.

    Args:
        scores: (E, axes), axis scores of the entries.

    Returns:
        Variance over entries of each axis by the sum of all; NaN where entries do not differ.
    """
    if len(scores) < 2:
        return np.full(scores.shape[1], np.nan)
    variances = scores.var(0)
    total = variances.sum()
    return variances / total if total > 0 else np.full(scores.shape[1], np.nan)


def find_leaders(scores: Array) -> list[int]:
    """Entries that no other exceeds on any axis, as records state them, by index: one, several that are equal, or none.

    Args:
        scores: (E, axes), axis scores of the entries.
    """
    if not len(scores):
        return []
    scores = np.round(scores, DIGITS)
    return np.flatnonzero((scores >= scores.max(0)).all(1)).tolist()
