"""Building modules of which only their own code knows how large they are, and what tensors they then have.

An *outline* has shapes and types, but memory for its small tensors only. A module that is built for real holds what
its constructor computes: buffers that are not stored, plain attributes, numbers taken out of tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchmark.errors import SpecError

__all__ = ["build_bounded", "build_outline", "plain_name", "state_of", "unstored_of"]

Module = TypeVar("Module", bound=nn.Module)
COMPILED = "_orig_mod."
SMALL_BYTES = 2**16


class _Sized(TorchDispatchMode):
    """Knows how large a new tensor will be before it is made, and makes large ones without memory, or not at all.

    Args:
        real_bytes: larger tensors are made on the meta device, where they have a shape and no memory.
        max_bytes: of all new tensors together; raises SpecError beyond.
    """

    def __init__(self, real_bytes: float, max_bytes: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._real_bytes, self._max_bytes, self._left = real_bytes, max_bytes, max_bytes

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        given = dict(kwargs or {})
        if (made := _make_on_meta(func, args, given)) is not None:
            self._left -= made.nbytes
            if self._left < 0:
                message = f"describes an inverse that takes more than the {self._max_bytes / 1e9:.0f} GB allowed"
                raise SpecError(message, where="config.json")
            if made.nbytes > self._real_bytes:
                return made
        return func(*args, **given)


def _make_on_meta(func: Any, args: Any, given: dict[str, Any]) -> Tensor | None:
    """Return what an operation makes, but without memory; None if it makes nothing new, or what depends on values."""
    if not any(argument.name == "device" for argument in func._schema.arguments):
        return None
    changes: dict[str, Any] = {"device": torch.device("meta"), "pin_memory": False}
    if "generator" in given:
        changes["generator"] = None
    try:
        made = func(*args, **(given | changes))
    except Exception:  # operations say in many ways that they need values
        return None
    return made if isinstance(made, Tensor) else None


@contextmanager
def _drawing_from(seed: int) -> Iterator[None]:
    """Seed what is drawn on the CPU inside the context; afterwards the generator is where it was before."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _build(build: Callable[[], Module], sizes: _Sized, seed: int) -> Module:
    with _drawing_from(seed), torch.device("cpu"), sizes:
        return build()


def build_bounded(build: Callable[[], Module], max_bytes: int, seed: int = 0) -> Module:
    """Build a module on the CPU; what it draws depends on `seed` alone.

    Raises:
        SpecError: it would make more than `max_bytes` of tensors; found out before they are made.
    """
    return _build(build, _Sized(math.inf, max_bytes), seed)


def build_outline(build: Callable[[], Module], max_bytes: int, *, foreign: bool) -> Module:
    """Build the outline of a module, in which only small tensors have memory.

    If `foreign` code asks for values of large ones as well, the module is built for real; see `build_bounded`.

    Raises:
        SpecError: it had to be built, and takes more than `max_bytes`.
    """
    try:
        return _build(build, _Sized(SMALL_BYTES, math.inf), 0)
    except Exception:  # tensors without memory have no values, which shows in many ways
        if not foreign:
            raise
    return build_bounded(build, max_bytes)


def plain_name(name: str) -> str:
    """Return the name of a tensor without what `torch.compile` adds to it."""
    return name.replace(COMPILED, "")


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a module's state by name, whether or not parts of it are compiled.

    Raises:
        SpecError: a part has further state of its own (`get_extra_state`), or tensors without a shape.
    """
    state = {plain_name(name): value for name, value in module.state_dict().items()}
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise SpecError(f"'{name}' is no tensor", cure="keep state in parameters and buffers")
        if nn.parameter.is_lazy(value):
            raise SpecError(f"tensor '{name}' has no shape yet", cure="give the sizes of lazy layers")
    return state


def unstored_of(module: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a module that are not in its state: non-persistent buffers and plain attributes."""
    state = state_of(module)
    found = {plain_name(name): buffer for name, buffer in module.named_buffers()}
    for prefix, part in module.named_modules():
        own = ((name, value) for name, value in vars(part).items() if isinstance(value, Tensor))
        found |= {plain_name(f"{prefix}.{name}".lstrip(".")): value for name, value in own}
    return {name: tensor for name, tensor in found.items() if name not in state}
