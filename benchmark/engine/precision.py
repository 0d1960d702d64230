"""The arithmetic of official scores, float32 without TF32 and deterministic kernels, and what may change it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch

__all__ = ["MICRO_BATCHES", "OFFICIAL", "Arithmetic", "Precision", "float32"]

Precision = Literal["float32", "bfloat16"]
MICRO_BATCHES = (8, 4, 2, 1)


@dataclass(frozen=True)
class Arithmetic:
    """How target and inverse compute. Metrics are always computed in float32.

    Attributes:
        precision: with bfloat16 the networks run under autocast; such scores are not ranked.
        compiled: whether the inverse is compiled; such scores are not ranked.
        micro_batch: so many images of a tile go through the networks at once, one of `MICRO_BATCHES`; recons differ in
            their last bits.
    """

    precision: Precision = "float32"
    compiled: bool = False
    micro_batch: int = MICRO_BATCHES[0]

    def autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        """Return the context that networks run in."""
        return nullcontext() if self.precision == "float32" else torch.autocast(device.type, torch.bfloat16)


OFFICIAL = Arithmetic()


def _operations() -> list[Any]:
    """Operations with a precision of their own; PyTorch has them since 2.9, beside the switches for all."""
    backends = torch.backends
    if not hasattr(backends.cuda.matmul, "fp32_precision"):
        return []
    cudnn: Any = backends.cudnn
    mkldnn: Any = backends.mkldnn
    return [backends.cuda.matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv, mkldnn.rnn]


def _unless_contradictory(read: Callable[[], Any]) -> Any:
    """Value of a switch for all; None where PyTorch refuses to name one, since an operation was set to another."""
    try:
        return read()
    except RuntimeError:
        return None


@contextmanager
def float32() -> Iterator[None]:
    """Compute in float32 without TF32 and with deterministic kernels; afterwards everything is as it was before.

    Whatever computes a score enters it, also as a decorator. It may be nested.
    """
    cudnn, operations = torch.backends.cudnn, _operations()
    matmul = _unless_contradictory(torch.get_float32_matmul_precision)
    convolutions = _unless_contradictory(lambda: cudnn.allow_tf32)
    kernels, single = (cudnn.benchmark, cudnn.deterministic), [item.fp32_precision for item in operations]
    try:
        torch.set_float32_matmul_precision("highest")
        cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic = False, False, True
        for item in operations:
            item.fp32_precision = "ieee"
        yield
    finally:
        # The switches for all first: they set the single operations, too.
        if matmul is not None:
            torch.set_float32_matmul_precision(matmul)
        if convolutions is not None:
            cudnn.allow_tf32 = convolutions
        cudnn.benchmark, cudnn.deterministic = kernels
        for item, value in zip(operations, single, strict=True):
            item.fp32_precision = value
