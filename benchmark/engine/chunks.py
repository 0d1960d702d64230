"""Chunks of a running evaluation on disk: written atomically, checksummed, picked up again by the same run."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.files.cache import cache_root
from benchmark.files.canonical import canonical_json, digest_of
from benchmark.files.storing import ANOTHER_CACHE, write_bytes, write_text

__all__ = ["ChunkStore", "find_stores"]

CIRCUMSTANCES = "circumstances.json"


class ChunkStore:
    """The chunks of one run, in a folder named by the digest of its key.

    Args:
        circumstances: everything that could change them, as JSON values.
        cache: the folder that holds the folders of all runs [default: that of this machine].

    Attributes:
        circumstances: as given; they lie beside the chunks, so that those of another machine are known.
        key: their digest.
    """

    def __init__(self, circumstances: Mapping[str, Any], cache: Path | None = None) -> None:
        self.circumstances = dict(circumstances)
        self.key = digest_of(self.circumstances)
        self.folder = (cache or cache_root()) / "runs" / self.key[:32]

    def path(self, name: str) -> Path:
        """The file of a chunk."""
        return self.folder / f"{name}.npz"

    def _checksum(self, name: str, body: bytes) -> bytes:
        """SHA-256 of a chunk, of its name and of its run: no other chunk passes for it, wherever it is put."""
        return hashlib.sha256(f"{self.key}/{name}\n".encode() + body).digest()

    def save(self, name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Write a chunk: its checksum, then its arrays. See `write_bytes`."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **dict(arrays))
        body = buffer.getvalue()
        if not (known := self.folder / CIRCUMSTANCES).is_file():
            write_text(known, canonical_json(self.circumstances), fix=ANOTHER_CACHE)
        write_bytes(self.path(name), self._checksum(name, body), body, fix=ANOTHER_CACHE)

    def has(self, name: str) -> bool:
        """Whether a file has the name of a chunk, valid or not."""
        return self.path(name).is_file()

    def load(self, name: str) -> dict[str, npt.NDArray[Any]] | None:
        """Arrays of a chunk; None where it is absent, damaged or another one, so that it is computed again."""
        try:
            content = self.path(name).read_bytes()
        except OSError:
            return None
        if self._checksum(name, content[32:]) != content[:32]:
            return None
        with np.load(io.BytesIO(content[32:]), allow_pickle=False) as arrays:
            return dict(arrays)

    def clear(self) -> None:
        """Remove the run's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def find_stores(cache: Path) -> Iterator[ChunkStore]:
    """Yield the stores of all runs in a cache; what is no run's folder is passed over."""
    for path in sorted((cache / "runs").glob(f"*/{CIRCUMSTANCES}")):
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(known, dict) and (store := ChunkStore(known, cache)).folder == path.parent:
            yield store
