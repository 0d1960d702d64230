"""The held-out judge: a multi-label classifier that is no target of the suite."""

from __future__ import annotations

import json
from collections.abc import Callable

import torch
from torch import Tensor
from transformers import ResNetForImageClassification

from benchmark.spec import Source
from benchmark.targets.base import load_network

__all__ = ["load_judge"]


def load_judge(source: Source, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return a function from RGB in [0, 1] (N, 3, H, W) to label probabilities (N, labels).

    Raises:
        SpecError, IntegrityError: the network is absent or incomplete.
    """
    folder = source.directory()
    model = load_network(ResNetForImageClassification, folder, device)
    preprocessor = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    mean, std = (torch.tensor(preprocessor[k], device=device).view(1, 3, 1, 1) for k in ("image_mean", "image_std"))

    def judge(images: Tensor) -> Tensor:
        probabilities: Tensor = model((images - mean) / std).logits.sigmoid()
        return probabilities

    return judge
