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
    ReLU and bilinear enlargement, then one of 1x1 and a sigmoid. Networks of a batch run side by side as groups.
    """

    method = "deep_prior"
    steps = 100
    rate = 0.02

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
        """See DescentInverse."""
        *kernels, last, gains, offsets = parts
        count, sizes = len(gains), self._sizes()
        noise = torch.randn(1, CHANNELS, *sizes[0], generator=torch.Generator().manual_seed(0))
        maps = noise.to(gains.device).repeat(1, count, 1, 1)
        for layer, kernel in enumerate(kernels):
            if layer:
                maps = F.interpolate(maps, size=sizes[layer], mode="bilinear", align_corners=False)
            maps = F.conv2d(maps, kernel.flatten(0, 1), padding=1, groups=count)
            maps = F.instance_norm(maps, weight=gains[:, layer].flatten(), bias=offsets[:, layer].flatten())
            maps = F.leaky_relu(maps, SLOPE)
        return F.conv2d(maps, last.flatten(0, 1), groups=count).unflatten(1, (count, 3))[0].sigmoid()
