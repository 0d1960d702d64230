"""Means and medians over the scored images, also of resamples, and means over targets (numpy only)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from benchmark.suites.spec import Suite

__all__ = ["bootstrap_means", "bootstrap_medians", "masked_mean", "masked_median", "mean_over_targets"]

Array = npt.NDArray[np.float64]


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
        weights: (resamples, images), how often each image is drawn; see `bootstrap.group_weights`.

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


def mean_over_targets(suite: Suite, values: Mapping[str, npt.ArrayLike]) -> Array:
    """Return the mean of numbers or arrays of one shape, by target: over each architecture first, then over these.

    NaN where a target has none.
    """
    weights = list(suite.target_weights(values).values())
    mean: Array = np.average(np.stack([np.asarray(v, np.float64) for v in values.values()]), axis=0, weights=weights)
    return mean
