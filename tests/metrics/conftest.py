"""Photographs, and the comparison of metrics with their references."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import shapes
import torch
from PIL import Image
from torch import Tensor

from benchmark.diagnostics.references import REFERENCES, images_of
from benchmark.engine.scorer import load_metric
from benchmark.metrics.case import Case
from benchmark.metrics.spec import METRICS

Photos = Callable[[int, int], Tensor]
Parity = Callable[..., None]


@pytest.fixture(scope="session")
def photos() -> Photos:
    """Make four photographs of a size, (4, 3, H, W) at 8 bits."""
    return shapes.photos


@pytest.fixture(scope="session")
def coco(assets: Path) -> tuple[Tensor, Tensor]:
    """Six COCO photographs, (6, 3, 120, 160), and the masks of their largest objects, bool (6, 120, 160)."""
    from pycocotools.coco import COCO

    folder = assets / "coco_val2017_sample"
    if not folder.is_dir():
        pytest.skip(f"no photographs in {folder}; set INVBENCH_TEST_ASSETS")
    with contextlib.redirect_stdout(io.StringIO()):
        index = COCO(str(folder / "annotations" / "instances_val2017.json"))
    images, masks = [], []
    for image_id in sorted(index.getImgIds())[:6]:
        largest = max(index.loadAnns(index.getAnnIds(image_id, iscrowd=False)), key=lambda item: item["area"])
        with Image.open(folder / "val2017" / index.loadImgs(image_id)[0]["file_name"]) as photograph:
            images.append(np.array(photograph.convert("RGB").resize((160, 120), Image.Resampling.BILINEAR)))
        with warnings.catch_warnings():
            # pycocotools hands numpy arrays over in a way that is deprecated there.
            warnings.simplefilter("ignore", DeprecationWarning)
            pixels = index.annToMask(largest)
        mask = Image.fromarray(pixels * 255).resize((160, 120), Image.Resampling.BOX)
        masks.append(np.array(mask) >= 128)
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255, torch.from_numpy(np.stack(masks))


def declared_tolerance(metric_id: str) -> float:
    """Return how closely a metric says that it follows its reference: the number behind the first comma."""
    return float(METRICS[metric_id].reference.partition(", ")[2].split()[0].rstrip(";"))


@pytest.fixture(scope="session")
def parity() -> Parity:
    """Compare metrics with their references, image by image, to the declared tolerance; NaN equals NaN."""

    def compare(
        case: Case, metrics: Iterable[str], perceptual: Callable[[np.ndarray, np.ndarray], float] | None = None
    ) -> None:
        images = images_of(case, perceptual)
        for name in metrics:
            scores = load_metric(name)(case)
            assert scores.dtype == torch.float32, name
            expected = [REFERENCES[name](image) for image in images]
            np.testing.assert_allclose(scores, expected, rtol=0, atol=declared_tolerance(name), err_msg=name)

    return compare
