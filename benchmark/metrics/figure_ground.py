"""Figure and ground: does the rule that tells the object from the rest in the original still work on the recon?

Lightness only: a color change costs nothing.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.metrics.blur import blur_matrix, blur_radius
from benchmark.metrics.case import Case, FocalMask, View, of_both
from benchmark.metrics.cielab import lab
from benchmark.metrics.decoys import corrected
from benchmark.metrics.edges import mirrored
from benchmark.metrics.sorting import ascending

__all__ = ["fg_transfer"]

SIDE = 96
CPU_IMAGES = 4
SIGMAS = (0.8, 2.0, 4.0)
STD_FLOOR = 0.02
SQUARE_CAP = 9.0
RIDGE = 0.05
AREA = (0.01, 0.99)
MIN_AUC = 0.6
SCORE_STEPS = 1e4
MAX_LEVEL = 2**24


class _Lightness(NamedTuple):
    """Lightness features (N, 13, P) of the P pixels of the figure/ground grid, which is `size` (h, w)."""

    features: Tensor
    size: tuple[int, int]


@lru_cache(maxsize=16)
def _blurs(size: int, shorter: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrices (3, size, size) that blur a line by each sigma, of an image's `shorter` side."""
    matrices = (blur_matrix(size, s, blur_radius(s, shorter), dtype, device, reflecting=True) for s in SIGMAS)
    return torch.stack(list(matrices))


def _fill_features(features: Tensor, z: Tensor) -> None:
    """Compute the features of lightness (N, h, w) in [0, 1]; `features` (N, 13, P) is 1 everywhere."""
    # Local variances are small differences, which float32 turns into noise where the image is even; MPS has no float64.
    z = (z if z.device.type == "mps" else z.double()) - z.mean((1, 2), keepdim=True)
    height, width = z.shape[-2:]
    across, down = (_blurs(side, min(height, width), z.dtype, z.device) for side in (width, height))
    kinds = len(SIGMAS)
    # On the few pixels of the grid matrix products are faster than shifted additions, and far fewer operations.
    rows = torch.cat((z, z.square())).flatten(0, 1) @ across.permute(2, 0, 1).flatten(1)
    columns = rows.view(-1, height, kinds, width).permute(2, 1, 0, 3).flatten(2)
    blurred = (down @ columns).view(kinds, height, 2, -1, width)
    mean, square = blurred.permute(2, 3, 0, 1, 4).flatten(3)
    variance = (square - mean.square()).clamp_(min=0)
    linear, squares = features[:, : 2 * kinds], features[:, 2 * kinds : -1]
    linear[:, 0::2] = mean
    linear[:, 1::2] = variance
    linear[:, 1::2].sqrt_()
    linear -= linear.mean(2, keepdim=True)
    linear /= linear.square().mean(2, keepdim=True).sqrt().clamp(min=STD_FLOOR)
    torch.clamp(linear.square(), max=SQUARE_CAP, out=squares)


@of_both
def _lightness(view: View) -> _Lightness:
    z = view.get(lab)[:, 0] / 100
    if min(z.shape[-2:]) >= SIDE and z.shape[-2:] != (SIDE, SIDE):
        z = F.interpolate(z[:, None], size=(SIDE, SIDE), mode="area")[:, 0]
    features = z.new_ones(z.shape[0], 4 * len(SIGMAS) + 1, z[0].numel())
    # The caches of a CPU hold no more than a few images in float64.
    together = CPU_IMAGES if z.device.type == "cpu" else len(z)
    for part, filled in zip(z.split(together), features.split(together), strict=True):
        _fill_features(filled, part)
    return _Lightness(features, (z.shape[1], z.shape[2]))


def _object_pixels(mask: FocalMask, size: tuple[int, int]) -> Tensor:
    """Return the mask on the figure/ground grid, bool (N, P): pixels at least half covered."""
    coverage = mask.pixels.float()
    if coverage.shape[-2:] != size:
        coverage = F.interpolate(coverage[:, None], size=size, mode="area")[:, 0]
    return (coverage >= 0.5).flatten(1)


class _Figures(NamedTuple):
    """The object's pixels on the figure/ground grid, as they are and mirrored in three ways.

    Attributes:
        bits: bit k of each pixel says whether it is inside in the k-th of the four, int32 (N, P).
        counts: pixels inside, int64 (N, 4).
    """

    bits: Tensor
    counts: Tensor


def _figures(mask: FocalMask, size: tuple[int, int]) -> _Figures:
    inside = mirrored(mask.get(_object_pixels, size).unflatten(1, size)).flatten(2)
    weights = 1 << torch.arange(4, dtype=torch.int32, device=inside.device)
    return _Figures((inside * weights[:, None]).sum(1, dtype=torch.int32), inside.sum(2))


def _separations(scores: Tensor, figures: _Figures) -> Tensor:
    """Return 2 AUC - 1 of scores (N, P), rounded to 1e-4, for an object as it is and mirrored: (N, 4).

    Ties count half; 0 where there is no pixel inside, or none outside.
    """
    pixels = scores.shape[1]
    levels = (scores * SCORE_STEPS).round().clamp(-MAX_LEVEL, MAX_LEVEL).to(torch.int32)
    # Whole numbers that hold score and bits: they sort several times faster than floats with places.
    ranked = ascending(levels << 4 | figures.bits)
    tied = ranked >> 4
    new = F.pad(tied[:, 1:] != tied[:, :-1], (1, 1), value=True)
    place = torch.arange(pixels, dtype=torch.int32, device=scores.device)
    # Places only grow, so running extrema carry the ends of a group of equal scores to all of its members.
    first = torch.where(new[:, :-1], place, 0).cummax(1).values
    last = torch.where(new[:, 1:], place, pixels).flip(1).cummin(1).values.flip(1)
    inside = ranked.to(torch.uint8)[:, None] >> torch.arange(4, dtype=torch.uint8, device=scores.device)[:, None]
    twice_ranks = ((first + last + 2)[:, None] * (inside & 1)).sum(2)
    pairs = figures.counts * (pixels - figures.counts)
    twice_won = twice_ranks - figures.counts * (figures.counts + 1)
    return (twice_won - pairs) / pairs.clamp(min=1)


class _Rule(NamedTuple):
    """The figure/ground rule of an original: weights (N, 13), and whether the object's size allows one, bool (N,)."""

    weights: Tensor
    scored: Tensor


def _rule(original: View, mask: FocalMask) -> _Rule:
    features, size = original.get(_lightness)
    inside = mask.get(_object_pixels, size)
    positive = inside.float()
    share = positive.mean(1)
    pixels = inside.shape[1]
    balance = torch.where(inside, 1 / (pixels * share[:, None]), 1 / (pixels * (1 - share[:, None])))
    balance = balance.nan_to_num(posinf=0)
    weighted = features * balance[:, None]
    gram = weighted @ features.mT + RIDGE * torch.eye(features.shape[1], device=features.device)
    # Unlike `solve`, this does not wait for the device to see whether a matrix is singular; none is, with its ridge.
    weights = torch.linalg.solve_ex(gram, weighted @ (2 * positive - 1)[..., None]).result[..., 0]
    low, high = AREA
    return _Rule(weights, (share >= low) & (share <= high))


@of_both
def _separated(recon: View, seen: View, mask: FocalMask) -> Tensor:
    """Return 2 AUC - 1 of the rule of `seen` on a recon, for the object as it is and mirrored: (N, 4)."""
    features, size = recon.get(_lightness)
    scores = (seen.get(_rule, mask).weights[:, None] @ features)[:, 0]
    return _separations(scores, mask.get(_figures, size))


def fg_transfer(case: Case) -> Tensor:
    """Return how well the original's own figure/ground rule works on the recon, less mirror decoys, (N,).

    Raw value: (2 AUC_y - 1) / (2 AUC_x - 1), held to [-1, 1], of a ridge linear discriminant analysis (Fisher 1936)
    fitted on x and applied unchanged to y. Features per pixel: Gaussian blur and local standard deviation of z = L*/100
    at sigma .8, 2, 4, standardized per image (deviation at least .02), their squares and a constant. Everything
    happens on a 96x96 grid (area) if both sides are at least 96, else at full size; the mask counts where it covers
    half a grid cell. NaN where it holds under 1 % or over 99 % of the grid, or AUC_x is under .6.

    Score: (v - c) / (1 - c_x), v the raw value, c its mean over the feature maps of y mirrored left-right, top-bottom
    and both, c_x the same of x as its own recon: 1 for the image itself, 0 in the mean for what ignores it. NaN where
    c_x is over 0.5. x is what was seen.
    """
    shown, own = (view.get(_separated, case.seen, case.mask) for view in (case.recon, case.seen))
    scored = case.seen.get(_rule, case.mask).scored & (own[:, 0] >= 2 * MIN_AUC - 1)
    raw, own_raw = ((part / own[:, :1]).clamp(-1, 1) for part in (shown, own))
    return corrected(raw, own_raw).masked_fill(~scored, math.nan)
