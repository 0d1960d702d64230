"""Installing the perceptual network of LPIPS: fetched or handed over once, checked, and kept as safetensors."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from benchmark.errors import IntegrityError, SpecError, first_line
from benchmark.files.cache import cache_root
from benchmark.files.pointers import refuse_pointer
from benchmark.files.storing import ANOTHER_CACHE, write_bytes
from benchmark.metrics.perceptual import check_trunk

__all__ = ["describe_perceptual", "install_perceptual", "perceptual_path"]

URL = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
HASH_PREFIX = "7be5be79"
SILENCE_S = 60.0


def perceptual_path() -> Path:
    """Return where the perceptual network is kept."""
    return cache_root() / "perceptual" / "alexnet_features.safetensors"


def describe_perceptual() -> str:
    """Return whether the perceptual network is installed, and what to do if not."""
    path = perceptual_path()
    if not path.is_file():
        return "not installed; lpips_alex stays unscored (run: invbench data lpips)"
    try:
        check_trunk(load_file(path), str(path))
    except (IntegrityError, SafetensorError, OSError):
        return f"damaged: {path} (run: invbench data lpips)"
    return f"installed: {path}"


def _load_checkpoint(source: Path) -> object:
    if source.suffix == ".safetensors":
        return load_file(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Tensors only: with `weights_only` nothing in the file is executed.
        return torch.load(source, map_location="cpu", weights_only=True)


def _read_weights(source: Path, cure: str) -> dict[str, Tensor]:
    """Return the named plain tensors of a file."""
    where = str(source)
    refuse_pointer(source)
    try:
        loaded = _load_checkpoint(source)
    except FileNotFoundError:
        raise SpecError("no such file", where=where) from None
    except UnpicklingError:
        message = "damaged, or holds more than tensors, such as code; nothing in it was run"
        raise SpecError(message, where=where, cure=cure) from None
    except OSError as error:
        raise SpecError(f"cannot be read: {first_line(error)}", where=where, cure=cure) from None
    except Exception:  # Readers fail in many ways on damaged files.
        message = "not readable as weights: damaged, or of another format"
        raise SpecError(message, where=where, cure=cure) from None
    if not isinstance(loaded, Mapping):
        raise SpecError("holds no named tensors", where=where, cure=cure)
    return {
        name: value
        for name, value in loaded.items()
        if isinstance(value, Tensor) and value.layout == torch.strided and value.is_floating_point()
    }


@contextmanager
def _impatient() -> Iterator[None]:
    """Let connections that fall silent fail, since PyTorch sets no limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _download_alexnet() -> Path:
    """Return AlexNet's checkpoint in PyTorch's download cache, fetched if it is not there."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / URL.rsplit("/", 1)[1]
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _impatient():
                torch.hub.download_url_to_file(URL, str(path), hash_prefix=HASH_PREFIX)
        except (OSError, RuntimeError, ValueError, HTTPException) as error:
            cure = "fetch it elsewhere and run: invbench data lpips FILE"
            raise SpecError(f"cannot be fetched: {first_line(error)}", where=URL, cure=cure) from None
    return path


def _write_trunk(trunk: Mapping[str, Tensor], path: Path) -> None:
    """Write the tensors as safetensors."""
    write_bytes(path, save({name: tensor.float().contiguous() for name, tensor in trunk.items()}), fix=ANOTHER_CACHE)


def install_perceptual(source: Path | None = None) -> Path:
    """Check torchvision's AlexNet and keep its convolutions as safetensors; return where.

    Args:
        source: a checkpoint of torchvision or a safetensors file; None: PyTorch's download cache, filled if need be.

    Raises:
        SpecError: the file is absent, unreadable or holds more than tensors, or cannot be fetched or kept.
        IntegrityError: the weights are not the published ones.
    """
    if source is None:
        checkpoint = _download_alexnet()
        tensors = _read_weights(checkpoint, cure="delete it and run again: invbench data lpips")
    else:
        checkpoint, tensors = source, _read_weights(source, cure="give torchvision's AlexNet (IMAGENET1K_V1)")
    try:
        trunk = check_trunk(tensors, str(checkpoint))
    except IntegrityError as error:
        if source is not None:
            raise
        raise IntegrityError(error.message, where=error.where, cure="delete it and run again") from None
    path = perceptual_path()
    _write_trunk(trunk, path)
    return path
