"""Blocks that inverse networks are built of. All are pre-norm: norm, operation, sum."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Attention", "Block", "ReadingBlock", "ResidualBlock", "WindowBlock", "feed_forward", "stack"]

MOST_LAYERS = 64
"""More than any encoder that is inverted has: a configuration from elsewhere must not ask for minutes of building."""


def stack(layers: int, make: Callable[[int], nn.Module]) -> nn.ModuleList:
    """Return layers one after the other, `make(place)` each; raises ValueError for none or more than 64."""
    if not 0 < layers <= MOST_LAYERS:
        raise ValueError(f"{layers} layers are not between 1 and {MOST_LAYERS}")
    return nn.ModuleList(make(place) for place in range(layers))


def feed_forward(width: int, ratio: int) -> nn.Sequential:
    """Return the two linear layers of a block, the inner one `ratio` times as wide."""
    return nn.Sequential(nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width))


class Attention(nn.Module):
    """Scaled dot-product attention with several heads (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"{heads} heads do not divide a width of {width}")
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return what queries (..., T, width) read from values (..., S, width) with keys of the same shape.

        `bias` is added to the scores: float, broadcast to (..., heads, T, S).
        """
        query, key, value = (
            layer(tokens).unflatten(-1, (self.heads, -1)).transpose(-3, -2)
            for layer, tokens in ((self.query, queries), (self.key, keys), (self.value, values))
        )
        read = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        attended: Tensor = self.out(read.transpose(-3, -2).flatten(-2))
        return attended


class Block(Attention):
    """An encoder block, with position encodings added to queries and keys if given."""

    def __init__(self, width: int, heads: int, ratio: int = 2) -> None:
        super().__init__(width, heads)
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = feed_forward(width, ratio)

    def forward(self, tokens: Tensor, position: Tensor | None = None, memory: Tensor | None = None) -> Tensor:
        """Return tokens (N, T, width) after attention to `memory` (default: themselves)."""
        normed = self.norm_attention(tokens)
        positioned = normed if position is None else normed + position
        source, key_source = (normed, positioned) if memory is None else (memory, memory)
        tokens = tokens + self.attend(positioned, key_source, source)
        return tokens + self.mlp(self.norm_mlp(tokens))


class ResidualBlock(nn.Module):
    """A bottleneck of convolutions (He et al. 2016): 1x1 to a quarter of the channels, 3x3, 1x1 back, sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // 4)
        layers: list[nn.Module] = []
        for before, after, side in ((channels, inner, 1), (inner, inner, 3), (inner, channels, 1)):
            layers += [nn.BatchNorm2d(before), nn.ReLU(), nn.Conv2d(before, after, side, padding=side // 2)]
        self.layers = nn.Sequential(*layers)

    def forward(self, cells: Tensor) -> Tensor:
        """Return a map of the shape of `cells` (N, channels, h, w)."""
        changed: Tensor = cells + self.layers(cells)
        return changed


class ReadingBlock(nn.Module):
    """A decoder block: attention among the tokens, attention to a memory, feed-forward."""

    def __init__(self, width: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.among, self.reading = Attention(width, heads), Attention(width, heads)
        self.norm_among, self.norm_reading, self.norm_mlp = (nn.LayerNorm(width) for _ in range(3))
        self.mlp = feed_forward(width, ratio)

    def forward(self, tokens: Tensor, position: Tensor, memory: Tensor, memory_position: Tensor) -> Tensor:
        """Return tokens (N, T, width) that have read `memory` (N, S, width).

        Positions, broadcast to tokens and to memory, are added to queries and keys, never to values.
        """
        normed = self.norm_among(tokens)
        tokens = tokens + self.among.attend(normed + position, normed + position, normed)
        queries = self.norm_reading(tokens) + position
        tokens = tokens + self.reading.attend(queries, memory + memory_position, memory)
        return tokens + self.mlp(self.norm_mlp(tokens))


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _relative_places(window: int, device: torch.device) -> Tensor:
    """Return which entry of a table of (2 window - 1)^2 offsets belongs to two cells of a window, int64 (w^2, w^2)."""
    rows, columns = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    places = torch.stack((rows.flatten(), columns.flatten()))
    down, across = places[:, :, None] - places[:, None] + window - 1
    return (down * (2 * window - 1) + across).to(device)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _strangers(grid: tuple[int, int], window: int, shift: int, device: torch.device) -> Tensor:
    """Return -inf where two cells of a window stand together only because the grid was rolled, else 0.

    float32 (windows, 1, w^2, w^2).
    """
    limits = (torch.tensor([side - window, side - shift]) for side in grid)
    down, across = (
        torch.bucketize(torch.arange(side), limit, right=True) for side, limit in zip(grid, limits, strict=True)
    )
    rows, columns = (side // window for side in grid)
    regions = (down[:, None] * 3 + across).view(rows, window, columns, window).transpose(1, 2)
    cells = regions.reshape(rows * columns, 1, window**2)
    return torch.zeros(()).masked_fill(cells[..., None] != cells[..., None, :], -torch.inf).to(device)


class WindowBlock(Attention):
    """A block whose tokens attend within windows of a grid, shifted by half a window if asked (Liu et al. 2021)."""

    def __init__(
        self, width: int, heads: int, ratio: int, grid: tuple[int, int], window: int, *, shifted: bool
    ) -> None:
        super().__init__(width, heads)
        self.grid, self.window = grid, min(window, *grid)
        if window < 1 or grid[0] % self.window or grid[1] % self.window:
            raise ValueError(f"windows of {window} do not divide a grid of {grid[0]}x{grid[1]}")
        self.shift = self.window // 2 if shifted and self.window < min(grid) else 0
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = feed_forward(width, ratio)
        self.offsets = nn.Parameter(torch.zeros(heads, (2 * self.window - 1) ** 2))

    def _split(self, tokens: Tensor) -> Tensor:
        """Return tokens (N, rows, columns, width) by window: (N, windows, w^2, width)."""
        rows, columns = (side // self.window for side in self.grid)
        windows = tokens.unflatten(1, (rows, self.window)).unflatten(3, (columns, self.window))
        return windows.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def _join(self, windows: Tensor) -> Tensor:
        """Undo `_split`."""
        rows, columns = (side // self.window for side in self.grid)
        tokens = windows.unflatten(2, (self.window, self.window)).unflatten(1, (rows, columns))
        return tokens.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens (N, rows * columns, width) after attention within windows."""
        cells = self.norm_attention(tokens).unflatten(1, self.grid)
        if self.shift:
            cells = cells.roll((-self.shift, -self.shift), (1, 2))
        windows = self._split(cells)
        bias = self.offsets[:, _relative_places(self.window, tokens.device)]
        if self.shift:
            bias = bias + _strangers(self.grid, self.window, self.shift, tokens.device)
        read = self._join(self.attend(windows, windows, windows, bias))
        if self.shift:
            read = read.roll((self.shift, self.shift), (1, 2))
        tokens = tokens + read.flatten(1, 2)
        return tokens + self.mlp(self.norm_mlp(tokens))
