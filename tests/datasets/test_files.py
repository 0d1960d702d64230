"""Image files as they are read: any plain format as RGB, anything else as one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.datasets.files import read_image, read_mask
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
def test_exif_orientation_is_applied(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"webp": {"lossless": True}, "jpg": {"quality": 100, "subsampling": 0}}.get(kind, {})
    RGB.save(tmp_path / f"turned.{kind}", exif=exif, **options)
    found, wanted = read_image(tmp_path / f"turned.{kind}"), np.rot90(PIXELS, -1)
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
