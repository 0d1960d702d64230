"""Inversion by optimization: descent on the image itself, with a natural-image prior (Mahendran and Vedaldi 2015)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmark.inverses.descent import DescentInverse

__all__ = ["VARIATION_WEIGHT", "OptimizeInverse", "total_variation"]

VARIATION_WEIGHT = 30.0
NOISE = 0.03


def total_variation(images: Tensor) -> Tensor:
    """Return the mean squared difference of neighboring pixels of images (N, 3, H, W), (N,): their V^beta of beta 2."""
    down, across = images.diff(dim=2), images.diff(dim=3)
    return down.square().flatten(1).mean(1) + across.square().flatten(1).mean(1)


class OptimizeInverse(DescentInverse):
    """Descends on an image, from gray with a little noise, under its total variation; see DescentInverse.

    The image is the sum of the levels of a pyramid, so that large areas find their color in as few steps as edges find
    their place: fifty such steps lead further than a hundred on the pixels alone.
    """

    method = "optimize"
    steps = 50
    rate = 0.1

    def start(self, generators: Sequence[torch.Generator]) -> list[Tensor]:
        """See DescentInverse: the levels of a pyramid, from pixels to half of the image."""
        sizes = [self.config.input_size]
        while min(sizes[-1]) > 3:
            sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
        noise = [[torch.randn(3, *size, generator=generator) for size in sizes] for generator in generators]
        return [NOISE * torch.stack(level) for level in zip(*noise, strict=True)]

    def draw(self, parts: Sequence[Tensor]) -> Tensor:
        """See DescentInverse."""
        image = parts[-1]
        for part in reversed(parts[:-1]):
            image = F.interpolate(image, size=part.shape[-2:], mode="bilinear", align_corners=False) + part
        return 0.5 + image

    def prior(self, images: Tensor) -> Tensor:
        """See DescentInverse."""
        return VARIATION_WEIGHT * total_variation(images)
