"""What the targets made of patch tokens and blocks share."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from benchmark.targets.base import Target
from benchmark.targets.taps import Features, Point, first

__all__ = ["TokenTarget"]


class TokenTarget(Target):
    """Features are (N, further + rows * columns, channels): the tokens of patches come last, row by row.

    The further ones are those that the network has: a class token, first, and registers.

    - `embeddings`: what the first block reads;
    - `encoder.i`: after each block, before the final layer norm.

    Subclasses name the classes of the embeddings and of the blocks.
    """

    embeddings_class: ClassVar[type[nn.Module]]
    block_class: ClassVar[type[nn.Module]]

    def get_embeddings(self) -> nn.Module:
        """Return the module whose output the first block reads."""
        return next(module for module in self.model.modules() if isinstance(module, self.embeddings_class))

    def get_points(self) -> dict[str, Point]:
        """See Target."""
        blocks = [module for module in self.model.modules() if isinstance(module, self.block_class)]
        points = {"embeddings": Point(self.get_embeddings(), first)}
        return points | {f"encoder.{i}": Point(block, first) for i, block in enumerate(blocks)}

    def make_features(self, name: str, tensor: Tensor, side: dict[str, Tensor]) -> Features:
        """See Target; the grid counts patches."""
        patch = self.model.config.patch_size
        height, width = self.spec.input_size
        return Features(tensor, grid=(height // patch, width // patch))
