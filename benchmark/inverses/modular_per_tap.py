"""Modular inversion after arXiv 2412.06534 with one inverse network per tap, chained back to the image.

Each module maps the features at a tap to those at the tap that fed it, and the last one to the image. All
chains that pass the same module run through it as one batch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.inverses.base import Inverse
from benchmark.inverses.spec import InverseConfig
from benchmark.targets.taps import Features

__all__ = ["IMAGE", "ModularPerTapInverse", "previous_tap"]

IMAGE = "image"


def previous_tap(tap: str, taps: tuple[str, ...]) -> str:
    """Return the tap that fed the component ending at `tap`; `image` for the first.

    A decoder layer reads the encoder's memory, so every decoder tap leads back to the last encoder tap.
    """
    if tap.startswith("decoder."):
        return [name for name in taps if name.startswith("encoder.")][-1]
    index = taps.index(tap)
    return taps[index - 1] if index else IMAGE


class _Block(nn.Module):
    """A pre-norm transformer encoder block, with position encodings added to queries and keys if given."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, tokens: Tensor, position: Tensor | None, memory: Tensor | None = None) -> Tensor:
        """Return tokens (N, T, width) after attention to `memory` (default: themselves)."""
        normed = self.norm_attention(tokens)
        positioned = normed if position is None else normed + position
        source, key_source = (normed, positioned) if memory is None else (memory, memory)
        query, key, value = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, x in ((self.query, positioned), (self.key, key_source), (self.value, source))
        )
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        tokens = tokens + self.out(attended)
        return tokens + self.mlp(self.norm_mlp(tokens))


class _Tokens(nn.Module):
    """Inverse of a layer that keeps its tokens: one block with a residual from input to output."""

    def __init__(self, source: tuple[int, ...], goal: tuple[int, ...], heads: int) -> None:
        super().__init__()
        self.block = _Block(source[-1], heads)
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
        self.block = _Block(goal[-1], heads)
        self.out = nn.Linear(goal[-1], goal[-1])

    def forward(self, tokens: Tensor, position: Tensor | None) -> Tensor:
        spread = self.spread(tokens).transpose(1, 2).unflatten(2, self.grid)
        return self.out(self.block(F.pixel_shuffle(spread, self.factor).flatten(2).transpose(1, 2), None))


class _Queries(nn.Module):
    """Inverse of the decoder: learned cells read the decoder's states, then attend to each other."""

    def __init__(self, source: tuple[int, ...], goal: tuple[int, ...], heads: int) -> None:
        super().__init__()
        self.names = nn.Parameter(torch.randn(source[0], source[1]) * 0.02)
        self.cells = nn.Parameter(torch.randn(goal[0], goal[1]) * 0.02)
        self.read, self.settle = _Block(goal[1], heads), _Block(goal[1], heads)
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
    """Inverse of the backbone or of the embeddings: transposed convolutions of stride 2, beside a linear path."""

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
        return (self.linear(features) + self.stack(features)).sigmoid()


class ModularPerTapInverse(Inverse):
    """The chain of inverse modules of one target; `architecture` holds `heads`.

    Modules work on standardized features: per token and channel the training mean is taken off, per channel
    the deviation is divided out.
    """

    method = "modular_per_tap"

    def __init__(self, config: InverseConfig) -> None:
        super().__init__(config)
        self.order = tuple(config.taps)
        self.previous = {tap: previous_tap(tap, self.order) for tap in self.order}
        self.parts = nn.ModuleDict({self.key(tap): self._build(tap) for tap in self.order})
        for tap, shape in config.taps.items():
            spread = (shape[0], 1, 1) if len(shape) == 3 else (1, shape[1])
            self.register_buffer(f"mean_{self.key(tap)}", torch.zeros(shape))
            self.register_buffer(f"deviation_{self.key(tap)}", torch.ones(spread))

    @staticmethod
    def key(tap: str) -> str:
        """Return the name of a tap as a module name."""
        return tap.replace(".", "_")

    def _build(self, tap: str) -> nn.Module:
        shapes, heads = self.config.taps, self.config.architecture["heads"]
        source, before = shapes[tap], self.previous[tap]
        if before == IMAGE:
            channels = source[0] if len(source) == 3 else source[1]
            return _ImageStep(channels, self.config.grids[tap], self.config.input_size[0])
        goal = shapes[before]
        if tap == "prediction":
            return _Heads(source, goal)
        if tap.startswith("decoder."):
            return _Queries(source, goal, heads)
        if tap.startswith("stage."):
            return _Unmerge(source, goal, self.config.grids[tap], heads)
        return _Map(source, goal, heads) if len(goal) == 3 else _Tokens(source, goal, heads)

    def standardize(self, tap: str, features: Tensor) -> Tensor:
        """Return features of a tap as its module expects them: zero mean, unit deviation."""
        mean, deviation = (self.get_buffer(f"{what}_{self.key(tap)}") for what in ("mean", "deviation"))
        return (features - mean) / deviation

    def step(self, tap: str, standardized: Tensor, position: Tensor | None) -> Tensor:
        """Return the standardized features of the previous tap (or the image) from those of `tap`."""
        recovered: Tensor = self.parts[self.key(tap)](standardized, position)
        return recovered

    def invert(self, features: Mapping[str, Features]) -> dict[str, Tensor]:
        """See Inverse."""
        waiting: dict[str, list[tuple[str, Tensor]]] = {tap: [] for tap in (*self.order, IMAGE)}
        for tap, item in features.items():
            waiting[tap].append((tap, self.standardize(tap, item.tensor)))
        position = next(iter(features.values())).position
        for tap in reversed(self.order):
            if not waiting[tap]:
                continue
            origins, tensors = zip(*waiting.pop(tap), strict=True)
            if self.previous[tap] == IMAGE and tensors[0].device.type == "cpu":
                # Maps as large as images: those of all chains together are more than the caches of a CPU hold.
                recovered = [self.step(tap, tensor, position) for tensor in tensors]
            else:
                positions = None if position is None else position.repeat(len(tensors), 1, 1)
                recovered = list(self.step(tap, torch.cat(tensors), positions).chunk(len(tensors)))
            waiting[self.previous[tap]] += zip(origins, recovered, strict=True)
        recons = dict(waiting[IMAGE])
        return {tap: recons[tap] for tap in features}
