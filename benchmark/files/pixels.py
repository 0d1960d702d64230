"""Images as 8-bit pixels, which files and digests hold, and as the float tensors that networks and metrics take."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["quantize", "send", "to_pixels", "to_tensor"]


def send(array: npt.NDArray[Any], device: torch.device | None = None) -> Tensor:
    """Return an array as a tensor on a device; a GPU fetches it while the host goes on."""
    tensor = torch.from_numpy(array)
    pinned = tensor.pin_memory() if device is not None and device.type == "cuda" else tensor
    return pinned.to(device, non_blocking=True)


def to_tensor(pixels: npt.NDArray[np.uint8], device: torch.device | None = None) -> Tensor:
    """Float32 RGB in [0, 1], (N, 3, H, W) with the memory layout of the pixels, from uint8 (N, H, W, 3)."""
    return send(pixels, device).permute(0, 3, 1, 2).float() / 255


def to_pixels(images: Tensor) -> npt.NDArray[np.uint8]:
    """uint8 (N, H, W, 3), rounded, from float RGB in [0, 1], (N, 3, H, W), on any device."""
    return torch.round(images * 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def quantize(images: Tensor) -> Tensor:
    """Float images clamped to [0, 1] and rounded to 8 bits: what a stored PNG would hold. Any shape; it is kept."""
    return torch.round(images.clamp(0, 1) * 255) / 255
