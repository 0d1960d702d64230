"""Images to train inverses on: scenes without end, or the photographs that a suite does not evaluate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.datasets.base import ImageSet
from benchmark.files.pixels import to_tensor
from benchmark.train.ahead import make_ahead
from benchmark.train.drawing import draw_images

__all__ = ["Photographs", "Scenes", "TrainingImages"]


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
        """Yield the batch of each step, in their order."""
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


class Photographs(TrainingImages):
    """Photographs at one size, drawn in an order that is shuffled anew for each time through."""

    def __init__(
        self, images: ImageSet, size: tuple[int, int], description: str, seed: int, device: torch.device
    ) -> None:
        self.images, self.size, self.description = images, size, description
        self.seed, self.device, self.count = seed, device, len(images.ids)

    def batch(self, step: int, size: int) -> Tensor:
        """See TrainingImages."""
        count, pixels = len(self.images.ids), []
        for position in range(step * size, (step + 1) * size):
            order = np.random.default_rng([self.seed, position // count]).permutation(count)
            pixels.append(self.images.load(int(order[position % count]), self.size).image)
        return to_tensor(np.stack(pixels), self.device)

    def key(self) -> dict[str, Any]:
        """See TrainingImages."""
        return {"photographs": self.images.fingerprint(), "size": list(self.size), "seed": self.seed}
