"""Color perturbations: pure functions of an image batch and its focal masks.

Hue kinds work in floating-point HSV on the pixels of the focal object; `gray` takes the BT.601 luma of the
whole frame. Every changed pixel is rounded to 8 bits, so that the result can be pinned by its hash.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmark.errors import did_you_mean
from benchmark.files.pixels import quantize
from benchmark.suites.spec import Perturbation

__all__ = ["PERTURBATIONS", "gray", "identity", "perturb", "set_hue", "shift_hue"]

LUMA = (0.299, 0.587, 0.114)


def _hue_sextant(images: Tensor) -> Tensor:
    """Return the HSV hue of RGB (N, 3, H, W) as (N, 1, H, W) in sextants [0, 6); 0 where achromatic."""
    red, green, blue = images.unbind(1)
    top, low = images.amax(1), images.amin(1)
    span = torch.where(top > low, top - low, torch.ones_like(top))
    sextant = torch.where(
        top == red,
        ((green - blue) / span) % 6,
        torch.where(top == green, (blue - red) / span + 2, (red - green) / span + 4),
    )
    return sextant.unsqueeze(1)


def _with_hue(images: Tensor, sextant: Tensor) -> Tensor:
    """Return RGB of the saturation and value of `images` and the hue `sextant`, at 8 bits."""
    top, low = images.amax(1, keepdim=True), images.amin(1, keepdim=True)
    turn = torch.cat([sextant + offset for offset in (5.0, 3.0, 1.0)], dim=1) % 6
    fall = torch.minimum(turn, 4 - turn).clamp(0, 1)
    return quantize(top - (top - low) * fall)


def _inside(images: Tensor, masks: Tensor, changed: Tensor) -> Tensor:
    chromatic = images.amax(1) > images.amin(1)
    return torch.where((masks & chromatic).unsqueeze(1), changed, images)


def identity(images: Tensor, masks: Tensor) -> Tensor:
    """Return the images unchanged."""
    return images


def set_hue(images: Tensor, masks: Tensor, hue_deg: float) -> Tensor:
    """Set the HSV hue of the pixels inside `masks` to `hue_deg` degrees, keeping saturation and value.

    Args:
        images: float32 RGB in [0, 1], (N, 3, H, W).
        masks: bool (N, H, W).

    Returns:
        A tensor like `images`; achromatic pixels and pixels outside the mask are the original ones.
    """
    return _inside(images, masks, _with_hue(images, torch.full_like(images[:, :1], hue_deg / 60)))


def shift_hue(images: Tensor, masks: Tensor, hue_deg: float) -> Tensor:
    """Rotate the HSV hue of the pixels inside `masks` by `hue_deg` degrees; otherwise like `set_hue`."""
    return _inside(images, masks, _with_hue(images, (_hue_sextant(images) + hue_deg / 60) % 6))


def gray(images: Tensor, masks: Tensor) -> Tensor:
    """Replace the whole frame by its BT.601 luma in all three channels, at 8 bits; `masks` is not used."""
    red, green, blue = (images[:, c : c + 1] * LUMA[c] for c in range(3))
    return quantize(red + green + blue).expand_as(images).contiguous()


PERTURBATIONS: dict[Perturbation, Callable[[Tensor, Tensor], Tensor]] = {
    "identity": identity,
    "hue_set_0": lambda images, masks: set_hue(images, masks, 0),
    "hue_set_120": lambda images, masks: set_hue(images, masks, 120),
    "hue_set_240": lambda images, masks: set_hue(images, masks, 240),
    "hue_shift_120": lambda images, masks: shift_hue(images, masks, 120),
    "hue_shift_240": lambda images, masks: shift_hue(images, masks, 240),
    "gray": gray,
}


def perturb(name: Perturbation, images: Tensor, masks: Tensor) -> Tensor:
    """Apply the perturbation `name` to float32 RGB (N, 3, H, W) in [0, 1] with focal masks (N, H, W) bool.

    Raises:
        NotFoundError: no such perturbation.
        ValueError: shapes or types that do not fit together.
    """
    if name not in PERTURBATIONS:
        raise did_you_mean("perturbation", name, PERTURBATIONS)
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.float32:
        raise ValueError(f"images must be float32 (N, 3, H, W), not {images.dtype} {tuple(images.shape)}")
    if masks.dtype != torch.bool or masks.shape != (images.shape[0], *images.shape[2:]):
        raise ValueError(f"masks must be bool (N, H, W) like the images, not {masks.dtype} {tuple(masks.shape)}")
    return PERTURBATIONS[name](images, masks)
