"""Oriented edges of lightness, mask contours, and their matching within a pixel tolerance.

Orientations are kept as bits: bit k of a uint8 map stands for the bin from 22.5 k to 22.5 (k + 1) degrees, so
that one bitwise OR dilates all eight orientations at once.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.metrics.blur import blur
from benchmark.metrics.case import FocalMask, View, of_both
from benchmark.metrics.detail import luma
from benchmark.metrics.sorting import ascending

__all__ = [
    "Contour",
    "Maxima",
    "ReferenceEdges",
    "contour",
    "dilate_bits",
    "dilate_disk",
    "matches",
    "maxima",
    "mirrored",
    "mirrored_bits",
    "nearby_bits",
    "pixel_tolerance",
    "reference_edges",
    "shrink",
    "strongest",
]

MAGNITUDE_FLOOR = 2e-3
REFERENCE_SHARE_OF_P99 = 0.3
BINS = 8
FLIPPING = ("cpu",)
"""Kinds of devices that mirror maps by flips, which take a CPU a third of the time of a lookup; this is one launch."""
# For each of 16 half bins: the bit of its bin; the bits of the two bins that meet at the nearer limit (a contour along
# the pixel grid accepts the same deviation to both sides); the step (dy, dx) across the edge.
_OWN_BIT = tuple(1 << k // 2 for k in range(2 * BINS))
_ACCEPTED_BITS = tuple(1 << k % BINS | 1 << (k - 1) % BINS for k in ((half + 1) // 2 for half in range(2 * BINS)))
_STEPS = tuple(((0, 1), (1, 1), (1, 0), (1, -1))[(half + 2) // 4 % 4] for half in range(2 * BINS))
_REVERSED_BITS = tuple(int(f"{bits:08b}"[::-1], 2) for bits in range(1 << BINS))


def pixel_tolerance(height: int, width: int) -> int:
    """Return ceil(0.008 diagonal) in pixels: the matching tolerance of DAVIS (Perazzi et al. 2016)."""
    return math.ceil(0.008 * math.hypot(height, width))


def shrink(images: Tensor, divisor: int) -> Tensor:
    """Return float images (N, H, W) area-downsampled to (round(H / divisor), round(W / divisor))."""
    if divisor == 1:
        return images
    size = [max(1, round(side / divisor)) for side in images.shape[-2:]]
    return F.interpolate(images[:, None], size=size, mode="area")[:, 0]


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _disk(radius: int, device: torch.device) -> Tensor:
    """Return the disk x^2 + y^2 <= radius^2 as a filter, float32 (1, 1, 2 radius + 1, 2 radius + 1)."""
    squares = torch.arange(-radius, radius + 1, device=device).square()
    return (squares[:, None] + squares <= radius * radius).float()[None, None]


def dilate_disk(maps: Tensor, radius: int) -> Tensor:
    """Return bool maps (N, H, W) dilated by the disk x^2 + y^2 <= radius^2."""
    return F.conv2d(maps[:, None].float(), _disk(radius, maps.device), padding=radius)[:, 0] > 0.5


def dilate_bits(maps: Tensor, radius: int) -> Tensor:
    """Return uint8 maps (N, H, W) dilated by the disk x^2 + y^2 <= radius^2: the bitwise OR of its pixels."""
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
    """Return twice the central differences along x and y, (N, H, W) each; zero across a reflecting border."""
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    return padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2], padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _table(entries: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(entries, dtype=dtype, device=device)


def _lookup(entries: tuple[int, ...], index: Tensor, dtype: torch.dtype = torch.uint8) -> Tensor:
    """Return `entries[index]` for an integer index of any shape."""
    return _table(entries, dtype, index.device).index_select(0, index.flatten()).view(index.shape)


def _half_bins(along_x: Tensor, along_y: Tensor) -> Tensor:
    """Return the gradient's direction modulo 180 degrees in whole units of 11.25 degrees, int32: 0 to 15."""
    halves = torch.atan2(along_y, along_x) * (2 * BINS / math.pi)
    return halves.floor().to(torch.int32).bitwise_and(2 * BINS - 1)


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


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _places(height: int, width: int, device: torch.device) -> Tensor:
    """Return where the pixels of an image lie in it once it has a border of one pixel, int64 (H W,)."""
    rows = torch.arange(1, height + 1, device=device)[:, None] * (width + 2)
    return (rows + torch.arange(1, width + 1, device=device)).flatten()


@of_both
def maxima(view: View, divisor: int) -> Maxima:
    """Return the gradient maxima of luma downsampled by `divisor` (Canny 1986 without its hysteresis).

    Gaussian of sigma tol/2 (tol of the downsampled size), central differences, non-maximum suppression in
    four directions: not under the neighbour on one side, above the one on the other, so that a plateau of two
    equal pixels leaves one. Outside the frame the magnitude is 0.
    """
    gray = shrink(view.get(luma), divisor)
    height, width = gray.shape[-2:]
    along_x, along_y = _gradient(blur(gray, pixel_tolerance(height, width) / 2))
    magnitude = torch.hypot(along_x, along_y) / 2
    halves = _half_bins(along_x, along_y)
    around = F.pad(magnitude, (1, 1, 1, 1)).flatten(1)
    steps = tuple(dy * (width + 2) + dx for dy, dx in _STEPS)
    step, here = _lookup(steps, halves, torch.int64).flatten(1), _places(height, width, gray.device)
    before, after = around.gather(1, here - step), around.gather(1, here + step)
    level = magnitude.flatten(1)
    peak = (level >= before) & (level > after) & (level > MAGNITUDE_FLOOR)
    ridge = (level * peak).view_as(magnitude)
    return Maxima(magnitude, ridge, _lookup(_OWN_BIT, halves), _lookup(_ACCEPTED_BITS, halves))


def nearby_bits(peaks: Maxima, edges: Tensor, tolerance: int) -> Tensor:
    """Return the bits of the orientations of all edges within `tolerance` pixels, uint8 (N, h, w)."""
    return dilate_bits(peaks.own * edges, tolerance)


def matches(accepted: Tensor, nearby: Tensor) -> Tensor:
    """Return where one of the accepted orientations is nearby, bool (N, h, w)."""
    # On a CPU this is many times faster than comparing bytes with 0.
    return (accepted & nearby).bool()


@lru_cache(maxsize=32)
@torch.inference_mode(False)
def _mirrors(height: int, width: int, device: torch.device, *, turning: bool) -> Tensor:
    """Return where a flattened map and its three mirror images have their pixels from, int64 (4 H W,).

    With `turning` two mirrors take them from a second map behind the first.
    """
    size = height * width
    places = torch.arange(size, device=device).view(height, width)
    images = [places, places.flip(1), places.flip(0), places.flip(0, 1)]
    if turning:
        images[1:3] = images[1] + size, images[2] + size
    return torch.stack(images).flatten()


def _mirror(maps: Tensor, turned: Tensor) -> Tensor:
    """Return maps (N, h, w) and their mirror images (N, 4, h, w); two mirrors show the maps `turned`."""
    if maps.device.type in FLIPPING:
        return torch.stack((maps, turned.flip(-1), turned.flip(-2), maps.flip(-2, -1)), dim=1)
    turning, (height, width) = turned is not maps, maps.shape[-2:]
    both = torch.stack((maps, turned), dim=1) if turning else maps
    places = _mirrors(height, width, maps.device, turning=turning)
    return both.flatten(1).index_select(1, places).view(-1, 4, height, width)


def mirrored(maps: Tensor) -> Tensor:
    """Return maps (N, h, w) as they are and mirrored left-right, top-bottom, and both: (N, 4, h, w)."""
    return _mirror(maps, maps)


def mirrored_bits(bits: Tensor) -> Tensor:
    """Return orientation bits uint8 (N, h, w) as they are and under the three mirrors: (N, 4, h, w).

    One mirror turns an orientation of d degrees to 180 - d, bin k to 7 - k; two leave it.
    """
    return _mirror(bits, _lookup(_REVERSED_BITS, bits.to(torch.int32)))


class ReferenceEdges(NamedTuple):
    """How many edges an original has at one scale.

    Attributes:
        tolerance: matching tolerance of the scale in pixels.
        counts: edge pixels per image, int64 (N,); its edges are its `strongest`, so many.
    """

    tolerance: int
    counts: Tensor


def reference_edges(view: View, divisor: int) -> ReferenceEdges:
    """Return how many edges an original has: maxima above 0.3 of the 99th percentile of the magnitude."""
    peaks = view.get(maxima, divisor)
    magnitude = peaks.magnitude.flatten(1)
    # The linear interpolation of torch.quantile, which refuses large batches in some releases.
    position = 0.99 * (magnitude.shape[1] - 1)
    ranked = ascending(magnitude)
    p99 = torch.lerp(ranked[:, math.floor(position)], ranked[:, math.ceil(position)], position - math.floor(position))
    edges = peaks.ridge > (REFERENCE_SHARE_OF_P99 * p99)[:, None, None]
    return ReferenceEdges(pixel_tolerance(*peaks.magnitude.shape[-2:]), edges.flatten(1).sum(1))


def strongest(peaks: Maxima, reference: ReferenceEdges) -> Tensor:
    """Return the edges of a recon, bool (N, h, w): its strongest maxima, as many as the original has edges.

    Of equally strong ones the first in raster order are taken, so that a pattern of equal edges gains nothing;
    where there are fewer maxima than that, all of them.
    """
    ridge = peaks.ridge.flatten(1)
    ranked = ascending(ridge)
    # Where there are fewer maxima, the weakest is none: 0.
    weakest = ranked.gather(1, (ridge.shape[1] - reference.counts.clamp(min=1))[:, None]).clamp(min=MAGNITUDE_FLOOR)
    stronger, tied = ridge > weakest, ridge == weakest
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
    coverage = (shrink(mask.pixels.float(), divisor) >= 0.5).float()
    height, width = coverage.shape[-2:]
    tolerance = pixel_tolerance(height, width)
    margin = max(tolerance, 2)
    # The mean of a pixel and its three neighbours is its own value only where all are equal.
    pixels = F.avg_pool2d(coverage, 2, stride=1) != coverage[:, :-1, :-1]
    framed = torch.zeros_like(coverage, dtype=torch.bool)
    framed[:, margin:-margin, margin:-margin] = pixels[:, margin : height - margin, margin : width - margin]
    halves = _half_bins(*_gradient(blur(coverage, margin / 2)))
    return Contour(framed, _lookup(_ACCEPTED_BITS, halves), dilate_disk(framed, 3 * tolerance))
