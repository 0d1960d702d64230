"""Chunks of a running evaluation on disk: written atomically, checksummed, picked up again by the same run."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.files.cache import cache_root
from benchmark.files.canonical import digest_of
from benchmark.files.paths import iter_sources, key_of

__all__ = ["ChunkStore", "code_digest"]


def code_digest() -> str:
    """Return a digest of the package's own Python sources: chunks of other code are never mixed in."""
    return digest_of({key_of(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in iter_sources()})


class ChunkStore:
    """The chunks of one run, in a folder named by the digest of everything that could change them."""

    def __init__(self, key: Mapping[str, Any]) -> None:
        self.folder = cache_root() / "runs" / digest_of(dict(key))[:32]

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"

    def save(self, name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Write a chunk: its SHA-256, then its arrays, under a temporary name until it is whole."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **dict(arrays))
        body = buffer.getvalue()
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self._path(name).with_suffix(f".{os.getpid()}.tmp")
        temporary.write_bytes(hashlib.sha256(body).digest() + body)
        temporary.replace(self._path(name))

    def has(self, name: str) -> bool:
        """Return whether a chunk lies there, damaged or not."""
        return self._path(name).is_file()

    def load(self, name: str) -> dict[str, npt.NDArray[Any]] | None:
        """Return a chunk, or None where it is absent or damaged, so that it is computed again."""
        try:
            content = self._path(name).read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            return None
        with np.load(io.BytesIO(content[32:]), allow_pickle=False) as arrays:
            return dict(arrays)

    def clear(self) -> None:
        """Remove the run's folder."""
        for path in self.folder.glob("*"):
            path.unlink()
        if self.folder.exists():
            self.folder.rmdir()
