"""Parquet files that anybody may have written: refused by what they would take, before it is taken."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.errors import SpecError
from benchmark.files import tables
from benchmark.files.tables import read_table
from benchmark.records.columns import AUDIT_SCHEMA, SCORE_SCHEMA

ROWS = 1000


def columns(rows: int, schema: pa.Schema = SCORE_SCHEMA, label: bytes = b"scene") -> pa.Table:
    """Return rows that are all the same."""
    arrays = []
    for field in schema:
        if not pa.types.is_dictionary(field.type):
            arrays.append(pa.array(np.zeros(rows, np.float32)))
            continue
        entries = pa.array([label], pa.binary()).view(field.type.value_type)
        arrays.append(pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), entries))
    return pa.Table.from_arrays(arrays, schema=schema)


def write(path: Path, table: pa.Table, times: int = 1, **options: object) -> Path:
    with pq.ParquetWriter(path, table.schema, compression="zstd", **options) as writer:
        for _ in range(times):
            writer.write_table(table)
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return write(tmp_path / "scores.parquet", columns(ROWS))


def test_plain_tables_are_read(plain: Path) -> None:
    assert read_table(plain, SCORE_SCHEMA).equals(columns(ROWS))
    assert read_table(plain, SCORE_SCHEMA, ROWS).num_rows == ROWS
    with pytest.raises(SpecError, match="holds 1,000 rows, not 999"):
        read_table(plain, SCORE_SCHEMA, ROWS - 1)


def make_bombs(folder: Path) -> dict[str, str]:
    """Write files that are harmless on disk; return by name what must be said of them."""
    said = {}

    def bomb(name: str, message: str, table: pa.Table, times: int = 1, **options: object) -> None:
        said[name] = message
        assert write(folder / name, table, times, **options).stat().st_size < 25_000_000, name

    constant = pa.table({"image": pa.array(np.zeros(10_000_000, np.int8))})
    bomb("rows.parquet", "has 300,000,000 rows", constant, 30)
    bomb("own-columns.parquet", "has 24,000,000 rows", columns(8_000_000), 3)
    bomb(
        "dictionary.parquet",
        "once it is decompressed",
        columns(1, AUDIT_SCHEMA, bytes(2**26)),
        18,
        write_statistics=False,
    )
    bomb("groups.parquet", "has 10,001 groups of rows", constant.slice(0, 1), 10_001)
    tiny = columns(60_000)
    bomb("pages.parquet", "more than 50,000 pages", tiny, data_page_size=1, write_batch_size=1)
    noise = pa.array([os.urandom(8) for _ in range(10)]).view(pa.binary())
    said["nested.parquet"] = said["other.parquet"] = said["more.parquet"] = "has other columns"
    write(folder / "nested.parquet", pa.table({"image": pa.array([[b"x" * 9]] * 10)}))
    write(folder / "other.parquet", pa.table({"image": noise}))
    write(folder / "more.parquet", columns(5).append_column("more", pa.array([1] * 5)))
    said["footer.parquet"] = "its footer takes 100,000,000 bytes"
    (folder / "footer.parquet").write_bytes(
        b"PAR1" + bytes(100_000_000) + (100_000_000).to_bytes(4, "little") + b"PAR1"
    )
    said["sparse.parquet"] = "bytes, more than"
    with (folder / "sparse.parquet").open("wb") as file:
        file.truncate(600 * 2**20)
    said["utf8.parquet"] = "not readable"
    write(folder / "utf8.parquet", columns(5, label=b"\xff\xfe"))
    return said


PROBE = """
import json, sys, time
from pathlib import Path
from benchmark.errors import SpecError
from benchmark.records.columns import AUDIT_SCHEMA, SCORE_SCHEMA
from benchmark.files.tables import read_table

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

read_table(Path(sys.argv[1]) / "warm.parquet", SCORE_SCHEMA)
start = peak()
for path in sorted(Path(sys.argv[1]).glob("*.parquet")):
    before = time.process_time()
    try:
        read_table(path, AUDIT_SCHEMA if path.stem == "dictionary" else SCORE_SCHEMA)
        said = "read"
    except SpecError as error:
        said = str(error)
    print(json.dumps([path.name, said, time.process_time() - before, (peak() - start) / 1024]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells its peak memory through /proc")
def test_bombs_are_refused_within_seconds_and_little_memory(tmp_path: Path) -> None:
    said = make_bombs(tmp_path)
    write(tmp_path / "warm.parquet", columns(10))
    code = f"import resource; resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))\n{PROBE}"
    command = [sys.executable, "-c", code, str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=500, cwd=Path(tables.__file__).parents[2])
    assert found.returncode == 0, found.stderr
    rows = {
        name: (message, seconds, growth)
        for name, message, seconds, growth in map(json.loads, found.stdout.splitlines())
    }
    assert rows.pop("warm.parquet")[0] == "read"
    assert rows.keys() == said.keys()
    for name, (message, seconds, growth) in rows.items():
        assert said[name] in message, (name, message)
        assert seconds < 20, (name, seconds)  # of a processor, whatever else the machine does
        assert growth < 200, (name, growth)


def test_what_is_no_file_is_refused(tmp_path: Path, plain: Path) -> None:
    link, folder, pipe = tmp_path / "link.parquet", tmp_path / "folder.parquet", tmp_path / "pipe.parquet"
    link.symlink_to(plain)
    folder.mkdir()
    os.mkfifo(pipe)
    for path in (link, folder, pipe):
        with pytest.raises(SpecError, match="is no file"):
            read_table(path, SCORE_SCHEMA)
    with pytest.raises(SpecError, match="no such file"):
        read_table(tmp_path / "absent.parquet", SCORE_SCHEMA)


def test_a_pointer_of_git_lfs_is_named(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(SpecError, match=r"scores\.parquet: is a pointer of Git LFS, .* \(fetch it: git lfs pull"):
        read_table(path, SCORE_SCHEMA)


def test_files_cut_short_are_refused(plain: Path) -> None:
    data = plain.read_bytes()
    for length in range(0, len(data), 37):
        plain.write_bytes(data[:length])
        with pytest.raises(SpecError, match=r"scores\.parquet"):
            read_table(plain, SCORE_SCHEMA)
    plain.write_bytes(b"Not Parquet at all." * 100)
    with pytest.raises(SpecError, match="not readable as scores"):
        read_table(plain, SCORE_SCHEMA)


def test_a_page_header_of_lists_in_lists_is_refused(plain: Path) -> None:
    place = pq.read_metadata(plain).row_group(0).column(0).dictionary_page_offset
    data = bytearray(plain.read_bytes())
    data[place:place] = b"\x19" * 20_000
    plain.write_bytes(data)
    with pytest.raises(SpecError, match="no page header"):
        read_table(plain, SCORE_SCHEMA)


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def field(step: int, kind: int, value: int) -> bytes:
    return bytes([step << 4 | kind]) + varint(value << 1)


I32, I64 = 5, 6


def test_a_size_stated_again_as_another_type_does_not_count() -> None:
    pages = field(1, I32, 0) + field(1, I32, 2**31 - 1) + field(1, I32, 40)
    again = bytes([I64]) + varint(2 << 1) + varint(8 << 1)
    header = tables.read_page_header(io.BytesIO(pages + again + b"\0"), 0)
    assert (header.uncompressed, header.compressed) == (2**31 - 1, 40)
    for nonsense in (b"", b"\0", b"\x15" + b"\xff" * 20, field(2, I32, 1), b"\xff" * 50, b"\x1c" * 50, b"\x1b\0"):
        with pytest.raises(ValueError, match=r"\w"):
            tables.read_page_header(io.BytesIO(nonsense), 0)


MUTATE = """
import random, sys
from pathlib import Path
from benchmark.errors import SpecError
from benchmark.records.columns import SCORE_SCHEMA, table_digest
from benchmark.files.tables import read_table

path, generator = Path(sys.argv[1]), random.Random(0)
data, refused = path.read_bytes(), 0
for number in range(3000):
    copy = bytearray(data)
    for _ in range(generator.choice([1, 1, 2, 8])):
        copy[generator.randrange(len(copy))] = generator.choice([0, 1, 0x7F, 0x80, 0xFF, generator.randrange(256)])
    path.write_bytes(copy)
    try:
        table_digest(read_table(path, SCORE_SCHEMA))
    except SpecError:
        refused += 1
print(refused)
"""


@pytest.mark.slow
def test_any_change_of_bytes_is_refused_or_harmless(plain: Path) -> None:
    rows = columns(40)
    names = pa.array([f"scene-{number}" for number in range(40)]).dictionary_encode()
    write(plain, rows.set_column(0, SCORE_SCHEMA.field("image"), names))
    command = [sys.executable, "-c", MUTATE, str(plain)]
    code = Path(tables.__file__).parents[2]
    found = subprocess.run(command, capture_output=True, text=True, timeout=500, cwd=code)
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) > 1500
