"""A counter of the work of computations: operations of products, and bytes that all else reads and writes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from benchmark.diagnostics.costs import Workload

__all__ = ["Counter", "count_work", "counting"]

FREE = {"_unsafe_view", "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
"""Operations that move nothing, beside views."""


def _bytes(tensor: Tensor) -> int:
    """Bytes of a tensor; of one that was expanded, those of its memory."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


class Counter(TorchDispatchMode):
    """Adds up the floating-point operations of products, and the bytes that all else reads and writes.

    A filter of images, a convolution from one channel to one, is no product here: each of its pixels reads its
    neighbors and is written.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = 0
        self.moved = 0
        self.paused = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        result = func(*args, **given)
        packet = func._overloadpacket
        if self.paused or func.is_view or func.namespace != "aten" or packet.__name__ in FREE:
            return result
        if packet is torch.ops.aten.convolution and args[1].shape[:2] == (1, 1):
            self.moved += _bytes(result) * (args[1].numel() + 1)
        elif packet in flop_registry:
            self.operations += flop_registry[packet](*args, **given, out_val=result)
        else:
            leaves = tree_leaves((args, given, result))
            self.moved += sum(_bytes(leaf) for leaf in leaves if isinstance(leaf, Tensor))
        return result

    @property
    def work(self) -> Workload:
        """All that was counted."""
        return Workload(self.operations / 1e12, self.moved / 1e9)


class _Whole(TorchFunctionMode):
    """Counts attention as the two products that it is, whatever kernel a device has for it.

    On the meta device every question about values is answered with yes, such as whether all numbers are finite.
    """

    def __init__(self, counter: Counter) -> None:
        super().__init__()
        self._counter = counter

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if func is Tensor.__bool__ and args[0].is_meta:
            return True
        if func is not F.scaled_dot_product_attention or self._counter.paused:
            return func(*args, **given)
        query, key, value = (args + tuple(given.get(name) for name in ("query", "key", "value")[len(args) :]))[:3]
        self._counter.operations += (
            2 * math.prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1])
        )
        self._counter.paused = True
        try:
            return func(*args, **given)
        finally:
            self._counter.paused = False


@contextmanager
def counting() -> Iterator[Counter]:
    """Count the work of all that is computed inside, in this thread."""
    counter = Counter()
    with torch.no_grad(), _Whole(counter), counter:
        yield counter


def count_work(compute: Callable[[], object]) -> Workload:
    """Return the work of a computation."""
    with counting() as counter:
        compute()
    return counter.work
