"""Inverses that work on standardized features."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.inverses.base import Inverse
from benchmark.inverses.spec import InverseConfig

__all__ = ["StandardizedInverse"]

SMALLEST_DEVIATION = 1e-3


class StandardizedInverse(Inverse):
    """Has the moments of some taps: the training mean of each token and channel, the deviation of each channel.

    The mean of a token holds what does not depend on the image, such as a position embedding.
    """

    def __init__(self, config: InverseConfig, taps: tuple[str, ...]) -> None:
        super().__init__(config)
        self.standardized = taps
        for tap in taps:
            shape = config.taps[tap]
            spread = (shape[0], 1, 1) if len(shape) == 3 else (1, shape[1])
            self.register_buffer(f"mean_{self.key(tap)}", torch.zeros(shape))
            self.register_buffer(f"deviation_{self.key(tap)}", torch.ones(spread))

    @staticmethod
    def key(tap: str) -> str:
        """Return the name of a tap as a module name."""
        return tap.replace(".", "_")

    def set_moments(self, tap: str, mean: Tensor, variance: Tensor) -> None:
        """Set the moments of a tap from those of its features over the training images, both of its shape.

        They are those that the file will hold: what is trained on features standardized by others would not fit.
        """
        if self.config.storage == "float16":
            halved = mean.half()
            mean = halved if halved.isfinite().all() else mean  # `save_inverse` says what does not fit
        variance = variance.mean(dim=(1, 2), keepdim=True) if variance.ndim == 3 else variance.mean(0, keepdim=True)
        self.get_buffer(f"mean_{self.key(tap)}").copy_(mean)
        deviation = variance.sqrt().clamp(min=SMALLEST_DEVIATION)
        self.get_buffer(f"deviation_{self.key(tap)}").copy_(deviation)

    def standardize(self, tap: str, features: Tensor) -> Tensor:
        """Return features (N, ...) of a tap with zero mean and unit deviation; as they are if it has no moments."""
        if tap not in self.standardized:
            return features
        mean, deviation = (self.get_buffer(f"{what}_{self.key(tap)}") for what in ("mean", "deviation"))
        return (features - mean) / deviation
