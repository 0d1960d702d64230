"""The held-out judge: a classifier that is no target of the suite."""

from __future__ import annotations

import json

import torch
from torch import Tensor
from transformers import ResNetForImageClassification

from benchmark.spec import Source
from benchmark.targets.base import load_network
from benchmark.targets.labels import LabelProbabilities

__all__ = ["load_judge"]


def load_judge(source: Source, device: torch.device) -> LabelProbabilities:
    """Return the judge: RGB in [0, 1] (N, 3, H, W) -> label probabilities (N, labels).

    Raises:
        SpecError, IntegrityError: the network is absent or incomplete.
    """
    folder = source.directory()
    model = load_network(ResNetForImageClassification, folder, device)
    preprocessor = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    mean, std = (torch.tensor(preprocessor[k], device=device).view(1, 3, 1, 1) for k in ("image_mean", "image_std"))

    def logits(images: Tensor) -> Tensor:
        return model((images - mean) / std).logits

    return LabelProbabilities(logits, exclusive_labels=model.config.problem_type != "multi_label_classification")
