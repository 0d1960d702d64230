"""The columns of a record's two tables, and the digest of their content, whatever wrote the file. Torch-free."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

__all__ = ["AUDIT_SCHEMA", "SCORE_SCHEMA", "table_digest"]

_HASHED_ROWS = 4096
"""How many rows are spelled out at a time for their hash: few, so that they stay in the processor's cache."""
_NAME = pa.dictionary(pa.int32(), pa.string())
SCORE_SCHEMA = pa.schema(
    [
        pa.field("image", _NAME, nullable=False),
        pa.field("target", _NAME, nullable=False),
        pa.field("tap", _NAME, nullable=False),
        pa.field("perturbation", _NAME, nullable=False),
        pa.field("metric", _NAME, nullable=False),
        pa.field("value", pa.float32()),
        pa.field("reason", _NAME),
    ]
)
AUDIT_SCHEMA = pa.schema(
    [
        pa.field("image", _NAME, nullable=False),
        pa.field("target", _NAME, nullable=False),
        pa.field("tap", _NAME, nullable=False),
        pa.field("perturbation", _NAME, nullable=False),
        pa.field("png", pa.dictionary(pa.int32(), pa.binary()), nullable=False),
    ]
)


def table_digest(table: pa.Table) -> str:
    """Return the SHA-256 of a table's content, whatever the Parquet writer made of it."""
    names = table.column_names
    leading = next((i for i, field in enumerate(table.schema) if pa.types.is_floating(field.type)), 0)
    hasher = _labels.start(table.select(names[:leading])) if leading else hashlib.sha256()
    for name in names[leading:]:
        _update(hasher, name, table.column(name))
    return hasher.hexdigest()


class _Labels:
    """Remembers the hash of the columns before the values, which all records of a suite have in common.

    It is taken up again only for columns that are equal row by row.
    """

    def __init__(self) -> None:
        self._last: tuple[pa.Table, hashlib._Hash] | None = None

    def start(self, labels: pa.Table) -> hashlib._Hash:
        """Return a hasher that has seen `labels`."""
        last = self._last
        if last is not None and last[0].equals(labels):
            return last[1].copy()
        hasher = hashlib.sha256()
        for name in labels.column_names:
            _update(hasher, name, labels.column(name))
        self._last = labels, hasher.copy()
        return hasher


_labels = _Labels()


def _update(hasher: hashlib._Hash, name: str, chunks: pa.ChunkedArray) -> None:
    """Hash a column: numbers as float32, all else as the SHA-256 of every entry (absent: zeros)."""
    hasher.update(f"{name}:{len(chunks)};".encode())
    column = chunks.combine_chunks()
    if pa.types.is_floating(column.type):
        values = column.to_numpy(zero_copy_only=False).astype("<f4")
        hasher.update(np.where(np.isnan(values), np.float32(np.nan), values).astype("<f4").tobytes())
        return
    codes = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    if isinstance(codes, pa.ChunkedArray):
        codes = codes.combine_chunks()
    entries = [hashlib.sha256(_as_bytes(v)).digest() for v in codes.dictionary.to_pylist()]
    entries.append(b"\0" * 32)
    words = np.frombuffer(b"".join(entries), dtype=np.uint64).reshape(-1, 4)
    order = codes.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    for start in range(0, len(order), _HASHED_ROWS):
        hasher.update(words.take(order[start : start + _HASHED_ROWS], axis=0))


def _as_bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
