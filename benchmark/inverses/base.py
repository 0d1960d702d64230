"""The protocol of inverses, and their storage as `config.json` + `model.safetensors`."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import ClassVar

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_model
from torch import Tensor, nn

from benchmark.errors import IntegrityError, SpecError, first_line
from benchmark.files.declarations import explain
from benchmark.files.storing import replacing, write_text
from benchmark.inverses.spec import InverseConfig, get_method
from benchmark.targets.base import Target
from benchmark.targets.taps import Features

__all__ = ["MAX_BYTES", "Inverse", "build_inverse", "count_bytes", "load_inverse", "read_config", "save_inverse"]

MAX_BYTES = 8 * 10**9
"""Largest inverse that is loaded; the reference work's largest has a twentieth of it."""


class Inverse(nn.Module, ABC):
    """Maps features to reconstructions.

    A subclass is built from its configuration alone, so that shapes are known before any weight is read. The recon of a
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


def build_inverse(config: InverseConfig) -> Inverse:
    """Return the inverse that a configuration describes, with fresh weights.

    Raises:
        NotFoundError: no such method.
    """
    module, name = get_method(config.method).implementation.split(":")
    inverse_class: type[Inverse] = getattr(import_module(module), name)
    return inverse_class(config)


def _stored_type(tensor: Tensor, config: InverseConfig) -> torch.dtype:
    """Return the type that a tensor of an inverse has in its file."""
    return torch.float16 if config.storage == "float16" and tensor.is_floating_point() else tensor.dtype


def save_inverse(inverse: Inverse, folder: Path) -> None:
    """Write `config.json` and `model.safetensors` to `folder`; numbers as the configuration's `storage` says.

    Raises:
        SpecError: a number is too large for float16.
    """
    stored: nn.Module = inverse
    if inverse.config.storage == "float16":
        stored = deepcopy(inverse).half()
        for name, tensor in stored.state_dict().items():
            if not tensor.isfinite().all():
                finite = bool(inverse.state_dict()[name].isfinite().all())
                message = f"tensor '{name}' {'does not fit float16' if finite else 'is not finite'}"
                raise SpecError(message, where=str(folder), cure="set 'storage' to float32" if finite else None)
    config = inverse.config.model_dump(mode="json")
    write_text(folder / "config.json", json.dumps(config, indent=1) + "\n")
    with replacing(folder / "model.safetensors") as temporary:
        try:
            save_model(stored, str(temporary))
        except SafetensorError as error:  # also what it calls a full disk
            raise OSError(str(error)) from None


def read_config(path: Path) -> InverseConfig:
    """Read the `config.json` of a stored inverse.

    Raises:
        SpecError: absent, or not such a configuration; names the field.
    """
    try:
        return InverseConfig.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise SpecError("no such file", where=str(path), cure="train it: invbench train inverse --help") from None
    except ValidationError as error:
        raise explain(error, str(path)) from None


def _build_on_meta(config: InverseConfig) -> Inverse:
    """Return the inverse of a configuration without memory for its weights.

    Raises:
        SpecError: its numbers do not fit together.
    """
    try:
        with torch.device("meta"):
            return build_inverse(config)
    except KeyError as error:
        message = f"describes no '{config.method}' inverse: {error} is missing in 'architecture' or 'sequences'"
        raise SpecError(message, where="config.json") from None
    except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
        message = f"describes no '{config.method}' inverse: {first_line(error)}"
        raise SpecError(message, where="config.json") from None


def count_bytes(config: InverseConfig) -> int:
    """Return how many bytes the tensors of an inverse take in its file, without making them.

    Raises:
        SpecError: the configuration's numbers do not fit together, or ask for more than `MAX_BYTES`.
    """
    tensors = _build_on_meta(config).state_dict().values()
    size = sum(tensor.numel() * _stored_type(tensor, config).itemsize for tensor in tensors)
    if size > MAX_BYTES:
        message = f"describes {size / 1e9:.1f} GB of weights; {MAX_BYTES / 1e9:.0f} GB are allowed"
        raise SpecError(message, where="config.json")
    return size


def load_inverse(folder: Path, device: torch.device) -> Inverse:
    """Read a stored inverse, frozen and in eval mode. Only safetensors are read and nothing is executed.

    Names, shapes and types of the tensors are compared with the configuration before any is allocated. What is stored
    as float16 is computed with as float32.

    Raises:
        SpecError: a file is absent or malformed.
        IntegrityError: tensors are missing, unexpected, of another shape or type, or not finite.
    """
    config = read_config(folder / "config.json")
    count_bytes(config)
    inverse = _build_on_meta(config)
    path = folder / "model.safetensors"
    expected = inverse.state_dict()
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            names = set(file.keys())
            if differing := sorted(names ^ expected.keys()):
                what = "unexpected" if differing[0] in names else "missing"
                raise IntegrityError(f"{what} tensor '{differing[0]}'", where=str(path))
            for name, tensor in expected.items():
                shape = tuple(file.get_slice(name).get_shape())
                if shape != tuple(tensor.shape):
                    raise IntegrityError(
                        f"tensor '{name}' is {shape}, its config says {tuple(tensor.shape)}", where=str(path)
                    )
            weights = {name: file.get_tensor(name) for name in expected}
    except FileNotFoundError:
        raise SpecError("no such file", where=str(path), cure="train it: invbench train inverse --help") from None
    except SafetensorError as error:
        raise IntegrityError(f"not a safetensors file: {error}", where=str(path)) from None
    for name, tensor in weights.items():
        if tensor.dtype != (wanted := _stored_type(expected[name], config)):
            raise IntegrityError(f"tensor '{name}' is {tensor.dtype}, not {wanted}", where=str(path))
        if not torch.isfinite(tensor).all():
            raise IntegrityError(f"tensor '{name}' is not finite", where=str(path))
        weights[name] = tensor.to(expected[name].dtype)
    inverse.load_state_dict(weights, strict=True, assign=True)
    return inverse.eval().requires_grad_(False).to(device)
