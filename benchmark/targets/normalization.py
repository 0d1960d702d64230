"""The normalization that a network was trained with."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.errors import SpecError
from benchmark.targets.config import read_json_object

__all__ = ["Normalization", "load_normalization"]


class Normalization:
    """RGB in [0, 1] (N, 3, H, W) -> (RGB - mean) / std, by channel."""

    def __init__(self, mean: list[float], std: list[float], device: torch.device) -> None:
        self.mean, self.std = (
            torch.tensor(values, dtype=torch.float32, device=device).view(1, 3, 1, 1) for values in (mean, std)
        )

    def __call__(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


def _channels(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(isinstance(x, float | int) and not isinstance(x, bool) and math.isfinite(x) for x in value)
    )


def load_normalization(folder: Path, device: torch.device) -> Normalization:
    """Read `image_mean` and `image_std` from `preprocessor_config.json`.

    Raises:
        SpecError: the file is absent or malformed, or the network wants something other than scaling to [0, 1]
            and a normalization by channel.
    """
    path = folder / "preprocessor_config.json"
    settings = read_json_object(path)
    for key in ("image_mean", "image_std"):
        if not _channels(settings.get(key)):
            raise SpecError(f"'{key}' is not three numbers", where=str(path))
    if min(settings["image_std"]) <= 0:
        raise SpecError("'image_std' is not positive", where=str(path))
    scale = settings.get("rescale_factor", 1 / 255)
    usual = isinstance(scale, float) and math.isclose(scale, 1 / 255, rel_tol=1e-6)
    if settings.get("do_normalize", True) is not True or settings.get("do_rescale", True) is not True or not usual:
        raise SpecError("asks for another preprocessing than scaling to [0, 1] and normalizing", where=str(path))
    return Normalization(settings["image_mean"], settings["image_std"], device)
