"""Shape: is the focal object still where, and what, it was? Lightness only: a color change costs nothing."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.metrics.case import Case, Classifier, FocalMask, View
from benchmark.metrics.cielab import lab
from benchmark.metrics.detail import luma
from benchmark.metrics.edges import contour, matches, maxima, nearby_bits, reference_edges, smooth, strongest

__all__ = ["agreement", "contour_f", "edge_f", "fg_transfer", "recognition"]

CONTOUR_SCALES = ((1, 20), (2, 10), (4, 8))
MIN_EDGES = 20
FG_SIDE = 96
FG_SIGMAS = (0.8, 2.0, 4.0)
FG_STD_FLOOR = 5e-3
FG_SQUARE_CAP = 9.0
FG_RIDGE = 0.05
FG_AREA = (0.01, 0.99)
FG_MIN_AUC = 0.6
FG_SCORE_STEPS = 1e4
FG_MAX_LEVEL = 2**24


def _count(pixels: Tensor) -> Tensor:
    return pixels.flatten(1).sum(1)


def _f_score(right: Tensor, shown_edges: Tensor, recalled: Tensor, wanted: Tensor) -> Tensor:
    """Return F = 2PR / (P + R) with P = right / shown_edges and R = recalled / wanted; 0 where either is 0."""
    precision, recall = right / shown_edges.clamp(min=1), recalled / wanted.clamp(min=1)
    return 2 * precision * recall / (precision + recall).clamp(min=1e-12)


class _Visible(NamedTuple):
    """The part of the mask contour that the original's edges show: bool (N, h, w), and its size (N,)."""

    pixels: Tensor
    counts: Tensor


def _visible(original: View, mask: FocalMask, divisor: int) -> _Visible:
    outline = mask.get(contour, divisor)
    pixels = outline.pixels & matches(outline.accepted, original.get(reference_edges, divisor).nearby)
    return _Visible(pixels, _count(pixels))


def contour_f(case: Case) -> Tensor:
    """Return the boundary F-score of the focal object, (N,) in [0, 1].

    R: share of the visible mask contour (its pixels matched by an edge of x) matched by an edge of y. P: share
    of the edges of y within 3 tol of the mask contour, visible or not, matched by an edge of x; 0 where there
    are none. F = 2PR / (P + R), mean over the scales 1, 1/2, 1/4 that have at least 20, 10, 8 visible contour
    pixels; NaN where no scale has. Edges match within tol pixels, in the same orientation bin or the nearer
    neighbouring one. After Martin, Fowlkes and Malik 2004 and the contour accuracy of DAVIS (Perazzi et al. 2016).
    """
    scores = []
    for divisor, fewest in CONTOUR_SCALES:
        x = case.original.get(reference_edges, divisor)
        visible = case.original.get(_visible, case.mask, divisor)
        outline = case.mask.get(contour, divisor)
        peaks = case.recon.get(maxima, divisor)
        edges = strongest(peaks, x)
        shown = visible.pixels & matches(outline.accepted, nearby_bits(peaks, edges, x.tolerance))
        relevant = edges & outline.vicinity
        right = relevant & matches(peaks.accepted, x.nearby)
        score = _f_score(_count(right), _count(relevant), _count(shown), visible.counts)
        scores.append(score.masked_fill(visible.counts < fewest, math.nan))
    return torch.stack(scores).nanmean(0)


def edge_f(case: Case) -> Tensor:
    """Return the edge F-score of the whole frame, (N,) in [0, 1]: `contour_f` without a mask.

    R: share of the edges of x matched by an edge of y. P: share of the edges of y matched by an edge of x. F = 2PR /
    (P + R), mean over the scales 1, 1/2, 1/4 at which x has at least 20 edge pixels; NaN where none has.
    """
    scores = []
    for divisor, _ in CONTOUR_SCALES:
        x, peaks_x = case.original.get(reference_edges, divisor), case.original.get(maxima, divisor)
        peaks = case.recon.get(maxima, divisor)
        edges = strongest(peaks, x)
        shown = x.edges & matches(peaks_x.accepted, nearby_bits(peaks, edges, x.tolerance))
        right = edges & matches(peaks.accepted, x.nearby)
        score = _f_score(_count(right), _count(edges), _count(shown), x.counts)
        scores.append(score.masked_fill(x.counts < MIN_EDGES, math.nan))
    return torch.stack(scores).nanmean(0)


class _Lightness(NamedTuple):
    """Lightness features (N, 13, P) of the P pixels of the figure/ground grid, which is `size` (h, w)."""

    features: Tensor
    size: tuple[int, int]


def _lightness(view: View) -> _Lightness:
    z = view.get(lab)[:, 0] / 100
    if min(z.shape[-2:]) >= FG_SIDE:
        z = F.interpolate(z[:, None], size=(FG_SIDE, FG_SIDE), mode="area")[:, 0]
    # Local variances are small differences, which float32 turns into noise where the image is even; MPS has no float64.
    z = (z if z.device.type == "mps" else z.double()) - z.mean((1, 2), keepdim=True)
    both = torch.cat((z, z.square()))
    raw = 2 * len(FG_SIGMAS)
    features = z.new_ones(z.shape[0], 2 * raw + 1, z[0].numel(), dtype=torch.float32)
    linear, squares = features[:, :raw], features[:, raw : 2 * raw]
    for i, sigma in enumerate(FG_SIGMAS):
        mean, square = smooth(both, sigma).flatten(1).chunk(2)
        linear[:, 2 * i] = mean
        linear[:, 2 * i + 1] = (square - mean.square()).clamp_(min=0).sqrt_()
    linear -= linear.mean(2, keepdim=True)
    linear /= linear.square().mean(2, keepdim=True).sqrt().clamp(min=FG_STD_FLOOR)
    squares[:] = linear.square().clamp_(max=FG_SQUARE_CAP)
    return _Lightness(features, (z.shape[1], z.shape[2]))


def _object_pixels(mask: FocalMask, size: tuple[int, int]) -> Tensor:
    """Return the mask on the figure/ground grid, bool (N, P): pixels at least half covered."""
    coverage = mask.pixels.float()
    if coverage.shape[-2:] != size:
        coverage = F.interpolate(coverage[:, None], size=size, mode="area")[:, 0]
    return (coverage >= 0.5).flatten(1)


def _separation(scores: Tensor, positive: Tensor) -> Tensor:
    """Return 2 AUC - 1 of scores (N, P) rounded to 1e-4, ties counting half; 0 where a class is empty."""
    count, pixels = scores.shape
    levels = (scores * FG_SCORE_STEPS).round().clamp(-FG_MAX_LEVEL, FG_MAX_LEVEL).long() + FG_MAX_LEVEL
    image = torch.arange(count, device=scores.device)[:, None]
    # One sort of integers that hold image, score and class: integers sort several times faster than floats.
    keys = (image * (2 * FG_MAX_LEVEL + 1) + levels) * 2 + positive
    ranked = keys.flatten().sort().values.view(count, pixels)
    hits = (ranked % 2).cumsum(1)
    misses = torch.arange(1, pixels + 1, device=scores.device) - hits
    tied = ranked // 2
    ends = F.pad(tied[:, 1:] != tied[:, :-1], (0, 1), value=True)
    # Counts only grow, so a running maximum over group ends carries each group's end to the next one.
    hits_before, misses_before = (
        F.pad(torch.where(ends, number, 0).cummax(1).values[:, :-1], (1, 0)) for number in (hits, misses)
    )
    twice_won = torch.where(ends, (hits - hits_before) * (misses + misses_before), 0).sum(1)
    pairs = hits[:, -1] * misses[:, -1]
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
    weights = torch.linalg.solve(gram, weighted @ (2 * positive - 1)[..., None])[..., 0]
    separation = _separation(_scores(features, weights), inside)
    low, high = FG_AREA
    scored = (share >= low) & (share <= high) & (separation >= 2 * FG_MIN_AUC - 1)
    return _Rule(weights, separation.masked_fill(~scored, math.nan))


def fg_transfer(case: Case) -> Tensor:
    """Return how well the original's own figure/ground rule works on the recon, (N,) in [-1, 1].

    (2 AUC_y - 1) / (2 AUC_x - 1), held to [-1, 1], of a ridge linear discriminant analysis (Fisher 1936) fitted
    on x and applied unchanged to y. Features per pixel: Gaussian blur and local standard deviation of z = L*/100
    at sigma .8, 2, 4, standardized per image, their squares and a constant. Everything happens on a 96x96 grid
    (area) if both sides are at least 96, else at full size; the mask counts where it covers half a grid cell.
    NaN where it holds under 1 % or over 99 % of the grid, or AUC_x is under .6.
    """
    rule = case.original.get(_rule, case.mask)
    features, size = case.recon.get(_lightness)
    scores = _scores(features, rule.weights)
    return (_separation(scores, case.mask.get(_object_pixels, size)) / rule.separation).clamp(-1, 1)


def _divergence_terms(p: Tensor, q: Tensor) -> Tensor:
    """Contribution of each pair of probabilities to the Jensen-Shannon divergence, in nats."""
    middle = (p + q) / 2
    return (torch.xlogy(p, p) + torch.xlogy(q, q)) / 2 - torch.xlogy(middle, middle)


def agreement(p: Tensor, q: Tensor, exclusive_labels: bool) -> Tensor:
    """Return 1 - JS / ln 2 (Lin 1991) of label probabilities p and q, both (N, L): (N,) in [0, 1].

    Exclusive labels are one distribution; independent ones a Bernoulli each, whose divergences are averaged.
    """
    divergence = _divergence_terms(p, q)
    divergence = divergence.sum(1) if exclusive_labels else (divergence + _divergence_terms(1 - p, 1 - q)).mean(1)
    return (1 - divergence / math.log(2)).clamp(0, 1)


def _judgement(view: View, judge: Classifier) -> Tensor:
    return judge(view.get(luma)[:, None].expand(-1, 3, -1, -1))


def recognition(case: Case) -> Tensor:
    """Return the agreement of the held-out judge on original and recon, (N,) in [0, 1].

    1 - JS / ln 2 of the judge's label probabilities (see `agreement`) on luma replicated to 3 channels. NaN where
    the suite has no judge.
    """
    judge = case.networks.judge
    if judge is None:
        return case.not_scored()
    p, q = (view.get(_judgement, judge) for view in (case.original, case.recon))
    return agreement(p, q, judge.exclusive_labels)
