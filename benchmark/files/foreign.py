"""Whether a Parquet file is what it claims: a table as Arrow writes it, and not a byte of anything else."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.errors import SpecError, first_line
from benchmark.files.tables import read_page_header

__all__ = ["check_parquet", "write_table"]

_MAGIC = b"PAR1"
_SCHEMA = b"ARROW:schema"
_WRITER = re.compile(r"parquet-cpp-arrow version \d{1,4}(\.\d{1,4}){1,3}([.-]?[A-Za-z0-9]{1,12})?")
_GROUP_ROWS = 2**16
"""Fewer rows a group than any version of Arrow puts into one, but the last."""
_SPARE_BYTES, _SPARE = 4096, 1.05
"""How much larger than written here, with little compression, a file may be: other versions compress otherwise."""
_FOOTER_SPARE = 512
_FIX = "let invbench eval write it"


def write_table(table: pa.Table, file: Path | pa.NativeFile) -> None:
    """Write a table as the files of records are: the same table gives the same bytes, whatever it was read from."""
    pq.write_table(table.replace_schema_metadata(), file, compression="zstd", compression_level=9)


def _check_metadata(metadata: pq.FileMetaData, schema: pa.Schema) -> None:
    stated = dict(metadata.metadata or {})
    own = stated.pop(_SCHEMA, None)
    if stated:
        raise ValueError(f"holds metadata that no table needs: {first_line(repr(min(stated)), 60)}")
    if not _WRITER.fullmatch(metadata.created_by or ""):
        raise ValueError("was not written by Arrow")
    if own is None or len(own) > 2 * len(schema.serialize()) + _FOOTER_SPARE:
        raise ValueError("does not hold the schema that Arrow writes")
    try:
        found = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(own, validate=True)))
    except (pa.ArrowException, OSError, binascii.Error) as error:
        raise ValueError(f"holds a schema that is none: {first_line(error)}") from None
    if not found.equals(schema, check_metadata=True):
        raise ValueError("holds another schema, or metadata in it")


def _check_places(file: BinaryIO, metadata: pq.FileMetaData, footer: int) -> None:
    """Check that the pages of all columns follow each other from the first byte to the footer."""
    offset = len(_MAGIC)
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            first = min((at for at in (column.dictionary_page_offset, column.data_page_offset) if at), default=0)
            if first != offset:
                raise ValueError(f"holds bytes before '{column.path_in_schema}' that belong to no column")
            end = offset + column.total_compressed_size
            while offset < end:
                page = read_page_header(file, offset)
                offset += page.length + page.compressed
            if offset != end:
                raise ValueError(f"the pages of '{column.path_in_schema}' do not end where it does")
    if offset != footer:
        raise ValueError("holds bytes before its footer that belong to no column")


def _check_entries(table: pa.Table, spare: frozenset[str]) -> None:
    """Check that the entries of every dictionary are those of its rows, or among `spare`."""
    for name in table.column_names:
        for chunk in table.column(name).chunks:
            if not pa.types.is_dictionary(chunk.type):
                continue
            idle = np.ones(len(chunk.dictionary), np.bool_)
            idle[chunk.indices.drop_null().to_numpy()] = False
            unused = np.flatnonzero(idle)
            if len(unused) > len(spare) or any(chunk.dictionary[int(at)].as_py() not in spare for at in unused):
                raise ValueError(f"column '{name}' holds entries that no row has")


def check_parquet(path: Path, table: pa.Table, schema: pa.Schema, spare: frozenset[str] | None = frozenset()) -> None:
    """Check that a Parquet file holds a table and nothing beside it.

    No metadata but the schema, no gap between the pages, nothing before them or behind the footer, no entry of a
    dictionary that no row has, and no more bytes than the table needs.

    Args:
        path: of a file that `read_table` read.
        table: what it read.
        schema: what that asked for.
        spare: entries of dictionaries that no row need have; None: any.

    Raises:
        SpecError: it holds something else; says what.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as raw:
            head = raw.read(len(_MAGIC))
            raw.seek(size - 8)
            length, tail = int.from_bytes(raw.read(4), "little"), raw.read()
            if head != _MAGIC or tail != _MAGIC:
                raise ValueError("does not begin and end as Parquet does")
            metadata = pq.read_metadata(path)
            if metadata.num_row_groups > 1 + metadata.num_rows // _GROUP_ROWS:
                raise ValueError(f"has {metadata.num_row_groups:,} groups of rows")
            _check_metadata(metadata, schema)
            _check_places(raw, metadata, size - 8 - length)
        rewritten = pa.BufferOutputStream()
        metadata.write_metadata_file(rewritten)
        if length > rewritten.tell() + _FOOTER_SPARE:
            raise ValueError(f"its footer takes {length:,} bytes, more than what it says")
        if spare is not None:
            _check_entries(table, spare)
        again = pa.BufferOutputStream()
        pq.write_table(table, again, compression="zstd", compression_level=1)
        if size > _SPARE * again.tell() + _SPARE_BYTES:
            raise ValueError(f"takes {size:,} bytes, and {again.tell():,} with the same content written anew")
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SpecError(f"foreign payload: {first_line(error)}", where=str(path), cure=_FIX) from None
