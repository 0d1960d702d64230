"""Getting the data: downloads from a real server that may fail in every way, unpacking, adopted folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cocosite import ARCHIVES, SPEC, VAL, WHOLE, Site, contents, jpeg

from benchmark.content.photographs import COCO, Archive, Release, adopt, fetch_coco, find_state, locate_photographs
from benchmark.errors import IntegrityError, SpecError
from benchmark.suites.spec import ImagenetData

pytestmark = pytest.mark.usefixtures("cache")


def test_the_official_archives_are_pinned() -> None:
    assert [(a.path, a.bytes, a.sha256[:8]) for a in COCO.archives] == [
        ("zips/val2017.zip", 815_585_330, "4f7e2ccb"),
        ("annotations/annotations_trainval2017.zip", 252_907_541, "113a836d"),
    ]
    assert COCO.base_url == "https://s3.amazonaws.com/images.cocodataset.org"
    assert (COCO.annotations_sha256[:8], COCO.images) == ("e8c7f790", 5000)


def test_a_folder_that_you_have_is_remembered(own: Path, release: Release, cache: Path, tmp_path: Path) -> None:
    before = contents(own)
    assert adopt("coco", own / ".." / "own", SPEC, release=release) == own
    assert locate_photographs("coco") == own
    assert json.loads((cache / "data" / "coco.json").read_text()) == {"folder": str(own)}
    assert contents(own) == before
    assert not (cache / "downloads").exists()


def test_the_last_word_counts(own: Path, release: Release, site: Site, cache: Path) -> None:
    adopt("coco", own, SPEC, release=release)
    assert fetch_coco(release=release) == locate_photographs("coco") == cache / "data" / "coco"
    adopt("coco", own, SPEC, release=release)
    assert locate_photographs("coco") == own
    assert contents(own) == WHOLE


def test_folders_that_are_not_coco_are_refused_by_name(own: Path, release: Release) -> None:
    photograph = own / "val2017" / "000000000005.jpg"
    with pytest.raises(SpecError, match=r"no such file .*must hold val2017/ and annotations/"):
        adopt("coco", own / "val2017", SPEC, release=release)
    with pytest.raises(IntegrityError, match=r"instances_val2017\.json: its SHA-256 is .*COCO's own"):
        adopt("coco", own, SPEC)
    with pytest.raises(SpecError, match="of train2017 is not known"):
        adopt("coco", own, SPEC.model_copy(update={"split": "train2017"}), release=release)
    photograph.write_bytes(b"")
    with pytest.raises(SpecError, match=r"000000000005\.jpg: photograph is empty"):
        adopt("coco", own, SPEC, release=release)
    photograph.unlink()
    with pytest.raises(SpecError, match=r"000000000005\.jpg: photograph is absent"):
        adopt("coco", own, SPEC, release=release)
    with pytest.raises(SpecError, match="not here"):
        locate_photographs("coco")


def test_imagenet_is_adopted_if_it_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "val"
    for label in range(2):
        (folder / f"n{label:08d}").mkdir(parents=True)
        (folder / f"n{label:08d}" / f"{label}.JPEG").write_bytes(jpeg(label))
    spec = ImagenetData(
        source="imagenet", images=2, description="x", resize="pillow-bilinear", salt="imagenet@1:", pool=2
    )
    with pytest.raises(SpecError, match="holds 2 photographs"):
        adopt("imagenet", folder, spec.model_copy(update={"pool": 3}))
    with pytest.raises(SpecError, match=r"imagenet are not here \(ImageNet cannot be .*--imagenet-dir"):
        locate_photographs("imagenet")
    assert adopt("imagenet", folder, spec) == locate_photographs("imagenet") == folder
    assert find_state("imagenet").present


def test_absent_and_vanished_data_are_told_with_the_cure(own: Path, release: Release, cache: Path) -> None:
    with pytest.raises(SpecError, match=r"coco are not here \(invbench data fetch coco; or.*--coco-dir DIR"):
        locate_photographs("coco")
    adopt("coco", own, SPEC, release=release)
    shutil.rmtree(own)
    with pytest.raises(SpecError, match=r"own: the folder of coco is gone \(invbench data fetch coco"):
        locate_photographs("coco")
    (cache / "data" / "coco.json").write_text("[]")
    with pytest.raises(SpecError, match=r"coco\.json: cannot be read"):
        locate_photographs("coco")


def test_a_doctor_is_told_what_is_there_and_what_is_missing(site: Site, release: Release, cache: Path) -> None:
    total = sum(map(len, ARCHIVES.values()))
    state = find_state("coco", release=release)
    assert (state.present, state.folder, state.download_bytes) == (False, None, total)
    assert state.disk_bytes == total + 2_000_000
    assert "invbench data fetch coco" in state.note
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / "val2017.zip.part").write_bytes(ARCHIVES[VAL][:70_000])
    assert find_state("coco", release=release).download_bytes == total - 70_000
    folder = fetch_coco(release=release)
    state = find_state("coco", release=release)
    assert (state.present, state.folder, state.download_bytes, state.disk_bytes) == (True, folder, 0, 0)
    assert state.note == str(folder)
    state = find_state("imagenet")
    assert (state.present, state.download_bytes, state.disk_bytes) == (False, 0, 0)
    assert find_state("coco", release=Release("x", (Archive("a", 1, "0", "a", 1),), "val2017", "0", 1)).present
