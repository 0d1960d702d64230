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


def ciede2000(first: Tensor, second: Tensor) -> Tensor:
    """Return the CIEDE2000 difference of CIELAB colors (N, 3, ...), (N, ...) >= 0, with k_L = k_C = k_H = 1.

    Symmetric. Luo, Cui and Rigg 2001 in the formulation of Sharma, Wu and Dalal 2005.
    """
    (l1, a1, b1), (l2, a2, b2) = first.unbind(1), second.unbind(1)
    chroma_7 = ((torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2).pow(7)
    stretch = 1.5 - 0.5 * (chroma_7 / (chroma_7 + 25.0**7)).sqrt()
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = torch.hypot(a1, b1), torch.hypot(a2, b2)
    h1, h2 = (torch.atan2(b, a).remainder(2 * math.pi) for a, b in ((a1, b1), (a2, b2)))
    turn = h2 - h1
    # An achromatic color has no hue: the difference is none, and the mean is the other color's hue.
    achromatic = c1 * c2 == 0
    wraps = turn.abs() > math.pi
    half_turn = torch.where(achromatic, 0, (turn - 2 * math.pi * turn.sign() * wraps) / 2)
    hue = torch.where(achromatic, h1 + h2, (h1 + h2) / 2 + math.pi * wraps)
    lightness, chroma = (l1 + l2) / 2 - 50, (c1 + c2) / 2
    delta_hue = 2 * (c1 * c2).sqrt() * half_turn.sin()
    turns, offsets, weights = _hue_terms(hue.device, hue.dtype)
    t = 1 + (hue[..., None] * turns + offsets).cos() @ weights
    # The rotation term is centered on 275 degrees and needs the mean hue within one turn.
    degrees = torch.rad2deg(hue.remainder(2 * math.pi))
    rotation = torch.deg2rad(60 * (-((degrees - 275) / 25).square()).exp()).sin()
    chroma_7 = chroma.pow(7)
    rotation = -2 * (chroma_7 / (chroma_7 + 25.0**7)).sqrt() * rotation
    term_l = (l2 - l1) / (1 + 0.015 * lightness.square() / (20 + lightness.square()).sqrt())
    term_c = (c2 - c1) / (1 + 0.045 * chroma)
    term_h = delta_hue / (1 + 0.015 * chroma * t)
    squared = term_l.square() + term_c.square() + term_h.square() + rotation * term_c * term_h
    return squared.clamp(min=0).sqrt()
