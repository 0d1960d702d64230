"""Transposed convolutions from features to an image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Deconvolution", "apply_in_parts", "to_map"]

CPU_BATCH_PX = 2**17
"""So many pixels of images at once on a CPU: maps as large as images are soon more than its caches hold."""


def apply_in_parts(network: Callable[[Tensor], Tensor], features: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the images (N, 3, *size) that a frozen network makes of features (N, ...); on a CPU a few at a time."""
    if features.device.type != "cpu":
        return network(features)
    together = max(1, CPU_BATCH_PX // (size[0] * size[1]))
    return torch.cat([network(part) for part in features.split(together)])


def to_map(features: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return features as a map (N, C, h, w): maps as they are, of tokens (N, T, C) the last ones, those of the grid."""
    if features.ndim == 4:
        return features
    return features[:, -grid[0] * grid[1] :].transpose(1, 2).unflatten(2, grid)


class Deconvolution(nn.Module):
    """Features back to the image: transposed convolutions of stride 2, batch norm, at last a sigmoid.

    `widths` are the channels between those of the features and 3. Where there are more layers than doublings lead to
    the image's size, the first keeps the size (1x1), and then the last (3x3), too. Where doublings lead past the
    image's size (patches of 14 pixels), what they give is resized.
    """

    def __init__(self, channels: int, widths: Sequence[int], grid: tuple[int, int], size: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.size = size
        doublings = max(math.ceil(math.log2(whole / part)) for whole, part in zip(size, grid, strict=True))
        sides = (channels, *widths, 3)
        more = len(sides) - 1 - doublings
        if not 0 <= more <= 2:
            raise ValueError(f"{len(sides) - 1} layers do not lead from {grid[0]}x{grid[1]} to {size[0]}x{size[1]}")
        layers: list[nn.Module] = []
        for place, (before, after) in enumerate(pairwise(sides)):
            if place == 0 and more > 0:
                layers.append(nn.Conv2d(before, after, 1))
            elif after == 3 and more > 1:
                layers.append(nn.Conv2d(before, after, 3, padding=1))
            else:
                layers.append(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1))
            layers += [nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers[:-2], nn.Sigmoid())

    def forward(self, features: Tensor, position: Tensor | None = None) -> Tensor:
        """Return images of features (N, C, h, w) or of tokens, of which those of the grid come last."""
        images: Tensor = self.layers(to_map(features, self.grid))
        return images if images.shape[-2:] == self.size else F.interpolate(images, size=self.size, mode="area")
