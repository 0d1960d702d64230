"""Deep image prior: the image as the output of an untrained convolutional network (Ulyanov, Vedaldi, Lempitsky 2018).

The network's weights are what is fitted to the features of one image at one tap; that it can make images more easily
than noise is all that is known beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmark.inverses.descent import DescentInverse

__all__ = ["DeepPriorInverse"]

CHANNELS = 32
DOUBLINGS = 4
SLOPE = 0.1


class DeepPriorInverse(DescentInverse):
    """Descends on the weights of a decoder for each image and tap; see DescentInverse.

    From fixed noise of a sixteenth of the image's size: convolutions of 3x3, each followed by instance norm, a leaky
    ReLU and bilinear enlargement, then one of 1x1 and a sigmoid.
    """

    method = "deep_prior"
    steps = 100
    rate = 0.01

    def start(self, generators: Sequence[torch.Generator]) -> list[Tensor]:
        """See DescentInverse: the kernels, and for each of the inner layers gains and offsets."""
        shapes = [*[(CHANNELS, CHANNELS, 3, 3)] * (DOUBLINGS + 1), (3, CHANNELS, 1, 1)]
        drawn = [
            [torch.randn(shape, generator=generator) * (2 / (shape[1] * shape[2] ** 2)) ** 0.5 for shape in shapes]
            for generator in generators
        ]
        kernels = [torch.stack(layer) for layer in zip(*drawn, strict=True)]
        inner = (len(generators), DOUBLINGS + 1, CHANNELS)
        return [*kernels, torch.ones(inner), torch.zeros(inner)]

    def _sizes(self) -> list[tuple[int, int]]:
        """Return the sizes of the inner layers' maps, from coarse to the image's."""
        height, width = self.config.input_size
        return [(-(-height // 2**k), -(-width // 2**k)) for k in reversed(range(DOUBLINGS + 1))]

    def draw(self, parts: Sequence[Tensor]) -> Tensor:
        """See DescentInverse.

        One network after the other: in a batch they would round differently, and such descents make much of little.
        """
        return torch.cat([self._draw_one([part[row] for part in parts]) for row in range(len(parts[0]))])

    def _draw_one(self, parts: Sequence[Tensor]) -> Tensor:
        *kernels, last, gains, offsets = parts
        sizes = self._sizes()
        noise = torch.randn(1, CHANNELS, *sizes[0], generator=torch.Generator().manual_seed(0))
        maps = noise.to(gains.device)
        for layer, kernel in enumerate(kernels):
            if layer:
                maps = F.interpolate(maps, size=sizes[layer], mode="bilinear", align_corners=False)
            maps = F.instance_norm(F.conv2d(maps, kernel, padding=1), weight=gains[layer], bias=offsets[layer])
            maps = F.leaky_relu(maps, SLOPE)
        return F.conv2d(maps, last).sigmoid()
