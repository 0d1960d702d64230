"""Networks that label images, as functions from images to label probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

__all__ = ["LabelProbabilities", "has_exclusive_labels"]


class LabelProbabilities:
    """RGB in [0, 1] (N, 3, H, W) -> label probabilities (N, L).

    Args:
        logits: images -> logits (N, L).
        exclusive_labels: whether the probabilities are one distribution over the labels (softmax) or one of each
            label by itself (sigmoid).
    """

    def __init__(self, logits: Callable[[Tensor], Tensor], *, exclusive_labels: bool) -> None:
        self._logits = logits
        self.exclusive_labels = exclusive_labels

    def __call__(self, images: Tensor) -> Tensor:
        logits = self._logits(images)
        return logits.softmax(1) if self.exclusive_labels else logits.sigmoid()


def has_exclusive_labels(config: Any) -> bool:
    """Return whether the labels of a transformers configuration exclude each other."""
    return config.problem_type != "multi_label_classification"
