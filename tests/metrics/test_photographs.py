"""Ranked metrics on real photographs: the numbers that the metric specification states."""

from __future__ import annotations

import contextlib
import io
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from benchmark.datasets.base import Sample
from benchmark.diagnostics.batteries_answers import ANSWERS, Prior
from benchmark.diagnostics.batteries_scores import Scored, score_answers
from benchmark.engine.scorer import Tile
from benchmark.engine.yardsticks import thumbnail
from benchmark.metrics.case import Case, FocalMask, Networks, View
from benchmark.metrics.perceptual import load_perceptual, lpips_alex
from benchmark.suites.spec import Suite

pytestmark = pytest.mark.nightly

COUNT, SIDE = 40, 224
FOCAL_AREA = (0.05, 0.6)
METRICS = ("frc", "contour_f", "fg_transfer", "color_transfer")
# Thumbnails by rows; and how far each metric may be off with another choice of photographs.
THUMBNAILS = {
    2: (0.04, -0.01, 0.55, 0.30),
    4: (0.13, 0.04, 0.63, 0.51),
    8: (0.25, 0.12, 0.70, 0.71),
    14: (0.39, 0.29, 0.81, 0.84),
    28: (0.55, 0.64, 0.91, 0.97),
}
SLACK = (0.03, 0.06, 0.10, 0.06)
IGNORANT = (
    "own mean color, chroma x1", "own mean color, chroma x4, in a blob of 0.35", "dominant color, chroma^4",
    "noise of scale 2 px, whole", "noise of scale 4 px, in a disk", "dark disk", "another image, 1 ahead",
)  # fmt: skip
LPIPS = {"copy": 0.0, "blur sigma 2": 0.46, "blur sigma 4": 0.68, "another image, 1 ahead": 0.67}
LPIPS_SLACK = 0.1


@pytest.fixture(scope="module")
def photographs(assets: Path) -> list[Sample]:
    """The first 40 photographs by id whose largest category covers 5-60 % and is no crowd, and its masks."""
    from pycocotools.coco import COCO

    folder = assets / "coco_val2017_sample"
    if not folder.is_dir():
        pytest.skip(f"no photographs in {folder}; set INVBENCH_TEST_ASSETS")
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(folder / "annotations" / "instances_val2017.json"))
    samples: list[Sample] = []
    for image_id in sorted(coco.getImgIds()):
        annotations = coco.loadAnns(coco.getAnnIds(image_id))
        by_category: dict[int, np.ndarray] = {}
        for item in annotations:
            with warnings.catch_warnings():
                # pycocotools implements __array__ without the copy keyword of NumPy 2.
                warnings.simplefilter("ignore", DeprecationWarning)
                mask = coco.annToMask(item).astype(bool)
            by_category[item["category_id"]] = by_category.get(item["category_id"], False) | mask
        if not by_category:
            continue
        largest = max(by_category, key=lambda category: by_category[category].sum())
        crowd = any(item["iscrowd"] for item in annotations if item["category_id"] == largest)
        if crowd or not FOCAL_AREA[0] <= by_category[largest].mean() <= FOCAL_AREA[1]:
            continue
        with Image.open(folder / "val2017" / coco.loadImgs(image_id)[0]["file_name"]) as photograph:
            resized = photograph.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        mask_image = Image.fromarray(by_category[largest].astype(np.uint8) * 255)
        focal = np.array(mask_image.resize((SIDE, SIDE), Image.Resampling.BOX)) >= 128
        samples.append(Sample(str(image_id), np.array(resized), focal))
        if len(samples) == COUNT:
            break
    assert len(samples) == COUNT
    return samples


@pytest.fixture(scope="module")
def found(mini: Suite, photographs: list[Sample], cpu: torch.device) -> Scored:
    """Thumbnails, and answers that ignore the image."""
    generator, prior = torch.Generator().manual_seed(2), Prior(torch.full((3, SIDE, SIDE), 0.5), torch.ones(SIDE, SIDE))

    def reconstruct(tile: Tile, seen: Tensor) -> dict[str, Tensor]:
        shown = {f"thumbnail {rows}": thumbnail(seen, rows) for rows in THUMBNAILS}
        return shown | {name: ANSWERS[name](seen, prior, generator) for name in IGNORANT}

    names = [*(f"thumbnail {rows}" for rows in THUMBNAILS), *IGNORANT]
    return score_answers(mini, photographs, names, reconstruct, cpu, title="photographs")


@pytest.mark.parametrize("rows", THUMBNAILS)
def test_thumbnails_of_photographs_score_as_specified(rows: int, found: Scored) -> None:
    for metric, expected, slack in zip(METRICS, THUMBNAILS[rows], SLACK, strict=True):
        value, error = found.means(metric)[f"thumbnail {rows}"]
        assert value == pytest.approx(expected, abs=slack + error), metric


@pytest.mark.parametrize("name", IGNORANT)
def test_what_ignores_a_photograph_scores_nothing(name: str, found: Scored) -> None:
    for metric in METRICS:
        value, error = found.means(metric)[name]
        assert abs(value) <= 0.02 + 2.5 * error, metric


def _blurred(images: Tensor, sigma: float) -> Tensor:
    from scipy.ndimage import gaussian_filter

    return torch.from_numpy(gaussian_filter(images.numpy(), (0, 0, sigma, sigma)))


def test_lpips_does_not_tell_a_strong_blur_from_another_photograph(photographs: list[Sample], assets: Path) -> None:
    """Why it never stands alone."""
    weights = assets / "lpips" / "alexnet_features.safetensors"
    if not weights.is_file():
        pytest.skip(f"no perceptual network at {weights}; set INVBENCH_TEST_ASSETS")
    networks = Networks(perceptual=load_perceptual(weights, torch.device("cpu")))
    images = torch.from_numpy(np.stack([sample.image for sample in photographs[:16]])).permute(0, 3, 1, 2).float() / 255
    edits = {
        "copy": lambda seen: seen,
        "blur sigma 2": partial(_blurred, sigma=2),
        "blur sigma 4": partial(_blurred, sigma=4),
        "another image, 1 ahead": lambda seen: seen.roll(1, 0),
    }
    mask, seen = FocalMask(torch.ones(16, SIDE, SIDE, dtype=torch.bool)), View(images)
    with torch.inference_mode():
        for name, edit in edits.items():
            value = lpips_alex(Case(seen, seen, View(edit(images)), mask, networks)).mean().item()
            assert value == pytest.approx(LPIPS[name], abs=LPIPS_SLACK), name
