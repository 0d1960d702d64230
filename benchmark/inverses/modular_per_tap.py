"""Modular inversion after arXiv 2412.06534 with one inverse network per tap, chained back to the image.

Each module maps the features at a tap to those at the tap that fed it, and the last one to the image. All
chains that pass the same module run through it as one batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.inverses.blocks import Block, ResidualBlock
from benchmark.inverses.chain import IMAGE, ChainedInverse, Link
from benchmark.inverses.spec import InverseConfig

__all__ = ["ModularPerTapInverse", "previous_tap"]


def previous_tap(tap: str, taps: tuple[str, ...]) -> str:
    """Return the tap that fed the component ending at `tap`; `image` for the first.

    A decoder layer reads the encoder's memory, so every decoder tap leads back to the last encoder tap.
    """
    if tap.startswith("decoder."):
        return [name for name in taps if name.startswith("encoder.")][-1]
    index = taps.index(tap)
    return taps[index - 1] if index else IMAGE


class _Tokens(nn.Module):
    """Inverse of a layer that keeps its tokens: one block with a residual from input to output."""

    def __init__(self, source: tuple[int, ...], goal: tuple[int, ...], heads: int) -> None:
        super().__init__()
        self.block = Block(source[-1], heads)
        self.out = nn.Linear(source[-1], goal[-1])

    def forward(self, tokens: Tensor, position: Tensor | None) -> Tensor:
        return self.out(self.block(tokens, position))


class _Map(_Tokens):
    """Inverse of the first encoder layer: tokens back to the backbone's map (N, C, h, w)."""

    def __init__(self, source: tuple[int, ...], goal: tuple[int, ...], heads: int) -> None:
        super().__init__(source, (goal[0],), heads)
        self.grid = goal[1:]

    def forward(self, tokens: Tensor, position: Tensor | None) -> Tensor:
        return super().forward(tokens, position).transpose(1, 2).unflatten(2, self.grid)


class _Unmerge(nn.Module):
    """Inverse of a Swin stage: each token becomes 2x2 tokens where the grid was merged, then one block."""

    def __init__(self, source: tuple[int, ...], goal: tuple[int, ...], grid: tuple[int, int], heads: int) -> None:
        super().__init__()
        self.grid, self.factor = grid, round((goal[0] / source[0]) ** 0.5)
        self.spread = nn.Linear(source[-1], goal[-1] * self.factor**2)
        self.block = Block(goal[-1], heads)
        self.out = nn.Linear(goal[-1], goal[-1])

    def forward(self, tokens: Tensor, position: Tensor | None) -> Tensor:
        spread = self.spread(tokens).transpose(1, 2).unflatten(2, self.grid)
        return self.out(self.block(F.pixel_shuffle(spread, self.factor).flatten(2).transpose(1, 2), None))


class _UnmergeMap(nn.Module):
    """Inverse of a stage of convolutions: each cell becomes 2x2 cells where the map was halved, then one block."""

    def __init__(self, source: tuple[int, ...], goal: tuple[int, ...]) -> None:
        super().__init__()
        factor = goal[1] // source[1]
        self.spread = nn.Sequential(nn.Conv2d(source[0], goal[0] * factor**2, 1), nn.PixelShuffle(factor))
        self.block, self.out = ResidualBlock(goal[0]), nn.Conv2d(goal[0], goal[0], 1)

    def forward(self, cells: Tensor, position: Tensor | None) -> Tensor:
        recovered: Tensor = self.out(self.block(self.spread(cells)))
        return recovered


class _Queries(nn.Module):
    """Inverse of the decoder: learned cells read the decoder's states, then attend to each other."""

    def __init__(self, source: tuple[int, ...], goal: tuple[int, ...], heads: int) -> None:
        super().__init__()
        self.names = nn.Parameter(torch.randn(source[0], source[1]) * 0.02)
        self.cells = nn.Parameter(torch.randn(goal[0], goal[1]) * 0.02)
        self.read, self.settle = Block(goal[1], heads), Block(goal[1], heads)
        self.out = nn.Linear(goal[1], goal[1])

    def forward(self, tokens: Tensor, position: Tensor | None) -> Tensor:
        cells = self.cells.expand(tokens.shape[0], -1, -1)
        cells = self.read(cells, position, memory=tokens + self.names)
        return self.out(self.settle(cells, position))


class _Heads(nn.Module):
    """Inverse of the detection heads: logits and box of each query back to its state, with a learned query name."""

    def __init__(self, source: tuple[int, ...], goal: tuple[int, ...]) -> None:
        super().__init__()
        width = goal[1]
        self.names = nn.Parameter(torch.randn(source[0], width) * 0.02)
        self.spread = nn.Linear(source[1], width)
        self.mlp = nn.Sequential(nn.GELU(), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, tokens: Tensor, position: Tensor | None) -> Tensor:
        return self.mlp(self.spread(tokens) + self.names)


class _ImageStep(nn.Module):
    """Inverse of the backbone or of the embeddings: transposed convolutions of stride 2, beside a linear path.

    Where doublings do not give the image's size (patches of 14 pixels), what they give is resized.
    """

    def __init__(self, channels: int, grid: tuple[int, int], height: int) -> None:
        super().__init__()
        factor = height // grid[0]
        self.grid = grid
        self.linear = nn.Sequential(nn.Conv2d(channels, 3 * factor**2, 1), nn.PixelShuffle(factor))
        layers: list[nn.Module] = []
        width = 64
        while factor > 1:
            layers += [nn.ConvTranspose2d(channels, width, 4, stride=2, padding=1), nn.BatchNorm2d(width)]
            layers.append(nn.ReLU(inplace=True))
            channels, width, factor = width, width // 2, factor // 2
        self.stack = nn.Sequential(*layers, nn.Conv2d(channels, 3, 3, padding=1))

    def forward(self, features: Tensor, position: Tensor | None) -> Tensor:
        if features.ndim == 3:
            rows, columns = self.grid
            features = features[:, -rows * columns :].transpose(1, 2).unflatten(2, self.grid)
        image, details = self.linear(features), self.stack(features)
        if details.shape != image.shape:
            details = F.interpolate(details, size=image.shape[2:], mode="bilinear", align_corners=False)
        return (image + details).sigmoid()


class ModularPerTapInverse(ChainedInverse):
    """The chain of inverse modules of one target; `architecture` holds `heads`.

    Modules work on standardized features: per token and channel the training mean is taken off, per channel
    the deviation is divided out.
    """

    method = "modular_per_tap"

    def __init__(self, config: InverseConfig) -> None:
        taps = tuple(config.taps)
        super().__init__(config, [Link(tap, (tap,), previous_tap(tap, taps)) for tap in taps])

    def build(self, link: Link) -> nn.Module:
        """See ChainedInverse."""
        shapes, heads = self.config.taps, self.config.architecture["heads"]
        tap, source = link.tap, shapes[link.tap]
        if link.before == IMAGE:
            channels = source[0] if len(source) == 3 else source[1]
            return _ImageStep(channels, self.config.grids[tap], self.config.input_size[0])
        goal = self.goal(link)
        if tap == "prediction":
            return _Heads(source, goal)
        if tap.startswith("decoder."):
            return _Queries(source, goal, heads)
        if tap.startswith("stage.") and len(source) == 3:
            return _UnmergeMap(source, goal)
        if tap.startswith("stage."):
            return _Unmerge(source, goal, self.config.grids[tap], heads)
        return _Map(source, goal, heads) if len(goal) == 3 else _Tokens(source, goal, heads)
