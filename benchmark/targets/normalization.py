"""The normalization that a network was trained with."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.errors import SpecError
from benchmark.targets.config import CONFIG, read_json_object
from benchmark.targets.files import PREPROCESSOR, PROCESSOR

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


def _find_settings(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return the file that says how images are prepared, and what it says, in the words of transformers."""
    if (folder / PREPROCESSOR).is_file():
        return folder / PREPROCESSOR, read_json_object(folder / PREPROCESSOR)
    if (folder / PROCESSOR).is_file():
        settings = read_json_object(folder / PROCESSOR).get("image_processor")
        if not isinstance(settings, dict):
            raise SpecError("no 'image_processor', which holds mean and std", where=str(folder / PROCESSOR))
        return folder / PROCESSOR, settings
    timm = read_json_object(folder / CONFIG).get("pretrained_cfg")
    if not isinstance(timm, dict):
        cure = f"it holds mean and std; they may also stand in {PROCESSOR}, or in 'pretrained_cfg' of {CONFIG} (timm)"
        raise SpecError("absent", where=str(folder / PREPROCESSOR), cure=cure)
    return folder / CONFIG, {"image_mean": timm.get("mean"), "image_std": timm.get("std")}


def load_normalization(folder: Path, device: torch.device) -> Normalization:
    """Read mean and standard deviation: from `preprocessor_config.json`, `processor_config.json` or timm's own part.

    The first of these files that is there counts; timm's checkpoints have `pretrained_cfg` in `config.json` instead.

    Raises:
        SpecError: none is there, or it is malformed, or the network wants something other than scaling to [0, 1]
            and a normalization by channel.
    """
    path, settings = _find_settings(folder)
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
