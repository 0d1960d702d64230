"""`invbench score`: files in, scores out, and a line that says what is wrong."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scoring import Run, mistake, scores, tensor

from benchmark.engine.scorer import load_metric
from benchmark.metrics.case import Case, FocalMask, View
from benchmark.metrics.spec import METRICS

ROOT = Path(__file__).parents[2]
ALWAYS = {"frc", "psnr", "ssim", "spectral_ev", "edge_f"}
MASKED = {"contour_f", "fg_transfer"}
PLAIN = ALWAYS | {"resolution_px", "ring_contrast", "mse_norm", "lpips_alex", "delta_e_2000"}
HUE = {"color_retention", "color_ev", "gain_perturbed", "gain_original", "hue_error_deg"}
DIAGNOSTIC = {"luma_invariance", "spill"}


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
        ("recon_seen", "seen", True, None, ALWAYS | MASKED | HUE),
        ("recon_seen", "seen", True, "recon", ALWAYS | MASKED | HUE | DIAGNOSTIC | {"color_transfer"}),
        ("recon_seen", "seen", False, "recon", ALWAYS | HUE | {"color_transfer"}),
        ("recon_seen", "gray", True, "recon", ALWAYS | MASKED | {"gray_residual"}),
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
    seen = ALWAYS | MASKED | HUE | DIAGNOSTIC | {"color_transfer"}
    wanted = {"plain": PLAIN | MASKED, "seen": seen, "gray": ALWAYS | MASKED | {"gray_residual"}}[kind]
    assert set(found) == wanted
    for name in set(found) - {"lpips_alex", "resolution_px", "spill"}:
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
    assert together["metrics"]["resolution_px"]["aggregate"] == "median"


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
    mistake(run(*pair, "--metrics", "recognition"), "needs what only a suite has")
    seen = f"--seen={one}/seen/a.png"
    mistake(run(*pair, seen, "--metrics", "mse_norm"), "for the recon of the unperturbed image: without --seen")
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


@pytest.mark.slow
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


@pytest.mark.parametrize("kind", ["jpg", "png", "tif"])
def test_different_exif_orientations_are_noted(run: Run, many: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    original, recon = many / "original", many / "recon"
    assert scores(run(original, recon, "--json"))["notes"] == []
    turned = Image.open(original / "image-1.png").convert("RGB")
    (original / "image-1.png").unlink()
    turned.save(original / f"image-1.{kind}", exif=exif)
    found = run(original, recon, "--metrics", "psnr")
    said = f"Note: 1 of 5 images were turned by different EXIF orientations ({original}/image-1.{kind}: 3, "
    assert said in found.stdout and "save the pixels as they are stored, without the tag." in found.stdout
    (note,) = scores(run(original / f"image-1.{kind}", recon / "image-1.png", "--json"))["notes"]
    assert note.startswith("the files were turned by different EXIF orientations")
    exif[0x0112] = 6
    turned.resize((60, 96)).save(original / f"image-1.{kind}", exif=exif)
    turned.resize((60, 96)).save(recon / "image-1.png")
    mistake(run(original, recon), "image-1", "EXIF orientation turned one of them: save the pixels as they are stored")
    turned.resize((60, 96)).save(recon / "image-1.png", exif=exif)
    assert scores(run(original, recon, "--json"))["notes"] == []
