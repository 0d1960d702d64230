"""Capturing features with hooks: one forward, all taps, no further than needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Features", "Point", "capture", "first"]


@dataclass(frozen=True, eq=False)
class Features:
    """What a tap yields.

    Attributes:
        tensor: the features: (N, tokens, channels), or (N, channels, h, w) for maps.
        grid: (rows, columns) of the spatial tokens, where the tokens are spatial.
        position: position encodings (N, tokens, channels) that the stage adds to its tokens, if it does.
        valid: bool (N, tokens), False where a token is padding; None where nothing is padded.
        seeds: one per image, of the image and the tap alone; none in training.
    """

    tensor: Tensor
    grid: tuple[int, int] | None = None
    position: Tensor | None = None
    valid: Tensor | None = None
    seeds: tuple[int, ...] = ()

    def as_map(self) -> Tensor:
        """Return the features as a map (N, channels, h, w), whatever the family.

        Maps are as they are. Of tokens those of the grid, which come last, lie at their places; tokens that have none,
        such as the states of queries, lie side by side in one row.
        """
        if self.tensor.ndim == 4:
            return self.tensor
        count = self.tensor.shape[1]
        rows, columns = self.grid if self.grid and self.grid[0] * self.grid[1] <= count else (1, count)
        return self.tensor[:, -rows * columns :].transpose(1, 2).unflatten(2, (rows, columns))

    def generators(self) -> list[torch.Generator]:
        """Return a new generator for each image, on the CPU: whatever is random in a recon is drawn from these.

        They are the same at every call, in every batch, under every perturbation and on every device.

        Raises:
            ValueError: the features have no seeds.
        """
        if len(self.seeds) != len(self.tensor):
            advice = "" if self.seeds else "; in training there are none: draw from torch's own generator"
            raise ValueError(f"{len(self.seeds)} seeds for {len(self.tensor)} images{advice}")
        return [torch.Generator().manual_seed(seed) for seed in self.seeds]


@dataclass(frozen=True)
class Point:
    """Where a tap is read: the output of `module`, passed through `read`."""

    module: nn.Module
    read: Callable[[Any], Tensor]


def first(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Return the features among the outputs of a module: the first of a tuple, or the only one."""
    return output if isinstance(output, Tensor) else output[0]


class _Reached(Exception):
    """Ends a forward pass once everything asked for is there."""


@contextmanager
def capture(points: Mapping[str, Point], *, stop: bool) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs at `points` while the model runs inside the context.

    With `stop`, the forward pass ends as soon as every point has been reached; hooks live for this context
    only, so that two captures of one model never meet.
    """
    captured: dict[str, Tensor] = {}
    reached = _Reached()

    def hook_for(name: str, point: Point) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            captured[name] = point.read(output)
            if stop and len(captured) == len(points):
                raise reached

        return hook

    with ExitStack() as stack:
        for name, point in points.items():
            stack.callback(point.module.register_forward_hook(hook_for(name, point)).remove)
        try:
            yield captured
        except _Reached as signal:
            if signal is not reached:
                raise
            # The frames that it passed hold it, and all tensors of the pass: they are to be freed now.
            signal.__traceback__ = None
