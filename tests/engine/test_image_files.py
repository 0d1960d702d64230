"""`invbench score`: files in, scores out, and a line that says what is wrong."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image, ImageFilter

from benchmark.datasets.files import EXTENSIONS, read_image, read_mask
from benchmark.datasets.scenes import make_scene
from benchmark.engine.scorer import load_metric
from benchmark.errors import SpecError
from benchmark.metrics.case import Case, FocalMask, View
from benchmark.metrics.spec import METRICS
from benchmark.perturbations import perturb
from cli import main

Run = Callable[..., Result]
ROOT = Path(__file__).parents[2]
NETWORKS = {"judge", "classifier", "detector"}
MASKED = {"contour_f", "fg_transfer"}
PLAIN = {"psnr", "mse_norm", "ssim", "spectral_ev", "hf_ev", "f50", "lpips_alex", "edge_f", "delta_e_2000"}
HUE = {"color_retention", "color_ev", "gain_perturbed", "gain_original", "hue_error_deg"}
DIAGNOSTIC = {"luma_invariance", "spill"}
ALWAYS = {"psnr", "ssim", "spectral_ev"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in this process, in an empty folder with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    return lambda *arguments: CliRunner().invoke(main, ["score", *map(str, arguments), "--device", "cpu"])


def no_nan(name: str) -> None:
    raise AssertionError(f"{name} in JSON")


def scores(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count("Traceback") == 0
    return json.loads(done.stdout, parse_constant=no_nan)


def mistake(done: Result, *texts: str, code: int = 2) -> None:
    assert done.exit_code == code, done.output
    (line,) = [line for line in done.stderr.splitlines() if line and "image/s]" not in line]
    assert line.startswith("Error: ")
    for text in texts:
        assert text in line
    assert done.stdout == ""


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float().contiguous() / 255


def write_set(folder: Path, index: int, name: str, size: tuple[int, int] | None = None, kind: str = "png") -> None:
    """Write a scene, its recons (a blur and a stronger one), what was seen and its mask below `folder`."""
    scene = make_scene("test", 7, index)
    original, mask = Image.fromarray(scene.image), Image.fromarray(scene.category_mask(scene.focal_category))
    if size:
        original, mask = original.resize(size), mask.resize(size)
    where = torch.from_numpy(np.array(mask))[None]
    images = {"original": original, "mask": mask}
    for role, perturbation in (("seen", "hue_shift_120"), ("gray", "gray")):
        changed = perturb(perturbation, tensor(np.array(original)), where)[0].permute(1, 2, 0)
        images[role] = Image.fromarray((changed * 255).round().byte().numpy())
    images["recon"] = original.filter(ImageFilter.GaussianBlur(2))
    images["recon_seen"] = images["seen"].filter(ImageFilter.GaussianBlur(1))
    for role, image in images.items():
        (folder / role).mkdir(parents=True, exist_ok=True)
        image.save(folder / role / f"{name}.{kind}")


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """Folders of one image each, 96x96: original, recon, seen, recon_seen, gray, mask."""
    write_set(tmp_path / "one", 0, "a")
    return tmp_path / "one"


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Folders of five images each, of three sizes."""
    for index, size in enumerate((None, None, (128, 80), None, (70, 110))):
        write_set(tmp_path / "many", index, f"image-{index}", size, "tif" if index == 3 else "png")
    return tmp_path / "many"


def expected(folder: Path, recon: str, seen: str | None, masked: bool, baseline: str | None) -> Case:
    def view(role: str) -> View:
        return View(tensor(np.array(Image.open(folder / role / "a.png"))))

    original = view("original")
    pixels = torch.ones(1, 96, 96, dtype=torch.bool)
    if masked:
        pixels = torch.from_numpy(np.array(Image.open(folder / "mask/a.png")))[None]
    base = view(baseline) if baseline else None
    return Case(original, view(seen) if seen else original, view(recon), FocalMask(pixels), baseline=base)


@pytest.mark.parametrize(
    ("recon", "seen", "masked", "baseline", "applicable"),
    [
        ("recon", None, False, None, PLAIN),
        ("recon", None, True, None, PLAIN | MASKED),
        ("recon_seen", "seen", False, None, ALWAYS | HUE),
        ("recon_seen", "seen", True, None, ALWAYS | HUE),
        ("recon_seen", "seen", True, "recon", ALWAYS | HUE | DIAGNOSTIC),
        ("recon_seen", "seen", False, "recon", ALWAYS | HUE),
        ("recon_seen", "gray", True, "recon", ALWAYS | {"gray_residual"}),
    ],
)
def test_a_pair_scores_what_the_metric_functions_say(
    run: Run, one: Path, recon: str, seen: str | None, masked: bool, baseline: str | None, applicable: set[str]
) -> None:
    options = [f"--seen={one}/{seen}/a.png"] if seen else []
    options += [f"--mask={one}/mask/a.png"] if masked else []
    options += [f"--baseline={one}/{baseline}/a.png"] if baseline else []
    found = scores(run(one / "original/a.png", one / recon / "a.png", *options, "--json"))
    assert set(found["metrics"]) == applicable
    assert set(found["not_applicable"]) == set(METRICS) - applicable
    case = expected(one, recon, seen, masked, baseline)
    (image,) = found["per_image"]
    assert (image["image"], image["height"], image["width"]) == ("a", 96, 96)
    for name in applicable - {"lpips_alex"}:
        value = float(load_metric(name)(case))
        assert image["scores"][name] == value
        assert found["metrics"][name]["value"] == value
        assert name not in image["reasons"]


@pytest.mark.parametrize("kind", ["plain", "seen", "gray"])
def test_a_perfect_recon_has_the_declared_values(run: Run, one: Path, kind: str) -> None:
    original, mask = one / "original/a.png", f"--mask={one}/mask/a.png"
    options = [] if kind == "plain" else [f"--seen={one}/{kind}/a.png", f"--baseline={original}"]
    perfect = original if kind == "plain" else one / kind / "a.png"
    found = scores(run(original, perfect, mask, *options, "--json"))["metrics"]
    wanted = {"plain": PLAIN | MASKED, "seen": ALWAYS | HUE | DIAGNOSTIC, "gray": ALWAYS | {"gray_residual"}}[kind]
    assert set(found) == wanted
    for name in set(found) - {"lpips_alex", "f50", "spill"}:
        assert found[name]["value"] == pytest.approx(METRICS[name].identity, abs=METRICS[name].tolerance), name


def test_folders_score_what_their_pairs_score(run: Run, many: Path) -> None:
    together = scores(run(many / "original", many / "recon", f"--mask={many}/mask", "--json"))
    alone = scores(run(many / "original", many / "recon", f"--mask={many}/mask", "--json", "--batch-size", 1))
    assert together["images"] == 5
    assert [image["image"] for image in together["per_image"]] == [f"image-{index}" for index in range(5)]
    assert [image["width"] for image in together["per_image"]] == [96, 96, 128, 96, 70]
    singles = []
    for index in range(5):
        name = f"image-{index}.tif" if index == 3 else f"image-{index}.png"
        files = [many / role / name for role in ("original", "recon", "mask")]
        singles += scores(run(files[0], files[1], "--mask", files[2], "--json"))["per_image"]
    assert alone["per_image"] == singles
    for name, cell in together["metrics"].items():
        values = [image["scores"][name] for image in singles]
        if name == "lpips_alex":
            assert values == [None] * 5
            assert (cell["value"], cell["scored"], list(cell["unscored"].values())) == (None, 0, [5])
            continue
        average = np.median if cell["aggregate"] == "median" else np.mean
        assert alone["metrics"][name]["value"] == pytest.approx(average(values), rel=1e-9)
        assert cell["value"] == pytest.approx(average(values), abs=METRICS[name].tolerance / 10)
        assert (cell["scored"], cell["unscored"]) == (5, {})
    assert together["metrics"]["f50"]["aggregate"] == "median"


def test_extensions_may_differ_within_a_pair_and_other_files_do_not_count(run: Run, many: Path) -> None:
    Image.open(many / "recon/image-3.tif").save(many / "recon/image-3.BMP")
    (many / "recon/image-3.tif").unlink()
    (many / "recon/notes.txt").write_text("blurred")
    (many / "recon/._image-0.png").write_bytes(b"\0")
    (many / "original/more.png").mkdir()
    assert scores(run(many / "original", many / "recon", "--json"))["images"] == 5


def test_without_a_mask_color_is_measured_over_the_whole_frame(run: Run, one: Path) -> None:
    Image.new("1", (96, 96), 1).save(one / "full.png")
    pair = (one / "original/a.png", one / "recon_seen/a.png", f"--seen={one}/seen/a.png", "--json")
    free, full = scores(run(*pair)), scores(run(*pair, "--mask", one / "full.png"))
    inside = scores(run(*pair, f"--mask={one}/mask/a.png"))
    assert {name: free["metrics"][name]["value"] for name in HUE} == {
        name: full["metrics"][name]["value"] for name in HUE
    }
    assert free["metrics"]["color_ev"]["value"] != inside["metrics"]["color_ev"]["value"]


def test_an_empty_mask_leaves_shape_unscored_with_its_reason(run: Run, one: Path) -> None:
    Image.new("L", (96, 96)).save(one / "empty.png")
    found = scores(run(one / "original/a.png", one / "recon/a.png", "--mask", one / "empty.png", "--json"))
    for name in MASKED:
        assert found["metrics"][name]["value"] is None
        assert found["per_image"][0]["scores"][name] is None
        assert found["per_image"][0]["reasons"][name] == METRICS[name].unscored
        assert found["metrics"][name]["unscored"] == {METRICS[name].unscored: 1}


def test_gray_and_colored_images_may_share_a_folder(run: Run, many: Path) -> None:
    (many / "seen/image-1.png").write_bytes((many / "gray/image-1.png").read_bytes())
    found = scores(run(many / "original", many / "seen", f"--seen={many}/seen", f"--mask={many}/mask", "--json"))
    assert found["metrics"]["gray_residual"]["unscored"] == {"the seen image is not gray": 4}
    assert found["metrics"]["color_retention"]["unscored"]["the seen image is gray"] == 1
    assert found["per_image"][1]["scores"]["gray_residual"] == pytest.approx(1, abs=0.005)
    assert found["per_image"][1]["scores"]["color_ev"] is None


def test_metrics_can_be_chosen(run: Run, one: Path) -> None:
    pair = (one / "original/a.png", one / "recon/a.png")
    assert list(scores(run(*pair, "--json", "--metrics", "ssim, psnr,ssim"))["metrics"]) == ["ssim", "psnr"]
    mistake(run(*pair, "--metrics", "ssmi"), "unknown metric 'ssmi' (did you mean 'ssim'?)")
    mistake(run(*pair, "--metrics", ""), "unknown metric ''")
    mistake(run(*pair, "--metrics", "psnr,contour_f"), "--metrics: 'contour_f' does not apply here: needs --mask")
    mistake(run(*pair, "--metrics", "color_ev"), "needs --seen")
    mistake(run(*pair, "--metrics", "recognition"), "needs a network of a suite")
    seen = f"--seen={one}/seen/a.png"
    mistake(run(*pair, seen, "--metrics", "edge_f"), "for the recon of the unperturbed image: without --seen")
    mistake(run(*pair, "--baseline", one / "recon/a.png"), "--baseline: goes with --seen")
    found = scores(run(*pair, seen, "--metrics", "gray_residual", "--json"))
    assert found["metrics"]["gray_residual"]["unscored"] == {"the seen image is not gray": 1}


def test_a_flat_image_has_null_and_a_reason(run: Run, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (90, 90, 90)).save("flat.png")
    found = scores(run("flat.png", "flat.png", "--json", "--csv", "flat.csv"))
    assert found["metrics"]["spectral_ev"]["value"] is None
    assert found["metrics"]["psnr"]["value"] == 60
    rows = list(csv.DictReader((tmp_path / "flat.csv").read_text().splitlines()))
    assert [row["metric"] for row in rows] == list(found["metrics"])
    by_metric = {row["metric"]: row for row in rows}
    assert by_metric["spectral_ev"] == {
        "image": "flat", "metric": "spectral_ev", "value": "", "reason": METRICS["spectral_ev"].unscored,
    }  # fmt: skip
    assert (by_metric["psnr"]["value"], by_metric["psnr"]["reason"]) == ("60.0", "")


def test_csv_that_cannot_be_written_is_said_before_anything_is_computed(run: Run, one: Path) -> None:
    pair = (one / "original/a.png", one / "recon/a.png")
    mistake(run(*pair, "--csv", one / "nowhere/x.csv"), "nowhere: no such folder")
    mistake(run(*pair, "--csv", one), "is a directory")


def test_the_installed_command_prints_tables(invbench: Any, many: Path) -> None:
    done = invbench("score", "many/original/image-0.png", "many/recon/image-0.png", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["metric", "score", "unit", "better", "axis", "not", "scored"]
    psnr = next(line.split() for line in lines if line.startswith("psnr"))
    assert float(psnr[1]) > 20
    assert psnr[2:] == ["dB", "higher", "detail"]
    assert "the perceptual network is not installed" in done.stdout
    assert "invbench data lpips" in done.stdout
    assert "contour_f, fg_transfer: needs --mask" in done.stdout

    done = invbench("score", "many/original", "many/recon", "--device", "cpu", "--csv", "scores.csv")
    assert done.returncode == 0, done.stderr
    assert "5/5" in done.stderr
    assert "image-0" not in done.stdout
    psnr = next(line.split() for line in done.stdout.splitlines() if line.startswith("psnr"))
    assert psnr[2:] == ["dB", "higher", "detail", "mean", "5"]
    rows = list(csv.DictReader((many.parent / "scores.csv").read_text().splitlines()))
    assert np.mean([float(row["value"]) for row in rows if row["metric"] == "psnr"]) == pytest.approx(
        float(psnr[1]), abs=1e-4
    )


def test_help_needs_no_torch() -> None:
    code = "import sys\nfor name in ('torch', 'numpy', 'PIL'): sys.modules[name] = None\n"
    code += "from cli import main\nmain(['score', '--help'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "Examples:" in done.stdout


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
