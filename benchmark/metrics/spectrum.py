"""Fourier ring correlation: which detail can be read from the recon, ring by ring of spatial frequency.

Saxton and Baumeister 1982; van Heel and Schatz 2005. All functions compare the luma of `recon` with that of `seen`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.metrics.case import Case, View, of_both
from benchmark.metrics.detail import luma

__all__ = ["Rings", "frc", "resolution_px", "ring_contrast", "rings_of", "tukey"]

LOWEST_CYCLES = 1.75
OCTAVES = 6
TAPER = 0.5
FAINTEST_POWER = 0.01
FLAT_RING_ENERGY = 1e-8
READABLE = 0.5


class Rings(NamedTuple):
    """The K rings of an image size, each half an octave wide, from 1.75 cycles per height up to half the height.

    Attributes:
        window: separable symmetric Tukey window (H, W).
        members: how often each real and imaginary part of the flattened rfft2 counts in the full plane, by ring:
            0, 1 or 2, float32 (H (W // 2 + 1) 2, K).
        centers: log2 of the geometric center of each ring in cycles per height, (K,).
        octaves: number of octave rings: the sums of rings 2j and 2j + 1.
    """

    window: Tensor
    members: Tensor
    centers: Tensor
    octaves: int


def tukey(size: int, device: torch.device) -> Tensor:
    """Return the symmetric Tukey window of `size` points of which half is tapered, float32 (size,)."""
    if size == 1:
        return torch.ones(1, device=device)
    ramp = TAPER * (size - 1) / 2
    place = torch.arange(size, dtype=torch.float32, device=device)
    from_end = torch.minimum(place, size - 1 - place)
    return 0.5 * (1 - torch.cos(math.pi * (from_end / ramp).clamp(max=1)))


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def rings_of(height: int, width: int, device: torch.device) -> Rings:
    """Return the rings of a size; those of a size are computed once.

    Bin (ky, kx) has sqrt(ky^2 + (kx H / W)^2) cycles per height. Ring k is open below at 1.75 2^(k/2) and closed
    above at 1.75 2^((k+1)/2), or at H/2 if that is less. An octave ring is dropped if H/2 cuts it below sqrt(2) times
    its lower end, or begins above 56 cycles per height.
    """
    rows = torch.arange(height, device=device)
    rows = torch.minimum(rows, height - rows) * (4 * width)
    columns = torch.arange(width // 2 + 1, device=device) * (4 * height)
    squared = (rows.square()[:, None] + columns.square()).flatten()
    # In units of 1 / (4 width) the squares of all frequencies and limits are whole numbers: 4 * 1.75 is 7.
    last = (2 * height * width) ** 2
    low, members, centers = (7 * width) ** 2, [], []
    while low < last:
        high = min(2 * low, last)
        members.append((squared > low) & (squared <= high))
        centers.append(math.log2(low * high / (4 * width) ** 4) / 4)
        low *= 2
    times = torch.full((width // 2 + 1,), 2.0, device=device)
    times[0] = 1
    if width % 2 == 0:
        times[-1] = 1
    chosen = torch.stack(members, 1) if members else squared.new_zeros(len(squared), 0)
    counted = times.repeat(height)[:, None] * chosen
    octaves = sum(2 * height**2 >= 49 * 4**j for j in range(OCTAVES))
    window = tukey(height, device)[:, None] * tukey(width, device)
    return Rings(window, counted.repeat_interleave(2, 0), torch.tensor(centers, device=device), octaves)


class _Spectrum(NamedTuple):
    """Real and imaginary parts of the rfft2 of the windowed luma, (N, B), and the power in each ring, (N, K)."""

    parts: Tensor
    power: Tensor


@of_both
def _spectrum(view: View) -> _Spectrum:
    gray = view.get(luma)
    rings = rings_of(gray.shape[-2], gray.shape[-1], gray.device)
    mean = (gray * rings.window).sum((1, 2), keepdim=True) / rings.window.sum().clamp(min=1e-12)
    parts = torch.view_as_real(torch.fft.rfft2((gray - mean) * rings.window)).flatten(1)
    return _Spectrum(parts, parts.square() @ rings.members)


class _Sums(NamedTuple):
    """Sums over each ring, (N, rings): |X|^2, |Y|^2 and Re X conj Y; and whether x is flat there."""

    power_x: Tensor
    power_y: Tensor
    cross: Tensor
    flat: Tensor

    def correlation(self) -> Tensor:
        """Return the correlation in each ring, (N, rings) in [-1, 1]; NaN where x is flat."""
        strength = self.power_x * torch.maximum(self.power_y, FAINTEST_POWER * self.power_x)
        return (self.cross / strength.sqrt()).clamp(-1, 1).masked_fill(self.flat, math.nan)


def _sums(recon: View, seen: View) -> _Sums:
    """Return the sums over the rings of half an octave."""
    x, y = seen.get(_spectrum), recon.get(_spectrum)
    height, width = seen.rgb.shape[-2:]
    cross = (x.parts * y.parts) @ rings_of(height, width, x.parts.device).members
    return _Sums(x.power, y.power, cross, x.power / (height * width) ** 2 < FLAT_RING_ENERGY)


def _octave_sums(recon: View, seen: View) -> _Sums:
    """Return the sums over the octave rings."""
    sums = recon.get(_sums, seen)
    height, width = seen.rgb.shape[-2:]
    octaves = rings_of(height, width, seen.rgb.device).octaves
    halves = (part[:, : 2 * octaves].unflatten(1, (octaves, 2)).sum(2) if octaves else part[:, :0] for part in sums[:3])
    power_x, power_y, cross = halves
    return _Sums(power_x, power_y, cross, power_x / (height * width) ** 2 < FLAT_RING_ENERGY)


def frc(case: Case) -> Tensor:
    """Return the Fourier ring correlation of luma, (N,) in [-1, 1].

    Luma less its window-weighted mean, under a separable symmetric Tukey window (half of it tapered), is transformed;
    over the whole plane, per octave ring (1.75, 3.5], ..., (56, 112] cycles per image height, cut at H/2:
    Re sum X conj Y / sqrt(sum |X|^2 max(sum |Y|^2, .01 sum |X|^2)), averaged over the rings. A ring cut below sqrt(2)
    times its lower end is dropped, one in which x is flat (sum |X|^2 / (H W)^2 under 1e-8) left out for that image;
    NaN where none remains. Saxton and Baumeister 1982; van Heel and Schatz 2005.
    """
    rings = case.recon.get(_octave_sums, case.seen).correlation()
    return rings.nanmean(1) if rings.shape[1] else case.not_scored()


def ring_contrast(case: Case) -> Tensor:
    """Return how strongly detail is shown, (N,) >= 0, 1 if as strongly as in the image.

    sqrt(sum |Y|^2 / sum |X|^2) per octave ring, averaged over the rings of `frc`; NaN where that is not scored.
    """
    sums = case.recon.get(_octave_sums, case.seen)
    ratio = (sums.power_y / sums.power_x).sqrt().masked_fill(sums.flat, math.nan)
    return ratio.nanmean(1) if ratio.shape[1] else case.not_scored()


def resolution_px(case: Case) -> Tensor:
    """Return how many pixels per image height the recon resolves, (N,) in [0, H].

    Twice the frequency at which the correlation in rings half an octave wide, from 1.75 cycles per height to H/2 (the
    last one cut there and kept), scanned from coarse to fine, first falls below .5: linear in log2 of the frequency
    between the rings' geometric centers. 0 where the first ring is below .5, H where none is. Rings in which x is flat
    are skipped; NaN where all are. Images are summarized by the median.
    """
    height, width = case.seen.rgb.shape[-2:]
    centers = rings_of(height, width, case.seen.rgb.device).centers
    correlation = case.recon.get(_sums, case.seen).correlation()
    count = len(centers)
    if count == 0:
        return case.not_scored()
    scored = ~correlation.isnan()
    falls = correlation < READABLE
    ring = torch.arange(count, device=correlation.device)
    # The first ring that falls (the last where none does), and the last scored one before it: -1 where there is none.
    first = torch.where(falls, ring, count - 1).amin(1, keepdim=True)
    last = torch.where(scored & (ring < first), ring, -1).amax(1, keepdim=True)
    found = last.clamp(min=0)
    before, value = correlation.gather(1, found), correlation.gather(1, first)
    position = torch.lerp(centers[found], centers[first], (before - READABLE) / (before - value))
    resolved = (2 * position.exp2()).masked_fill(last < 0, 0.0)[:, 0]
    resolved = torch.where(falls.any(1), resolved, float(height))
    return resolved.masked_fill(~scored.any(1), math.nan)
