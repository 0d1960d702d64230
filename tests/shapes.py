"""Photographs with objects in them, and worse versions of them."""

from __future__ import annotations

import numpy as np
import scipy.ndimage as ndi
import skimage.data
import torch
from skimage.transform import resize
from torch import Tensor

from benchmark.metrics.case import Case, FocalMask, View


def photos(height: int, width: int) -> Tensor:
    """Four photographs, (4, 3, H, W) at 8 bits."""
    images = [getattr(skimage.data, name)() for name in ("astronaut", "chelsea", "coffee", "camera")]
    color = [image if image.ndim == 3 else np.stack([image] * 3, axis=2) for image in images]
    small = [np.round(resize(image, (height, width), anti_aliasing=True) * 255) for image in color]
    return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 255


def blobs(height: int, width: int) -> Tensor:
    """Four masks, bool (4, H, W): ellipses and rectangles off the center, some cut by the frame."""
    y, x = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    return torch.stack(
        [
            ((y - 0.4) / 0.25) ** 2 + ((x - 0.35) / 0.2) ** 2 <= 1,
            ((y - 0.9) / 0.5) ** 2 + ((x - 0.3) / 0.3) ** 2 <= 1,
            (abs(y - 0.35) <= 0.2) & (abs(x - 0.6) <= 0.25),
            abs(y - x) <= 0.2,
        ]
    )


def lit(images: Tensor, mask: Tensor) -> Tensor:
    """Make the object darker than its surroundings, so that its contour shows."""
    return View(torch.where(mask[:, None], 0.6 * images, 0.3 + 0.7 * images)).rgb


def degraded(images: Tensor) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {
        "noise": (images + 0.1 * torch.randn(images.shape, generator=generator)).clamp(0, 1),
        "blur": torch.from_numpy(ndi.gaussian_filter(images.numpy(), (0, 0, 1.5, 1.5))),
        "shift": images.roll((2, 1), (2, 3)),
        "other": images.roll(1, 0),
    }


def case_of(original: Tensor, recon: Tensor, mask: Tensor) -> Case:
    view = View(original)
    return Case(view, view, View(recon), FocalMask(mask))
