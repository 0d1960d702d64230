"""Annotation files of any size: the same content however they are cut, faults by name, bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cocosize import CROWDS, HEIGHT, IMAGES, OBJECTS, WIDTH, write_annotations

from benchmark.datasets.annotations import annotation_file, read_annotations
from benchmark.errors import IntegrityError

FILE = annotation_file("train2017")
GIB = 1 << 30


def test_a_file_of_many_slices_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / FILE
    write_annotations(path, images=10_100, objects=10_300, crowds=10)
    raw, found = json.loads(path.read_text()), read_annotations(path)
    assert [(i.id, i.file_name) for i in found.images] == [(i["id"], i["file_name"]) for i in raw["images"]]
    assert [c.name for c in found.categories] == [c["name"] for c in raw["categories"]]
    for ours, theirs in zip(found.annotations, raw["annotations"], strict=True):
        assert (ours.id, ours.image_id, ours.iscrowd) == (theirs["id"], theirs["image_id"], theirs["iscrowd"])
        if isinstance(ours.segmentation, list):
            assert list(map(list, ours.segmentation)) == theirs["segmentation"]
        else:
            assert list(ours.segmentation.counts) == theirs["segmentation"]["counts"]


def test_a_fault_far_into_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / FILE
    write_annotations(path, images=2, objects=12_000, crowds=0)
    content = json.loads(path.read_text())
    content["annotations"][11_234]["category_id"] = "cat"
    path.write_text(json.dumps(content))
    with pytest.raises(IntegrityError, match=r"'annotations\.1234\.category_id'.* counted from item 10,000 on"):
        read_annotations(path)
    del content["annotations"]
    path.write_text(json.dumps(content))
    with pytest.raises(IntegrityError, match="field 'annotations': Field required"):
        read_annotations(path)
    path.write_text(json.dumps(content | {"annotations": None}))
    with pytest.raises(IntegrityError, match="field 'annotations'"):
        read_annotations(path)


ODD = {
    "a lone surrogate in a name": ('"name": "kind 1"', r'"name": "\ud800"', "categories"),
    "a lone surrogate in a file's name": ('"000000000001.jpg"', r'"\ud800.jpg"', "images"),
    "a number of very many digits": ('"category_id": ', '"category_id": 1' + "0" * 5000, "digits"),
    "a coordinate that is no number": ('"segmentation": [[', '"segmentation": [[NaN, ', "NaN is not a number"),
    "half a file": ('"annotations": [', "", "not valid JSON"),
}


@pytest.mark.parametrize("what", ODD)
def test_odd_content_is_refused_in_one_line(tmp_path: Path, what: str) -> None:
    old, new, message = ODD[what]
    path = tmp_path / FILE
    write_annotations(path, images=3, objects=3, crowds=0)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1) if new else text[: text.index(old) + 40])
    with pytest.raises(IntegrityError, match=message) as caught:
        read_annotations(path)
    assert "\n" not in str(caught.value) and str(caught.value).isprintable()


MEASURE = """
import resource, sys, time
from pathlib import Path
from benchmark.datasets.annotations import read_annotations
from benchmark.datasets.coco import select
from benchmark.suites.catalog import load_suite

start = time.perf_counter()
choices = select(read_annotations(Path(sys.argv[1])), load_suite("coco@1").dataset)
covered = [choice.mask().mean() == choice.share for choice in choices]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(len(covered), all(covered), peak, round(time.perf_counter() - start, 1))
"""


@pytest.mark.nightly
def test_selection_and_masks_over_a_file_of_train2017s_size_take_little_memory(tmp_path: Path) -> None:
    path = tmp_path / FILE
    try:
        write_annotations(path)
        assert 440_000_000 < path.stat().st_size < 520_000_000
        process = subprocess.run([sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True)
    finally:
        path.unlink(missing_ok=True)
    chosen, covered, peak, seconds = process.stdout.split()
    print(f"{IMAGES:,} images of {HEIGHT}x{WIDTH}, {OBJECTS:,} objects, {CROWDS:,} crowds: {seconds} s, {peak} bytes")
    assert (chosen, covered) == ("1000", "True")
    assert int(peak) < 2 * GIB
