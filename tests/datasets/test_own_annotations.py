"""A data set of one's own in COCO's layout: advice that fits it, and names as archives write them."""

from __future__ import annotations

import io
import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.datasets.annotations import read_annotations
from benchmark.datasets.base import ImageSet
from benchmark.datasets.coco import open_coco
from benchmark.errors import SpecError, UserError
from benchmark.suites.spec import CocoData

SIZE = (20, 30)
PIXELS = np.random.default_rng(5).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def listing(*names: str) -> dict[str, Any]:
    polygon = [[2, 3, 22, 3, 22, 15, 2, 15]]
    return {
        "images": [{"id": k, "file_name": name, "height": SIZE[0], "width": SIZE[1]} for k, name in enumerate(names)],
        "categories": [{"id": 1, "name": "café"}],
        "annotations": [{"id": k, "image_id": k, "category_id": 1, "segmentation": polygon} for k in range(len(names))],
    }


def write(folder: Path, split: str, annotations: dict[str, Any]) -> Path:
    (folder / split).mkdir(parents=True)
    (folder / "annotations").mkdir()
    (folder / f"annotations/instances_{split}.json").write_text(json.dumps(annotations), encoding="utf-8")
    for image in annotations["images"]:
        Image.fromarray(PIXELS).save(folder / split / image["file_name"], "PNG")
    return folder


def open_own(folder: Path, split: str, images: int = 1) -> ImageSet:
    spec = CocoData(
        source="coco", images=images, description="x", resize="pillow-bilinear", split=split, salt="x:",
        share=(0.05, 0.6),
    )  # fmt: skip
    return open_coco(spec, folder)


def damage(folder: Path, split: str, what: str) -> None:
    path = folder / f"annotations/instances_{split}.json"
    annotations = json.loads(path.read_text(encoding="utf-8"))
    photograph = folder / split / annotations["images"][0]["file_name"]
    match what:
        case "no annotations":
            path.unlink()
        case "no json":
            path.write_text("<html>")
        case "a stray coordinate":
            annotations["annotations"][0]["segmentation"][0].append(7)
        case "an unknown category":
            annotations["annotations"][0]["category_id"] = 9
        case "a folder in a name":
            annotations["images"][0]["file_name"] = "mine/a.png"
        case "too few":
            annotations["annotations"] = []
        case "no photograph":
            photograph.unlink()
        case "a damaged photograph":
            photograph.write_bytes(photograph.read_bytes()[:99])
        case "another size":
            Image.fromarray(PIXELS[:9]).save(photograph)
    if what in ("a stray coordinate", "an unknown category", "a folder in a name", "too few"):
        path.write_text(json.dumps(annotations), encoding="utf-8")


CORRECT = "correct it in that file"
FAULTS = {
    "no annotations": (r"val2017\.json: cannot be read: No such file", "--data-dir takes the folder that holds anno"),
    "no json": (r"instances_val2017\.json: .*JSON", CORRECT),
    "a stray coordinate": (r"val2017\.json: annotation 0: a polygon has a stray coordinate", CORRECT),
    "an unknown category": (r"val2017\.json: annotation 0 is of category 9, which is not listed", CORRECT),
    "a folder in a name": (r"val2017\.json: field 'images\.0\.file_name'", CORRECT),
    "too few": (r"val2017\.json: 0 of 1 photographs are eligible", "let the suite take fewer images or a wider share"),
    "no photograph": (r"val2017/a\.png: no such file", "add it, or take it out of the annotation file"),
    "a damaged photograph": (r"val2017/a\.png: cannot be read", "replace it, or correct what the annotation file says"),
    "another size": (r"val2017/a\.png: is 9x30 pixels, must be 20x30", "replace it, or correct what the annotation"),
}


@pytest.mark.parametrize("what", FAULTS)
@pytest.mark.parametrize("fetched", [False, True])
def test_advice_fits_whose_data_set_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, fetched: bool
) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    folder = write(tmp_path / "data" / ("coco" if fetched else "mine"), "val2017", listing("a.png"))
    damage(folder, "val2017", what)
    message, own = FAULTS[what]
    with pytest.raises(UserError, match=message) as caught:
        open_own(folder, "val2017").load(0, SIZE)
    told = str(caught.value)
    assert "invbench data fetch coco" in told
    assert (f"({own}" in told and "; if it is COCO's own: " in told) == (not fetched)


@pytest.mark.parametrize(("listed", "stored"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFC", "NFC")])
def test_photographs_are_found_whichever_unicode_form_their_names_have(
    tmp_path: Path, listed: Any, stored: Any
) -> None:
    names = ["café.png", "Ångström.png"]
    folder = write(tmp_path, "val2017", listing(*(unicodedata.normalize(stored, name) for name in names)))
    annotations = listing(*(unicodedata.normalize(listed, name) for name in names))
    (folder / "annotations/instances_val2017.json").write_text(json.dumps(annotations), encoding="utf-8")
    images = open_own(folder, "val2017")
    np.testing.assert_array_equal(images.load(0, SIZE).image, PIXELS)
    np.testing.assert_array_equal(images.unused().load(0, SIZE).image, PIXELS)
    assert images.load(0, SIZE).focal_category == "café"
    before = images.fingerprint(), images.unused().fingerprint()
    for path in (folder / "val2017").iterdir():
        path.write_bytes(path.read_bytes() + b"\n")
    assert images.fingerprint() != before[0] and images.unused().fingerprint() != before[1]


def test_a_byte_order_mark_is_passed_over_and_a_pointer_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path, "val2017", listing("a.png"))
    path = folder / "annotations/instances_val2017.json"
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert len(read_annotations(path).images) == 1
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(SpecError, match=r"instances_val2017\.json: is a pointer of Git LFS"):
        read_annotations(path)


def test_transparent_photographs_of_ones_own_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, "val2017", listing("a.png"))
    buffer = io.BytesIO()
    Image.fromarray(np.dstack([PIXELS, PIXELS[..., 0]])).save(buffer, "PNG")
    (folder / "val2017/a.png").write_bytes(buffer.getvalue())
    with pytest.raises(SpecError, match=r"val2017/a\.png: has transparent pixels \(flatten it"):
        open_own(folder, "val2017").load(0, SIZE)
