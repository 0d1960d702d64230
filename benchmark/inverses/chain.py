"""Inverses that lead from a tap back to the image through a chain of networks, which chains of several taps share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from benchmark.inverses.deconvolution import apply_in_parts
from benchmark.inverses.spec import InverseConfig
from benchmark.inverses.standardized import StandardizedInverse
from benchmark.targets.taps import Features

__all__ = ["IMAGE", "ChainedInverse", "Link"]

IMAGE = "image"


class Link(NamedTuple):
    """One network of a chain: from the standardized features of `tap` to those of the link `before`, or to `image`.

    Attributes:
        name: its own; taps whose chains begin here are named in `taps`.
        tap: the one at whose features it was trained, the last of `taps`.
    """

    name: str
    taps: tuple[str, ...]
    before: str

    @property
    def tap(self) -> str:
        return self.taps[-1]


class ChainedInverse(StandardizedInverse):
    """An inverse made of links, from shallow to deep; a subclass builds the network of each.

    A link's network is called with standardized features (N, ...) and position encodings (N, tokens, channels) or None.

    Attributes:
        raw: taps whose features are not standardized.
    """

    raw: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, config: InverseConfig, links: Sequence[Link]) -> None:
        super().__init__(config, tuple(link.tap for link in links if link.tap not in self.raw))
        self.links = {link.name: link for link in links}
        self.parts = nn.ModuleDict({self.key(link.name): self.build(link) for link in links})

    @abstractmethod
    def build(self, link: Link) -> nn.Module:
        """Return the network of a link."""

    def goal(self, link: Link) -> tuple[int, ...]:
        """Return the shape of the features that a link leads to; there is one before it."""
        return self.config.taps[self.links[link.before].tap]

    def route(self, tap: str) -> str:
        """See Inverse: the link at which the chain begins."""
        return next(link.name for link in self.links.values() if tap in link.taps)

    def step(self, name: str, standardized: Tensor, position: Tensor | None) -> Tensor:
        """Return the standardized features before link `name` (or the image) from those of its tap."""
        recovered: Tensor = self.parts[self.key(name)](standardized, position)
        return recovered

    def _step_all(self, link: Link, tensors: Sequence[Tensor], position: Tensor | None) -> list[Tensor]:
        """Take a step with the features of several chains: all at once, but for the last step on a CPU."""
        if link.before == IMAGE and tensors[0].device.type == "cpu":
            last = partial(self.step, link.name, position=None)
            return [apply_in_parts(last, tensor, self.config.input_size) for tensor in tensors]
        positions = None if position is None else position.repeat(len(tensors), 1, 1)
        return list(self.step(link.name, torch.cat(list(tensors)), positions).chunk(len(tensors)))

    def invert(self, features: Mapping[str, Features]) -> dict[str, Tensor]:
        """See Inverse."""
        waiting: dict[str, list[tuple[str, Tensor]]] = {name: [] for name in (*self.links, IMAGE)}
        for link in self.links.values():
            for tap in link.taps:
                if tap in features:
                    waiting[link.name].append((tap, self.standardize(link.tap, features[tap].tensor)))
        position = next(iter(features.values())).position
        for link in reversed(self.links.values()):
            if arrived := waiting.pop(link.name):
                origins, tensors = zip(*arrived, strict=True)
                waiting[link.before] += zip(origins, self._step_all(link, tensors, position), strict=True)
        recons = dict(waiting[IMAGE])
        return {tap: recons[tap] for tap in features}
