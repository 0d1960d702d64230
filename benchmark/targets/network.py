"""Loading a transformers network from a folder that may come from anyone: strict, local, bounded, frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from benchmark.errors import IntegrityError, SpecError, UserError, first_line
from benchmark.files.pointers import refuse_pointer
from benchmark.targets.config import CONFIG, read_network_config
from benchmark.targets.files import INDEX, find_weights

__all__ = ["list_tensors", "load_network"]

FLOATS = {"F64", "F32", "F16", "BF16"}
COUNTER = ".num_batches_tracked"  # of batch norm in training; evaluation never reads it
SLACK = 2**22  # elements: tables that a network computes by itself
LEAST = 2**10  # what a tensor counts at least, so that no number of empty ones is free


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a safetensors file; raises IntegrityError for what is wrong with it, SpecError for a pointer to it."""
    refuse_pointer(path)
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        message = f"not a whole safetensors file: {type(error).__name__}: {first_line(error)}"
        raise IntegrityError(message, where=str(path)) from None


def _iter_files(folder: Path) -> Iterator[tuple[Path, Any]]:
    """Yield each file of a network's weights, opened; raises IntegrityError for one that the index contradicts."""
    for path, stated in find_weights(folder).items():
        with _opened(path) as file:
            strange = sorted(set(file.keys()).symmetric_difference(stated)) if stated is not None else []
            if strange:
                raise IntegrityError(f"tensor '{strange[0]}' is not where {INDEX} says", where=str(path))
            yield path, file


def list_tensors(folder: Path) -> set[str]:
    """Return the names of a network's tensors.

    Raises:
        SpecError: no weights, or a malformed index.
        IntegrityError: not safetensors, or not what the index says.
    """
    return {name for _, file in _iter_files(folder) for name in file.keys()}  # noqa: SIM118


def _read_weights(folder: Path, unused: tuple[str, ...]) -> tuple[dict[str, Tensor], int]:
    """Return the tensors in float32, but those whose names begin with one of `unused`, and how many elements all have.

    Raises:
        SpecError, IntegrityError: as `list_tensors`; or tensors are quantized or not finite.
    """
    weights, elements = {}, 0
    for path, file in _iter_files(folder):
        where = str(path)
        elements += sum(torch.Size(file.get_slice(name).get_shape()).numel() for name in file.keys())  # noqa: SIM118
        for name in file.keys():  # noqa: SIM118
            if name.startswith(unused):
                continue
            kind = file.get_slice(name).get_dtype()
            if kind not in {*FLOATS, "I64"}:
                raise IntegrityError(f"tensor '{name}' has the number type {kind}", where=where)
            tensor = file.get_tensor(name)
            # A copy: aligned in memory, and it outlives the file.
            weights[name] = tensor.to(torch.float32, copy=True) if kind in FLOATS else tensor.clone()
            if kind in FLOATS and not weights[name].isfinite().all():
                raise IntegrityError(f"tensor '{name}' is not finite", where=where)
    return weights, elements


@contextmanager
def _no_larger_than(elements: int, where: str) -> Iterator[None]:
    """Stop the building of a network whose tensors would hold more than `elements`, before anything is allocated.

    Transformers builds on the meta device, where tensors have a shape and no memory.

    Raises:
        IntegrityError: it is larger.
    """
    left = elements + SLACK

    def count(module: nn.Module, name: str, tensor: Tensor | None) -> None:
        nonlocal left
        if tensor is not None and tensor.is_meta:
            left -= max(tensor.numel(), LEAST)
            if left < 0:
                raise IntegrityError("describes a larger network than its weights hold", where=where)

    handles = [register_module_parameter_registration_hook(count), register_module_buffer_registration_hook(count)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _check_keys(loading_info: dict[str, Any], where: str) -> None:
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        names = sorted(key if isinstance(key, str) else key[0] for key in loading_info[what])
        names = [name for name in names if not name.endswith(COUNTER)]
        if names:
            raise IntegrityError(f"{what.replace('_', ' ')}: {names[0]}", where=where)


def load_network(
    model_class: Any,
    folder: Path,
    device: torch.device,
    *,
    prepare: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    convert: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict,
    unused: tuple[str, ...] = (),
    options: Mapping[str, Any] = {},
) -> Any:
    """Load a transformers network from a folder in Hub layout: strict, frozen, float32, in eval mode.

    Only `config.json` and the weights are read (`find_weights`). Weights of another precision (float16) become float32.
    Memory stays within about three times what the weights take in float32, whatever `config.json` says.

    Args:
        model_class: class of transformers.
        folder: where the files lie.
        device: where the network goes.
        prepare: what `config.json` says -> the configuration of `model_class`.
        convert: the weights by the names that the files give them -> by those that transformers knows.
        unused: prefixes of the names of weights that belong to parts that the network does not have.
        options: further arguments of `model_class`.

    Raises:
        SpecError: a file is absent or malformed, or does not describe a `model_class`.
        IntegrityError: weights are missing, unexpected, of another shape or not finite, so that part of the
            network would be random; or the network is larger than its weights.
    """
    where = str(folder / CONFIG)
    settings = prepare(read_network_config(folder))
    expected = model_class.config_class.model_type
    if settings.get("model_type") != expected:
        raise SpecError(f"describes a '{settings.get('model_type')}', not a '{expected}'", where=where)
    weights, elements = _read_weights(folder, unused)
    try:
        with _no_larger_than(elements, where):
            model, loading_info = model_class.from_pretrained(
                None,
                config=model_class.config_class.from_dict(settings),
                state_dict=convert(weights),
                dtype=torch.float32,
                ignore_mismatched_sizes=True,  # so that they are told; they are refused below
                output_loading_info=True,
                **options,
            )
    except UserError:
        raise
    except ImportError as error:
        raise SpecError(
            f"needs a package that is not installed: {type(error).__name__}: {first_line(error)}", where=where
        ) from None
    except Exception as error:  # what a configuration can make transformers raise has no bounds
        raise SpecError(
            f"transformers cannot build it: {type(error).__name__}: {first_line(error)}", where=where
        ) from None
    _check_keys(loading_info, str(next(iter(find_weights(folder)))))
    if getattr(model.config, "num_channels", 3) != 3:
        raise SpecError("'num_channels' is not 3", where=where)
    return model.eval().requires_grad_(False).to(device)
