"""What the small Hub holds: content, repositories, faults."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

CHUNK = 1 << 20
LARGE = 1 << 20
WEIGHTS = (".safetensors", ".parquet", ".bin", ".pt", ".pth", ".npz", ".zip", ".msgpack")
ATTRIBUTES = "".join(f"*{ending} filter=lfs diff=lfs merge=lfs -text\n" for ending in WEIGHTS).encode()


@dataclass(frozen=True)
class Request:
    """One request that the server saw; `path` without its query, `token` without `Bearer`."""

    method: str
    path: str
    range: str | None
    token: str | None


@dataclass(frozen=True)
class Blob:
    """Content of a file: bytes, or a file on disk that is streamed."""

    source: bytes | Path
    lfs: bool

    @classmethod
    def of(cls, name: str, source: bytes | Path) -> Blob:
        return cls(source, is_lfs(name, len(source) if isinstance(source, bytes) else source.stat().st_size))

    @cached_property
    def size(self) -> int:
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    @cached_property
    def oid(self) -> str:
        digest = hashlib.sha256() if self.lfs else hashlib.sha1(b"blob %d\0" % self.size)
        for part in self.read(0, self.size):
            digest.update(part)
        return digest.hexdigest()

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        if isinstance(self.source, bytes):
            yield self.source[start:stop]
            return
        with self.source.open("rb") as file:
            file.seek(start)
            while start < stop and (part := file.read(min(CHUNK, stop - start))):
                start += len(part)
                yield part

    def entry(self, path: str) -> dict[str, Any]:
        lfs = {"lfs": {"oid": self.oid, "size": self.size, "pointerSize": 134}} if self.lfs else {}
        return {"type": "file", "path": path, "size": self.size, "oid": self.oid[:40], **lfs}


def is_lfs(name: str, size: int) -> bool:
    return size > LARGE or (size > 0 and name.endswith(WEIGHTS))


@dataclass
class Repo:
    kind: str
    id: str
    private: bool = False
    gated: bool = False
    readers: set[str] = field(default_factory=set)
    commits: dict[str, dict[str, Blob]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, Blob], branch: str = "main") -> str:
        content = [self.kind, self.id, self.branches.get(branch), {path: files[path].oid for path in sorted(files)}]
        oid = hashlib.sha1(json.dumps(content).encode()).hexdigest()
        self.commits[oid], self.branches[branch] = files, oid
        return oid


@dataclass
class Fault:
    path: str
    method: str | None
    times: int
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    stall: float = 0.0
    cut: int | None = None
    reset: bool = False
    body: bytes | None = None
    drip: float = 0.0
    slow_headers: float = 0.0
    endless: bool = False


class Refusal(Exception):
    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
