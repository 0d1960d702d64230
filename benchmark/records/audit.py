"""Audit images: what the target saw and every recon of a handful of images, stored without loss. Torch-free."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image, UnidentifiedImageError

from benchmark.errors import IntegrityError, SpecError, first_line, located
from benchmark.files.paths import is_bundled
from benchmark.files.tables import read_table
from benchmark.records.columns import AUDIT_SCHEMA, table_digest
from benchmark.suites.spec import INPUT, Suite, TargetSpec

__all__ = [
    "MAX_AUDIT_BYTES", "MAX_SIDE_PX", "audit_digest", "audit_to_table", "check_png", "check_sizes", "decode_png",
    "encode_png", "load_audit_file", "png_chunks", "read_audit", "stored_cells",
]  # fmt: skip

Pixels = npt.NDArray[np.uint8]
MAX_AUDIT_BYTES = 20_000_000
"""What the audit set of a record may take. The suites of the package stay below even where every recon is noise."""
MAX_SIDE_PX = 4096
PNG_LEVEL = 4
"""One hundredth larger than at the highest level, in half the time."""
_HEAD = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR"
_RGB8 = bytes([8, 2, 0, 0, 0])
"""Bit depth 8, color type RGB, and the only compression, filter and no interlacing."""


def png_chunks(png: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Yield name, content and checksum of every whole chunk of a PNG."""
    offset = 8
    while offset + 12 <= len(png):
        (length,) = struct.unpack(">I", png[offset : offset + 4])
        end = offset + 8 + length
        if end + 4 > len(png):
            return
        yield png[offset + 4 : offset + 8], png[offset + 8 : end], int.from_bytes(png[end : end + 4], "big")
        offset = end + 4


def check_png(png: bytes, size: tuple[int, int]) -> None:
    """Check that bytes are a plain 8-bit RGB PNG of `size` (height, width), before anything is decompressed.

    Only the chunks that pixels need are allowed: no text, no profiles, no animation.

    Raises:
        IntegrityError: they are not; says in which way.
    """
    what = f"a plain RGB PNG of {size[0]}x{size[1]} pixels"
    if png[:16] != _HEAD or len(png) < 29 or struct.unpack(">II", png[16:24]) != size[::-1]:
        raise IntegrityError(f"holds something that is not {what}")
    if png[24:29] != _RGB8:
        raise IntegrityError(f"holds a PNG of another kind than {what}")
    names = [name for name, _, _ in png_chunks(png)]
    length = 8 + sum(12 + len(content) for _, content, _ in png_chunks(png))
    if length != len(png) or names[:1] != [b"IHDR"] or names[-1] != b"IEND" or set(names[1:-1]) != {b"IDAT"}:
        raise IntegrityError(f"holds a PNG with other chunks than {what} needs")


def _check_data(png: bytes, size: tuple[int, int]) -> None:
    """Check that the data of a PNG inflate to its pixels and nothing beyond, without inflating more than that."""
    data = [content for name, content, _ in png_chunks(png) if name == b"IDAT"]
    expected, inflate = size[0] * (1 + 3 * size[1]), zlib.decompressobj()
    inflated = len(inflate.decompress(b"".join(data), expected + 1))
    if inflated != expected or not inflate.eof or inflate.unused_data:
        raise ValueError("its data are not those of its pixels")


def decode_png(png: bytes, size: tuple[int, int]) -> Pixels:
    """Return the pixels (H, W, 3) of a PNG that passes `check_png`.

    Raises:
        IntegrityError: it does not pass, or its data are damaged or more than its pixels.
    """
    check_png(png, size)
    try:
        _check_data(png, size)
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            return np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, zlib.error) as error:
        raise IntegrityError(f"holds a damaged PNG: {first_line(error)}") from None


def _size_of(png: bytes) -> tuple[int, int]:
    """Return the (height, width) that a PNG states.

    Raises:
        IntegrityError: it states none, or more than an input of a target may have.
    """
    if png[:16] != _HEAD or len(png) < 24:
        raise IntegrityError("holds something that is no PNG")
    width, height = struct.unpack(">II", png[16:24])
    if not (0 < height <= MAX_SIDE_PX and 0 < width <= MAX_SIDE_PX):
        raise IntegrityError(f"holds a PNG of {height}x{width} pixels, at most {MAX_SIDE_PX} a side are allowed")
    return height, width


def audit_digest(table: pa.Table) -> str:
    """Return the SHA-256 of audit images (AUDIT_SCHEMA): of labels and decoded pixels, whatever encoded them.

    Raises:
        IntegrityError: one of them is no plain RGB PNG of allowed size.
    """
    column = table.column("png").combine_chunks()
    pixels = []
    for png in column.dictionary.to_pylist():
        size = _size_of(png)
        pixels.append(hashlib.sha256(repr(size).encode() + decode_png(png, size).tobytes()).digest())
    hashes = pa.DictionaryArray.from_arrays(column.indices, pa.array(pixels, pa.binary()))
    return table_digest(table.set_column(table.schema.get_field_index("png"), "png", hashes))


def load_audit_file(path: Path, sha256: str, rows: int | None = None) -> pa.Table:
    """Read an `audit.parquet` (AUDIT_SCHEMA), checked against the hash of its pixels; see `read_table`.

    Raises:
        SpecError: it came with a wheel, which leaves pictures out; or see `read_table`.
        IntegrityError: it holds something that is no plain PNG, or other pixels.
    """
    if is_bundled(path) and not path.is_file():
        message = "pictures of records are left out of installed packages"
        raise SpecError(message, where=str(path), cure="run this in a checkout of the repository")
    table = read_table(path, AUDIT_SCHEMA, rows)
    with located(path):
        if audit_digest(table) != sha256:
            raise IntegrityError("differs from what record.json states", cure="evaluate again")
    return table


def check_sizes(table: pa.Table, sizes: Mapping[str, tuple[int, int]]) -> None:
    """Check that audit images are plain PNGs of the input size (height, width) of their target.

    Raises:
        IntegrityError: one is not.
    """
    pngs, targets = (table.column(name).combine_chunks() for name in ("png", "target"))
    names = targets.dictionary.to_pylist()
    for png, target in sorted(set(zip(pngs.indices.to_pylist(), targets.indices.to_pylist(), strict=True))):
        if names[target] in sizes:
            check_png(pngs.dictionary[png].as_py(), sizes[names[target]])


def stored_cells(suite: Suite, target: TargetSpec, images: int) -> npt.NDArray[np.bool_]:
    """Return which pictures of a target records store, (images, 1 + taps, perturbations).

    Args:
        images: how many audit images there are; the first "tap" is what the target saw.
    """
    taps, kinds = (INPUT, *target.tap_names), suite.perturbations
    stored = np.full((images, len(taps), len(kinds)), not suite.audit_cells)
    for cells in suite.audit_cells:
        if target.id in cells.targets:
            rows = [taps.index(tap) for tap in cells.taps if tap in taps]
            stored[
                np.ix_(range(min(images, cells.images)), rows, [kinds.index(kind) for kind in cells.perturbations])
            ] = True
    return stored


def _row_labels(suite: Suite, target: TargetSpec, images: Sequence[str]) -> list[tuple[str, str, str, str]]:
    """Return image, target, tap and perturbation of every row of one target."""
    taps, kinds = (INPUT, *target.tap_names), suite.perturbations
    cells = np.argwhere(stored_cells(suite, target, len(images))).tolist()
    return [(images[image], target.id, taps[tap], kinds[kind]) for image, tap, kind in cells]


def encode_png(pixels: Pixels) -> bytes:
    """Return pixels (H, W, 3) as a PNG of the chunks that these need, and no others."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=PNG_LEVEL)
    return buffer.getvalue()


def audit_to_table(suite: Suite, target: TargetSpec, images: Sequence[str], pixels: Pixels) -> pa.Table:
    """Return the audit images of one target as rows (AUDIT_SCHEMA): the cells that the suite stores.

    Args:
        images: the ids of the audit images of which pictures are stored.
        pixels: (images, 1 + taps, perturbations, H, W, 3); the first "tap" is what the target saw.
    """
    flat = pixels[stored_cells(suite, target, len(images))]
    columns: list[Sequence[Any]] = list(zip(*_row_labels(suite, target, images), strict=True)) or [()] * 4
    columns.append([encode_png(item) for item in flat])
    arrays = [pa.array(column, field.type.value_type).dictionary_encode()
              for column, field in zip(columns, AUDIT_SCHEMA, strict=True)]  # fmt: skip
    return pa.Table.from_arrays(arrays, schema=AUDIT_SCHEMA)


def read_audit(suite: Suite, table: pa.Table, targets: Sequence[TargetSpec], images: Sequence[str]) -> list[Pixels]:
    """Return the audit images of each target, as `audit_to_table` was given them; zero where nothing is stored.

    Args:
        targets: those that were evaluated.
        images: the ids of the audit images of which pictures are stored.

    Raises:
        SpecError: a row is missing, twice there, out of its order or of something that the suite does not have.
        IntegrityError: a row holds no plain PNG of the target's input size.
    """
    expected = [row for target in targets for row in _row_labels(suite, target, images)]
    if table.num_rows != len(expected):
        raise SpecError(f"holds {table.num_rows:,} rows, not {len(expected):,}", cure="evaluate again")
    stored = list(zip(*(table.column(name).to_pylist() for name in AUDIT_SCHEMA.names[:4]), strict=True))
    for number, (labels, wanted) in enumerate(zip(stored, expected, strict=True), 1):
        if labels != wanted:
            message = f"row {number} is of {labels!r:.160}, not of {wanted!r}"
            raise SpecError(message, cure="evaluate again")
    pngs, result, row = table.column("png"), [], 0
    for target in targets:
        cells = stored_cells(suite, target, len(images))
        pixels = np.zeros((*cells.shape, *target.input_size, 3), np.uint8)
        for cell in np.argwhere(cells):
            try:
                pixels[tuple(cell)] = decode_png(pngs[row].as_py(), target.input_size)
            except IntegrityError as error:
                raise IntegrityError(f"row {row + 1} {error.message}", cure="evaluate again") from None
            row += 1
        result.append(pixels)
    return result
