"""Shape: is the focal object still where, and what, it was? Lightness only: a color change costs nothing."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.metrics.case import Case, FocalMask, View
from benchmark.metrics.cielab import lab
from benchmark.metrics.edges import (
    contour,
    matches,
    maxima,
    mirrored,
    mirrored_bits,
    nearby_bits,
    reference_edges,
    smooth,
    strongest,
)

__all__ = ["contour_f", "edge_f", "fg_transfer"]

MAX_OWN_DECOY = 0.5
CONTOUR_SCALES = ((1, 20), (2, 10), (4, 8))
MIN_EDGES = 20
FG_SIDE = 96
FG_CPU_IMAGES = 4
FG_SIGMAS = (0.8, 2.0, 4.0)
FG_STD_FLOOR = 0.02
FG_SQUARE_CAP = 9.0
FG_RIDGE = 0.05
FG_AREA = (0.01, 0.99)
FG_MIN_AUC = 0.6
FG_SCORE_STEPS = 1e4
FG_MAX_LEVEL = 2**24


def _corrected(scores: Tensor, own: Tensor) -> Tensor:
    """Return (v - c) / (1 - c_x), (N,): a score less what its mirror images get; NaN where c_x is over 0.5.

    Args:
        scores: raw scores (N, 4) of the recon as it is (v) and mirrored in three ways (their mean is c).
        own: the same of the original as its own recon (c_x).
    """
    # Means of differences, so that equal scores leave exactly 0.
    gain, own_gain = (scores[:, :1] - scores[:, 1:]).mean(1), (1 - own[:, 1:]).mean(1)
    return (gain / own_gain).masked_fill(1 - own_gain > MAX_OWN_DECOY, math.nan)


def _count(pixels: Tensor) -> Tensor:
    return pixels.flatten(-2).sum(-1, dtype=torch.int32)


class _EdgesWanted(NamedTuple):
    """What the edges of a recon are compared with at one scale, as it is and mirrored in three ways.

    Mirroring the reference instead of the recon compares the same pairs, and is done once for all recons.

    Attributes:
        accepted: bits of the orientations that match each wanted pixel, 0 elsewhere, uint8 (N, 4, h, w).
        counts: wanted pixels per image, (N,).
        vicinity: where an edge of the recon counts, bool (N, 4 or 1, h, w).
        nearby: bits of the orientations of the original's edges within the tolerance there, uint8 (N, 4, h, w).
        scored: which images have enough wanted pixels, bool (N,).
    """

    accepted: Tensor
    counts: Tensor
    vicinity: Tensor
    nearby: Tensor
    scored: Tensor


def _wanted_contour(original: View, mask: FocalMask, divisor: int, fewest: int) -> _EdgesWanted:
    outline, x = mask.get(contour, divisor), original.get(reference_edges, divisor)
    visible = outline.pixels & matches(outline.accepted, x.nearby)
    counts = _count(visible)
    return _EdgesWanted(
        mirrored_bits(outline.accepted * visible),
        counts,
        mirrored(outline.vicinity),
        mirrored_bits(x.nearby * outline.vicinity),
        counts >= fewest,
    )


def _wanted_edges(original: View, divisor: int) -> _EdgesWanted:
    x = original.get(reference_edges, divisor)
    everywhere = torch.ones_like(x.edges)[:, None]
    accepted = mirrored_bits(original.get(maxima, divisor).accepted * x.edges)
    return _EdgesWanted(accepted, x.counts, everywhere, mirrored_bits(x.nearby), x.counts >= MIN_EDGES)


class _EdgesShown(NamedTuple):
    """The edges of a recon at one scale, all (N, h, w).

    Attributes:
        edges: bool.
        accepted: bits of the orientations that match each edge, 0 elsewhere, uint8.
        nearby: bits of the orientations of all edges within the tolerance, uint8.
    """

    edges: Tensor
    accepted: Tensor
    nearby: Tensor


def _shown(recon: View, seen: View, divisor: int) -> _EdgesShown:
    reference, peaks = seen.get(reference_edges, divisor), recon.get(maxima, divisor)
    edges = strongest(peaks, reference)
    return _EdgesShown(edges, peaks.accepted * edges, nearby_bits(peaks, edges, reference.tolerance))


def _f_scores(shown: _EdgesShown, wanted: _EdgesWanted) -> Tensor:
    """Return F = 2PR / (P + R) of a recon and of its three mirror images, (N, 4); NaN where not scored."""
    recalled = _count(matches(wanted.accepted, shown.nearby[:, None]))
    precise = _count(matches(shown.accepted[:, None], wanted.nearby))
    recall = recalled / wanted.counts.clamp(min=1)[:, None]
    precision = precise / _count(shown.edges[:, None] & wanted.vicinity).clamp(min=1)
    scores = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
    return scores.masked_fill(~wanted.scored[:, None], math.nan)


def _contour_scores(recon: View, seen: View, mask: FocalMask) -> Tensor:
    scales = [
        _f_scores(recon.get(_shown, seen, divisor), seen.get(_wanted_contour, mask, divisor, fewest))
        for divisor, fewest in CONTOUR_SCALES
    ]
    return torch.stack(scales).nanmean(0)


def _edge_scores(recon: View, seen: View) -> Tensor:
    scales = [
        _f_scores(recon.get(_shown, seen, divisor), seen.get(_wanted_edges, divisor)) for divisor, _ in CONTOUR_SCALES
    ]
    return torch.stack(scales).nanmean(0)


def contour_f(case: Case) -> Tensor:
    """Return the boundary F-score of the focal object less that of mirror decoys, (N,): 1 for the image itself.

    Raw value: R is the share of the visible mask contour (its pixels matched by an edge of x) matched by an edge of y;
    P the share of the edges of y within 3 tol of the mask contour, visible or not, matched by an edge of x; 0 where
    there are none. F = 2PR / (P + R), mean over the scales 1, 1/2, 1/4 that have at least 20, 10, 8 visible contour
    pixels; NaN where no scale has. Edges match within tol pixels, in the same orientation bin or the nearer
    neighbouring one. After Martin, Fowlkes and Malik 2004 and the contour accuracy of DAVIS (Perazzi et al. 2016).

    Score: (v - c) / (1 - c_x), v the raw value, c its mean over the edge maps of y mirrored left-right, top-bottom and
    both, c_x the same of x as its own recon; 0 in the mean for what ignores the image. NaN where c_x is over 0.5. x
    is what was seen.
    """
    scores = case.recon.get(_contour_scores, case.seen, case.mask)
    return _corrected(scores, case.seen.get(_contour_scores, case.seen, case.mask))


def edge_f(case: Case) -> Tensor:
    """Return the edge F-score of the whole frame less that of mirror decoys, (N,): `contour_f` without a mask.

    Raw value: R is the share of the edges of x matched by an edge of y, P the share of the edges of y matched by an
    edge of x. F = 2PR / (P + R), mean over the scales 1, 1/2, 1/4 at which x has at least 20 edge pixels; NaN where
    none has. Decoys as for `contour_f`.
    """
    return _corrected(case.recon.get(_edge_scores, case.seen), case.seen.get(_edge_scores, case.seen))


class _Lightness(NamedTuple):
    """Lightness features (N, 13, P) of the P pixels of the figure/ground grid, which is `size` (h, w)."""

    features: Tensor
    size: tuple[int, int]


def _fill_features(features: Tensor, z: Tensor) -> None:
    """Compute the features of lightness (N, h, w) in [0, 1]; `features` (N, 13, P) is 1 everywhere."""
    # Local variances are small differences, which float32 turns into noise where the image is even; MPS has no float64.
    z = (z if z.device.type == "mps" else z.double()) - z.mean((1, 2), keepdim=True)
    both = torch.cat((z, z.square()))
    raw = 2 * len(FG_SIGMAS)
    linear, squares = features[:, :raw], features[:, raw : 2 * raw]
    for i, sigma in enumerate(FG_SIGMAS):
        mean, square = smooth(both, sigma).flatten(1).chunk(2)
        linear[:, 2 * i] = mean
        linear[:, 2 * i + 1] = (square - mean.square()).clamp_(min=0).sqrt_()
    linear -= linear.mean(2, keepdim=True)
    linear /= linear.square().mean(2, keepdim=True).sqrt().clamp(min=FG_STD_FLOOR)
    squares[:] = linear.square().clamp_(max=FG_SQUARE_CAP)


def _lightness(view: View) -> _Lightness:
    z = view.get(lab)[:, 0] / 100
    if min(z.shape[-2:]) >= FG_SIDE:
        z = F.interpolate(z[:, None], size=(FG_SIDE, FG_SIDE), mode="area")[:, 0]
    features = z.new_ones(z.shape[0], 4 * len(FG_SIGMAS) + 1, z[0].numel())
    # The caches of a CPU hold no more than a few images in float64.
    together = FG_CPU_IMAGES if z.device.type == "cpu" else len(z)
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
        bits: bit k of each pixel says whether it is inside in the k-th of the four, int64 (N, P).
        counts: pixels inside, int64 (N, 4).
    """

    bits: Tensor
    counts: Tensor


def _figures(mask: FocalMask, size: tuple[int, int]) -> _Figures:
    inside = mirrored(mask.get(_object_pixels, size).unflatten(1, size)).flatten(2).long()
    weights = torch.arange(4, device=inside.device).exp2().long()
    return _Figures((inside * weights[:, None]).sum(1), inside.sum(2))


def _separations(scores: Tensor, figures: _Figures) -> Tensor:
    """Return 2 AUC - 1 of scores (N, P), rounded to 1e-4, for an object as it is and mirrored: (N, 4).

    Ties count half; 0 where there is no pixel inside, or none outside.
    """
    count, pixels = scores.shape
    levels = (scores * FG_SCORE_STEPS).round().clamp(-FG_MAX_LEVEL, FG_MAX_LEVEL).long() + FG_MAX_LEVEL
    image = torch.arange(count, device=scores.device)[:, None]
    # One sort of integers that hold image, score and bits: integers sort several times faster than floats.
    keys = (image * (2 * FG_MAX_LEVEL + 1) + levels) << 4 | figures.bits
    ranked = keys.flatten().sort().values.view(count, pixels)
    tied = ranked >> 4
    new = F.pad(tied[:, 1:] != tied[:, :-1], (1, 1), value=True)
    place = torch.arange(pixels, dtype=torch.int32, device=scores.device)
    # Places only grow, so running extrema carry the ends of a group of equal scores to all of its members.
    first = torch.where(new[:, :-1], place, 0).cummax(1).values
    last = torch.where(new[:, 1:], place, pixels).flip(1).cummin(1).values.flip(1)
    twice_rank, bits = first + last + 2, (ranked & 15).to(torch.uint8)
    twice_ranks = torch.stack([(twice_rank * (bits >> k & 1)).sum(1) for k in range(4)], dim=1)
    pairs = figures.counts * (pixels - figures.counts)
    twice_won = twice_ranks - figures.counts * (figures.counts + 1)
    return (twice_won - pairs) / pairs.clamp(min=1)


def _scores(features: Tensor, weights: Tensor) -> Tensor:
    """Return the scores (N, P) that the weights (N, 13) give the features (N, 13, P)."""
    return (weights[:, None] @ features)[:, 0]


class _Rule(NamedTuple):
    """The figure/ground rule of an original: weights (N, 13), and its separation (N,), NaN if not scored."""

    weights: Tensor
    separation: Tensor


def _rule(original: View, mask: FocalMask) -> _Rule:
    features, size = original.get(_lightness)
    inside = mask.get(_object_pixels, size)
    positive = inside.float()
    share = positive.mean(1)
    pixels = inside.shape[1]
    balance = torch.where(inside, 1 / (pixels * share[:, None]), 1 / (pixels * (1 - share[:, None])))
    balance = balance.nan_to_num(posinf=0)
    weighted = features * balance[:, None]
    gram = weighted @ features.mT + FG_RIDGE * torch.eye(features.shape[1], device=features.device)
    # Unlike `solve`, this does not wait for the device to see whether a matrix is singular; none is, with its ridge.
    weights = torch.linalg.solve_ex(gram, weighted @ (2 * positive - 1)[..., None]).result[..., 0]
    separation = _separations(_scores(features, weights), mask.get(_figures, size))[:, 0]
    low, high = FG_AREA
    scored = (share >= low) & (share <= high) & (separation >= 2 * FG_MIN_AUC - 1)
    return _Rule(weights, separation.masked_fill(~scored, math.nan))


def _fg_scores(recon: View, seen: View, mask: FocalMask) -> Tensor:
    """Return the raw transfer of a recon and of its three mirror images, (N, 4) in [-1, 1]."""
    rule = seen.get(_rule, mask)
    features, size = recon.get(_lightness)
    separations = _separations(_scores(features, rule.weights), mask.get(_figures, size))
    return (separations / rule.separation[:, None]).clamp(-1, 1)


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
    scores = case.recon.get(_fg_scores, case.seen, case.mask)
    return _corrected(scores, case.seen.get(_fg_scores, case.seen, case.mask))
