"""The protocol of inverses, and their storage as `config.json` + `model.safetensors`."""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmark.errors import IntegrityError, SpecError, first_line, located
from benchmark.files.declarations import explain
from benchmark.files.pointers import refuse_pointer
from benchmark.files.storing import replacing, write_text
from benchmark.inverses.building import build_bounded, build_outline, unstored_of
from benchmark.inverses.faults import blame
from benchmark.inverses.spec import METHODS, InverseConfig, get_method
from benchmark.inverses.weights import count_stored, fill, pack, read_tensors, refuse_lost
from benchmark.targets.base import Target
from benchmark.targets.taps import Features

__all__ = [
    "MAX_BYTES", "Inverse", "Inverter", "build_inverse", "count_bytes", "count_parameters", "load_inverse",
    "pack_inverse", "read_config", "rebuild_inverse", "save_inverse",
]  # fmt: skip

MAX_BYTES = 8 * 10**9
"""Largest inverse that is loaded; the reference work's largest has a twentieth of it."""

ANOTHER_SEED = 314_159_265  # which no training is likely to have


class Inverter(Protocol):
    """What an evaluation asks of an inverse, whether it runs in this process or in another; see Inverse."""

    config: InverseConfig
    target: Target | None

    @property
    def needs_target(self) -> bool: ...

    def route(self, tap: str) -> str: ...

    def invert(self, features: Mapping[str, Features]) -> dict[str, Tensor]: ...


class Inverse(nn.Module, ABC):
    """Maps features to reconstructions.

    A subclass is built from its configuration alone, so that shapes are known before any weight is read. Parameters and
    persistent buffers are stored; all else that it holds must follow from the configuration. The recon of a
    tap is a function of that tap's features, the weights and the seed of the image and the tap, and of nothing else:
    not of other taps, not of earlier calls. `invbench verify` looks for what breaks this.

    Attributes:
        method: its id.
        needs_target: whether `target` is to be there before `invert` is called: a frozen copy of the network, of its
            own, for methods that descend on its features (under `torch.enable_grad()`).
    """

    method: ClassVar[str]
    needs_target: ClassVar[bool] = False
    target: Target | None = None

    def __init__(self, config: InverseConfig) -> None:
        super().__init__()
        self.config = config

    def route(self, tap: str) -> str:
        """Return the name of what the features of a tap go through.

        Whoever gives taps one route promises the same recon for the same features, whichever of them they come from:
        they are then compared once.
        """
        return tap

    @abstractmethod
    def invert(self, features: Mapping[str, Features]) -> dict[str, Tensor]:
        """Return a recon for each tap in `features`; called under `torch.no_grad()`.

        Args:
            features: by tap name; any subset of the configuration's taps but none (and, for oracles, `input`). What is
                random comes from their `generators()`.

        Returns:
            By tap name, float32 RGB (N, 3, H, W); values outside [0, 1] are clamped by the caller.
        """


def _find_class(method: str) -> type[Inverse]:
    module, name = get_method(method).implementation.split(":")
    found: type[Inverse] = getattr(import_module(module), name)
    return found


def build_inverse(config: InverseConfig) -> Inverse:
    """Return the inverse that a configuration describes, with fresh weights.

    Raises:
        NotFoundError: no such method.
    """
    return _find_class(config.method)(config)


@contextmanager
def _told(inverse_class: type[Inverse]) -> Iterator[None]:
    """Turn what a constructor raises into one line: of the file that holds it, or of the configuration.

    Raises:
        SpecError: instead of whatever else.
    """
    method = getattr(inverse_class, "method", inverse_class.__name__)
    file = getattr(sys.modules.get(inverse_class.__module__), "__file__", None)
    try:
        with blame(Path(file) if file and method not in METHODS else None):
            yield
    except KeyError as error:
        message = f"describes no '{method}' inverse: {error} is missing in 'architecture' or 'sequences'"
        raise SpecError(message, where="config.json") from None
    except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
        message = f"describes no '{method}' inverse: {first_line(error)}"
        raise SpecError(message, where="config.json") from None


def rebuild_inverse(config: InverseConfig) -> Inverse:
    """Return the inverse that a configuration describes, as every process builds it: nothing depends on a seed.

    Raises:
        NotFoundError: no such method.
        SpecError: the configuration does not fit the method, or describes more than `MAX_BYTES`.
    """
    inverse_class = _find_class(config.method)
    with _told(inverse_class):
        return build_bounded(partial(inverse_class, config), MAX_BYTES)


def _outline(inverse_class: type[Inverse], config: InverseConfig) -> Inverse:
    """Return an inverse without memory for its weights, if its code allows that; see `build_outline`."""
    with _told(inverse_class):
        foreign = inverse_class.__module__.partition(".")[0] != __name__.partition(".")[0]
        return build_outline(partial(inverse_class, config), MAX_BYTES, foreign=foreign)


def _unwrap(inverse: nn.Module) -> Inverse:
    """Return the inverse inside what `torch.compile` made of it."""
    inner = getattr(inverse, "_orig_mod", inverse)
    if not isinstance(inner, Inverse):
        raise SpecError(f"a {type(inner).__name__} is no inverse", cure="save the module that it wraps")
    return inner


def pack_inverse(inverse: nn.Module) -> tuple[InverseConfig, dict[str, Tensor]]:
    """Return what `save_inverse` would write: the configuration and the tensors by name, on the CPU.

    Raises:
        SpecError: the constructor would not make this inverse again, or a number does not fit.
    """
    inner = _unwrap(inverse)
    config, inverse_class = inner.config, type(inner)
    tensors = pack(inner, _outline(inverse_class, config), config.storage)
    if unstored_of(inner):
        refuse_lost(inner, build_bounded(partial(inverse_class, config), MAX_BYTES, ANOTHER_SEED))
    return config, tensors


def save_inverse(inverse: nn.Module, folder: Path) -> None:
    """Write `config.json` and `model.safetensors` to `folder`; numbers as the configuration's `storage` says.

    Whatever is written `load_inverse` reads. Of tensors that share their memory one is written. A compiled inverse, or
    one with compiled parts, is written as if it were not compiled; one in half precision as its constructor makes it.

    Raises:
        SpecError: as `pack_inverse`.
    """
    with located(folder):
        config, tensors = pack_inverse(inverse)
    write_text(folder / "config.json", json.dumps(config.model_dump(mode="json"), indent=1) + "\n")
    with replacing(folder / "model.safetensors") as temporary:
        try:
            save_file(tensors, str(temporary))
        except SafetensorError as error:  # also what it calls a full disk
            raise OSError(str(error)) from None


def read_config(path: Path) -> InverseConfig:
    """Read the `config.json` of a stored inverse.

    Raises:
        SpecError: absent, or not such a configuration; names the field.
    """
    refuse_pointer(path)
    try:
        return InverseConfig.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise SpecError("no such file", where=str(path), cure="train it: invbench train inverse --help") from None
    except ValidationError as error:
        raise explain(error, str(path)) from None


def count_bytes(config: InverseConfig) -> int:
    """Return how many bytes the tensors of an inverse take in its file, at most.

    Without making them, unless the code of a submission asks for their values as it builds them.

    Raises:
        SpecError: the configuration's numbers do not fit together, or ask for more than `MAX_BYTES`.
    """
    outline = _outline(_find_class(config.method), config)
    if (size := count_stored(outline, config.storage)) > MAX_BYTES:
        message = f"describes {size / 1e9:.1f} GB of weights; {MAX_BYTES / 1e9:.0f} GB are allowed"
        raise SpecError(message, where="config.json")
    return size


def count_parameters(config: InverseConfig) -> int:
    """Return how many parameters the inverse has that a configuration describes; none is made.

    Raises:
        SpecError: see `count_bytes`.
    """
    return sum(parameter.numel() for parameter in _outline(_find_class(config.method), config).parameters())


def load_inverse(folder: Path, device: torch.device) -> Inverse:
    """Read a stored inverse, frozen and in eval mode. Only safetensors are read and nothing is executed.

    Names and shapes of the tensors are compared with the configuration before any is allocated. Then the inverse is
    built for real, so that what its constructor computes is there, and given its weights. What is stored as float16 is
    computed with in the type that the constructor chose, float32 as a rule.

    Raises:
        SpecError: a file is absent or malformed.
        IntegrityError: tensors are missing, unexpected, of another shape or type, or not finite.
    """
    config = read_config(folder / "config.json")
    count_bytes(config)
    path = folder / "model.safetensors"
    try:
        refuse_pointer(path)
        tensors = read_tensors(path, _outline(_find_class(config.method), config), config.storage)
    except FileNotFoundError:
        raise SpecError("no such file", where=str(path), cure="train it: invbench train inverse --help") from None
    except SafetensorError as error:
        raise IntegrityError(f"not a safetensors file: {error}", where=str(path)) from None
    inverse = rebuild_inverse(config)
    fill(inverse, tensors)
    return inverse.eval().requires_grad_(False).to(device)
