"""Statistics from images to ranks (numpy only): means, bootstrap intervals, anchored axes, paired ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmark.spec import Anchor

__all__ = [
    "Difference", "anchored", "bootstrap_means", "bootstrap_medians", "bootstrap_weights", "interval", "masked_mean",
    "masked_median", "paired_difference", "rank", "sign_flip_p",
]  # fmt: skip

Array = npt.NDArray[np.float64]

ALPHA = 0.05
MARGIN = 0.005
PERMUTATIONS = 10_000


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
    count = weights @ scored.astype(np.float64)
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
        middle = [(drawn <= place[:, None]).sum(1) for place in (np.floor((total - 1) / 2), np.floor(total / 2))]
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


def sign_flip_p(differences: Array, seed: int) -> float:
    """Return the two-sided p-value of a sign-flip permutation test that the mean paired difference is zero.

    Images without a difference (NaN) are left out; without any, or with all differences zero, p is 1.
    """
    differences = differences[~np.isnan(differences)]
    if not differences.size or not differences.any():
        return 1.0
    signs = np.random.default_rng(seed).integers(0, 2, size=(PERMUTATIONS, differences.size)) * 2 - 1
    observed = abs(differences.mean())
    permuted = np.abs(signs @ differences) / differences.size
    return float((1 + (permuted >= observed - 1e-12).sum()) / (1 + PERMUTATIONS))


class Difference(NamedTuple):
    """The mean paired difference of two entries, its 95 % bootstrap interval, and the p-value that it is zero."""

    mean: float
    low: float
    high: float
    p_value: float


def paired_difference(first: Array, second: Array, weights: Array, seed: int) -> Difference:
    """Return how much higher `first` scores than `second` on the same images.

    Args:
        first, second: (images,), NaN where absent; images that one of them lacks are left out.
        weights: (resamples, images) from `bootstrap_weights`.
        seed: of the permutation test.
    """
    differences = (first - second)[:, None]
    low, high = interval(bootstrap_means(differences, weights))
    return Difference(
        float(masked_mean(differences)[0]), float(low[0]), float(high[0]), sign_flip_p(differences[:, 0], seed)
    )


def _holm(p_values: Sequence[float]) -> list[bool]:
    """Return which hypotheses Holm's step-down procedure rejects at `ALPHA`."""
    rejected = [False] * len(p_values)
    for step, index in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[index] > ALPHA / (len(p_values) - step):
            break
        rejected[index] = True
    return rejected


def rank(scores: Mapping[str, Array], seed: int) -> dict[str, int]:
    """Rank entries by paired comparison: 1 + the number of entries that are better both significantly and clearly.

    Args:
        scores: per entry, its score of every image (images,), NaN where absent; the same images in the same order.
        seed: of the permutation test.

    Returns:
        The rank of each entry; entries that the data cannot separate (sign-flip test with Holm's correction over
        all pairs at .05, and a margin of .005) share one.
    """
    names = list(scores)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    separated = _holm([sign_flip_p(scores[a] - scores[b], seed) for a, b in pairs])
    ranks = dict.fromkeys(names, 1)
    for (a, b), apart in zip(pairs, separated, strict=True):
        difference = np.nanmean(scores[a] - scores[b]) if apart else 0.0
        if difference > MARGIN:
            ranks[b] += 1
        elif difference < -MARGIN:
            ranks[a] += 1
    return ranks
