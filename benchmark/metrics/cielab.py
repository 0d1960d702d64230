"""CIELAB of sRGB images and the CIEDE2000 color difference."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from benchmark.metrics.case import View, of_both

__all__ = ["ciede2000", "lab", "srgb_to_lab"]

# Linear sRGB to XYZ relative to the D65 white of the 2-degree observer (0.95047, 1, 1.08883).
_XYZ_FROM_RGB = (
    (0.412453 / 0.95047, 0.357580 / 0.95047, 0.180423 / 0.95047),
    (0.212671, 0.715160, 0.072169),
    (0.019334 / 1.08883, 0.119193 / 1.08883, 0.950227 / 1.08883),
)


def _linear_light(rgb: Tensor) -> Tensor:
    return torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055).pow(2.4), rgb / 12.92)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _xyz_from_rgb(device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.tensor(_XYZ_FROM_RGB, device=device, dtype=dtype)


def _lab_of_linear(linear: Tensor) -> Tensor:
    xyz = (_xyz_from_rgb(linear.device, linear.dtype) @ linear.flatten(2)).view_as(linear)
    # This cube root takes half as long as `pow`.
    x, y, z = torch.where(xyz > 0.008856, (xyz.log() / 3).exp(), xyz * 7.787 + 16 / 116).unbind(1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=1)


def srgb_to_lab(rgb: Tensor) -> Tensor:
    """Return CIELAB (N, 3, ...) of sRGB (N, 3, ...) in [0, 1]: L* in [0, 100], a* and b* about +-128.

    IEC 61966-2-1 transfer curve, D65, 2-degree observer; the constants of scikit-image's `rgb2lab`.
    """
    return _lab_of_linear(_linear_light(rgb))


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _levels(device: torch.device) -> Tensor:
    """Return the linear light of the 256 levels, (256,)."""
    return _linear_light(torch.arange(256, device=device) / 255)


@of_both
def lab(view: View) -> Tensor:
    """Return the CIELAB image (N, 3, H, W) of a view: `srgb_to_lab` of its colors."""
    # A view has 256 levels: looking them up is several times faster than raising every pixel to a power.
    index = (view.rgb * 255).round().to(torch.int32)
    return _lab_of_linear(_levels(view.rgb.device).index_select(0, index.flatten()).view_as(view.rgb))


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _hue_terms(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the terms of T, a weight of hue differences: multiples of the hue, offsets in radians, weights: (3, 4)."""
    terms = ((1, 2, 3, 4), (-math.radians(30), 0, math.radians(6), -math.radians(63)), (-0.17, 0.24, 0.32, -0.20))
    return torch.tensor(terms, device=device, dtype=dtype)


def _saturation(chroma: Tensor) -> Tensor:
    """Return sqrt(C^7 / (C^7 + 25^7)), in [0, 1)."""
    power = chroma.pow(7)
    return (power / (power + 25.0**7)).sqrt()


def ciede2000(first: Tensor, second: Tensor) -> Tensor:
    """Return the CIEDE2000 difference of CIELAB colors (N, 3, ...), (N, ...) >= 0, with k_L = k_C = k_H = 1.

    Symmetric. Luo, Cui and Rigg 2001 in the formulation of Sharma, Wu and Dalal 2005.
    """
    lightness, a, b = torch.stack((first, second)).unbind(2)
    # Unprimed chroma stretches a*, so that colors near gray are told apart by hue, too.
    a = a * (1.5 - 0.5 * _saturation(torch.hypot(a, b).mean(0)))
    chroma, hues = torch.hypot(a, b), torch.atan2(b, a).remainder(2 * math.pi)
    (c1, c2), (h1, h2) = chroma, hues
    product, turn, sum_of_hues = c1 * c2, h2 - h1, h1 + h2
    wraps = turn.abs() > math.pi
    # A half turn more or less turns the sine's sign; where a color is achromatic, the product is 0.
    half_sine = (turn / 2).sin()
    delta_hue = 2 * product.sqrt() * torch.where(wraps, -half_sine, half_sine)
    # An achromatic color has no hue: the mean is the other color's.
    hue = torch.where(product == 0, sum_of_hues, torch.add(sum_of_hues / 2, wraps, alpha=math.pi))
    turns, offsets, weights = _hue_terms(hue.device, hue.dtype)
    t = 1 + torch.addcmul(offsets, hue[..., None], turns).cos() @ weights
    middle, c = (lightness.mean(0) - 50).square(), chroma.mean(0)
    term_l = (lightness[1] - lightness[0]) / (1 + 0.015 * middle / (20 + middle).sqrt())
    term_c, term_h = (c2 - c1) / (1 + 0.045 * c), delta_hue / (1 + 0.015 * c * t)
    # The rotation is centered on 275 degrees and needs the mean hue within one turn.
    distance = (hue.remainder(2 * math.pi) - math.radians(275)).square()
    rotation = (math.radians(60) * (distance / -(math.radians(25) ** 2)).exp()).sin()
    mixed = torch.addcmul(term_h, _saturation(c) * rotation, term_c, value=-2)
    squared = torch.addcmul(torch.addcmul(term_l.square(), term_c, term_c), term_h, mixed)
    return squared.clamp(min=0).sqrt()
