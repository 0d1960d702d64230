"""Filters of recons, which must gain nothing, and denoisers, which are methods of their own.

A filter maps recons, float32 RGB (N, 3, H, W) in [0, 1], to recons; values that leave [0, 1] are clamped later.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.diagnostics.batteries_answers import Prior, radius, scale_chroma, to_luma
from benchmark.metrics.blur import blur

__all__ = [
    "CHROMA_FILTERS", "DENOISERS", "FILTERS", "MIRROR_FILTERS", "Filter", "bilateral", "even_octaves",
    "less_mirrored", "less_symmetric_chroma", "median", "vignette",
]  # fmt: skip

Filter = Callable[[Tensor, Prior, torch.Generator], Tensor]
UNSHARP_SIGMA_PX = 1.5


def _blurred(recons: Tensor, sigma_px: float) -> Tensor:
    return blur(recons.flatten(0, 1), sigma_px).view_as(recons)


def _blur(recons: Tensor, prior: Prior, generator: torch.Generator, sigma_px: float) -> Tensor:
    return _blurred(recons, sigma_px)


def _unsharp(recons: Tensor, prior: Prior, generator: torch.Generator, amount: float) -> Tensor:
    return recons + amount * (recons - _blurred(recons, UNSHARP_SIGMA_PX))


def _gamma(recons: Tensor, prior: Prior, generator: torch.Generator, power: float) -> Tensor:
    return recons.clamp(0, 1) ** power


def _contrast(recons: Tensor, prior: Prior, generator: torch.Generator, gain: float) -> Tensor:
    middle = recons.mean((2, 3), keepdim=True)
    return middle + gain * (recons - middle)


def _noise(recons: Tensor, prior: Prior, generator: torch.Generator, deviation: float) -> Tensor:
    return recons + deviation * torch.randn(recons.shape, generator=generator).to(recons)


def _chroma(recons: Tensor, prior: Prior, generator: torch.Generator, gain: float) -> Tensor:
    return scale_chroma(recons, gain)


def _half_mean(recons: Tensor, prior: Prior, generator: torch.Generator) -> Tensor:
    return (recons + prior.mean) / 2


def _with_edges(recons: Tensor, prior: Prior, generator: torch.Generator) -> Tensor:
    """Edges (magnitude of the gradient of blurred luma, the strongest one) drawn over the recon in black."""
    along_y, along_x = torch.gradient(_blurred(to_luma(recons), 1), dim=(2, 3))
    magnitude = torch.hypot(along_x, along_y)
    return recons * (1 - magnitude / magnitude.amax((2, 3), keepdim=True).clamp(min=1e-6))


def median(recons: Tensor, prior: Prior, generator: torch.Generator) -> Tensor:
    """Median of the 3x3 pixels about each, by channel; the border is repeated."""
    windows = F.pad(recons, (1, 1, 1, 1), mode="replicate").unfold(2, 3, 1).unfold(3, 3, 1)
    return windows.flatten(4).median(4).values


def bilateral(recons: Tensor, prior: Prior, generator: torch.Generator) -> Tensor:
    """Bilateral filter (Tomasi and Manduchi 1998): 7x7 pixels, sigma 1.5 px and .1 of the range of values."""
    reach, height, width = 3, *recons.shape[-2:]
    padded = F.pad(recons, (reach,) * 4, mode="reflect")
    total, weights = torch.zeros_like(recons), torch.zeros_like(recons[:, :1])
    for dy in range(2 * reach + 1):
        for dx in range(2 * reach + 1):
            shifted = padded[..., dy : dy + height, dx : dx + width]
            away = ((dy - reach) ** 2 + (dx - reach) ** 2) / (2 * 1.5**2)
            weight = torch.exp(-away - (shifted - recons).square().sum(1, keepdim=True) / (2 * 0.1**2))
            total, weights = total + weight * shifted, weights + weight
    return total / weights


def _blurred_chroma(recons: Tensor, prior: Prior, generator: torch.Generator) -> Tensor:
    gray = to_luma(recons)
    return gray + _blurred(recons - gray, 2)


def _even_luma(recons: Tensor, prior: Prior, generator: torch.Generator) -> Tensor:
    """Luma is replaced by its rank in the image (histogram equalization)."""
    gray = to_luma(recons)
    rank = gray.flatten(1).argsort(1).argsort(1).view_as(gray)
    return recons - gray + rank / gray[0].numel()


def _vignette(recons: Tensor, prior: Prior, generator: torch.Generator) -> Tensor:
    return vignette(recons)


def _even_octaves(recons: Tensor, prior: Prior, generator: torch.Generator) -> Tensor:
    return even_octaves(recons)


def vignette(images: Tensor) -> Tensor:
    """Images that fade to their mean color away from the center: a Gaussian of .6 half-frames."""
    where = torch.exp(-radius(images).square() / (2 * 0.6**2))
    return torch.lerp(images.mean((2, 3), keepdim=True).expand_as(images), images, where.expand_as(images))


def even_octaves(images: Tensor) -> Tensor:
    """Images with all octaves equally strong: differences of their blurs, each divided by its deviation."""
    flat = images.flatten(0, 1)
    blurs = [flat, *(blur(flat, sigma) for sigma in (1, 2, 4, 8))]
    bands = [fine - coarse for fine, coarse in pairwise(blurs)]
    total = sum((band / band.std((1, 2), keepdim=True).clamp(min=1e-6) for band in bands), torch.zeros_like(flat))
    return 0.5 + 0.08 * total.view_as(images)


def _mirror_mean(images: Tensor) -> Tensor:
    """Mean of images with their three mirror images."""
    return (images + images.flip(3) + images.flip(2) + images.flip((2, 3))) / 4


def less_symmetric_chroma(recons: Tensor, gain: float) -> Tensor:
    """The part of the chroma that is not symmetric, multiplied; luma and the frame's mean chroma are kept."""
    gray = to_luma(recons)
    chroma = recons - gray
    return gray + chroma.mean((2, 3), keepdim=True) + gain * (chroma - _mirror_mean(chroma))


def less_mirrored(recons: Tensor, share: float) -> Tensor:
    """Recons less a share of the mean of their mirror images, about their mean color."""
    return recons - share * (_mirror_mean(recons) - recons.mean((2, 3), keepdim=True))


def _less_symmetric_chroma(recons: Tensor, prior: Prior, generator: torch.Generator) -> Tensor:
    return less_symmetric_chroma(recons, 1)


def _less_mirrored(recons: Tensor, prior: Prior, generator: torch.Generator) -> Tensor:
    return less_mirrored(recons, 1 / 3)


CHROMA_FILTERS: dict[str, Filter] = {
    **{f"chroma x{gain}": partial(_chroma, gain=gain) for gain in (1.25, 1.5)},
    **{f"contrast x{gain}": partial(_contrast, gain=gain) for gain in (1.5, 3)},
}
"""Filters that raise chroma, and so may regain saturation that a method lost: COLOR is not bounded under them."""

FILTERS: dict[str, Filter] = {
    **{f"unsharp mask, amount {amount}": partial(_unsharp, amount=amount) for amount in (0.5, 1.5)},
    "blur of 1 px": partial(_blur, sigma_px=1),
    **{f"gamma {power}": partial(_gamma, power=power) for power in (0.7, 1.4)},
    "contrast x0.67": partial(_contrast, gain=0.67),
    **{f"noise of {deviation}": partial(_noise, deviation=deviation) for deviation in (0.01, 0.02)},
    **CHROMA_FILTERS,
    "half the training mean": _half_mean,
    "edges drawn over": _with_edges,
    "chroma blurred by 2 px": _blurred_chroma,
    "luma made even": _even_luma,
    "octaves equally strong": _even_octaves,
    "vignette": _vignette,
}

MIRROR_FILTERS: dict[str, Filter] = {
    "less its symmetric chroma": _less_symmetric_chroma,
    "less a third of its mirror images": _less_mirrored,
}
"""Edits that lower what a recon has in common with its mirror images, and so gain by the mirror decoys.

This is a known weakness of the metrics: it is reported and not bounded.
"""

DENOISERS: dict[str, Filter] = {"median of 3x3": median, "bilateral filter": bilateral}
