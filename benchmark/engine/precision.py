"""The arithmetic of official scores: float32 without TF32, deterministic kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["float32"]


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
