"""Statistics from images to ranks (numpy only): means, bootstrap intervals, anchored axes, paired ranks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, starmap
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmark.suites.lock import Anchor

__all__ = [
    "PairedDifference", "anchored", "bootstrap_means", "bootstrap_medians", "bootstrap_weights", "interval",
    "masked_mean", "masked_median", "paired_difference", "paired_differences", "rank", "sign_flip_p",
]  # fmt: skip

Array = npt.NDArray[np.float64]

ALPHA = 0.05
MARGIN = 0.005
PERMUTATIONS = 10_000
_ROUNDING = 1e-9
"""How far sums of the same numbers in another order may be apart, as a share of their size."""
_DRAWS = 500
_FEW = 8
"""How many sign flips of all pairs are compared at a time, for the same reason as below."""
_PAIRS = 16
"""How many pairs are subtracted at a time: few, so that their permutations stay in the processor's cache."""
_EXACT_PAIRS = 256


def bootstrap_weights(images: int, resamples: int, seed: int) -> Array:
    """Return how often each image is drawn in each resample: (resamples, images), rows sum to `images`."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(images, np.full(images, 1 / images), size=resamples).astype(np.float64)


def masked_mean(values: Array) -> Array:
    """Return the mean over images (axis 0) of the scored values; NaN where none is scored."""
    scored = ~np.isnan(values)
    count = scored.sum(0)
    total = np.where(scored, values, 0.0).sum(0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def bootstrap_means(values: Array, weights: Array) -> Array:
    """Return the mean of the scored values in every resample.

    Args:
        values: (images, K), NaN where an image is not scored.
        weights: (resamples, images) from `bootstrap_weights`.

    Returns:
        (resamples, K); NaN where a resample holds no scored image.
    """
    scored = ~np.isnan(values)
    total = weights @ np.where(scored, values, 0.0)
    # Counts are small whole numbers, which single precision holds exactly.
    count = weights.astype(np.float32) @ scored.astype(np.float32)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def masked_median(values: Array) -> Array:
    """Return the median over images (axis 0) of the scored values; NaN where none is scored."""
    return bootstrap_medians(values, np.ones((1, len(values))))[0]


def bootstrap_medians(values: Array, weights: Array) -> Array:
    """Return the median of the scored values in every resample, (resamples, K), as `bootstrap_means` does the mean."""
    medians = np.full((len(weights), values.shape[1]), np.nan)
    for column in range(values.shape[1]):
        scored = np.flatnonzero(~np.isnan(values[:, column]))
        if not scored.size:
            continue
        order = scored[np.argsort(values[scored, column], kind="stable")]
        ordered, drawn = values[order, column], weights[:, order].cumsum(1)
        total = drawn[:, -1]
        # The two middle draws, which are one where the number of draws is odd.
        middle = [(drawn <= position[:, None]).sum(1) for position in (np.floor((total - 1) / 2), np.floor(total / 2))]
        low, high = (ordered[np.minimum(index, len(order) - 1)] for index in middle)
        medians[:, column] = np.where(total > 0, (low + high) / 2, np.nan)
    return medians


def interval(samples: Array) -> tuple[Array, Array]:
    """Return the 95 % percentile interval over resamples (axis 0) as (low, high); NaN resamples are left out."""
    low = np.full(samples.shape[1:], np.nan)
    high = low.copy()
    absent = np.isnan(samples)
    whole = ~absent.any(0)
    if whole.any():
        low[whole], high[whole] = np.percentile(samples[:, whole], [2.5, 97.5], axis=0)
    some = absent.any(0) & ~absent.all(0)
    if some.any():
        low[some], high[some] = np.nanpercentile(samples[:, some], [2.5, 97.5], axis=0)
    return low, high


def anchored(means: Array, anchor: Anchor) -> Array:
    """Map mean scores linearly so that the best trivial answer is 0 and identity 1, clipped to [0, 1]."""
    return np.clip((means - anchor.floor) / (anchor.ceiling - anchor.floor), 0, 1)


def _signs(images: int, seed: int) -> Iterator[Array]:
    """Yield `PERMUTATIONS` draws of signs, (draws, images), some at a time; they follow from both arguments alone."""
    generator = np.random.default_rng(seed)
    for start in range(0, PERMUTATIONS, _DRAWS):
        drawn = generator.integers(0, 2, size=(min(_DRAWS, PERMUTATIONS - start), images))
        yield drawn.astype(np.float64) * 2 - 1


def _project(values: Array, seed: int) -> Array:
    """Return the sum of each row (K, images) under every draw of signs: (K, PERMUTATIONS)."""
    return np.concatenate([values @ signs.T for signs in _signs(values.shape[1], seed)], axis=1)


def _exceeding(permuted: Array, observed: Array) -> Array:
    """Return the p-value of each row of permuted means (K, PERMUTATIONS), which become absolute in place."""
    reached = np.abs(permuted, out=permuted) >= np.abs(observed[:, None]) - 1e-12
    return (1 + np.count_nonzero(reached, axis=1)) / (1 + PERMUTATIONS)


def _flip(differences: Array, seed: int) -> Array:
    """Return the p-value of each row of differences (K, images), NaN where absent, by `sign_flip_p`."""
    p_values = np.ones(len(differences))
    present = ~np.isnan(differences)
    counts = present.sum(1)
    for count in np.unique(counts[counts > 0]):
        same = np.flatnonzero(counts == count)
        for rows in np.split(same, range(_EXACT_PAIRS, len(same), _EXACT_PAIRS)):
            held = differences[rows][present[rows]].reshape(-1, count)
            p_values[rows] = _exceeding(_project(held, seed) / count, held.mean(1))
    return p_values


def sign_flip_p(differences: Array, seed: int) -> float:
    """Return the two-sided p-value of a sign-flip permutation test that the mean paired difference is zero.

    Images without a difference (NaN) are left out; without any, or with all differences zero, p is 1.
    """
    return float(_flip(differences[None], seed)[0])


class PairedDifference(NamedTuple):
    """The mean paired difference of two entries, its 95 % bootstrap interval, and the p-value that it is zero."""

    mean: float
    low: float
    high: float
    p_value: float


class _PairedScores:
    """All pairs of some entries, in the order of `itertools.combinations`, compared on the images both have.

    Where every entry has the same images, a difference of sums is the sum of differences: every entry is resampled
    or permuted once, and pairs are subtractions. The other pairs are computed from their own differences.

    Attributes:
        first, second: (pairs,), indices of the entries.
        means: (pairs,), mean difference, NaN where the two have no image in common.
    """

    def __init__(self, scores: Sequence[Array]) -> None:
        values = np.stack(scores) if scores else np.empty((0, 0))
        self.values = np.ascontiguousarray(values, dtype=np.float64)
        self.first, self.second = np.triu_indices(len(values), 1)
        absent = np.isnan(self.values)
        self.scored = ~absent.all(0)
        whole: npt.NDArray[np.bool_] = self.scored.any() & ~np.any(absent[:, self.scored], axis=1)
        self.complete = whole[self.first] & whole[self.second]
        self.means = np.full(len(self.first), np.nan)
        for rows in self._chunks(np.arange(len(self.first)), _EXACT_PAIRS):
            differences = self._differences(rows)
            present = ~np.isnan(differences)
            total, count = np.where(present, differences, 0.0).sum(1), present.sum(1)
            self.means[rows] = np.divide(total, count, out=np.full(len(rows), np.nan), where=count > 0)

    @staticmethod
    def _chunks(rows: npt.NDArray[np.intp], size: int) -> Iterator[npt.NDArray[np.intp]]:
        return (rows[start : start + size] for start in range(0, len(rows), size))

    def _differences(self, rows: npt.NDArray[np.intp]) -> Array:
        return self.values[self.first[rows]] - self.values[self.second[rows]]

    def _subtracted(self, sums: Array, rows: npt.NDArray[np.intp]) -> Array:
        # Many times as fast as indexing.
        differences = np.take(sums, self.first[rows], axis=0)
        differences -= np.take(sums, self.second[rows], axis=0)
        return differences

    def p_values(self, seed: int) -> Array:
        """Return the p-value of each pair, by `sign_flip_p`."""
        p_values = np.ones(len(self.first))
        if self.complete.any():
            held = np.nan_to_num(self.values[:, self.scored])
            projected = _project(held, seed) / held.shape[1]
            for rows in self._chunks(np.flatnonzero(self.complete), _PAIRS):
                p_values[rows] = _exceeding(self._subtracted(projected, rows), self.means[rows])
        for rows in self._chunks(np.flatnonzero(~self.complete), _EXACT_PAIRS):
            p_values[rows] = _flip(self._differences(rows), seed)
        return p_values

    def apart(self, seed: int) -> npt.NDArray[np.bool_]:
        """Return which pairs differ significantly among all, (pairs,): Holm's step-down over their joint distribution.

        The statistic is |sum d| / sqrt(sum d^2). A pair differs if few enough sign flips, the same for all pairs,
        give any pair such a one; then the others are compared among themselves, until no more are found (step-down
        maxT of Westfall and Young 1993, in the form of Romano and Wolf 2005). Holm's own bound needs p-values below
        alpha / pairs, which `PERMUTATIONS` flips cannot give from 33 entries on.
        """
        sums, size = np.zeros((2, len(self.first)))
        for rows in self._chunks(np.arange(len(self.first)), _EXACT_PAIRS):
            differences = self._differences(rows)
            sums[rows], size[rows] = np.nansum(differences, axis=1), np.sqrt(np.nansum(differences**2, axis=1))
        apart, rest = np.zeros(len(self.first), np.bool_), np.flatnonzero(size > 0)
        while rest.size:
            largest = np.sort(self._largest(rest, 1 / size[rest], seed))
            reached = PERMUTATIONS - np.searchsorted(largest, np.abs(sums[rest]) / size[rest] - _ROUNDING)
            better = (1 + reached) / (1 + PERMUTATIONS) <= ALPHA
            if not better.any():
                break
            apart[rest[better]], rest = True, rest[~better]
        return apart

    def _largest(self, rows: npt.NDArray[np.intp], scale: Array, seed: int) -> Array:
        """Return the largest |sum d| x scale of some pairs under every draw of signs, (PERMUTATIONS,)."""
        held = np.nan_to_num(self.values[:, self.scored]).T
        first, second = self.first[rows], self.second[rows]
        lone = np.flatnonzero(~self.complete[rows])
        alone = np.nan_to_num(self._differences(rows[lone])[:, self.scored]).T
        flipped, subtrahend = np.empty((2, _FEW, len(rows)))
        largest = []
        for signs in _signs(len(held), seed):
            for few in np.split(signs, range(_FEW, len(signs), _FEW)):
                sums, a, b = few @ held, flipped[: len(few)], subtrahend[: len(few)]
                np.subtract(np.take(sums, first, 1, a, "clip"), np.take(sums, second, 1, b, "clip"), out=a)
                a[:, lone] = few @ alone
                np.multiply(np.abs(a, out=a), scale, out=a)
                largest.append(a.max(1))
        return np.concatenate(largest)

    def intervals(self, weights: Array) -> tuple[Array, Array]:
        """Return the 95 % bootstrap interval of each pair's mean difference as (low, high)."""
        low = np.full(len(self.first), np.nan)
        high = low.copy()
        resampled = np.ascontiguousarray(bootstrap_means(self.values.T, weights).T)
        for rows in self._chunks(np.flatnonzero(self.complete), _PAIRS):
            low[rows], high[rows] = interval(self._subtracted(resampled, rows).T)
        for rows in self._chunks(np.flatnonzero(~self.complete), _EXACT_PAIRS):
            low[rows], high[rows] = interval(bootstrap_means(self._differences(rows).T, weights))
        return low, high


def paired_differences(
    scores: Mapping[str, Array], weights: Array, seed: int
) -> dict[tuple[str, str], PairedDifference]:
    """Return, for each pair of entries, how much higher the first one scores than the second on the same images.

    Args:
        scores: per entry, its score of every image (images,), NaN where absent; images that one of two entries lacks
            are left out of their comparison.
        weights: (resamples, images) from `bootstrap_weights`.
        seed: of the permutation test.

    Returns:
        The differences by (first, second), in the order of `itertools.combinations` of the names.
    """
    if len(scores) < 2:
        return {}
    pairs = _PairedScores(list(scores.values()))
    numbers = zip(pairs.means.tolist(), *(a.tolist() for a in pairs.intervals(weights)),
                  pairs.p_values(seed).tolist(), strict=True)  # fmt: skip
    return dict(zip(combinations(scores, 2), starmap(PairedDifference, numbers), strict=True))


def paired_difference(first: Array, second: Array, weights: Array, seed: int) -> PairedDifference:
    """Return how much higher `first` scores than `second` on the same images; see `paired_differences`."""
    return paired_differences({"first": first, "second": second}, weights, seed)["first", "second"]


def rank(scores: Mapping[str, Array], seed: int) -> dict[str, int]:
    """Rank entries by paired comparison: 1 + the number of entries that are better both significantly and clearly.

    Args:
        scores: per entry, its score of every image (images,), NaN where absent; the same images in the same order.
        seed: of the permutation test.

    Returns:
        The rank of each entry; entries that the data cannot separate (sign-flip test, corrected step by step over
        all pairs at .05, and a margin of .005) share one.
    """
    names, pairs = list(scores), _PairedScores(list(scores.values()))
    apart = pairs.apart(seed)
    ranks = np.ones(len(names), np.int64)
    np.add.at(ranks, pairs.second[apart & (pairs.means > MARGIN)], 1)
    np.add.at(ranks, pairs.first[apart & (pairs.means < -MARGIN)], 1)
    return dict(zip(names, ranks.tolist(), strict=True))
