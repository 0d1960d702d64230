"""`invbench score`: a line that says what is wrong with a file or folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scoring import Run, mistake, scores, write_set

from benchmark.datasets.decoding import EXTENSIONS
from benchmark.metrics.spec import METRICS


def _deep_rgb_png(path: Path) -> None:
    """Write a 16-bit RGB PNG, which Pillow reads but does not write."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header, rows = struct.pack(">IIBBBBB", 96, 96, 16, 2, 0, 0, 0), (b"\0" + b"\x12\x34" * 3 * 96) * 96
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def _write_bad(path: Path, what: str, good: bytes) -> None:
    image = Image.new("RGB", (96, 96), (9, 80, 200))
    match what:
        case "text":
            path.write_text("not an image")
        case "empty":
            path.write_bytes(b"")
        case "truncated":
            path.write_bytes(good[: len(good) // 2])
        case "transparent":
            image.putalpha(128)
            image.save(path)
        case "transparent palette":
            image.quantize(4).save(path, transparency=0)
        case "deep gray":
            Image.fromarray(np.full((96, 96), 3000, np.uint16)).save(path)
        case "deep rgb":
            _deep_rgb_png(path)
        case "animated":
            image.save(path, save_all=True, append_images=[Image.new("RGB", (96, 96))])
        case "gif":
            image.save(path, format="gif")
        case "small":
            image.resize((95, 96)).save(path)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("text", "not an image of a known format (give png, jpg, "),
        ("empty", "not an image of a known format"),
        ("gif", "not an image of a known format"),
        ("truncated", "cannot be read as an image: image file is truncated"),
        ("transparent", "has transparent pixels (flatten it"),
        ("transparent palette", "has transparent pixels"),
        ("deep gray", "has 16 bits a channel, not 8 (save it as 8-bit RGB)"),
        ("deep rgb", "has 16 bits a channel, not 8"),
        ("animated", "holds 2 frames (save one of them"),
        ("small", "95x96"),
    ],
)
@pytest.mark.parametrize("role", ["original", "recon", "seen", "baseline"])
def test_a_file_that_cannot_be_scored_is_named(run: Run, one: Path, what: str, message: str, role: str) -> None:
    files = {name: one / name / "a.png" for name in ("original", "recon", "seen", "baseline")}
    files["baseline"] = one / "recon_seen/a.png"
    bad = files[role]
    _write_bad(bad, what, bad.read_bytes())
    done = run(files["original"], files["recon"], "--seen", files["seen"], "--baseline", files["baseline"])
    mistake(done, message, str(bad))


@pytest.mark.parametrize("what", ["truncated", "transparent", "animated", "small", "text"])
def test_a_mask_that_cannot_be_used_is_named(run: Run, one: Path, what: str) -> None:
    _write_bad(one / "mask/a.png", what, (one / "mask/a.png").read_bytes())
    mistake(run(one / "original/a.png", one / "recon/a.png", f"--mask={one}/mask/a.png"), "mask/a.png: ")


@pytest.mark.parametrize("limit", [3000, 6000])
def test_a_decompression_bomb_is_refused(run: Run, one: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    # Pillow only warns up to twice its limit.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    mistake(run(one / "original/a.png", one / "recon/a.png"), f"a.png: has more than {limit} pixels", "scale it down")


def test_tiny_images_are_refused(run: Run, tmp_path: Path) -> None:
    for side in (7, 8):
        Image.effect_noise((side, 40), 60).save(tmp_path / f"{side}.png")
    mistake(run("7.png", "7.png"), "7.png: is 7x40; both sides must be at least 8")
    reasons = scores(run("8.png", "8.png", "--json"))["per_image"][0]["reasons"]
    assert reasons["ssim"] == METRICS["ssim"].unscored


@pytest.mark.parametrize(("width", "height", "small"), [(8, 8, True), (12, 8, True), (9, 9, False), (12, 12, False)])
def test_too_small_is_told_from_flat(run: Run, tmp_path: Path, width: int, height: int, small: bool) -> None:
    Image.effect_noise((width, height), 60).save(tmp_path / "noise.png")
    Image.new("RGB", (width, height), (9, 90, 200)).save(tmp_path / "flat.png")
    reasons = {}
    for name in ("noise", "flat"):
        found = scores(run(f"{name}.png", f"{name}.png", "--json"))["per_image"][0]
        reasons[name] = found["reasons"]
        assert ("spectral_ev" in found["reasons"]) == (name == "flat" or small)
        assert ("frc" in found["reasons"]) == (name == "flat")
    flat = METRICS["spectral_ev"].unscored
    assert reasons["flat"]["spectral_ev"] == (METRICS["spectral_ev"].too_small if small else flat)


def test_mistakes_with_files_and_folders(run: Run, many: Path, tmp_path: Path) -> None:
    original, recon = many / "original", many / "recon"
    mistake(run(original, many / "nowhere"), "nowhere: no such file or folder")
    mistake(run(many / "nothing.png", recon), "nothing.png: no such file or folder")
    mistake(run(original, recon / "image-0.png"), "image-0.png: is a file, but", "is a folder (give")
    mistake(run(original / "image-0.png", recon), "recon: is a folder, but", "is a file (give")
    mistake(run(original, recon, "--mask", many / "mask/image-0.png"), "mask/image-0.png: is a file, but")
    mistake(run(original, recon, "--mask", many / "masks"), "masks: no such file or folder")
    (tmp_path / "void").mkdir()
    mistake(run(original, tmp_path / "void"), "void: holds no images", ", ".join(EXTENSIONS))
    mistake(run(tmp_path / "void", recon), "void: holds no images")
    Image.open(recon / "image-0.png").save(recon / "image-0.jpg")
    mistake(run(original, recon), "recon: both image-0.jpg and image-0.png are named 'image-0' (keep one")
    (recon / "image-0.jpg").unlink()
    for index in range(4):
        next(recon.glob(f"image-{index}.*")).unlink()
    found = run(original, recon)
    mistake(found, "recon: no partner for 4 of the 5 images of", "original: image-0, image-1, image-2, ... (files pair")
    mistake(run(recon, original), "recon: no partner for 4 of the 5 images of")
    mistake(run(original, original, "--seen", recon), "recon: no partner for 4 of the 5")
    write_set(many, 0, "image-4", (70, 111))
    Image.open(many / "seen/image-0.png").save(original / "image-4.png")
    mistake(run(recon, original, "--metrics", "psnr"), "no partner for 4 of the 5")
    for path in original.glob("image-[0-3].*"):
        path.unlink()
    mistake(run(recon, original), "original/image-4.png: is 96x96, but", "recon/image-4.png is 70x111", "one size")
