"""Group bootstrap: 95 % intervals over groups of images that share a source, widened for few groups (numpy only)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmark.records.statistics import bootstrap_means, bootstrap_medians, masked_mean, masked_median

__all__ = ["Estimates", "GroupBootstrap", "group_weights", "groups_of", "percentiles", "widening"]

Array = npt.NDArray[np.float64]

LEVEL = 0.975
_COLUMNS = 64
"""How many columns are resampled at a time, so that memory stays small."""


def groups_of(images: Sequence[str], groups: Mapping[str, str]) -> tuple[str, ...]:
    """Group of each image; an image that `groups` does not name is a group of its own."""
    return tuple(groups.get(image, image) for image in images)


def group_weights(groups: Sequence[str], resamples: int, seed: int) -> Array:
    """How often each image is drawn when groups are drawn with replacement, (resamples, images), whole numbers.

    All images of a group have the same weight, which depends on the names of the groups, `resamples` and `seed`
    alone, not on the order of the images.
    """
    names, members = np.unique(np.asarray(groups), return_inverse=True)
    generator, count = np.random.default_rng(seed), len(names)
    # Many times as fast as drawing from a multinomial law.
    drawn = [np.bincount(generator.integers(0, count, count), minlength=count) for _ in range(resamples)]
    return np.array(drawn, np.float64)[:, members]


def widening(groups: npt.NDArray[np.int64]) -> Array:
    """Factor of the half-widths of an interval from each number of groups G: t(.975, G - 1) / 1.96 * sqrt(G / (G - 1)).

    A resample of few groups varies too little: without the factor, 11 groups cover 90 % instead of 95 %. NaN where
    G < 2, which gives no interval.
    """
    from scipy.special import ndtri, stdtrit

    enough = groups >= 2
    count = np.where(enough, groups, 2).astype(np.float64)
    factor = stdtrit(count - 1, LEVEL) / ndtri(LEVEL) * np.sqrt(count / (count - 1))
    return np.where(enough, factor, np.nan)


def percentiles(samples: Array) -> tuple[Array, Array]:
    """2.5th and 97.5th percentile over resamples, (K,) each.

    Args:
        samples: (resamples, K); NaN where a resample holds nothing scored, which is left out.
    """
    low = np.full(samples.shape[1], np.nan)
    high = low.copy()
    absent = np.isnan(samples)
    whole, some = ~absent.any(0), absent.any(0) & ~absent.all(0)
    ends = [100 * (1 - LEVEL), 100 * LEVEL]
    if whole.any():
        low[whole], high[whole] = np.percentile(np.ascontiguousarray(samples[:, whole].T), ends, axis=1)
    if some.any():
        low[some], high[some] = np.nanpercentile(samples[:, some], ends, axis=0)
    return low, high


class Estimates(NamedTuple):
    """Values with the two ends of their 95 % intervals, (K,) each; NaN: nothing scored, or no interval."""

    value: Array
    low: Array
    high: Array


class GroupBootstrap:
    """Resamples of the groups of a suite, the same for every submission, axis and tap.

    Args:
        groups: group of each image (N,), in the order of the images of all values; see `groups_of`.
        resamples: how often the groups are drawn.
        seed: of the draws.

    Attributes:
        members: int64 (N,), index of each image's group.
        groups: number of groups.
        weights: float64 (resamples, N), see `group_weights`.
    """

    def __init__(self, groups: Sequence[str], resamples: int, seed: int) -> None:
        names, members = np.unique(np.asarray(groups), return_inverse=True)
        self.members: npt.NDArray[np.int64] = members.astype(np.int64)
        self.groups = len(names)
        self.weights = group_weights(groups, resamples, seed)

    def sums(self, values: Array) -> Array:
        """Sum of each group over its images: (N, K) to (groups, K); NaN counts as 0."""
        sums = np.zeros((self.groups, values.shape[1]))
        np.add.at(sums, self.members, np.nan_to_num(values))
        return sums

    def count_scored(self, values: Array) -> npt.NDArray[np.int64]:
        """Number of groups with anything scored, of each column of (N, K)."""
        return (self.sums((~np.isnan(values)).astype(np.float64)) > 0).sum(0)

    def widen(self, value: Array, samples: Array, scored: npt.NDArray[np.int64]) -> Estimates:
        """Percentile intervals of `samples` (resamples, K) about `value` (K,), both halves times `widening(scored)`."""
        low, high = percentiles(samples)
        factor = widening(scored)
        return Estimates(value, value - factor * (value - low), value + factor * (high - value))

    def estimate(self, values: Array, medians: npt.NDArray[np.bool_] | None = None) -> Estimates:
        """Mean over the scored images of each column, with its interval.

        Args:
            values: (N, K), NaN where an image is not scored.
            medians: (K,), columns whose median is taken instead of their mean.
        """
        count = values.shape[1]
        medians = np.zeros(count, np.bool_) if medians is None else medians
        found = Estimates(*np.full((3, count), np.nan))
        for kind, point, resample in (
            (~medians, masked_mean, bootstrap_means),
            (medians, masked_median, bootstrap_medians),
        ):
            chosen = np.flatnonzero(kind)
            for start in range(0, len(chosen), _COLUMNS):
                columns = chosen[start : start + _COLUMNS]
                part = values[:, columns]
                parts = self.widen(point(part), resample(part, self.weights), self.count_scored(part))
                for whole, own in zip(found, parts, strict=True):
                    whole[columns] = own
        return found

    def estimate_mixed(self, values: Array, shares: Array) -> Estimates:
        """Weighted sums of the columns' means, with their intervals: taps to a target, targets to the whole.

        Args:
            values: (N, K), NaN where an image is not scored.
            shares: (K, M), what each column's mean counts in each of M results; a column with share 0 has no say.

        Returns:
            M results; NaN where a column that counts has nothing scored. The groups of a result are those with
            anything scored in a column that counts.
        """
        used = shares != 0
        samples = _mix(bootstrap_means(values, self.weights), shares)
        by_group = self.sums((~np.isnan(values)).astype(np.float64)) > 0
        scored = ((by_group.astype(np.float64) @ used) > 0).sum(0)
        return self.widen(_mix(masked_mean(values)[None], shares)[0], samples, scored)


def _mix(means: Array, shares: Array) -> Array:
    """Return (..., K) @ (K, M) in which a NaN reaches only the results that it counts in."""
    absent = np.isnan(means)
    mixed = np.where(absent, 0.0, means) @ shares
    if absent.any():
        mixed[(absent.astype(np.float64) @ (shares != 0)) > 0] = np.nan
    return mixed
