"""The tensors of an inverse and those of its file: what is written, what is read, and what has to agree.

Compared is always with an *outline*: what the constructor makes of the configuration alone. Tensors that are one there
(tied weights, modules used twice) are one in the file.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from benchmark.errors import IntegrityError, SpecError
from benchmark.inverses.building import plain_name, state_of, unstored_of
from benchmark.inverses.spec import Storage

__all__ = ["count_numbers", "count_stored", "fill", "pack", "read_tensors", "refuse_lost"]


def _stored_type(tensor: Tensor, storage: Storage) -> torch.dtype:
    """Return the type that a tensor of an outline has in the file."""
    return torch.float16 if storage == "float16" and tensor.is_floating_point() else tensor.dtype


def _firsts(module: nn.Module) -> dict[str, str]:
    """Return, for each tensor of a module's state, the name of the first that is the same memory: often its own."""
    state = state_of(module)
    storages = {name: tensor.untyped_storage() for name, tensor in state.items()}  # held, so that ids stay theirs
    found: dict[tuple[Any, ...], str] = {}
    return {
        name: found.setdefault(
            (id(storages[name]), tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype), name
        )
        for name, tensor in state.items()
    }


def count_stored(outline: nn.Module, storage: Storage) -> int:
    """Return how many bytes the tensors of an inverse take in its file, ties not considered: at most."""
    return sum(tensor.numel() * _stored_type(tensor, storage).itemsize for tensor in state_of(outline).values())


def count_numbers(path: Path) -> int:
    """Return how many numbers the tensors of a file hold together, as its header says; no tensor is read.

    Raises:
        SpecError: there is no such file.
        IntegrityError: it is no safetensors file.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except FileNotFoundError:
        raise SpecError("no such file", where=str(path), cure="train it: invbench train inverse --help") from None
    except SafetensorError as error:
        raise IntegrityError(f"not a safetensors file: {error}", where=str(path)) from None


def _refuse_others(own: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for name in sorted(own.keys() | expected.keys()):
        shape, wanted = (str(tuple(state[name].shape)) if name in state else "absent" for state in (own, expected))
        if shape != wanted:
            message = f"tensor '{name}' is {shape}, but {wanted} in an inverse that is built from its configuration"
            raise SpecError(message, cure="let the constructor alone decide which tensors there are")


def pack(module: nn.Module, outline: nn.Module, storage: Storage) -> dict[str, Tensor]:
    """Return what the file of an inverse holds, on the CPU and by name.

    Raises:
        SpecError: the outline has other tensors, or a number is not finite or does not fit its type.
    """
    own, expected, firsts = state_of(module), state_of(outline), _firsts(outline)
    _refuse_others(own, expected)
    packed: dict[str, Tensor] = {}
    for name, first in firsts.items():
        tensor = own[name].detach()
        if first != name:
            if not torch.equal(own[first], tensor):
                message = f"tensors '{first}' and '{name}' differ, but are one in an inverse that is built"
                raise SpecError(message, cure="let the constructor alone decide which tensors are shared")
            continue
        packed[name] = tensor.to("cpu", _stored_type(expected[name], storage), copy=True).contiguous()
        if not packed[name].isfinite().all():
            kind = str(packed[name].dtype).removeprefix("torch.")
            fits = bool(tensor.isfinite().all())
            message = f"tensor '{name}' {f'does not fit {kind}' if fits else 'is not finite'}"
            raise SpecError(message, cure="set 'storage' to float32" if fits and storage == "float16" else None)
    return packed


def _check_header(file: Any, names: dict[str, str], outline: nn.Module, where: str) -> None:
    """Compare the names and shapes in a file with an outline; raises IntegrityError."""
    expected, firsts = state_of(outline), _firsts(outline)
    held = {firsts[name] for name in names if name in firsts}
    if unexpected := sorted(names.keys() - expected.keys()):
        raise IntegrityError(f"unexpected tensor '{unexpected[0]}'", where=where)
    if missing := sorted(name for name in expected if firsts[name] not in held):
        raise IntegrityError(f"missing tensor '{missing[0]}'", where=where)
    for name, stored in names.items():
        shape, wanted = tuple(file.get_slice(stored).get_shape()), tuple(expected[name].shape)
        if shape != wanted:
            raise IntegrityError(f"tensor '{name}' is {shape}, its config says {wanted}", where=where)


def read_tensors(path: Path, outline: nn.Module, storage: Storage) -> dict[str, Tensor]:
    """Return the tensors of a file by the names in the outline's state, tied ones under each of their names.

    Names and shapes are compared before any tensor is read. Of tied tensors the file holds one, or equal ones.

    Raises:
        FileNotFoundError, SafetensorError: as `safe_open` does.
        IntegrityError: tensors are missing, unexpected, of another shape or type, not finite, or tied and different.
    """
    where, expected, firsts = str(path), state_of(outline), _firsts(outline)
    with safe_open(path, framework="pt", device="cpu") as file:
        names = {plain_name(name): name for name in file.keys()}  # noqa: SIM118
        _check_header(file, names, outline, where)
        tensors = {name: file.get_tensor(stored) for name, stored in names.items()}
    of_first: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.dtype != (wanted := _stored_type(expected[name], storage)):
            raise IntegrityError(f"tensor '{name}' is {tensor.dtype}, not {wanted}", where=where)
        if not torch.isfinite(tensor).all():
            raise IntegrityError(f"tensor '{name}' is not finite", where=where)
        if not torch.equal(of_first.setdefault(firsts[name], tensor), tensor):
            raise IntegrityError(f"tensor '{name}' differs from one that it is tied to", where=where)
    return {name: of_first[firsts[name]] for name in expected}


def fill(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Give a module the tensors of its state, in the types that it has, in place: whatever refers to its own stays.

    Raises:
        SpecError: it has others by now than its outline had.
    """
    for part in module.modules():
        for name, buffer in part.named_buffers(recurse=False):
            if any(step == 0 and size > 1 for step, size in zip(buffer.stride(), buffer.shape, strict=True)):
                setattr(part, name, buffer.clone())  # an expanded tensor cannot be written to
    names = {plain_name(name): name for name in module.state_dict()}
    try:
        module.load_state_dict({names.get(name, name): tensor for name, tensor in tensors.items()}, strict=True)
    except RuntimeError as error:
        message = f"cannot be filled with its weights: {' '.join(str(error).split()):.300}"
        raise SpecError(message, where=type(module).__name__) from None


def refuse_lost(module: nn.Module, fresh: nn.Module) -> None:
    """Refuse tensors outside of a module's state of which a freshly built one has others: they would be lost.

    What a fresh one lacks, or holds empty, is taken for a cache.

    Raises:
        SpecError: names the first.
    """
    again = unstored_of(fresh)
    for name, tensor in unstored_of(module).items():
        if name not in again or not again[name].numel():
            continue
        try:
            torch.testing.assert_close(again[name].to(tensor), tensor, equal_nan=True)
        except AssertionError:
            message = f"'{name}' is not stored, and the constructor gives it another value"
            raise SpecError(message, cure="make it a parameter or a persistent buffer") from None
