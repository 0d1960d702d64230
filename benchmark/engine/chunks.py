"""Chunks of a running evaluation on disk: written atomically, checksummed, picked up again by the same run."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.files.cache import cache_root
from benchmark.files.canonical import digest_of
from benchmark.files.storing import ANOTHER_CACHE, write_bytes

__all__ = ["ChunkStore"]


class ChunkStore:
    """The chunks of one run, in a folder named by the digest of its key.

    Args:
        circumstances: everything that could change them, as JSON values.

    Attributes:
        key: its digest.
    """

    def __init__(self, circumstances: Mapping[str, Any]) -> None:
        self.key = digest_of(dict(circumstances))
        self.folder = cache_root() / "runs" / self.key[:32]

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"

    def _checksum(self, name: str, body: bytes) -> bytes:
        """SHA-256 of a chunk, of its name and of its run: no other chunk passes for it, wherever it is put."""
        return hashlib.sha256(f"{self.key}/{name}\n".encode() + body).digest()

    def save(self, name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Write a chunk: its checksum, then its arrays. See `write_bytes`."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **dict(arrays))
        body = buffer.getvalue()
        write_bytes(self._path(name), self._checksum(name, body), body, fix=ANOTHER_CACHE)

    def has(self, name: str) -> bool:
        """Whether a file has the name of a chunk, valid or not."""
        return self._path(name).is_file()

    def load(self, name: str) -> dict[str, npt.NDArray[Any]] | None:
        """Arrays of a chunk; None where it is absent, damaged or another one, so that it is computed again."""
        try:
            content = self._path(name).read_bytes()
        except OSError:
            return None
        if self._checksum(name, content[32:]) != content[:32]:
            return None
        with np.load(io.BytesIO(content[32:]), allow_pickle=False) as arrays:
            return dict(arrays)

    def clear(self) -> None:
        """Remove the run's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
