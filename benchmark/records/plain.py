"""Whether the files of a record are what they claim: a record, scores and pixels, no payload. Torch-free."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.errors import IntegrityError, SpecError
from benchmark.files.canonical import readable_json
from benchmark.files.foreign import check_parquet
from benchmark.files.tables import read_table
from benchmark.records.audit import MAX_SIDE_PX, png_chunks
from benchmark.records.columns import AUDIT_SCHEMA, SCORE_SCHEMA
from benchmark.records.record import Record
from benchmark.records.scores import get_reason_names
from benchmark.suites.spec import Suite

__all__ = ["check_plain"]

_DIGITS = 6
"""Decimals of every number in a record but those of `run` and `training`."""
_CHUNK_BYTES = 2**13
"""Fewer bytes than any writer of PNG puts into a chunk of data, but the last."""
_PNG_SPARE_BYTES, _PNG_SPARE = 256, 2.0
"""How much larger than compressed here, in another way, the data of a picture may be."""


def _iter_numbers(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        where = f"{path}.{name}" if path else str(name)
        if isinstance(inner, float):
            yield where, inner
        elif where != "run" and not where.endswith(".training"):
            yield from _iter_numbers(inner, where)


def _check_text(path: Path, record: Record) -> None:
    """Check that `record.json` has one text: nothing twice, no spaces, no digits that mean nothing."""
    text, expected = path.read_bytes(), readable_json(record).encode()
    if text not in (expected, expected.replace(b"\n", b"\r\n")):
        pairs = zip(text.split(b"\n"), expected.split(b"\n"), strict=False)
        line = next((number for number, (one, other) in enumerate(pairs, 1) if one.rstrip(b"\r") != other), 0)
        message = f"foreign payload: line {line or 'count'} is not as invbench writes the record"
        raise SpecError(message, where=str(path), cure="let invbench eval write it")
    for name, number in _iter_numbers(record.model_dump(mode="json")):
        if round(number, _DIGITS) != number:
            message = f"field '{name}': {number!r} has more than {_DIGITS} decimals"
            raise SpecError(message, where=str(path), cure="evaluate again")


def _check_png(png: bytes) -> None:
    """Check a PNG that `decode_png` can read for what its pixels do not need.

    Raises:
        IntegrityError: a checksum is wrong, its data are in small pieces, or take more room than they must.
    """
    data, size = [], 0
    for name, content, checksum in png_chunks(png):
        if name == b"IHDR":
            width, height = struct.unpack(">II", content[:8])
            size = min(height, MAX_SIDE_PX) * (1 + 3 * min(width, MAX_SIDE_PX))
        if zlib.crc32(name + content) != checksum:
            raise IntegrityError("foreign payload: a checksum of a PNG is not that of its chunk")
        if name == b"IDAT":
            data.append(content)
    if not data or any(len(part) < _CHUNK_BYTES for part in data[:-1]) or not data[-1]:
        raise IntegrityError("foreign payload: the data of a PNG are in small pieces")
    stream, inflate = b"".join(data), zlib.decompressobj()
    pixels = inflate.decompress(stream, size + 1)
    if len(pixels) != size or not inflate.eof or inflate.unused_data:
        raise IntegrityError("foreign payload: the data of a PNG are not those of its pixels")
    needed = len(zlib.compress(pixels, 1))
    if len(stream) > _PNG_SPARE * needed + _PNG_SPARE_BYTES:
        raise IntegrityError(f"foreign payload: a PNG takes {len(stream):,} bytes for what fits into {needed:,}")


def check_plain(suite: Suite, folder: Path, record: Record) -> None:
    """Check that the files of a record hold it and nothing else.

    Args:
        folder: holds a record that `check_record` or `check_predecessor` passes.

    Raises:
        SpecError: a file holds something beside the record, says what.
        IntegrityError: a picture does.
    """
    _check_text(folder / "record.json", record)
    # What an earlier text of the suite called the reasons for leaving a score out is not known any more.
    reasons = frozenset(get_reason_names(suite)) if record.suite_digest == suite.digest else None
    path = folder / "scores.parquet"
    check_parquet(path, read_table(path, SCORE_SCHEMA), SCORE_SCHEMA, reasons)
    path = folder / "audit.parquet"
    audit = read_table(path, AUDIT_SCHEMA)
    check_parquet(path, audit, AUDIT_SCHEMA)
    for number, png in enumerate(audit.column("png").combine_chunks().dictionary.to_pylist(), 1):
        try:
            _check_png(png)
        except (IntegrityError, struct.error, zlib.error) as error:
            message = f"picture {number}: {getattr(error, 'message', error)}"
            raise IntegrityError(message, where=str(path), cure="evaluate again") from None
