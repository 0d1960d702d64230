"""Modular inversion of arXiv 2412.06534: one inverse network per component of the target, chained back to the image.

A component is what its authors invert as a whole: the backbone, encoder, decoder and prediction heads of DETR, the
embeddings and the encoder of a ViT, the embeddings and each stage of a Swin or ResNet. Its inverse has the component's
own shape and is trained to give the component's input from its output; taps inside a component go through the same
network, as in the paper's analysis of layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.inverses.blocks import Block, ReadingBlock, ResidualBlock, WindowBlock, stack
from benchmark.inverses.chain import IMAGE, ChainedInverse, Link
from benchmark.inverses.deconvolution import Deconvolution
from benchmark.inverses.spec import InverseConfig

__all__ = ["ModularInverse", "find_components"]

BOX = 4


def find_components(taps: Sequence[str]) -> list[Link]:
    """Return the components that taps belong to, from shallow to deep.

    All taps named alike before a dot are one component, but for stages, each of which is one.
    """
    members: dict[str, list[str]] = {}
    for tap in taps:
        members.setdefault(tap if tap.startswith("stage.") else tap.split(".")[0], []).append(tap)
    return [
        Link(name, tuple(own), before)
        for (name, own), before in zip(members.items(), (IMAGE, *members), strict=False)
    ]  # fmt: skip


class _Encoder(nn.Module):
    """Inverse of an encoder: as many blocks of the same shape; to a map (C, h, w) where the encoder reads one."""

    def __init__(self, width: int, goal: tuple[int, ...], layers: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.grid = goal[1:] if len(goal) == 3 else None
        self.blocks = stack(layers, lambda _: Block(width, heads, ratio))
        self.out = nn.Linear(width, goal[0] if self.grid else goal[-1])

    def forward(self, tokens: Tensor, position: Tensor | None) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens, position)
        recovered: Tensor = self.out(tokens)
        return recovered.transpose(1, 2).unflatten(2, self.grid) if self.grid else recovered


class _Decoder(nn.Module):
    """Inverse of a decoder: queries, which are the position encodings, read its states, which have learned names."""

    def __init__(self, source: tuple[int, ...], goal: tuple[int, ...], layers: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.names = nn.Parameter(torch.randn(source) * 0.02)
        self.blocks = stack(layers, lambda _: ReadingBlock(source[1], heads, ratio))
        self.norm = nn.LayerNorm(source[1])
        self.out = nn.Linear(source[1], goal[-1])

    def forward(self, states: Tensor, position: Tensor) -> Tensor:
        tokens = torch.zeros_like(position)
        for block in self.blocks:
            tokens = block(tokens, position, states, self.names)
        recovered: Tensor = self.out(self.norm(tokens))
        return recovered


class _Prediction(nn.Module):
    """Inverse of detection heads: the most likely class, one-hot, and the box of each query back to its state."""

    def __init__(self, source: tuple[int, ...], widths: Sequence[int], goal: tuple[int, ...]) -> None:
        super().__init__()
        sides = (source[-1], *widths, goal[-1])
        layers: list[nn.Module] = []
        for before, after in pairwise(sides):
            layers += [nn.Linear(before, after), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, prediction: Tensor, position: Tensor | None) -> Tensor:
        logits, boxes = prediction[..., :-BOX], prediction[..., -BOX:]
        labels = F.one_hot(logits.argmax(-1), logits.shape[-1]).to(boxes.dtype)
        recovered: Tensor = self.layers(torch.cat((labels, boxes), dim=-1))
        return recovered


class _Stage(nn.Module):
    """Inverse of a Swin stage: each token becomes 2x2 tokens where the stage merged them, then blocks of its shape."""

    def __init__(
        self, source: tuple[int, ...], goal: tuple[int, ...], grid: tuple[int, int], layers: int, heads: int,
        ratio: int, window: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.grid, self.factor = grid, round((goal[0] / source[0]) ** 0.5)
        finer = (grid[0] * self.factor, grid[1] * self.factor)
        self.spread = nn.Linear(source[-1], goal[-1] * self.factor**2)
        self.blocks = stack(
            layers, lambda place: WindowBlock(goal[-1], heads, ratio, finer, window, shifted=place % 2 == 1)
        )
        self.out = nn.Linear(goal[-1], goal[-1])

    def forward(self, tokens: Tensor, position: Tensor | None) -> Tensor:
        spread = self.spread(tokens).transpose(1, 2).unflatten(2, self.grid)
        tokens = F.pixel_shuffle(spread, self.factor).flatten(2).transpose(1, 2)
        for block in self.blocks:
            tokens = block(tokens)
        recovered: Tensor = self.out(tokens)
        return recovered


class _MapStage(nn.Module):
    """Inverse of a stage of convolutions: each cell becomes 2x2 cells where the stage halved the map, then blocks."""

    def __init__(self, source: tuple[int, ...], goal: tuple[int, ...], layers: int) -> None:
        super().__init__()
        factor = goal[1] // source[1]
        self.spread = nn.Sequential(nn.Conv2d(source[0], goal[0] * factor**2, 1), nn.PixelShuffle(factor))
        self.blocks = stack(layers, lambda _: ResidualBlock(goal[0]))
        self.out = nn.Conv2d(goal[0], goal[0], 1)

    def forward(self, cells: Tensor, position: Tensor | None) -> Tensor:
        cells = self.spread(cells)
        for block in self.blocks:
            cells = block(cells)
        recovered: Tensor = self.out(cells)
        return recovered


class ModularInverse(ChainedInverse):
    """The chain of component inverses of one target, on standardized features.

    `architecture` holds `layers` and `heads` of encoder and decoder, `ratio` (width of the feed-forward layers over
    that of the tokens) and, for stages, `window`; `sequences` holds `image` (channels of the transposed convolutions)
    and, as far as the target has them, `prediction` (widths of its layers), `stage_layers` and `stage_heads`. Stages of
    convolutions, whose features are maps, need `stage_layers` alone.
    """

    method = "modular"
    raw = frozenset({"prediction"})

    def __init__(self, config: InverseConfig) -> None:
        super().__init__(config, find_components(tuple(config.taps)))

    def build(self, link: Link) -> nn.Module:
        """See ChainedInverse."""
        config, source = self.config, self.config.taps[link.tap]
        numbers, sequences = config.architecture, config.sequences
        if link.before == IMAGE:
            channels = source[0] if len(source) == 3 else source[1]
            return Deconvolution(channels, sequences["image"], config.grids[link.tap], config.input_size)
        goal = self.goal(link)
        if link.name == "prediction":
            return _Prediction(source, sequences["prediction"], goal)
        if link.name.startswith("stage."):
            place = [name for name in self.links if name.startswith("stage.")].index(link.name)
            if len(source) == 3:
                return _MapStage(source, goal, sequences["stage_layers"][place])
            layers, heads = (sequences[name][place] for name in ("stage_layers", "stage_heads"))
            grid = config.grids[link.tap]
            return _Stage(source, goal, grid, layers, heads, numbers["ratio"], numbers["window"])
        shape = numbers["layers"], numbers["heads"], numbers["ratio"]
        if link.name == "decoder":
            return _Decoder(source, goal, *shape)
        return _Encoder(source[-1], goal, *shape)
