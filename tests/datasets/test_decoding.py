"""Image files and the images of data sets as they are read: any plain format as RGB, anything else as one line."""

from __future__ import annotations

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.datasets.containers import drops_detail
from benchmark.datasets.decoding import orientation_of, read_image, read_mask
from benchmark.datasets.scenes import make_scene
from benchmark.errors import SpecError

PIXELS = make_scene("test", 7, 1).image[:40, :60]
RGB = Image.fromarray(PIXELS)


def test_whatever_is_plain_is_read_as_rgb(tmp_path: Path) -> None:
    gray, palette = RGB.convert("L"), RGB.quantize(16)
    opaque = RGB.copy()
    opaque.putalpha(255)
    unused = palette.copy()
    unused.info["transparency"] = 200
    cases = {
        "rgb.png": RGB, "rgb.bmp": RGB, "rgb.tif": RGB, "gray.png": gray, "bits.png": gray.convert("1"),
        "palette.png": palette, "opaque.png": opaque, "cmyk.tif": RGB.convert("CMYK"), "unused.png": unused,
        "gray-alpha.png": opaque.convert("LA"),
    }  # fmt: skip
    for name, image in cases.items():
        image.save(tmp_path / name)
        found = read_image(tmp_path / name)
        assert found.dtype == np.uint8
        assert np.array_equal(found, np.array(image.convert("RGB"))), name
    for name, mode in (("rgb.jpg", "RGB"), ("cmyk.jpg", "CMYK"), ("gray.jpeg", "L"), ("rgb.webp", "RGB")):
        RGB.convert(mode).save(tmp_path / name, quality=95)
        assert np.abs(read_image(tmp_path / name).astype(int) - np.array(RGB.convert(mode).convert("RGB"))).mean() < 6


@pytest.mark.parametrize("kind", ["png", "tif", "webp", "jpg"])
def test_exif_orientation_is_applied_where_that_is_asked_for(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"webp": {"lossless": True}, "jpg": {"quality": 100, "subsampling": 0}}.get(kind, {})
    RGB.save(tmp_path / f"turned.{kind}", exif=exif, **options)
    assert orientation_of(tmp_path / f"turned.{kind}") == 6
    found, wanted = read_image(tmp_path / f"turned.{kind}", upright=True), np.rot90(PIXELS, -1)
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted).mean() < 1.5


def test_masks_are_where_something_is_not_zero(tmp_path: Path) -> None:
    wanted = np.zeros((40, 60), bool)
    wanted[5:20, 10:33] = True
    ones = Image.fromarray(wanted.astype(np.uint8))
    color = Image.fromarray(wanted[..., None] * np.array([0, 0, 1], np.uint8))
    palette = ones.copy()
    palette.putpalette([0, 0, 0, 128, 0, 0])
    deep = Image.fromarray(wanted.astype(np.uint16) * 300)
    masks = {"ones": ones, "bits": Image.fromarray(wanted), "color": color, "palette": palette, "deep": deep}
    for name, mask in masks.items():
        for kind in ("png", "tif"):
            mask.save(tmp_path / f"{name}.{kind}")
            assert np.array_equal(read_mask(tmp_path / f"{name}.{kind}"), wanted), (name, kind)
    ones.save(tmp_path / "mask.jpg")
    with pytest.raises(SpecError, match=r"mask.jpg: JPEG does not keep the zeros of a mask \(save"):
        read_mask(tmp_path / "mask.jpg")


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "bmp", "tif"])
def test_damaged_files_never_end_in_a_traceback(tmp_path: Path, kind: str) -> None:
    path, rng = tmp_path / f"damaged.{kind}", np.random.default_rng(3)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "x"
    RGB.save(path, **({} if kind == "bmp" else {"exif": exif}))
    good, refusals = path.read_bytes(), []
    for _ in range(60):
        damaged = bytearray(good[: rng.integers(1, len(good) + 1)] if rng.random() < 0.5 else good)
        for place in rng.integers(0, min(len(damaged), 200 if rng.random() < 0.7 else len(damaged)), 3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        for read in (read_image, read_mask):
            try:
                read(path)
            except SpecError as error:
                refusals.append(str(error))
    assert len(refusals) > 20
    for text in refusals:
        assert text.startswith(f"{path}: ")
        assert len(text.splitlines()) == 1


READERS = [read_image, read_mask]
MASK = np.zeros((40, 60), np.uint8)
MASK[8:24, 10:33] = 255


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def deep_png(channels: int, kind: int) -> bytes:
    """Return a PNG of 16 bits a channel; Pillow reads such files and does not write them."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    rows = b"".join(b"\0" + bytes(range(1, 2 * channels + 1)) * 60 for _ in range(40))
    body = chunk(b"IHDR", struct.pack(">IIBBBBB", 60, 40, 16, kind, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def deep_tiff() -> bytes:
    """Return an uncompressed TIFF of 16 bits a channel, RGB."""
    pixels = (PIXELS.astype("<u2") * 257).tobytes()
    tags = [
        (256, 3, 1, 60), (257, 3, 1, 40), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 14),
        (277, 3, 1, 3), (278, 3, 1, 40), (279, 4, 1, len(pixels)),
    ]  # fmt: skip
    head = b"II*\0" + struct.pack("<I", 14 + len(pixels)) + struct.pack("<HHH", 16, 16, 16)
    return head + pixels + struct.pack("<H", 9) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)


def transparent(mode: str) -> Image.Image:
    image = Image.fromarray(np.full((40, 60), 255, np.uint8)).convert(mode)
    image.putalpha(Image.fromarray(MASK))
    return image


PALETTE = RGB.quantize(16)
HIDDEN = {
    "rgba.png": encode(transparent("RGB"), "PNG"),
    "la.png": encode(transparent("L"), "PNG"),
    "rgba.tif": encode(transparent("RGB"), "TIFF"),
    "rgba.webp": encode(transparent("RGB"), "WEBP", lossless=True),
    "palette.png": encode(PALETTE, "PNG", transparency=PALETTE.getpixel((3, 3))),
    "palette of alphas.png": encode(PALETTE, "PNG", transparency=bytes([128] * 16)),
    "key color.png": encode(RGB, "PNG", transparency=RGB.getpixel((5, 5))),
    "key gray.png": encode(RGB.convert("L"), "PNG", transparency=RGB.convert("L").getpixel((5, 5))),
}
DEEP = {
    "rgb.png": deep_png(3, 2), "rgba.png": deep_png(4, 6), "gray alpha.png": deep_png(2, 4), "rgb.tif": deep_tiff(),
    "float.tif": encode(Image.fromarray(np.zeros((40, 60), np.float32)), "TIFF"),
}  # fmt: skip
FRAMES = {
    kind: encode(RGB, kind, save_all=True, append_images=[Image.fromarray(255 - PIXELS)])
    for kind in ("PNG", "WEBP", "TIFF")
}


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("content", "message"),
    [(content, "has transparent pixels") for content in HIDDEN.values()]
    + [(content, "has (16 bits a channel|samples of type 'F'), not 8") for content in DEEP.values()]
    + [(content, "holds 2 frames") for content in FRAMES.values()]
    + [(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "is a pointer of Git LFS")],
)
@pytest.mark.parametrize("upright", [True, False])
def test_the_same_is_refused_of_a_file_and_of_its_bytes(
    tmp_path: Path, read: Any, content: bytes, message: str, upright: bool
) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(SpecError, match=rf"^{tmp_path}/file: {message}"):
        read(tmp_path / "file", upright=upright)
    with pytest.raises(SpecError, match=rf"^row 7: {message}"):
        read(content, "row 7", upright=upright)


@pytest.mark.parametrize(
    ("kind", "options", "named"),
    [
        ("JPEG", {"quality": 100}, "JPEG"),
        ("MPO", {"save_all": True, "append_images": [RGB]}, "JPEG"),
        ("WEBP", {}, "lossy WebP"),
        ("WEBP", {"quality": 100, "exif": b"Exif\0\0"}, "lossy WebP"),
        ("TIFF", {"compression": "jpeg"}, "TIFF with jpeg compression"),
    ],
)
def test_masks_in_lossy_encodings_are_refused(kind: str, options: dict[str, Any], named: str) -> None:
    content = encode(Image.fromarray(MASK).convert("RGB"), kind, **options)
    with pytest.raises(SpecError, match=rf"m: {named} does not keep the zeros of a mask \(save the mask as PNG\)"):
        read_mask(content, "m")
    assert read_image(content, "m").shape == (40, 60, 3)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("WEBP", {"lossless": True}), ("WEBP", {"lossless": True, "exif": b"Exif\0\0"}), ("BMP", {})]
    + [("TIFF", {"compression": name}) for name in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd")],
)
@pytest.mark.parametrize("mode", ["L", "RGB", "1"])
def test_masks_in_exact_encodings_are_read(kind: str, options: dict[str, Any], mode: str) -> None:
    content = encode(Image.fromarray(MASK).convert(mode), kind, **options)
    np.testing.assert_array_equal(read_mask(content, "m"), MASK > 0)


@pytest.mark.parametrize("compression", ["webp", "jpeg", "tiff_jpeg", "tiff_sgilog", "tiff_thunderscan", "unknown"])
def test_what_a_tiff_is_compressed_with_must_be_known_to_be_exact(compression: str) -> None:
    named = compression.removeprefix("tiff_")
    assert drops_detail("TIFF", b"", compression) == f"TIFF with {named} compression"
    assert drops_detail("TIFF", b"", "tiff_lzw") is None


def test_the_previews_of_a_camera_are_passed_over() -> None:
    content = encode(RGB, "MPO", save_all=True, append_images=[RGB.resize((8, 8))], quality=95)
    assert np.abs(read_image(content, "x").astype(int) - PIXELS).mean() < 6


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_stored_pixels_are_what_lies_in_the_file_or_refused(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    content = encode(RGB, kind, exif=exif, **options)
    mask = encode(Image.fromarray(MASK), "TIFF" if kind == "TIFF" else "PNG", exif=exif)
    if kind == "TIFF" and orientation > 1:
        for read, item in ((read_image, content), (read_mask, mask)):
            with pytest.raises(SpecError, match=rf"is a TIFF with orientation {orientation}, .*save it upright"):
                read(item, "x", shape=(60, 40) if orientation > 4 else (40, 60))
        return
    assert np.abs(read_image(content, "x", shape=(40, 60)).astype(int) - PIXELS).mean() < 4
    np.testing.assert_array_equal(read_mask(mask, "x", shape=(40, 60)), MASK > 0)


JPEGS: dict[str, dict[str, Any]] = {
    "plain": {}, "progressive": {"progressive": True}, "restarts": {"restart_marker_blocks": 3}, "exif": {"exif": b"x"},
    "full chroma": {"subsampling": 0, "quality": 95}, "optimized": {"optimize": True},
    "end marker in metadata": {"icc_profile": b"\xff\xd9"},
}  # fmt: skip


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpegs_that_were_cut_and_closed_are_refused(kind: str, mode: str) -> None:
    image = Image.fromarray(make_scene("test", 7, 2).image[:90, :75]).convert(mode)
    whole = encode(image, "JPEG", **JPEGS[kind])
    read_image(whole, "x")
    read_image(whole + b"trailing bytes \xff\xd9", "x")
    start, silent = whole.rindex(b"\xff\xda") if kind != "progressive" else whole.index(b"\xff\xda"), []
    for cut in np.linspace(start + 20, len(whole) - 80, 25).astype(int):
        content = whole[:cut].rstrip(b"\xff") + b"\xff\xd9"
        with suppress(SpecError):
            read_image(content, "x")
            silent.append(cut)
    assert len(silent) <= (3 if kind == "progressive" else 0)  # between two scans a progressive file is whole


@pytest.mark.parametrize("color", [(0, 0, 0), (128, 128, 128), (255, 255, 255)])
def test_jpegs_that_end_in_a_flat_corner_are_read(color: tuple[int, int, int]) -> None:
    for options in JPEGS.values():
        content = encode(Image.new("RGB", (70, 50), color), "JPEG", **options)
        assert np.abs(read_image(content, "x").astype(int) - color).max() <= 2


def test_threads_read_side_by_side() -> None:
    contents = [encode(RGB, kind) for kind in ("PNG", "JPEG", "TIFF", "BMP")] * 20
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda content: read_image(content, "x", upright=True), contents))
    for index, pixels in enumerate(found):
        np.testing.assert_array_equal(pixels, found[index % 4])
