"""The files of a record hold a record, scores and pixels; what hides beside them is refused; committed ones pass."""

from __future__ import annotations

import io
import json
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from forge import SMALL, World, make_world, put, reseal, write_tables
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from benchmark.errors import UserError
from benchmark.files.paths import submissions_root
from benchmark.records.audit import decode_png, encode_png
from benchmark.records.columns import AUDIT_SCHEMA
from benchmark.records.plain import check_plain
from benchmark.records.record import load_record
from benchmark.suites.catalog import load_suite

SIZE = (96, 96)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def honest(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An honest submission; tests must not write to it."""
    return world.write(tmp_path_factory.mktemp("honest"))


@pytest.fixture
def place(honest: Path, tmp_path: Path) -> Path:
    """The folder of the record of a copy of the honest submission."""
    shutil.copytree(honest.parents[1], tmp_path / SMALL)
    return tmp_path / SMALL / "records" / honest.name


def check(world: World, place: Path) -> None:
    """Check the record in `place` as `validate` does."""
    world.check(place)
    check_plain(world.suite, place, load_record(place))


@pytest.mark.slow
def test_every_committed_record_is_plain() -> None:
    for folder in sorted(submissions_root().glob("*/records/*")):
        check_plain(load_suite(folder.name), folder, load_record(folder))


def test_an_honest_record_is_plain(world: World, place: Path) -> None:
    check(world, place)
    reseal(place)
    check(world, place)


# PNG


def chunk(name: bytes, content: bytes, checksum: int | None = None) -> bytes:
    crc = zlib.crc32(name + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)


def parts(png: bytes) -> tuple[bytes, bytes, bytes]:
    """Return signature with IHDR, the data, and IEND."""
    (length,) = struct.unpack(">I", png[33:37])
    return png[:33], png[41 : 41 + length], png[-12:]


def saved(png: bytes, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).save(buffer, "PNG", **options)
    return buffer.getvalue()


def polyglot(png: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("payload.txt", "x" * 100)
    return png + archive.getvalue()


def text(png: bytes) -> bytes:
    info = PngInfo()
    info.add_text("Comment", "payload")
    return saved(png, pnginfo=info)


def exif(png: bytes) -> bytes:
    found = Image.Exif()
    found[0x010E] = "payload"
    return saved(png, exif=found)


def own_checksum(png: bytes) -> bytes:
    head, data, end = parts(png)
    return head + chunk(b"IDAT", data, int.from_bytes(b"evil", "big")) + end


def small_pieces(png: bytes) -> bytes:
    head, data, end = parts(png)
    return head + b"".join(chunk(b"IDAT", data[at : at + 50]) for at in range(0, len(data), 50)) + end


def nothing_last(png: bytes) -> bytes:
    head, data, end = parts(png)
    return head + chunk(b"IDAT", data) + chunk(b"IDAT", b"") + end


def empty_blocks(png: bytes) -> bytes:
    """Put thousands of empty blocks, which inflate to nothing, before the data."""
    head, data, end = parts(png)
    raw = zlib.decompress(data)
    deflate = zlib.compressobj(4, zlib.DEFLATED, -15)
    body = deflate.compress(raw) + deflate.flush()
    stream = b"\x78\x9c" + b"\x00\x00\x00\xff\xff" * 20_000 + body + zlib.adler32(raw).to_bytes(4, "big")
    return head + chunk(b"IDAT", stream) + end


def more_data(png: bytes) -> bytes:
    head, data, end = parts(png)
    return head + chunk(b"IDAT", zlib.compress(zlib.decompress(data) + b"payload")) + end


def behind_data(png: bytes) -> bytes:
    head, data, end = parts(png)
    return head + chunk(b"IDAT", data + b"payload") + end


PNG_ATTACKS: dict[str, Callable[[bytes], bytes]] = {
    "a ZIP behind the end": polyglot,
    "tEXt": text,
    "eXIf": exif,
    "iCCP": lambda png: saved(png, icc_profile=b"payload" * 30),
    "a chunk of one's own": lambda png: png[:33] + chunk(b"evIl", b"payload") + png[33:],
    "a checksum that is none": own_checksum,
    "data in small pieces": small_pieces,
    "a last piece without data": nothing_last,
    "empty blocks in the data": empty_blocks,
    "more data than pixels": more_data,
    "bytes behind the data": behind_data,
}


@pytest.mark.parametrize("kind", PNG_ATTACKS)
def test_a_png_with_a_payload_is_refused(world: World, place: Path, kind: str) -> None:
    rows = pq.read_table(place / "audit.parquet").to_pylist()
    honest = rows[2]["png"]
    rows[2]["png"] = PNG_ATTACKS[kind](honest)
    with Image.open(io.BytesIO(rows[2]["png"])) as image:
        assert np.array_equal(np.asarray(image), decode_png(honest, SIZE)), "a viewer sees the honest picture"
    write_tables(place, audit=pa.Table.from_pylist(rows, schema=AUDIT_SCHEMA))
    reseal(place, put("audit_sha256", load_record(place).audit_sha256))
    with pytest.raises(UserError) as caught:
        check(world, place)
    assert caught.value.where == str(place / "audit.parquet")


def test_other_encoders_of_the_same_pixels_are_welcome(world: World, place: Path) -> None:
    rows = pq.read_table(place / "audit.parquet").to_pylist()
    for row in rows:
        row["png"] = saved(row["png"], optimize=True)
    before = load_record(place).audit_sha256
    write_tables(place, audit=pa.Table.from_pylist(rows, schema=AUDIT_SCHEMA))
    reseal(place)
    assert load_record(place).audit_sha256 == before
    check(world, place)


def test_pixels_encoded_anew_are_the_same_and_alone() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    clean = encode_png(pixels)
    assert np.array_equal(decode_png(clean, SIZE), pixels)
    for attack in (text, exif, lambda png: saved(png, icc_profile=b"payload" * 30)):
        assert b"payload" in attack(clean) or b"zTXt" in attack(clean) or b"iCCP" in attack(clean)
        assert encode_png(np.asarray(Image.open(io.BytesIO(attack(clean))))) == clean


# Parquet and JSON


def test_metadata_of_a_table_is_refused(world: World, place: Path) -> None:
    for name in ("scores", "audit"):
        table = pq.read_table(place / f"{name}.parquet")
        pq.write_table(table.replace_schema_metadata({"more": "x"}), place / f"{name}.parquet", compression="zstd")
        with pytest.raises(UserError, match="foreign payload: holds metadata") as caught:
            check(world, place)
        assert caught.value.where == str(place / f"{name}.parquet")
        write_tables(place, **{name: table})


TEXTS: dict[str, tuple[Callable[[str], str], str]] = {
    "spaces": (lambda text: text.replace("\n", " \n", 1), "line 1 is not as invbench writes"),
    "more behind it": (lambda text: text + "\n" * 100, "foreign payload"),
    "a key twice": (lambda text: text.replace('"images":', '"images": 7,\n "images":', 1), "foreign payload"),
    "other escapes": (lambda text: text.replace('"float32"', '"\\u0066loat32"'), "foreign payload"),
    "one line": (lambda text: json.dumps(json.loads(text)), "foreign payload"),
    "a default": (lambda text: text.replace(' "cells"', ' "compiled": false,\n "cells"', 1), "foreign payload"),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_a_record_has_one_text(world: World, place: Path, kind: str) -> None:
    change, words = TEXTS[kind]
    path = place / "record.json"
    changed = change(path.read_text(encoding="utf-8"))
    assert changed != path.read_text(encoding="utf-8")
    path.write_text(changed, encoding="utf-8")
    with pytest.raises(UserError, match=words) as caught:
        check(world, place)
    assert caught.value.where == str(path)


def test_lines_may_end_as_windows_ends_them(world: World, place: Path) -> None:
    path = place / "record.json"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    check(world, place)


@pytest.mark.parametrize("value", [1e-320, 0.123456789], ids=str)
def test_digits_that_mean_nothing_are_refused(world: World, place: Path, value: float) -> None:
    taps = f"targets/{world.suite.targets[0].id}/taps/encoder.0/clamped"
    reseal(place, put(taps, value))
    with pytest.raises(UserError, match=r"encoder\.0\.clamped': .* has more than 6 decimals"):
        check(world, place)


def test_training_is_stated_with_any_digits(world: World, place: Path) -> None:
    reseal(place, put(f"inverses/{world.suite.targets[0].id}/training/lr", 1.23456789e-5))
    check(world, place)
