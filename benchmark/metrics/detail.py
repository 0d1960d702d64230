"""Detail: how much of the fine structure of what the target saw is in the recon.

All functions compare `recon` with `seen`, so that they hold under every perturbation. Besides the metrics
the module holds the two image operations that they share with the shape axis: `luma` and `gaussian_valid`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.metrics.case import Case, View

__all__ = ["gaussian_valid", "luma", "psnr", "spectral_ev", "ssim"]

PSNR_CAP_DB = 60.0
SSIM_SIGMA, SSIM_RADIUS = 1.5, 5
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2
OCTAVES = ((3.5, 7.0), (7.0, 14.0), (14.0, 28.0), (28.0, 56.0), (56.0, 112.0))
MIN_BAND_BINS = 8
FLAT_BAND_ENERGY = 1e-8


def luma(view: View) -> Tensor:
    """Return the BT.601 luma 0.299 R + 0.587 G + 0.114 B, (N, H, W) in [0, 1]."""
    red, green, blue = view.rgb.unbind(1)
    return red * 0.299 + green * 0.587 + blue * 0.114


def gaussian_valid(images: Tensor, sigma: float, radius: int) -> Tensor:
    """Return images (N, H, W) filtered by a separable Gaussian where its window lies inside the frame.

    The window has `2 radius + 1` taps of sum 1, `sigma` in pixels; the result is (N, H - 2 radius, W - 2 radius).
    """
    taps = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(radius + 1)]
    total = taps[0] + 2 * sum(taps[1:])
    # Shifted additions: one-channel convolutions take several times longer on a CPU.
    for dim in (-2, -1):
        size = images.shape[dim] - 2 * radius
        out = images.narrow(dim, radius, size) * (taps[0] / total)
        for k in range(1, radius + 1):
            pair = images.narrow(dim, radius - k, size) + images.narrow(dim, radius + k, size)
            out.add_(pair, alpha=taps[k] / total)
        images = out
    return images


def psnr(case: Case) -> Tensor:
    """Return the peak signal-to-noise ratio in dB, (N,) in [0, 60].

    10 log10(1 / MSE) over all RGB values, capped at 60 dB (which identical images reach). Always scored.
    """
    mse = (case.recon.rgb - case.seen.rgb).square().flatten(1).mean(1)
    return (-10 * mse.clamp(min=1e-12).log10()).clamp(max=PSNR_CAP_DB)


class _Moments(NamedTuple):
    """Centered luma (N, H, W), and its local mean and variance in the valid region (N, H - 10, W - 10)."""

    centered: Tensor
    mean: Tensor
    variance: Tensor


def _moments(view: View) -> _Moments:
    # Variances do not change with an offset, and float32 holds them better around zero.
    centered = view.get(luma) - 0.5
    mean, square = gaussian_valid(torch.cat((centered, centered.square())), SSIM_SIGMA, SSIM_RADIUS).chunk(2)
    return _Moments(centered, mean, square - mean.square())


def ssim(case: Case) -> Tensor:
    """Return the structural similarity of luma, (N,) in [-1, 1].

    Wang, Bovik, Sheikh and Simoncelli 2004: 11x11 Gaussian window of sigma 1.5, K = (.01, .03), population
    covariance, mean over the valid region only. NaN where the shorter side is under 11 pixels.
    """
    rgb = case.seen.rgb
    if min(rgb.shape[-2:]) < 2 * SSIM_RADIUS + 1:
        return rgb.new_full((rgb.shape[0],), math.nan)
    x, y = case.seen.get(_moments), case.recon.get(_moments)
    covariance = gaussian_valid(x.centered * y.centered, SSIM_SIGMA, SSIM_RADIUS) - x.mean * y.mean
    mean_x, mean_y = x.mean + 0.5, y.mean + 0.5
    luminance = (2 * mean_x * mean_y + SSIM_C1) / (mean_x.square() + mean_y.square() + SSIM_C1)
    structure = (2 * covariance + SSIM_C2) / (x.variance + y.variance + SSIM_C2)
    return (luminance * structure).flatten(1).mean(1)


class _Bands(NamedTuple):
    """The octave bands of an image size and what the reference holds in them.

    Attributes:
        window: Hann window (H, W).
        bins: indices into the flattened rfft2 of all bins of all bands, one band after the other.
        sizes: number of bins of each band (B of them).
        energy: sum |X|^2 of each band, (N, B).
    """

    window: Tensor
    bins: Tensor
    sizes: tuple[int, ...]
    energy: Tensor


def _band_energy(centered: Tensor, window: Tensor, bins: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Return the energy (N, B) that images (N, H, W) hold in each band; sizes must not be empty."""
    spectrum = torch.fft.rfft2(centered * window).flatten(1).index_select(1, bins)
    power = torch.view_as_real(spectrum).square().sum(-1)
    return torch.stack([band.sum(1) for band in torch.split(power, list(sizes), dim=1)], dim=1)


def _bands(view: View) -> _Bands:
    gray = view.get(luma)
    height, width = gray.shape[-2:]
    hann_y = torch.hann_window(height, periodic=False, device=gray.device)
    hann_x = torch.hann_window(width, periodic=False, device=gray.device)
    window = hann_y[:, None] * hann_x
    cycles_y = torch.fft.fftfreq(height, d=1 / height, device=gray.device)
    cycles_x = torch.fft.rfftfreq(width, d=1 / height, device=gray.device)
    cycles = torch.hypot(cycles_y[:, None], cycles_x).flatten()
    members = [((cycles > low) & (cycles <= min(high, height / 2))).nonzero().squeeze(1) for low, high in OCTAVES]
    members = [band for band in members if len(band) >= MIN_BAND_BINS]
    sizes = tuple(len(band) for band in members)
    if not sizes:
        return _Bands(window, cycles.new_zeros(0, dtype=torch.long), (), gray.new_zeros(gray.shape[0], 0))
    bins = torch.cat(members)
    return _Bands(window, bins, sizes, _band_energy(gray - gray.mean((1, 2), keepdim=True), window, bins, sizes))


def spectral_ev(case: Case) -> Tensor:
    """Return the explained variance of luma averaged over octave bands, (N,) in [0, 1].

    Per band clip(1 - sum |X - Y|^2 / sum |X|^2, 0, 1). X and Y are the rfft2 of luma less the mean of x under a
    separable symmetric Hann window; each bin of the half plane counts once. The bands are octaves from 3.5 to
    112 cycles per image height, closed above, cut at H/2; those of fewer than 8 bins are dropped. A band in
    which x is flat (sum |X|^2 / (H W)^2, the mean square by Parseval's theorem, under 1e-8) is left out for
    that image; NaN where none remains.
    """
    bands = case.seen.get(_bands)
    if not bands.sizes:
        return bands.energy.new_full((bands.energy.shape[0],), math.nan)
    # The Fourier transform is linear: the mean of x cancels in X - Y.
    error = _band_energy(case.seen.get(luma) - case.recon.get(luma), bands.window, bands.bins, bands.sizes)
    flat = bands.energy / bands.window.numel() ** 2 < FLAT_BAND_ENERGY
    explained = (1 - error / bands.energy.masked_fill(flat, 1)).clamp(0, 1)
    return explained.masked_fill(flat, math.nan).nanmean(1)
