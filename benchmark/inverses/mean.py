"""The floor: the mean training image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from benchmark.inverses.base import Inverse
from benchmark.inverses.spec import InverseConfig
from benchmark.targets.taps import Features

__all__ = ["MeanInverse"]


class MeanInverse(Inverse):
    """Returns one image, `image` (3, H, W), for every input and tap."""

    method = "mean"
    image: Tensor

    def __init__(self, config: InverseConfig) -> None:
        super().__init__(config)
        self.register_buffer("image", torch.zeros(3, *config.input_size))

    def invert(self, features: Mapping[str, Features]) -> dict[str, Tensor]:
        """See Inverse."""
        return {name: self.image.expand(item.tensor.shape[0], -1, -1, -1) for name, item in features.items()}

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Set the image to the mean over batches of training images (N, 3, H, W), summed in float64."""
        total, count = torch.zeros_like(self.image, dtype=torch.float64), 0
        for images in batches:
            total += images.cpu().sum(0, dtype=torch.float64)
            count += images.shape[0]
        self.image.copy_(total / count)
