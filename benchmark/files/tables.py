"""Reading Parquet files that anybody may have written: sizes are judged before anything is decompressed."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.errors import SpecError, first_line
from benchmark.files.pointers import refuse_pointer

__all__ = ["MAX_FILE_BYTES", "MAX_ROWS", "MAX_TABLE_BYTES", "read_page_header", "read_table"]

MAX_FILE_BYTES = 512 * 2**20
MAX_TABLE_BYTES = 1024 * 2**20
MAX_ROWS = 20_000_000
_MAX_HEADER_BYTES = 64 * 1024
_MAX_FOOTER_BYTES = 16 * 2**20
_MAX_ROW_GROUPS = 10_000
_MAX_PAGES = 50_000
_I32 = 5
"""Type of the sizes in a page header: a reader of Parquet passes over a field of another type, and so must we."""


class _PageHeader(NamedTuple):
    uncompressed: int
    compressed: int
    length: int


class _Compact:
    """Reads the header of a page: a struct in Thrift's compact protocol. Anything odd is a ValueError."""

    def __init__(self, data: bytes) -> None:
        self.data, self.offset = data, 0

    def _byte(self) -> int:
        if self.offset >= len(self.data):
            raise ValueError("ends too early")
        self.offset += 1
        return self.data[self.offset - 1]

    def _varint(self) -> int:
        result = shift = 0
        while shift < 70:
            byte = self._byte()
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result
            shift += 7
        raise ValueError("holds an endless number")

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _value(self, kind: int, depth: int) -> int | None:
        if depth > 8:
            raise ValueError("holds what no page header holds")
        if kind in {1, 2}:
            return None
        if kind == 3:
            return self._byte()
        if kind in {4, 5, 6}:
            return self._integer()
        if kind in {7, 8}:
            length = 8 if kind == 7 else self._varint()
            self.offset += length
            return None
        if kind == 12:
            self.fields(depth + 1)
            return None
        if kind in {9, 10}:
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            if count > len(self.data):
                raise ValueError("holds a list without end")
            for _ in range(count):
                # In a list, unlike in a field, a truth value takes a byte of its own.
                self._value(3 if head & 15 in {1, 2} else head & 15, depth + 1)
            return None
        raise ValueError("holds what no page header holds")

    def fields(self, depth: int = 0) -> dict[int, int]:
        """Return the 32-bit integers among the fields of a struct, by their ids."""
        integers: dict[int, int] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            value = self._value(head & 15, depth)
            if value is not None and head & 15 == _I32:
                integers[number] = value
        return integers


def read_page_header(file: BinaryIO, offset: int) -> _PageHeader:
    """Read the header of the page at a file offset; anything odd is a ValueError."""
    file.seek(offset)
    reader = _Compact(file.read(_MAX_HEADER_BYTES))
    fields = reader.fields()
    page = _PageHeader(fields.get(2, -1), fields.get(3, -1), reader.offset)
    if page.uncompressed < 0 or page.compressed < 0:
        raise ValueError("states no size")
    return page


def _count_bytes(file: BinaryIO, metadata: pq.FileMetaData) -> int:
    """Return how many bytes the pages of a file take uncompressed, as their own headers say."""
    total = pages = 0
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            offsets = [offset for offset in (column.dictionary_page_offset, column.data_page_offset) if offset]
            offset = min(offsets, default=0)
            end = offset + column.total_compressed_size if column.num_values else offset
            while offset < end:
                page = read_page_header(file, offset)
                pages += 1
                if pages > _MAX_PAGES:
                    raise ValueError(f"has more than {_MAX_PAGES:,} pages")
                total += page.uncompressed
                offset += page.length + page.compressed
                if total > MAX_TABLE_BYTES:
                    return total
    return total


def _check_footer(file: BinaryIO, size: int) -> None:
    """Refuse a footer that would take much memory: it is parsed before anything that it says can be judged."""
    file.seek(max(0, size - 8))
    length = int.from_bytes(file.read(4), "little")
    if length > _MAX_FOOTER_BYTES:
        raise ValueError(f"its footer takes {length:,} bytes")
    file.seek(0)


def read_table(path: Path, schema: pa.Schema, rows: int | None = None) -> pa.Table:
    """Read a Parquet file of exactly the columns of `schema`, refused by size before anything is decompressed.

    Args:
        rows: how many it must have, where that is known.

    Raises:
        SpecError: absent, a link, too large (file, rows, or pages once decompressed), not Parquet or of other columns.
    """
    where = str(path)
    try:
        if path.is_symlink() or not path.is_file():
            raise SpecError("is no file" if path.exists() else "no such file", where=where)
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise SpecError(f"takes {size:,} bytes, more than the {MAX_FILE_BYTES:,} allowed", where=where)
        refuse_pointer(path)
        with path.open("rb") as raw:
            _check_footer(raw, size)
            file = pq.ParquetFile(raw)
            metadata = file.metadata
            if metadata.num_row_groups > _MAX_ROW_GROUPS:
                raise SpecError(f"has {metadata.num_row_groups:,} groups of rows", where=where)
            if metadata.num_rows > MAX_ROWS:
                raise SpecError(f"has {metadata.num_rows:,} rows, more than the {MAX_ROWS:,} allowed", where=where)
            if rows is not None and metadata.num_rows != rows:
                raise SpecError(f"holds {metadata.num_rows:,} rows, not {rows:,}", where=where, cure="evaluate again")
            if not file.schema_arrow.remove_metadata().equals(schema.remove_metadata()):
                raise SpecError(f"has other columns than {', '.join(schema.names)}", where=where)
            if _count_bytes(raw, metadata) > MAX_TABLE_BYTES:
                message = f"takes more than the {MAX_TABLE_BYTES:,} bytes allowed once it is decompressed"
                raise SpecError(message, where=where)
            table = file.read()
            table.validate(full=True)
            return table
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SpecError(f"not readable as {path.stem}: {first_line(error)}", where=where) from None
