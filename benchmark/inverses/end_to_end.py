"""Classic inversion: for each tap a network of its own, trained to give the image (Dosovitskiy and Brox 2016)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from benchmark.inverses.blocks import ReadingBlock, stack
from benchmark.inverses.deconvolution import Deconvolution, apply_in_parts, to_map
from benchmark.inverses.spec import InverseConfig
from benchmark.inverses.standardized import StandardizedInverse
from benchmark.targets.taps import Features

__all__ = ["EndToEndInverse"]

MOST_LAYERS = 512


class _Spatial(nn.Module):
    """Features that lie on a grid: convolutions of 3x3 with a residual path, so that neighbours tell of each other."""

    def __init__(self, channels: int, width: int, layers: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.enter = nn.Conv2d(channels, width, 1)
        self.layers = stack(
            layers, lambda _: nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))
        )

    def forward(self, features: Tensor) -> Tensor:
        cells: Tensor = self.enter(to_map(features, self.grid))
        for layer in self.layers:
            cells = cells + layer(cells)
        return cells


class _Scattered(nn.Module):
    """Features that lie on no grid, such as the states of DETR's queries: learned cells of a grid read them."""

    def __init__(
        self, shape: tuple[int, ...], width: int, layers: int, heads: int, ratio: int, grid: tuple[int, int]
    ) -> None:
        super().__init__()
        tokens, channels = shape
        self.grid = grid
        self.enter = nn.Linear(channels, width)
        self.names = nn.Parameter(torch.randn(tokens, width) * 0.02)
        self.cells = nn.Parameter(torch.randn(grid[0] * grid[1], width) * 0.02)
        self.layers = stack(layers, lambda _: ReadingBlock(width, heads, ratio))
        self.norm = nn.LayerNorm(width)

    def forward(self, features: Tensor) -> Tensor:
        memory = self.enter(features)
        cells = torch.zeros_like(self.cells).expand(len(features), -1, -1)
        for layer in self.layers:
            cells = layer(cells, self.cells, memory, self.names)
        return to_map(self.norm(cells), self.grid)


class EndToEndInverse(StandardizedInverse):
    """A network for each tap, which share nothing, on standardized features.

    `architecture` holds `width` (channels), `layers` before the transposed convolutions, and `heads` and `ratio` of
    those that read features without a grid, which come to the grid of the first tap; `sequences` holds `image`, see
    `Deconvolution`.
    """

    method = "end_to_end"

    def __init__(self, config: InverseConfig) -> None:
        super().__init__(config, tuple(config.taps))
        if not config.grids:
            raise ValueError("no tap has a grid")
        if len(config.taps) * config.architecture["layers"] > MOST_LAYERS:
            raise ValueError(f"all taps together have more than {MOST_LAYERS} layers")
        self.parts = nn.ModuleDict({self.key(tap): self._build(tap) for tap in config.taps})

    def _build(self, tap: str) -> nn.Module:
        config, numbers = self.config, self.config.architecture
        shape, width, layers = config.taps[tap], numbers["width"], numbers["layers"]
        if tap in config.grids:
            grid = config.grids[tap]
            first: nn.Module = _Spatial(shape[0] if len(shape) == 3 else shape[1], width, layers, grid)
        else:
            grid = next(iter(config.grids.values()))
            first = _Scattered(shape, width, layers, numbers["heads"], numbers["ratio"], grid)
        return nn.Sequential(first, Deconvolution(width, self._widths(grid), grid, config.input_size))

    def _widths(self, grid: tuple[int, int]) -> Sequence[int]:
        """Return the channels of the transposed convolutions: for a coarser grid than the first tap's, more of them."""
        widths = self.config.sequences["image"]
        finest = next(iter(self.config.grids.values()))
        return (*[widths[0]] * ((finest[0] // grid[0]).bit_length() - 1), *widths)

    def invert(self, features: Mapping[str, Features]) -> dict[str, Tensor]:
        """See Inverse."""
        recons = {}
        for tap, item in features.items():
            network, tensor = self.parts[self.key(tap)], self.standardize(tap, item.tensor)
            recons[tap] = network(tensor) if self.training else apply_in_parts(network, tensor, self.config.input_size)
        return recons
