"""The controlled degradations on real photographs: the numbers that the metric specification was written from."""

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

from benchmark.engine.degradations import EDITS, Edit, shuffle_patches
from benchmark.metrics.case import Case, FocalMask, Networks, View
from benchmark.metrics.color import delta_e_2000
from benchmark.metrics.detail import spectral_ev, ssim
from benchmark.metrics.perceptual import load_perceptual, lpips_alex
from benchmark.metrics.shape import contour_f, fg_transfer
from benchmark.metrics.spectrum import frc

pytestmark = pytest.mark.slow


def _turned(images: Tensor, masks: Tensor, by: int) -> Tensor:
    return images.roll(by, dims=0)


COUNT, SIDE = 24, 224
FOCAL_AREA = (0.05, 0.6)
BATCH = 8
CHOSEN: dict[str, tuple[Edit, ...]] = {name: (edit,) for name, edit in EDITS.items()} | {
    "patch_shuffle_14": (partial(shuffle_patches, patches=14),),
    # What one photograph says of another varies much (fg_transfer by .4): each meets five others.
    "another_image": tuple(partial(_turned, by=by) for by in range(1, 6)),
}
# frc, ssim, spectral_ev, contour_f, fg_transfer, and how far they may be off.
EXPECTED = {
    "identity": (1.0, 1.0, 1.0, 1.0, 1.0),
    "blur_2px": (0.80, 0.77, 0.60, 0.91, 0.96),
    "blur_4px": (0.63, 0.61, 0.40, 0.76, 0.91),
    "noise_0.2": (0.81, 0.29, 0.62, 0.87, 0.98),
    "hue_shift_120": (0.99, 0.99, 0.98, 0.97, 0.94),
    "desaturated": (1.0, 1.0, 1.0, 1.0, 1.0),
    "patch_shuffle_14": (0.0, 0.16, 0.0, 0.0, 0.0),
    "own_mean_color": (0.0, 0.41, 0.0, 0.0, 0.0),
    "another_image": (0.0, 0.16, 0.0, 0.0, 0.0),
    "white_noise": (0.0, 0.02, 0.0, 0.0, 0.0),
}
SLACK = 0.05
LPIPS = {
    "identity": 0.0,
    "hue_shift_120": 0.004,
    "blur_2px": 0.46,
    "blur_4px": 0.68,
    "noise_0.2": 0.78,
    "patch_shuffle_14": 0.68,
    "another_image": 0.67,
    "own_mean_color": 0.87,
    "white_noise": 1.28,
}
LPIPS_SLACK = 0.1


@pytest.fixture(scope="module")
def photographs(assets: Path) -> tuple[Tensor, Tensor]:
    """The first 24 photographs by id whose largest category covers 5-60 % and is no crowd, and its masks."""
    from pycocotools.coco import COCO

    folder = assets / "coco_val2017_sample"
    if not folder.is_dir():
        pytest.skip(f"no photographs in {folder}; set INVBENCH_TEST_ASSETS")
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(folder / "annotations" / "instances_val2017.json"))
    images, masks = [], []
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
        images.append(np.array(resized))
        mask_image = Image.fromarray(by_category[largest].astype(np.uint8) * 255)
        masks.append(np.array(mask_image.resize((SIDE, SIDE), Image.Resampling.BOX)) >= 128)
        if len(images) == COUNT:
            break
    assert len(images) == COUNT
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255, torch.from_numpy(np.stack(masks))


@pytest.fixture(scope="module")
def found(photographs: tuple[Tensor, Tensor], assets: Path) -> dict[str, dict[str, float]]:
    """The mean of every metric by edit; `lpips_alex` is NaN without its network."""
    weights = assets / "lpips" / "alexnet_features.safetensors"
    networks = Networks(perceptual=load_perceptual(weights, torch.device("cpu")) if weights.is_file() else None)
    functions = (frc, ssim, spectral_ev, contour_f, fg_transfer, lpips_alex, delta_e_2000)
    images, masks = photographs
    means = {}
    with torch.inference_mode():
        for edit in EXPECTED | LPIPS:
            # Edits see all photographs at once, metrics a few of them.
            parts = []
            for recons in (function(images, masks) for function in CHOSEN[edit]):
                for start in range(0, COUNT, BATCH):
                    part = slice(start, start + BATCH)
                    view = View(images[part])
                    case = Case(view, view, View(recons[part]), FocalMask(masks[part]), networks)
                    parts.append(torch.stack([function(case) for function in functions]))
            means[edit] = dict(
                zip([f.__name__ for f in functions], torch.cat(parts, dim=1).nanmean(1).tolist(), strict=True)
            )
    return means


@pytest.mark.parametrize("edit", EXPECTED)
def test_photographs_score_as_specified(edit: str, found: dict[str, dict[str, float]]) -> None:
    names = ("frc", "ssim", "spectral_ev", "contour_f", "fg_transfer")
    assert [found[edit][name] for name in names] == pytest.approx(EXPECTED[edit], abs=SLACK)


@pytest.mark.parametrize("edit", LPIPS)
def test_lpips_of_photographs_is_as_specified(edit: str, found: dict[str, dict[str, float]]) -> None:
    value = found[edit]["lpips_alex"]
    if np.isnan(value):
        pytest.skip("no perceptual network among the assets; set INVBENCH_TEST_ASSETS")
    assert value == pytest.approx(LPIPS[edit], abs=LPIPS_SLACK)


def test_detail_falls_before_shape_on_photographs(found: dict[str, dict[str, float]]) -> None:
    for edit in ("blur_2px", "blur_4px"):
        for shape in ("contour_f", "fg_transfer"):
            for detail in ("frc", "ssim", "spectral_ev"):
                assert found[edit][shape] > found[edit][detail] + 0.1, (edit, shape, detail)


def test_lpips_does_not_tell_a_strong_blur_from_another_photograph(found: dict[str, dict[str, float]]) -> None:
    """Why it never stands alone."""
    if np.isnan(found["blur_4px"]["lpips_alex"]):
        pytest.skip("no perceptual network among the assets; set INVBENCH_TEST_ASSETS")
    assert found["blur_4px"]["lpips_alex"] == pytest.approx(found["another_image"]["lpips_alex"], abs=0.1)
