"""Images that anybody may have stored in a record: plain RGB PNGs of one size, or refused before they are decoded."""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
import zlib

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, PngImagePlugin

from benchmark.errors import IntegrityError, SpecError
from benchmark.records.audit import audit_digest, audit_to_table, check_png, decode_png, read_audit
from benchmark.records.columns import AUDIT_SCHEMA
from benchmark.suites.spec import Suite

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
