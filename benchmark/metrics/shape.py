"""Shape: are the edges of the focal object still where they were? Lightness only: a color change costs nothing.

The other ranked metric of the axis, `fg_transfer`, has a module of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.metrics.case import Case, FocalMask, View, of_both
from benchmark.metrics.decoys import corrected
from benchmark.metrics.edges import (
    contour,
    matches,
    maxima,
    mirrored,
    mirrored_bits,
    nearby_bits,
    reference_edges,
    strongest,
)

__all__ = ["contour_f", "edge_f"]

CONTOUR_SCALES = ((1, 20), (2, 10), (4, 8))
MIN_EDGES = 20


def _count(pixels: Tensor) -> Tensor:
    return pixels.flatten(-2).sum(-1, dtype=torch.int32)


class _EdgesWanted(NamedTuple):
    """What the edges of a recon are compared with at one scale, as it is and mirrored in three ways.

    Mirroring the reference instead of the recon compares the same pairs, and is done once for all recons.

    Attributes:
        accepted: bits of the orientations that match each wanted pixel, 0 elsewhere, uint8 (N, 4, h, w).
        counts: wanted pixels per image, (N,).
        vicinity: where an edge of the recon counts, bool (N, 4, h, w); None: everywhere.
        nearby: bits of the orientations of the original's edges within the tolerance there, uint8 (N, 4, h, w).
        scored: which images have enough wanted pixels, bool (N,).
    """

    accepted: Tensor
    counts: Tensor
    vicinity: Tensor | None
    nearby: Tensor
    scored: Tensor


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


@of_both
def _shown(recon: View, seen: View, divisor: int) -> _EdgesShown:
    reference, peaks = seen.get(reference_edges, divisor), recon.get(maxima, divisor)
    edges = strongest(peaks, reference)
    return _EdgesShown(edges, peaks.accepted * edges, nearby_bits(peaks, edges, reference.tolerance))


def _wanted_contour(original: View, mask: FocalMask, divisor: int, fewest: int) -> _EdgesWanted:
    outline, x = mask.get(contour, divisor), original.get(_shown, original, divisor)
    visible = outline.pixels & matches(outline.accepted, x.nearby)
    counts = _count(visible)
    bits = torch.cat((outline.accepted * visible, x.nearby * outline.vicinity))
    accepted, nearby = mirrored_bits(bits).chunk(2)
    return _EdgesWanted(accepted, counts, mirrored(outline.vicinity), nearby, counts >= fewest)


def _wanted_edges(original: View, divisor: int) -> _EdgesWanted:
    x, counts = original.get(_shown, original, divisor), original.get(reference_edges, divisor).counts
    accepted, nearby = mirrored_bits(torch.cat((x.accepted, x.nearby))).chunk(2)
    return _EdgesWanted(accepted, counts, None, nearby, counts >= MIN_EDGES)


class _Matched(NamedTuple):
    """Pixels of a recon, as it is and mirrored in three ways, that match what is wanted: (N, 4), or (N, 1).

    Attributes:
        recalled: wanted pixels that an edge of the recon matches.
        precise: edges of the recon that match one of the original.
        counting: edges of the recon that count.
    """

    recalled: Tensor
    precise: Tensor
    counting: Tensor


def _match(shown: _EdgesShown, wanted: _EdgesWanted) -> _Matched:
    edges = shown.edges[:, None]
    return _Matched(
        _count(matches(wanted.accepted, shown.nearby[:, None])),
        _count(matches(shown.accepted[:, None], wanted.nearby)),
        _count(edges if wanted.vicinity is None else edges & wanted.vicinity).expand(-1, 4),
    )


def _f_scores(scales: Sequence[tuple[_EdgesShown, _EdgesWanted]]) -> Tensor:
    """Return F = 2PR / (P + R) of a recon and of its three mirror images, mean over the scales scored: (N, 4).

    NaN where none is scored.
    """
    matched = [_match(shown, wanted) for shown, wanted in scales]
    recalled, precise, counting = (torch.stack(counts) for counts in zip(*matched, strict=True))
    wanted = torch.stack([wanted.counts for _, wanted in scales])[..., None]
    scored = torch.stack([wanted.scored for _, wanted in scales])[..., None]
    recall, precision = recalled / wanted.clamp(min=1), precise / counting.clamp(min=1)
    scores = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
    return scores.where(scored, math.nan).nanmean(0)


@of_both
def _contour_scores(recon: View, seen: View, mask: FocalMask) -> Tensor:
    return _f_scores(
        [
            (recon.get(_shown, seen, divisor), seen.get(_wanted_contour, mask, divisor, fewest))
            for divisor, fewest in CONTOUR_SCALES
        ]
    )


@of_both
def _edge_scores(recon: View, seen: View) -> Tensor:
    return _f_scores(
        [(recon.get(_shown, seen, divisor), seen.get(_wanted_edges, divisor)) for divisor, _ in CONTOUR_SCALES]
    )


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
    return corrected(scores, case.seen.get(_contour_scores, case.seen, case.mask))


def edge_f(case: Case) -> Tensor:
    """Return the edge F-score of the whole frame less that of mirror decoys, (N,): `contour_f` without a mask.

    Raw value: R is the share of the edges of x matched by an edge of y, P the share of the edges of y matched by an
    edge of x. F = 2PR / (P + R), mean over the scales 1, 1/2, 1/4 at which x has at least 20 edge pixels; NaN where
    none has. Decoys as for `contour_f`.
    """
    return corrected(case.recon.get(_edge_scores, case.seen), case.seen.get(_edge_scores, case.seen))
