"""A Parquet file that holds anything beside its table is refused, wherever it hides."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.errors import SpecError
from benchmark.files.foreign import check_parquet, write_table
from benchmark.files.tables import read_table

SCHEMA = pa.schema([pa.field("name", pa.dictionary(pa.int32(), pa.string()), nullable=False), ("value", pa.float32())])
PAYLOAD = b"PK\x03\x04" + b"payload" * 100


def make(rows: int = 5000) -> pa.Table:
    names = pa.array(["first", "second"] * (rows // 2)).dictionary_encode()
    values = np.random.default_rng(0).normal(size=rows).astype(np.float32)
    return pa.Table.from_arrays([names, pa.array(values)], schema=SCHEMA)


def check(path: Path, spare: frozenset[str] = frozenset()) -> None:
    check_parquet(path, read_table(path, SCHEMA), SCHEMA, spare)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_table(make(), tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def test_what_is_written_passes_and_is_the_same_every_time(path: Path, tmp_path: Path) -> None:
    check(path)
    write_table(read_table(path, SCHEMA), tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == path.read_bytes()


def test_an_empty_table_passes(tmp_path: Path) -> None:
    write_table(make().slice(0, 0), tmp_path / "t.parquet")
    check(tmp_path / "t.parquet")


def split(path: Path) -> tuple[bytes, bytes]:
    """Return the pages of a file, and its footer with what follows."""
    data = path.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    return data[:footer], data[footer:]


def before_the_footer(path: Path) -> None:
    pages, footer = split(path)
    path.write_bytes(pages + PAYLOAD + footer)


def behind_the_footer(path: Path) -> None:
    pages, footer = split(path)
    length = int.from_bytes(footer[-8:-4], "little")
    path.write_bytes(pages + footer[:-8] + PAYLOAD + (length + len(PAYLOAD)).to_bytes(4, "little") + b"PAR1")


def before_the_magic(path: Path) -> None:
    path.write_bytes(b"#!sh" + path.read_bytes()[4:])


def written(change: Callable[[pa.Table], pa.Table], **options: object) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        pq.write_table(change(make()), path, **({"compression": "zstd"} | options))

    return write


def with_metadata(table: pa.Table) -> pa.Table:
    return table.replace_schema_metadata({"comment": PAYLOAD})


def with_field_metadata(table: pa.Table) -> pa.Table:
    return table.cast(pa.schema([SCHEMA.field(0), SCHEMA.field(1).with_metadata({"comment": "x"})]))


def with_unused_entries(table: pa.Table) -> pa.Table:
    old = table.column(0).combine_chunks()
    entries = pa.array([*old.dictionary.to_pylist(), "payload"])
    return table.set_column(0, SCHEMA.field(0), pa.DictionaryArray.from_arrays(old.indices, entries))


def with_schema_of_its_own(path: Path) -> None:
    """Hide bytes behind the schema that Arrow puts into the footer."""
    schema = base64.b64encode(SCHEMA.serialize().to_pybytes() + bytes(4000))
    with pq.ParquetWriter(path, SCHEMA, compression="zstd", store_schema=False) as writer:
        writer.write_table(make())
        writer.add_key_value_metadata({"ARROW:schema": schema})


def in_a_gap(path: Path) -> None:
    """Put bytes between two columns: the second column is moved, and its offsets with it."""
    data, metadata = path.read_bytes(), pq.read_metadata(path)
    column = metadata.row_group(0).column(0)
    start = column.dictionary_page_offset
    pages, footer = split(path)
    hidden = pages[:4] + pages[4 : start + column.total_compressed_size] + PAYLOAD
    path.write_bytes(hidden + pages[start + column.total_compressed_size :] + footer)
    assert len(path.read_bytes()) == len(data) + len(PAYLOAD)


ATTACKS = {
    "bytes before the footer": (before_the_footer, "before its footer"),
    "bytes behind the footer": (behind_the_footer, "its footer takes"),
    "another beginning": (before_the_magic, "does not begin and end"),
    "key-value metadata": (written(with_metadata), "holds metadata that no table needs: b'comment'"),
    "metadata of a field": (written(with_field_metadata), "holds another schema, or metadata"),
    "an entry that no row has": (written(with_unused_entries), "column 'name' holds entries that no row has"),
    "many groups of rows": (written(lambda table: table, row_group_size=100), "groups of rows"),
    "no compression": (written(lambda table: make(200_000), compression="none"), "with the same content written anew"),
    "a schema with more behind it": (with_schema_of_its_own, "does not hold the schema that Arrow writes"),
}


@pytest.mark.parametrize("kind", ATTACKS)
def test_foreign_payload_is_refused(path: Path, kind: str) -> None:
    attack, words = ATTACKS[kind]
    attack(path)
    with pytest.raises(SpecError, match="foreign payload: ") as caught:
        check(path)
    assert words in caught.value.message and caught.value.where == str(path)


def test_a_gap_between_columns_is_refused(path: Path) -> None:
    in_a_gap(path)
    with pytest.raises(SpecError):
        check(path)


def test_entries_that_are_known_need_no_row(path: Path) -> None:
    written(with_unused_entries)(path)
    check(path, frozenset({"payload"}))


def test_a_column_of_blobs_is_refused(path: Path) -> None:
    table = make()
    pq.write_table(table.append_column("blob", pa.array([PAYLOAD] * table.num_rows)), path, compression="zstd")
    with pytest.raises(SpecError, match="has other columns than name, value"):
        check(path)
