"""Detail: how much of the fine structure of what the target saw is in the recon.

All functions compare `recon` with `seen`, so that they hold under every perturbation. Other axes share `luma`. The
ranked metric of the axis, Fourier ring correlation, has a module of its own.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.metrics.blur import blur_valid
from benchmark.metrics.case import Case, View, of_both

__all__ = [
    "SSIM_RADIUS",
    "holds_bands",
    "luma",
    "mse_norm",
    "octave_bands",
    "psnr",
    "spectral_ev",
    "ssim",
    "ssim_map",
]

PSNR_CAP_DB = 60.0
SSIM_SIGMA, SSIM_RADIUS = 1.5, 5
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2
OCTAVES = ((3.5, 7.0), (7.0, 14.0), (14.0, 28.0), (28.0, 56.0), (56.0, 112.0))
MIN_BAND_BINS = 8
FLAT_BAND_ENERGY = 1e-8
IMAGENET_STD = (0.229, 0.224, 0.225)


@of_both
def luma(view: View) -> Tensor:
    """Return the BT.601 luma 0.299 R + 0.587 G + 0.114 B, (N, H, W) in [0, 1]."""
    red, green, blue = view.rgb.unbind(1)
    return red * 0.299 + green * 0.587 + blue * 0.114


def _squared_error(recon: View, seen: View) -> Tensor:
    """Return the mean squared error of each channel, (N, 3)."""
    return (recon.rgb - seen.rgb).square().mean((2, 3))


def psnr(case: Case) -> Tensor:
    """Return the peak signal-to-noise ratio in dB, (N,) in [0, 60].

    10 log10(1 / MSE) over all RGB values, capped at 60 dB (which identical images reach). Always scored.
    """
    mse = case.recon.get(_squared_error, case.seen).mean(1)
    return (-10 * mse.clamp(min=1e-12).log10()).clamp(max=PSNR_CAP_DB)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _channel_weights(device: torch.device) -> Tensor:
    """Return what a squared error of each channel counts in the mean of normalized ones, (3,)."""
    return torch.tensor([1 / (3 * sd**2) for sd in IMAGENET_STD], device=device)


def mse_norm(case: Case) -> Tensor:
    """Return the mean squared error of ImageNet-normalized RGB values, (N,) >= 0.

    The one number on images that the code of arXiv 2412.06534 logs. Always scored.
    """
    errors = case.recon.get(_squared_error, case.seen)
    return errors @ _channel_weights(errors.device)


class _LocalMoments(NamedTuple):
    """Centered luma (N, H, W), and its local mean and variance in the valid region (N, H - 10, W - 10)."""

    centered: Tensor
    mean: Tensor
    variance: Tensor


@of_both
def _local_moments(view: View) -> _LocalMoments:
    # Variances do not change with an offset, and float32 holds them better around zero.
    centered = view.get(luma) - 0.5
    mean, square = blur_valid(torch.cat((centered, centered.square())), SSIM_SIGMA, SSIM_RADIUS).chunk(2)
    return _LocalMoments(centered, mean, square - mean.square())


def ssim_map(recon: View, seen: View) -> Tensor:
    """Return the local structural similarity of luma in the valid region, (N, H - 10, W - 10).

    Element [i, j] belongs to the window centred on pixel (i + 5, j + 5); both sides must be at least 11.
    """
    x, y = seen.get(_local_moments), recon.get(_local_moments)
    covariance = blur_valid(x.centered * y.centered, SSIM_SIGMA, SSIM_RADIUS) - x.mean * y.mean
    mean_x, mean_y = x.mean + 0.5, y.mean + 0.5
    luminance = (2 * mean_x * mean_y + SSIM_C1) / (mean_x.square() + mean_y.square() + SSIM_C1)
    structure = (2 * covariance + SSIM_C2) / (x.variance + y.variance + SSIM_C2)
    return luminance * structure


def ssim(case: Case) -> Tensor:
    """Return the structural similarity of luma, (N,) in [-1, 1].

    Wang, Bovik, Sheikh and Simoncelli 2004: 11x11 Gaussian window of sigma 1.5, K = (.01, .03), population
    covariance, mean over the valid region only. NaN where the shorter side is under 11 pixels.
    """
    if min(case.seen.rgb.shape[-2:]) < 2 * SSIM_RADIUS + 1:
        return case.not_scored()
    return case.recon.get(ssim_map, case.seen).flatten(1).mean(1)


class Bands(NamedTuple):
    """The octave bands of an image size.

    Attributes:
        window: Hann window (H, W).
        bins: indices into the flattened rfft2 of all bins of all bands, one band after the other, (K,).
        members: which bins belong to each band (B of them), float32 (K, B).
        limits: lowest and highest frequency of each band, cycles per image height.
    """

    window: Tensor
    bins: Tensor
    members: Tensor
    limits: tuple[tuple[float, float], ...]


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def octave_bands(height: int, width: int, device: torch.device) -> Bands:
    """Return the frequency bins of each band that has enough of them; those of a size are found once."""
    hann_y, hann_x = (torch.hann_window(side, periodic=False, device=device) for side in (height, width))
    cut = [(low, min(high, height / 2)) for low, high in OCTAVES]
    # Squared and in units of 1 / (2 width) all frequencies are whole numbers, exact also at the limits of a band.
    rows = torch.arange(height, device=device)
    rows = torch.minimum(rows, height - rows) * (2 * width)
    columns = torch.arange(width // 2 + 1, device=device) * (2 * height)
    squared = (rows.square()[:, None] + columns.square()).flatten()
    members = []
    for band in cut:
        low, high = (round(2 * limit * width) ** 2 for limit in band)
        members.append(((squared > low) & (squared <= high)).nonzero().squeeze(1))
    kept = [index for index, band in enumerate(members) if len(band) >= MIN_BAND_BINS]
    bins = torch.cat([members[index] for index in kept]) if kept else squared.new_zeros(0)
    of_bands = [torch.ones(len(members[index]), 1, device=device) for index in kept]
    return Bands(hann_y[:, None] * hann_x, bins, torch.block_diag(*of_bands), tuple(cut[index] for index in kept))


def holds_bands(height: int, width: int) -> bool:
    """Whether an image of a size is large enough for an octave band that counts."""
    return bool(octave_bands(height, width, torch.device("cpu")).limits)


def _band_energy(centered: Tensor, bands: Bands) -> Tensor:
    """Return the energy (N, B) that images (N, H, W) hold in each band; there must be one."""
    spectrum = torch.fft.rfft2(centered * bands.window).flatten(1).index_select(1, bands.bins)
    return torch.view_as_real(spectrum).square().sum(-1) @ bands.members


def _bands_of(view: View) -> Bands:
    height, width = view.rgb.shape[-2:]
    return octave_bands(height, width, view.rgb.device)


def _own_energy(view: View) -> Tensor:
    gray = view.get(luma)
    return _band_energy(gray - gray.mean((1, 2), keepdim=True), _bands_of(view))


def _explained(recon: View, seen: View) -> Tensor:
    """Return the explained variance (N, B) of each band, in [0, 1]; NaN where the reference is flat."""
    bands = _bands_of(seen)
    if not bands.limits:
        return recon.rgb.new_zeros(len(recon.rgb), 0)
    energy = seen.get(_own_energy)
    # The Fourier transform is linear: the mean of x cancels in X - Y.
    error = _band_energy(seen.get(luma) - recon.get(luma), bands)
    flat = energy / bands.window.numel() ** 2 < FLAT_BAND_ENERGY
    return (1 - error / energy.masked_fill(flat, 1)).clamp(0, 1).masked_fill(flat, math.nan)


def spectral_ev(case: Case) -> Tensor:
    """Return the explained variance of luma averaged over octave bands, (N,) in [0, 1].

    Per band clip(1 - sum |X - Y|^2 / sum |X|^2, 0, 1). X and Y are the rfft2 of luma less the mean of x under a
    separable symmetric Hann window; each bin of the half plane counts once. The bands are octaves from 3.5 to
    112 cycles per image height, closed above, cut at H/2; those of fewer than 8 bins are dropped. A band in
    which x is flat (sum |X|^2 / (H W)^2, the mean square by Parseval's theorem, under 1e-8) is left out for
    that image; NaN where none remains.
    """
    explained = case.recon.get(_explained, case.seen)
    return explained.nanmean(1) if explained.shape[1] else case.not_scored()
