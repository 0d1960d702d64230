"""Images that anybody may have stored in a record: plain RGB PNGs of one size, or refused before they are decoded."""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, PngImagePlugin

from benchmark.errors import IntegrityError, SpecError
from benchmark.records.audit import (
    MAX_AUDIT_BYTES,
    audit_digest,
    audit_to_table,
    check_png,
    decode_png,
    read_audit,
    stored_cells,
)
from benchmark.records.columns import AUDIT_SCHEMA
from benchmark.suites.catalog import list_suites, load_suite
from benchmark.suites.spec import AuditCells, Suite

SIZE = (24, 32)
PIXELS = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(name: bytes, data: bytes, length: int | None = None) -> bytes:
    return (
        struct.pack(">I", len(data) if length is None else length)
        + name
        + data
        + struct.pack(">I", zlib.crc32(name + data))
    )


def head(height: int = SIZE[0], width: int = SIZE[1], kind: bytes = b"\x08\x02\0\0\0") -> bytes:
    return chunk(b"IHDR", struct.pack(">II", width, height) + kind)


RAW = b"".join(b"\0" + row.tobytes() for row in PIXELS)
DATA, END = chunk(b"IDAT", zlib.compress(RAW)), chunk(b"IEND", b"")
PLAIN = SIGNATURE + head() + DATA + END


def saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def with_text() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "<script>", zip=True)
    return saved(Image.fromarray(PIXELS), pnginfo=info)


def animated() -> bytes:
    frames = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    return saved(frames[0], save_all=True, append_images=frames[1:])


RGB = Image.fromarray(PIXELS)
NOT_PLAIN = {
    "nothing": b"",
    "a signature": SIGNATURE,
    "half a header": PLAIN[:18],
    "a header without its end": PLAIN[:27],
    "not PNG": b"GIF89a" + PLAIN[6:],
    "another size": SIGNATURE + head(height=25) + DATA + END,
    "width and height exchanged": saved(Image.fromarray(PIXELS.transpose(1, 0, 2))),
    "a size of terabytes": SIGNATURE + head(2**31 - 1, 2**31 - 1) + DATA + END,
    "16 bit": SIGNATURE + head(kind=b"\x10\x02\0\0\0") + DATA + END,
    "gray": saved(RGB.convert("L")),
    "a palette": saved(RGB.convert("P")),
    "transparency": saved(RGB.convert("RGBA")),
    "interlaced": SIGNATURE + head(kind=b"\x08\x02\0\0\x01") + DATA + END,
    "text": with_text(),
    "compressed text that inflates to 100 MB": (
        SIGNATURE + head() + chunk(b"zTXt", b"a\0\0" + zlib.compress(b"a" * 10**8)) + DATA + END
    ),
    "a color profile": saved(RGB, icc_profile=b"profile"),
    "Exif": saved(RGB, exif=b"Exif\0\0"),
    "resolution": saved(RGB, dpi=(72, 72)),
    "an animation": animated(),
    "bytes after the end": PLAIN + b"<script>",
    "a chunk after the end": PLAIN + chunk(b"tEXt", b"a\0b"),
    "no end": SIGNATURE + head() + DATA,
    "no data": SIGNATURE + head() + END,
    "two headers": SIGNATURE + head() + head() + DATA + END,
    "a header with more in it": SIGNATURE + chunk(b"IHDR", head()[8:21] + b"<script>") + DATA + END,
    "a chunk longer than the file": SIGNATURE + head() + chunk(b"IDAT", zlib.compress(RAW), 2**32 - 1) + END,
    "cut off": PLAIN[:-20],
}  # fmt: skip


def compressed_zeros(count: int) -> bytes:
    """Return a zlib stream of the pixels of PLAIN and `count` zeros, without ever holding these."""
    packer = zlib.compressobj(9)
    head = packer.compress(RAW) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * (count // 2**24) + packer.flush()


DAMAGED = {
    "data that inflate to gigabytes": chunk(b"IDAT", compressed_zeros(2**31)),
    "data for fewer pixels": chunk(b"IDAT", zlib.compress(RAW[:-1])),
    "data for one byte more": chunk(b"IDAT", zlib.compress(RAW + b"\0")),
    "data without an end": chunk(b"IDAT", zlib.compress(RAW)[:-6]),
    "something behind the data": chunk(b"IDAT", zlib.compress(RAW) + b"<script>"),
    "no zlib": chunk(b"IDAT", b"\0" * 100),
    "empty data": chunk(b"IDAT", b""),
    "an unknown filter": chunk(b"IDAT", zlib.compress(b"\x09" + RAW[1:])),
}


def test_plain_images_are_read_as_they_were_stored() -> None:
    for png in (PLAIN, saved(RGB), saved(RGB, optimize=True)):
        check_png(png, SIZE)
        assert np.array_equal(decode_png(png, SIZE), PIXELS)


def test_data_in_several_chunks_are_plain() -> None:
    packed = zlib.compress(RAW)
    png = SIGNATURE + head() + chunk(b"IDAT", packed[:100]) + chunk(b"IDAT", packed[100:]) + END
    assert np.array_equal(decode_png(png, SIZE), PIXELS)


@pytest.mark.parametrize("kind", NOT_PLAIN)
def test_what_is_not_plain_is_refused_before_it_is_decoded(kind: str) -> None:
    tracemalloc.start()
    with pytest.raises(IntegrityError, match="holds"):
        check_png(NOT_PLAIN[kind], SIZE)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("kind", DAMAGED)
def test_data_that_are_not_those_of_the_pixels_are_refused_without_inflating_them(kind: str) -> None:
    png = SIGNATURE + head() + DAMAGED[kind] + END
    tracemalloc.start()
    with pytest.raises(IntegrityError, match="holds a damaged PNG"):
        decode_png(png, SIZE)
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()


def test_any_change_of_a_byte_is_refused_or_gives_an_image_of_the_size() -> None:
    generator, refused = random.Random(0), 0
    for _ in range(2000):
        png = bytearray(PLAIN)
        for _ in range(generator.randint(1, 3)):
            png[generator.randrange(len(png))] = generator.randrange(256)
        try:
            assert decode_png(bytes(png), SIZE).shape == (*SIZE, 3)
        except IntegrityError:
            refused += 1
    assert refused > 1500


def test_a_table_with_too_many_rows_is_refused_before_its_rows_are_looked_at(mini: Suite) -> None:
    indices = pa.array(np.zeros(5_000_000, np.int32))
    columns = [
        pa.DictionaryArray.from_arrays(indices, pa.array([b"x" if name == "png" else "x"]))
        for name in AUDIT_SCHEMA.names
    ]
    table = pa.Table.from_arrays(columns, schema=AUDIT_SCHEMA)
    tracemalloc.start()
    with pytest.raises(SpecError, match="holds 5,000,000 rows"):
        read_audit(mini, table, mini.targets, mini.audit_images)  # type: ignore[arg-type]
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()


def test_a_refused_image_names_its_row(mini: Suite) -> None:
    target = mini.target("mini-vit")
    cut = target.model_copy(update={"taps": target.taps[:1], "input_size": SIZE})
    pixels = np.zeros((1, 2, len(mini.perturbations), *SIZE, 3), np.uint8)
    table = audit_to_table(mini, cut, ["scene-0025"], pixels)
    rows = table.to_pylist()
    rows[5]["png"] = NOT_PLAIN["an animation"]
    with pytest.raises(IntegrityError, match="row 6 holds"):
        read_audit(mini, pa.Table.from_pylist(rows, schema=AUDIT_SCHEMA), [cut], ["scene-0025"])
    assert np.array_equal(read_audit(mini, table, [cut], ["scene-0025"])[0], pixels)


def test_the_digest_is_of_pixels_whatever_encoded_them(mini: Suite) -> None:
    target = mini.target("mini-vit")
    cut = target.model_copy(update={"taps": target.taps[:1], "input_size": SIZE})
    pixels = np.random.default_rng(1).integers(0, 256, (1, 2, len(mini.perturbations), *SIZE, 3), np.uint8)
    table = audit_to_table(mini, cut, ["scene-0009"], pixels)
    rows = table.to_pylist()
    for level, row in enumerate(rows):
        row["png"] = saved(Image.fromarray(decode_png(row["png"], SIZE)), compress_level=level % 10)
    again = pa.Table.from_pylist(rows, schema=AUDIT_SCHEMA)
    assert not again.equals(table)
    assert audit_digest(again) == audit_digest(table)
    pixels[0, 1, 2, 3, 4, 1] ^= 1
    assert audit_digest(audit_to_table(mini, cut, ["scene-0009"], pixels)) != audit_digest(table)


def few_cells(mini: Suite) -> Suite:
    """mini@1 with small images, of which records store a part: what one target saw, and of it two recons."""
    target = mini.target("mini-vit").model_copy(update={"input_size": SIZE})
    cells = (
        AuditCells(targets=("mini-vit",), images=2, taps=("input", "encoder.1"), perturbations=("identity",)),
        AuditCells(targets=("mini-vit",), images=1, taps=("encoder.1",), perturbations=("gray", "hue_set_0")),
    )
    return mini.model_copy(update={"targets": (target, mini.target("mini-swin")), "audit_cells": cells})


def test_only_the_cells_that_the_suite_states_are_stored(mini: Suite) -> None:
    suite, images = few_cells(mini), ["a", "b", "c"]
    vit, swin = suite.targets
    shape = (3, 1 + len(vit.taps), len(suite.perturbations))
    pixels = np.random.default_rng(2).integers(0, 256, (*shape, *SIZE, 3), np.uint8)
    table = audit_to_table(suite, vit, images, pixels)
    rows = [tuple(row.values())[:4] for row in table.to_pylist()]
    assert rows == [
        ("a", "mini-vit", "input", "identity"),
        ("a", "mini-vit", "encoder.1", "identity"),
        ("a", "mini-vit", "encoder.1", "hue_set_0"),
        ("a", "mini-vit", "encoder.1", "gray"),
        ("b", "mini-vit", "input", "identity"),
        ("b", "mini-vit", "encoder.1", "identity"),
    ]
    (back,) = read_audit(suite, table, [vit], images)
    stored = stored_cells(suite, vit, 3)
    assert np.array_equal(back[stored], pixels[stored]) and not back[~stored].any()
    # Another target is in no cell: nothing of it is stored, and a table without rows is one like any other.
    assert not stored_cells(suite, swin, 3).any()
    empty = audit_to_table(suite, swin, images, np.zeros((3, 1 + len(swin.taps), shape[2], 96, 96, 3), np.uint8))
    assert empty.num_rows == 0
    assert audit_digest(pa.concat_tables([table, empty]).unify_dictionaries()) == audit_digest(table)
    for more in ([*table.to_pylist(), table.to_pylist()[0]], table.to_pylist()[:-1]):
        with pytest.raises(SpecError, match=f"holds {len(more)} rows, not 6"):
            read_audit(suite, pa.Table.from_pylist(more, schema=AUDIT_SCHEMA), [vit, swin], images)


def write_audit(suite: Suite, folder: Path, picture: dict[tuple[int, int], list[bytes]]) -> int:
    """Write the audit set of a record of all targets with given PNGs, as records are written; return its bytes.

    What two targets of one size saw of an image is one picture, every recon another.
    """
    kinds, rows, pngs, seen = suite.perturbations, [], {size: iter(found) for size, found in picture.items()}, {}
    images = len(suite.audit_images) if isinstance(suite.audit_images, tuple) else suite.audit_images
    for target in suite.targets:
        taps = ("input", *target.tap_names)
        for image, tap, kind in np.argwhere(stored_cells(suite, target, images)).tolist():
            key = (image, kind, target.input_size)
            png = next(pngs[target.input_size]) if tap or key not in seen else seen[key]
            if tap == 0:
                seen[key] = png
            rows.append((f"{image:012d}", target.id, taps[tap], kinds[kind], png))
    columns = zip(*rows, strict=True)
    arrays = [
        pa.array(column, field.type.value_type).dictionary_encode()
        for column, field in zip(columns, AUDIT_SCHEMA, strict=True)
    ]
    path = folder / "audit.parquet"
    pq.write_table(pa.Table.from_arrays(arrays, schema=AUDIT_SCHEMA), path, compression="zstd", compression_level=9)
    return path.stat().st_size


def count_pictures(suite: Suite) -> dict[tuple[int, int], int]:
    """Return how many different pictures a record of all targets stores, by size."""
    found: dict[tuple[int, int], int] = {}
    seen = set()
    images = len(suite.audit_images) if isinstance(suite.audit_images, tuple) else suite.audit_images
    for target in suite.targets:
        cells = stored_cells(suite, target, images)
        seen |= {(target.input_size, *cell) for cell in np.argwhere(cells[:, 0]).tolist()}
        found[target.input_size] = found.get(target.input_size, 0) + int(cells[:, 1:].sum())
    for size, *_ in seen:
        found[size] += 1
    return found


STORING = [name for name in list_suites() if load_suite(name).dataset.pictures != "none"]


def test_the_picture_counts_of_the_suites_are_those_of_the_page() -> None:
    assert {name: count_pictures(load_suite(name)) for name in STORING} == {
        "coco@1": {(480, 640): 9, (224, 224): 76},
        "mini@1": {(96, 96): 19 * 4 * 7 + 4 * 7},
    }


@pytest.mark.slow
@pytest.mark.parametrize("suite_id", STORING)
def test_a_record_stays_below_its_limit_even_if_every_recon_is_noise(suite_id: str, tmp_path: Path) -> None:
    suite, rng = load_suite(suite_id), np.random.default_rng(0)
    noise = {
        size: [
            saved(Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)), compress_level=1) for _ in range(count)
        ]
        for size, count in count_pictures(suite).items()
    }
    taken = write_audit(suite, tmp_path, noise)
    assert sum(height * width * 3 * len(found) for (height, width), found in noise.items()) < taken <= MAX_AUDIT_BYTES


@pytest.mark.slow
def test_recons_as_detailed_as_photographs_take_about_half_of_the_limit(assets: Path, tmp_path: Path) -> None:
    paths = sorted((assets / "coco_val2017_sample/val2017").glob("*.jpg"))
    if not paths:
        pytest.skip(f"{assets / 'coco_val2017_sample'} is absent")
    suite = load_suite("coco@1")
    found: dict[tuple[int, int], list[bytes]] = {}
    for size, count in count_pictures(suite).items():
        opened = [
            Image.open(path).convert("RGB").resize(size[::-1], Image.Resampling.BILINEAR) for path in paths[:count]
        ]
        found[size] = [saved(image, compress_level=4) for image in opened]
    taken = write_audit(suite, tmp_path, found)
    assert 0.4 * MAX_AUDIT_BYTES < taken < 0.65 * MAX_AUDIT_BYTES
