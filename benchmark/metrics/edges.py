"""Oriented edges of lightness, mask contours, and their matching within a pixel tolerance.

Orientations are kept as bits: bit k of a uint8 map stands for the bin from 22.5 k to 22.5 (k + 1) degrees, so
that one bitwise OR dilates all eight orientations at once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.metrics.case import FocalMask, View
from benchmark.metrics.detail import gaussian_valid, luma

__all__ = [
    "Contour",
    "Maxima",
    "ReferenceEdges",
    "contour",
    "dilate_disk",
    "matches",
    "maxima",
    "mirrored",
    "mirrored_bits",
    "nearby_bits",
    "pixel_tolerance",
    "reference_edges",
    "shrink",
    "smooth",
    "strongest",
]

MAGNITUDE_FLOOR = 2e-3
REFERENCE_SHARE_OF_P99 = 0.3
BINS = 8
_OWN_BIT = tuple(1 << k for k in range(BINS))
_ACCEPTED_BITS = tuple(1 << k | 1 << (k - 1) % BINS for k in range(BINS))
_REVERSED_BITS = tuple(int(f"{bits:08b}"[::-1], 2) for bits in range(1 << BINS))


def pixel_tolerance(height: int, width: int) -> int:
    """Return ceil(0.008 diagonal) in pixels: the matching tolerance of DAVIS (Perazzi et al. 2016)."""
    return math.ceil(0.008 * math.hypot(height, width))


def smooth(images: Tensor, sigma: float) -> Tensor:
    """Return images (N, H, W) under a Gaussian of `sigma` pixels, radius round(3 sigma).

    The border reflects about the outermost pixel; the radius is held under the shorter side.
    """
    radius = min(math.floor(3 * sigma + 0.5), min(images.shape[-2:]) - 1)
    return gaussian_valid(F.pad(images, (radius,) * 4, mode="reflect"), sigma, radius)


def shrink(images: Tensor, divisor: int) -> Tensor:
    """Return float images (N, H, W) area-downsampled to (round(H / divisor), round(W / divisor))."""
    if divisor == 1:
        return images
    size = [max(1, round(side / divisor)) for side in images.shape[-2:]]
    return F.interpolate(images[:, None], size=size, mode="area")[:, 0]


def dilate_disk(maps: Tensor, radius: int) -> Tensor:
    """Return bool or uint8 maps (N, H, W) dilated by the disk x^2 + y^2 <= radius^2 (bitwise OR of its pixels)."""
    height, width = maps.shape[-2:]
    padded = F.pad(maps, (radius,) * 4)
    # A disk is a stack of horizontal runs: widen step by step, then put every run on its row.
    run = padded[..., radius : radius + width]
    runs = [run]
    for reach in range(1, radius + 1):
        run = run | padded[..., radius - reach : radius - reach + width]
        run = run | padded[..., radius + reach : radius + reach + width]
        runs.append(run)
    out = runs[radius][:, radius : radius + height].clone()
    for dy in range(1, radius + 1):
        run = runs[math.isqrt(radius * radius - dy * dy)]
        out |= run[:, radius - dy : radius - dy + height]
        out |= run[:, radius + dy : radius + dy + height]
    return out


def _gradient(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the central differences along x and y, (N, H, W) each; zero across a reflecting border."""
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    along_x = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    along_y = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    return along_x, along_y


def _orientation(along_x: Tensor, along_y: Tensor) -> Tensor:
    """Return the gradient's direction modulo 180 degrees in units of 22.5 degrees: [0, 8]."""
    return (torch.atan2(along_y, along_x) * (BINS / math.pi)).remainder(BINS)


def _lookup(table: tuple[int, ...], bins: Tensor) -> Tensor:
    """Return uint8 `table[bins]` for whole float bins; a bin of 8 is bin 0."""
    entries = torch.tensor(table, dtype=torch.uint8, device=bins.device)
    return entries.index_select(0, bins.to(torch.int32).bitwise_and(BINS - 1).flatten()).view(bins.shape)


def _own_bits(orientation: Tensor) -> Tensor:
    """Return the bit of the bin of each orientation, uint8."""
    return _lookup(_OWN_BIT, orientation.floor())


def _accepted_bits(orientation: Tensor) -> Tensor:
    """Return the bits of the bins that match each orientation: its own and the nearer neighbouring one, uint8.

    These are the two that meet at the bin limit nearest to it; so a contour along the pixel grid accepts the
    same deviation to both sides.
    """
    return _lookup(_ACCEPTED_BITS, orientation.round())


class Maxima(NamedTuple):
    """Gradient of the smoothed luma at one scale; all (N, h, w).

    Attributes:
        magnitude: luma per pixel.
        ridge: magnitude where it is a maximum across the edge and above the floor, elsewhere 0.
        own: bit of the bin of each pixel's orientation.
        accepted: bits of the bins that match it, its own and the nearer neighbouring one.
    """

    magnitude: Tensor
    ridge: Tensor
    own: Tensor
    accepted: Tensor


def maxima(view: View, divisor: int) -> Maxima:
    """Return the gradient maxima of luma downsampled by `divisor` (Canny 1986 without its hysteresis).

    Gaussian of sigma tol/2 (tol of the downsampled size), central differences, non-maximum suppression in
    four directions: not under the neighbour on one side, above the one on the other, so that a plateau of two
    equal pixels leaves one. Outside the frame the magnitude is 0.
    """
    gray = shrink(view.get(luma), divisor)
    height, width = gray.shape[-2:]
    along_x, along_y = _gradient(smooth(gray, pixel_tolerance(height, width) / 2))
    magnitude = torch.hypot(along_x, along_y)
    orientation = _orientation(along_x, along_y)
    around = F.pad(magnitude, (1, 1, 1, 1))
    direction = (orientation / 2).round().remainder(4)
    peak = torch.zeros_like(magnitude, dtype=torch.bool)
    for index, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        before = around[:, 1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]
        after = around[:, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        peak |= (direction == index) & (magnitude >= before) & (magnitude > after)
    peak &= magnitude > MAGNITUDE_FLOOR
    return Maxima(magnitude, magnitude * peak, _own_bits(orientation), _accepted_bits(orientation))


def nearby_bits(peaks: Maxima, edges: Tensor, tolerance: int) -> Tensor:
    """Return the bits of the orientations of all edges within `tolerance` pixels, uint8 (N, h, w)."""
    return dilate_disk(peaks.own * edges, tolerance)


def matches(accepted: Tensor, nearby: Tensor) -> Tensor:
    """Return where one of the accepted orientations is nearby, bool (N, h, w)."""
    return (accepted & nearby) != 0


def mirrored(maps: Tensor) -> Tensor:
    """Return maps (..., h, w) as they are and mirrored left-right, top-bottom, and both: (4, ..., h, w)."""
    return torch.stack((maps, maps.flip(-1), maps.flip(-2), maps.flip(-2, -1)))


def mirrored_bits(bits: Tensor) -> Tensor:
    """Return orientation bits uint8 (N, h, w) as they are and under the three mirrors: (4, N, h, w).

    One mirror turns an orientation of d degrees to 180 - d, bin k to 7 - k; two leave it.
    """
    table = torch.tensor(_REVERSED_BITS, dtype=torch.uint8, device=bits.device)
    turned = table.index_select(0, bits.flatten().to(torch.int32)).view(bits.shape)
    return torch.stack((bits, turned.flip(-1), turned.flip(-2), bits.flip(-2, -1)))


class ReferenceEdges(NamedTuple):
    """Edges of an original at one scale.

    Attributes:
        tolerance: matching tolerance of the scale in pixels.
        edges: bool (N, h, w).
        nearby: bits of the edge orientations within the tolerance, uint8 (N, h, w).
        counts: edge pixels per image, int64 (N,).
        most: the largest of `counts`.
    """

    tolerance: int
    edges: Tensor
    nearby: Tensor
    counts: Tensor
    most: int


def reference_edges(view: View, divisor: int) -> ReferenceEdges:
    """Return the edges of an original: maxima above 0.3 of the 99th percentile of the magnitude."""
    peaks = view.get(maxima, divisor)
    magnitude = peaks.magnitude.flatten(1)
    tolerance = pixel_tolerance(*peaks.magnitude.shape[-2:])
    # The linear interpolation of torch.quantile, which refuses large batches in some releases.
    position = 0.99 * (magnitude.shape[1] - 1)
    lower = magnitude.kthvalue(math.floor(position) + 1, dim=1).values
    upper = magnitude.kthvalue(math.ceil(position) + 1, dim=1).values
    p99 = torch.lerp(lower, upper, position - math.floor(position))
    edges = peaks.ridge > (REFERENCE_SHARE_OF_P99 * p99)[:, None, None]
    counts = edges.flatten(1).sum(1)
    return ReferenceEdges(tolerance, edges, nearby_bits(peaks, edges, tolerance), counts, int(counts.max()))


def strongest(peaks: Maxima, reference: ReferenceEdges) -> Tensor:
    """Return the edges of a recon, bool (N, h, w): its strongest maxima, as many as the original has edges.

    Of equally strong ones the first in raster order are taken, so that a pattern of equal edges gains nothing;
    where there are fewer maxima than that, all of them.
    """
    ridge = peaks.ridge.flatten(1)
    if reference.most == 0:
        return torch.zeros_like(peaks.ridge, dtype=torch.bool)
    ranked = ridge.topk(reference.most, dim=1).values
    weakest = ranked.gather(1, (reference.counts - 1).clamp(min=0)[:, None])
    stronger = ridge > weakest
    tied = (ridge == weakest) & (ridge > 0)
    room = reference.counts[:, None] - stronger.sum(1, keepdim=True)
    kept = stronger | (tied & (tied.cumsum(1) <= room))
    return kept.view_as(peaks.ridge)


class Contour(NamedTuple):
    """Contour of a focal mask at one scale, all (N, h, w).

    Attributes:
        pixels: bool, frame excluded.
        accepted: uint8 bits of the edge orientations that match the contour's.
        vicinity: bool, within three tolerances of the contour.
    """

    pixels: Tensor
    accepted: Tensor
    vicinity: Tensor


def contour(mask: FocalMask, divisor: int) -> Contour:
    """Return the contour of the mask downsampled by `divisor` (area, at least half covered).

    Contour pixels are those that differ from their right, lower or lower right neighbour (DAVIS, `seg2bmap`),
    less a frame of max(tol, 2) pixels; the orientation is that of the gradient of the mask blurred with sigma
    max(tol, 2) / 2.
    """
    inside = shrink(mask.pixels.float(), divisor) >= 0.5
    height, width = inside.shape[-2:]
    tolerance = pixel_tolerance(height, width)
    margin = max(tolerance, 2)
    # Neighbours beyond the frame equal the last row or column.
    ahead = F.pad(inside.float()[:, None], (0, 1, 0, 1), mode="replicate")[:, 0] > 0.5
    right, below, diagonal = ahead[:, :-1, 1:], ahead[:, 1:, :-1], ahead[:, 1:, 1:]
    pixels = (inside ^ right) | (inside ^ below) | (inside ^ diagonal)
    framed = torch.zeros_like(pixels)
    framed[:, margin:-margin, margin:-margin] = pixels[:, margin:-margin, margin:-margin]
    orientation = _orientation(*_gradient(smooth(inside.float(), margin / 2)))
    return Contour(framed, _accepted_bits(orientation), dilate_disk(framed, 3 * tolerance))
