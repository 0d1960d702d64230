"""Answers that ignore the image, but may know its colors and what images of the suite are like: the trivial battery.

An answer maps what the target was shown, float32 RGB (N, 3, H, W) in [0, 1], to recons like it. Whatever is random is
drawn from the generator that it is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.metrics.blur import blur

__all__ = ["ANSWERS", "Answer", "Prior", "dominant_color", "own_color", "radius", "scale_chroma", "to_luma"]


class Prior(NamedTuple):
    """What an answer may know of images in general.

    Attributes:
        mean: the mean training image, float32 RGB (3, H, W).
        figure: how often the focal object covers a pixel in training, divided by the largest such share, (H, W).
    """

    mean: Tensor
    figure: Tensor


Answer = Callable[[Tensor, Prior, torch.Generator], Tensor]
_NOISE_SIGMAS = (1, 2, 4, 8, 16)
_BLOBS = (0.25, 0.35, 0.5, 0.7)


def to_luma(images: Tensor) -> Tensor:
    """BT.601 luma of RGB, (N, 1, H, W)."""
    red, green, blue = images.split(1, dim=1)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def scale_chroma(images: Tensor, gain: float) -> Tensor:
    """Images whose differences from their luma are multiplied."""
    gray = to_luma(images)
    return gray + gain * (images - gray)


def radius(like: Tensor) -> Tensor:
    """Distance of each pixel from the center in half-frames, (H, W): 1 at the middle of each side."""
    height, width = like.shape[-2:]
    down = torch.linspace(-1, 1, height, device=like.device)[:, None]
    return torch.hypot(down, torch.linspace(-1, 1, width, device=like.device))


def own_color(seen: Tensor, gain: float) -> Tensor:
    """Mean color of each image, its chroma multiplied, (N, 3, 1, 1)."""
    return scale_chroma(seen.mean((2, 3), keepdim=True), gain).clamp(0, 1)


def dominant_color(seen: Tensor, power: float) -> Tensor:
    """Mean color of each image, its pixels weighted by a power of their chroma (distance from luma), (N, 3, 1, 1)."""
    weight = (seen - to_luma(seen)).square().sum(1, keepdim=True).sqrt() ** power
    return (seen * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp(min=1e-9)


_COLORS: dict[str, Callable[[Tensor], Tensor]] = {
    **{f"own mean color, chroma x{gain}": partial(own_color, gain=gain) for gain in (1, 2, 4, 8)},
    **{f"dominant color, chroma^{power}": partial(dominant_color, power=power) for power in (1, 4)},
}


def _flat(seen: Tensor, prior: Prior, generator: torch.Generator, color: Callable[[Tensor], Tensor]) -> Tensor:
    return color(seen).expand_as(seen)


def _blob(
    seen: Tensor, prior: Prior, generator: torch.Generator, color: Callable[[Tensor], Tensor], sigma: float | None
) -> Tensor:
    """A color before gray, in a Gaussian of `sigma` half-frames or, without one, where objects usually are."""
    where = prior.figure if sigma is None else torch.exp(-radius(seen).square() / (2 * sigma**2))
    return torch.lerp(torch.full_like(seen, 0.5), color(seen).expand_as(seen), where.expand_as(seen))


def _spread(seen: Tensor, prior: Prior, generator: torch.Generator, where: Callable[[Tensor], Tensor]) -> Tensor:
    """The dominant color before gray, as strong as `where` says, (H, W)."""
    shown = dominant_color(seen, 4).expand_as(seen)
    return torch.lerp(torch.full_like(seen, 0.5), shown, where(seen).expand_as(seen))


def _blob_by_chance(seen: Tensor, prior: Prior, generator: torch.Generator) -> Tensor:
    """The dominant color before gray, in a Gaussian of .3 half-frames at a place of chance."""
    down, right = (1.4 * torch.rand(2, len(seen), 1, 1, generator=generator) - 0.7).to(seen)
    away = (_along(seen, 90) - down).square() + (_along(seen, 0) - right).square()
    where = torch.exp(-away / (2 * 0.3**2))[:, None]
    return torch.lerp(torch.full_like(seen, 0.5), dominant_color(seen, 4).expand_as(seen), where.expand_as(seen))


def _mean_image(seen: Tensor, prior: Prior, generator: torch.Generator, contrast: float) -> Tensor:
    middle = prior.mean.mean((1, 2), keepdim=True)
    return (middle + contrast * (prior.mean - middle)).expand_as(seen)


def _sharp_mean_image(seen: Tensor, prior: Prior, generator: torch.Generator) -> Tensor:
    return (prior.mean + 8 * (prior.mean - blur(prior.mean, 2))).expand_as(seen)


def _another(seen: Tensor, prior: Prior, generator: torch.Generator, by: int) -> Tensor:
    return seen.roll(by, 0)


def _draw(seen: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(seen.shape, generator=generator).to(seen)


def _frequency(like: Tensor) -> Tensor:
    """Cycles per pixel of each bin of rfft2, (H, W // 2 + 1)."""
    height, width = like.shape[-2:]
    return torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)).to(like)


def _filtered(noise: Tensor, response: Tensor) -> Tensor:
    """Noise of deviation .2 about .5 with the response of the frequencies."""
    shaped = torch.fft.irfft2(torch.fft.rfft2(noise) * response, s=noise.shape[-2:])
    return 0.5 + 0.2 * shaped / shaped.std().clamp(min=1e-9)


def _noise(seen: Tensor, prior: Prior, generator: torch.Generator, sigma: float, where: str) -> Tensor:
    """White noise (sigma 0) or a difference of Gaussians of sigma and 2 sigma pixels, whole or in a part of gray."""
    noise = _draw(seen, generator)
    width = (2 * math.pi * sigma * _frequency(seen)).square() / 2
    response = torch.exp(-width) - torch.exp(-4 * width) if sigma else torch.ones_like(width)
    shaped, distance = _filtered(noise, response), radius(seen)
    inside = {"whole": distance >= 0, "in a disk": distance < 0.5, "in a ring": (distance > 0.4) & (distance < 0.8)}
    return torch.where(inside[where], shaped, torch.full_like(seen, 0.5))


def _pink_noise(seen: Tensor, prior: Prior, generator: torch.Generator) -> Tensor:
    return _filtered(_draw(seen, generator), 1 / _frequency(seen).clamp(min=1 / max(seen.shape[-2:])))


def _pattern(seen: Tensor, prior: Prior, generator: torch.Generator, of: Callable[[Tensor], Tensor]) -> Tensor:
    return of(seen).expand_as(seen)


def _along(seen: Tensor, degrees: float) -> Tensor:
    """Position along a direction in half-frames, 0 degrees to the right, (H, W)."""
    height, width = seen.shape[-2:]
    down = torch.linspace(-1, 1, height, device=seen.device)[:, None]
    right = torch.linspace(-1, 1, width, device=seen.device)
    return math.cos(math.radians(degrees)) * right + math.sin(math.radians(degrees)) * down


_PATTERNS: dict[str, Callable[[Tensor], Tensor]] = {
    **{f"rings, {n} cycles": partial(lambda seen, n: 0.5 + 0.4 * torch.cos(math.pi * n * radius(seen)), n=n)
       for n in (2, 6)},
    **{f"grating, {angle} degrees": partial(
        lambda seen, angle: 0.5 + 0.4 * torch.sin(6 * math.pi * _along(seen, angle) + 1), angle=angle)
       for angle in (0, 45, 90)},
    "horizon": lambda seen: 0.75 - 0.5 * (_along(seen, 90) > 0).to(seen),
    "bright disk": lambda seen: 0.3 + 0.5 * (radius(seen) < 0.5).to(seen),
    "dark disk": lambda seen: 0.7 - 0.5 * (radius(seen) < 0.35).to(seen),
    "disk off center": lambda seen: 0.3 + 0.5 * (radius(seen).roll((9, -14), (0, 1)) < 0.4).to(seen),
}  # fmt: skip

ANSWERS: dict[str, Answer] = {
    **{name: partial(_flat, color=color) for name, color in _COLORS.items()},
    **{
        f"{name}, in {f'a blob of {sigma}' if sigma else 'the mean mask'}": partial(_blob, color=color, sigma=sigma)
        for name, color in _COLORS.items()
        for sigma in (*_BLOBS, None)
    },
    **{
        f"dominant color, chroma^4, in {name}": partial(_spread, where=where)
        for name, where in {
            "the left half": lambda seen: (_along(seen, 180) > 0).to(seen),
            "the upper half": lambda seen: (_along(seen, 270) > 0).to(seen),
            "a diagonal half": lambda seen: (_along(seen, 45) > 0).to(seen),
            "a ramp to the right": lambda seen: (_along(seen, 0) + 1) / 2,
        }.items()
    },
    "dominant color, chroma^4, at a place of chance": _blob_by_chance,
    **{f"training mean image, contrast x{gain}": partial(_mean_image, contrast=gain) for gain in (1, 4, 16)},
    "training mean image, sharpened": _sharp_mean_image,
    **{f"another image, {by} ahead": partial(_another, by=by) for by in (1, 3, 6)},
    **{
        f"{f'noise of scale {sigma} px' if sigma else 'white noise'}, {where}": partial(
            _noise, sigma=sigma, where=where
        )
        for sigma in (0, *_NOISE_SIGMAS)
        for where in ("whole", "in a disk", "in a ring")
    },
    "1/f noise": _pink_noise,
    **{name: partial(_pattern, of=of) for name, of in _PATTERNS.items()},
}
"""The answers by name."""
