"""Gaussian blurs of images, side by side: by shifted additions on a CPU, elsewhere by products with a matrix.

A matrix makes two operations of a blur whatever its width, so that a GPU need not wait for their launches; a CPU is two
or three times faster with additions.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["blur", "blur_matrix", "blur_radius", "blur_valid", "gaussian_taps"]

ADDING = ("cpu",)
"""Kinds of devices that add."""


def gaussian_taps(sigma: float, radius: int) -> list[float]:
    """Return the weights of a Gaussian at 0 to `radius` pixels; those on both sides add up to 1."""
    taps = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(radius + 1)]
    total = taps[0] + 2 * sum(taps[1:])
    return [tap / total for tap in taps]


def blur_radius(sigma: float, shorter: int) -> int:
    """Return the radius in pixels of the Gaussian of `blur`: round(3 sigma), held under the shorter side."""
    return min(math.floor(3 * sigma + 0.5), shorter - 1)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def blur_matrix(
    size: int, sigma: float, radius: int, dtype: torch.dtype, device: torch.device, *, reflecting: bool
) -> Tensor:
    """Return the matrix that blurs a line of `size` pixels.

    Args:
        sigma: in pixels.
        radius: of the window of `2 radius + 1` taps.
        reflecting: about the outermost pixels; otherwise only what the window covers is returned.

    Returns:
        (size, size), or (size - 2 radius, size) where it does not reflect.
    """
    line = torch.eye(size, dtype=torch.float64)
    if reflecting:
        line = F.pad(line[None], (radius, radius), mode="reflect")[0]
    taps = torch.tensor(gaussian_taps(sigma, radius), dtype=torch.float64)
    return (line.unfold(1, 2 * radius + 1, 1) @ torch.cat((taps[1:].flip(0), taps))).T.to(device, dtype).contiguous()


def _multiply(images: Tensor, sigma: float, radius: int, *, reflecting: bool) -> Tensor:
    down, across = (
        blur_matrix(size, sigma, radius, images.dtype, images.device, reflecting=reflecting)
        for size in images.shape[-2:]
    )
    return down @ (images @ across.t())


def _add(images: Tensor, sigma: float, radius: int) -> Tensor:
    taps = gaussian_taps(sigma, radius)
    for dim in (-2, -1):
        size = images.shape[dim] - 2 * radius
        out = images.narrow(dim, radius, size) * taps[0]
        for k in range(1, radius + 1):
            pair = images.narrow(dim, radius - k, size) + images.narrow(dim, radius + k, size)
            out.add_(pair, alpha=taps[k])
        images = out
    return images


def blur_valid(images: Tensor, sigma: float, radius: int) -> Tensor:
    """Return images (N, H, W) filtered by a separable Gaussian where its window lies inside the frame.

    The window has `2 radius + 1` taps of sum 1, `sigma` in pixels; the result is (N, H - 2 radius, W - 2 radius).
    """
    if images.device.type in ADDING:
        return _add(images, sigma, radius)
    return _multiply(images, sigma, radius, reflecting=False)


def blur(images: Tensor, sigma: float) -> Tensor:
    """Return images (N, H, W) under a Gaussian of `sigma` pixels; the border reflects about the outermost pixel."""
    radius = blur_radius(sigma, min(images.shape[-2:]))
    if images.device.type in ADDING:
        return _add(F.pad(images, (radius,) * 4, mode="reflect"), sigma, radius)
    return _multiply(images, sigma, radius, reflecting=True)
