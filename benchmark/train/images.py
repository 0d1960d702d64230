"""Images to train inverses on: what every source offers, and scenes without end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import closing
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmark.files.pixels import to_tensor
from benchmark.train.ahead import make_ahead
from benchmark.train.drawing import draw_images

__all__ = ["Scenes", "TrainingImages"]


class TrainingImages(ABC):
    """A seeded stream of images.

    Attributes:
        seed: decides every batch.
        count: how many different images there are; None: without end.
        description: what a stored inverse says that it was trained on.
    """

    seed: int
    count: int | None = None
    description: str

    @abstractmethod
    def batch(self, step: int, size: int) -> Tensor:
        """Return what step `step` sees: float32 RGB in [0, 1], (size, 3, H, W)."""

    def batches(self, size: int, steps: range) -> Generator[Tensor, None, None]:
        """Yield the batch of each step, in their order; no other is made."""
        yield from (self.batch(step, size) for step in steps)

    @abstractmethod
    def key(self) -> dict[str, Any]:
        """JSON values that differ for other images; code and libraries aside, they decide every batch."""


class Scenes(TrainingImages):
    """Training scenes of the embedded suite, 96x96: never the same twice; `workers` processes draw them ahead."""

    description = "scenes, split train"

    def __init__(self, seed: int, device: torch.device, workers: int = 0) -> None:
        self.seed, self.device, self.workers = seed, device, workers

    def batch(self, step: int, size: int) -> Tensor:
        """See TrainingImages."""
        return to_tensor(draw_images(self.seed, size, step), self.device)

    def batches(self, size: int, steps: range) -> Generator[Tensor, None, None]:
        """See TrainingImages."""
        with closing(make_ahead(partial(draw_images, self.seed, size), steps, self.workers)) as images:
            for pixels in images:
                yield to_tensor(pixels, self.device)

    def key(self) -> dict[str, Any]:
        """See TrainingImages."""
        return {"scenes": "train", "seed": self.seed}
