"""Fresh images: of the law of the suite's, none of the suite's, the same for the same seed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photographs import SIZE, write_photographs

from benchmark.content.content import Content
from benchmark.datasets.coco import open_coco
from benchmark.datasets.imagenet import open_imagenet
from benchmark.datasets.scenes import make_scene
from benchmark.errors import SpecError
from benchmark.files.canonical import sha256_file
from benchmark.suites.lock import Lock
from benchmark.suites.spec import CocoData, ImagenetData, Suite

SEED, OTHER = "5a" * 32, "a5" * 32
PHOTOGRAPHS = 12


def test_fresh_scenes_are_of_the_law_of_the_frozen_ones(content: Content) -> None:
    images = content.images.fresh(SEED, 400)
    assert images.ids[:2] == ("fresh-0000", "fresh-0001")
    samples = [images.load(index, (96, 96)) for index in range(400)]
    wear = Counter(sample.canonical for sample in samples)
    photographs = sum(sample.group.startswith("photo:") for sample in samples)
    # Four standard deviations of a fair coin, and of one that falls on a photograph in a quarter of the scenes.
    assert abs(wear[True] - (400 - wear[None]) / 2) < 40
    assert abs(photographs - 100) < 35
    assert {sample.focal_category for sample in samples} == {
        content.images.load(index, (96, 96)).focal_category for index in range(128)
    }
    assert all(sample.prototypes_deg for sample in samples)
    frozen = {content.images.load(index, (96, 96)).image.tobytes() for index in range(128)}
    assert not frozen & {sample.image.tobytes() for sample in samples}


def test_scenes_of_a_seed_are_the_same_anywhere(content: Content) -> None:
    few, more, others = (content.images.fresh(*asked) for asked in ((SEED, 3), (SEED, 5), (OTHER, 3)))
    for index in range(3):
        first, second = few.load(index, (96, 96)), more.load(index, (96, 96))
        assert np.array_equal(first.image, second.image)
        assert np.array_equal(first.focal_mask, second.focal_mask)
        assert not np.array_equal(first.image, others.load(index, (96, 96)).image)
    assert np.array_equal(few.load(0, (96, 96)).image, make_scene("challenge", int(SEED, 16), 0).image)
    with pytest.raises(SpecError, match="image 'fresh-0000' is 96x96, not 96x128"):
        few.load(0, (96, 128))


def make_spec(images: int) -> CocoData:
    return CocoData(
        source="coco", images=images, description="x", resize="pillow-bilinear", split="val2017", salt="own@1:",
        share=(0.05, 0.6),
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve photographs, of which two are not eligible: one without an object, one with a crowd."""
    height, width = SIZE[::-1]
    (tmp_path / "val2017").mkdir()
    paths = write_photographs(tmp_path / "val2017", PHOTOGRAPHS)
    square = [[0, 0, width / 2, 0, width / 2, height / 2, 0, height / 2]]
    annotations: dict[str, Any] = {
        "images": [
            {"id": k, "file_name": path.name, "height": height, "width": width} for k, path in enumerate(sorted(paths))
        ],
        "categories": [{"id": 7, "name": "cat"}],
        "annotations": [
            {"id": k, "image_id": k, "category_id": 7, "segmentation": square, "iscrowd": int(k == 1)}
            for k in range(1, PHOTOGRAPHS)
        ],
    }
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_val2017.json").write_text(json.dumps(annotations))
    return tmp_path


def test_fresh_photographs_are_eligible_ones_that_the_suite_leaves_out(folder: Path) -> None:
    images = open_coco(make_spec(4), folder)
    fresh = images.fresh(SEED, 6)
    left = {f"{k:012d}" for k in range(2, PHOTOGRAPHS)} - set(images.ids)
    assert set(fresh.ids) == left
    order = sorted(left, key=lambda name: hashlib.sha256(f"{SEED}:{int(name)}".encode()).digest())
    assert list(fresh.ids) == order
    assert images.fresh(SEED, 3).ids == fresh.ids[:3]
    assert images.fresh(OTHER, 6).ids != fresh.ids
    sample = fresh.load(0, (24, 32))
    assert sample.focal_category == "cat"
    assert sample.image.shape == (24, 32, 3)
    assert 0.2 < sample.focal_mask.mean() < 0.3


def test_too_few_photographs_are_one_line(folder: Path) -> None:
    with pytest.raises(SpecError, match=r"leaves out 6 eligible photographs, not 7 \(draw fewer: --images N\)"):
        open_coco(make_spec(4), folder).fresh(SEED, 7)


def test_what_a_lock_pins_is_compared_before_photographs_are_drawn(folder: Path, mini: Suite) -> None:
    suite = mini.model_copy(update={"dataset": make_spec(4)})
    name = "annotations/instances_val2017.json"
    lock = Lock(
        suite=suite.id, suite_digest=suite.digest, files={name: sha256_file(folder / name)}, images={}, perturbed={},
        gaps=("images",),
    )  # fmt: skip
    assert len(Content(suite, lock, folder).images.fresh(SEED, 6).ids) == 6
    (folder / name).write_text((folder / name).read_text() + " ")
    with pytest.raises(Exception, match=r"file 'annotations/instances_val2017\.json' is different"):
        assert Content(suite, lock, folder).images


def test_a_source_without_others_says_so(tmp_path: Path) -> None:
    for label in range(2):
        write_photographs(tmp_path / f"n{label:08d}", 2, 2 * label)
    for path in tmp_path.rglob("*.jpg"):
        path.rename(path.with_suffix(".JPEG"))
    spec = ImagenetData(source="imagenet", images=2, description="x", resize="pillow-bilinear", salt="x", pool=4)
    with pytest.raises(SpecError, match=r"fresh images cannot be drawn: .*\(mini@1 and coco@1 can be challenged"):
        open_imagenet(spec, tmp_path).fresh(SEED, 1)
