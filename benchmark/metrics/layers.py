"""Layers compared: what the inverse of one tap makes of the features of another, and linear CKA beside it.

The analysis of intermediate layers in arXiv 2412.06534: where an inverse trained for one tap still works on another,
both hold the image in the same code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "COMPARED", "MIN_DIAGONAL", "TransferSummary", "hsic", "linear_cka", "normalized_transfer", "summarize_transfer",
]  # fmt: skip

Array = npt.NDArray[np.float64]
MIN_IMAGES = 4
COMPARED = "frc"
"""The metric that layers are compared by, under identity."""
MIN_DIAGONAL = 0.05


def hsic(features: Sequence[Tensor]) -> Tensor:
    """Return the unbiased HSIC of every pair of taps under linear kernels, float64 (T, T).

    Song et al. 2012, equation 5, on one batch of images: each image is one example, its features flattened. NaN for
    fewer than four images.

    Args:
        features: one tensor (N, ...) a tap; any shapes.
    """
    import torch

    count = features[0].shape[0]
    if count < MIN_IMAGES:
        return torch.full((len(features), len(features)), torch.nan, dtype=torch.float64)
    kernels = []
    for item in features:
        rows = item.flatten(1)
        rows = (rows.cpu() if rows.device.type == "mps" else rows).double()
        # Unbiased HSIC does not change with the mean of the examples; without it the sums are better conditioned.
        rows = rows - rows.mean(0)
        kernels.append((rows @ rows.T).fill_diagonal_(0))
    stack = torch.stack(kernels)
    products = torch.einsum("aij,bji->ab", stack, stack)
    totals, sums = stack.sum((1, 2)), stack.sum(2)
    spread = totals[:, None] * totals / ((count - 1) * (count - 2))
    return (products + spread - 2 / (count - 2) * sums @ sums.T) / (count * (count - 3))


def linear_cka(batches: Array) -> Array:
    """Return the linear centered kernel alignment of every pair of taps, (T, T), from `hsic` of batches (B, T, T).

    Kornblith et al. 2019, in the minibatch form of Nguyen, Raghu and Kornblith 2021: the means of the unbiased HSIC
    over batches take the place of its value on all images. Close to [0, 1]; NaN where a tap does not vary.
    """
    mean = np.nanmean(batches, axis=0) if np.isfinite(batches).any() else np.full(batches.shape[1:], np.nan)
    own = np.diagonal(mean)
    scale = np.sqrt(np.where(own > 0, own, np.nan))
    return mean / (scale[:, None] * scale)


def normalized_transfer(matrix: Array) -> Array:
    """Return N[i, j] = M[i, j] / M[j, j], (T, T).

    Args:
        matrix: M[i, j], detail of the recon that the inverse trained for tap j makes of the features of tap i; a
            column whose M[j, j] is under .05 is NaN, for a quotient of next to nothing says nothing.
    """
    own = np.diagonal(matrix)
    return matrix / np.where(own >= MIN_DIAGONAL, own, np.nan)


class TransferSummary(NamedTuple):
    """A normalized transfer matrix in three numbers; None where they cannot be computed.

    Attributes:
        neighbors: mean over pairs of neighboring taps.
        half_distance: number of taps apart at which the mean transfer falls to one half, interpolated; None also
            where it stays above over the whole stage.
        asymmetry: mean of N[i, j] - N[j, i] over i < j: positive if deep inverses read shallow features better than
            the other way round.
    """

    neighbors: float | None
    half_distance: float | None
    asymmetry: float | None


def _mean(values: Array) -> float | None:
    scored = values[~np.isnan(values)]
    return float(scored.mean()) if scored.size else None


def summarize_transfer(normalized: Array) -> TransferSummary:
    """Return the summary of a normalized transfer matrix (T, T), taps from shallow to deep, T >= 2."""
    taps = len(normalized)
    apart = np.abs(np.subtract.outer(np.arange(taps), np.arange(taps)))
    by_distance = [_mean(normalized[apart == distance]) for distance in range(taps)]
    half = None
    for distance in range(1, taps):
        before, after = by_distance[distance - 1], by_distance[distance]
        if before is None or after is None:
            break
        if after <= 0.5:
            half = distance - 1 + (before - 0.5) / (before - after)
            break
    upper = np.triu_indices(taps, 1)
    return TransferSummary(by_distance[1], half, _mean(normalized[upper] - normalized.T[upper]))
