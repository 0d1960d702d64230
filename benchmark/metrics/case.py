"""What a metric sees: views of images whose derived quantities are computed once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

__all__ = ["Case", "FocalMask", "View", "quantize"]

T = TypeVar("T")
Judge = Callable[[Tensor], Tensor]


def quantize(images: Tensor) -> Tensor:
    """Clamp float images to [0, 1] and round them to 8 bits: what a stored PNG would hold."""
    return torch.round(images.clamp(0, 1) * 255) / 255


class _Memo:
    """Keeps what was derived from an object, so that it is derived once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Hashable, ...], Any] = {}

    def get(self, compute: Callable[..., T], *more: Hashable) -> T:
        """Return `compute(self, *more)`, computed at the first call only."""
        key = (compute, *more)
        if key not in self._known:
            self._known[key] = compute(self, *more)
        value: T = self._known[key]
        return value


class View(_Memo):
    """A batch of images rounded to 8 bits: `rgb` is float32 (N, 3, H, W) in [0, 1].

    The view of an original lives as long as its batch, so that whatever metrics derive from it (moments,
    edges, color cells) is shared by all taps and methods.
    """

    def __init__(self, rgb: Tensor) -> None:
        super().__init__()
        self.rgb = quantize(rgb)


class FocalMask(_Memo):
    """The focal masks of a batch: `pixels` is bool (N, H, W)."""

    def __init__(self, pixels: Tensor) -> None:
        super().__init__()
        self.pixels = pixels


@dataclass(frozen=True, eq=False)
class Case:
    """One comparison.

    Attributes:
        original: the unperturbed image (x in the metric specification).
        seen: what the target saw (x_p; equal to `original` under the identity perturbation).
        recon: the reconstruction of `seen` (y_p; y under the identity perturbation).
        mask: the focal mask of the original.
        judge: the held-out judge, luma replicated to (N, 3, H, W) in [0, 1] -> label probabilities (N, L);
            None where the suite has none.
    """

    original: View
    seen: View
    recon: View
    mask: FocalMask
    judge: Judge | None = None
