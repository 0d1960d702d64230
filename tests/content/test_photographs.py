"""Getting the data: downloads from a real server that may fail in every way, unpacking, adopted folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from cocosite import ARCHIVES, LABELS, SPEC, TRAIN, TRAIN_WHOLE, VAL, WHOLE, Site, contents, jpeg

from benchmark.commands.data import data
from benchmark.content.photographs import (
    COCO,
    COCO_TRAIN,
    RELEASES,
    Archive,
    Release,
    adopt,
    fetch_coco,
    find_state,
    locate_photographs,
)
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
    assert [(a.path, a.bytes, a.sha256[:8]) for a in COCO_TRAIN.archives] == [
        ("zips/train2017.zip", 19_336_861_798, "69a8bb58"),
        ("annotations/annotations_trainval2017.zip", 252_907_541, "113a836d"),
    ]
    assert (COCO_TRAIN.annotations_sha256[:8], COCO_TRAIN.images) == ("610fce49", 118_287)


def test_both_splits_lie_in_one_folder(site: Site, release: Release, training: Release, cache: Path) -> None:
    with pytest.raises(SpecError, match=r"coco-train2017 are not here \(invbench data fetch coco --split train2017;"):
        locate_photographs("coco", "train2017")
    folder = fetch_coco(release=training)
    assert contents(folder) == TRAIN_WHOLE
    assert locate_photographs("coco", "train2017") == folder == cache / "data" / "coco"
    with pytest.raises(SpecError, match="photographs of coco are not here"):
        locate_photographs("coco")
    assert fetch_coco(release=release) == locate_photographs("coco") == folder
    assert contents(folder) == TRAIN_WHOLE | WHOLE
    (folder / "train2017" / "000000000005.jpg").unlink()
    site.asked.clear()
    assert contents(fetch_coco(release=training)) == TRAIN_WHOLE | WHOLE
    assert site.asked == [(f"/{TRAIN}", None), (f"/{LABELS}", None)]


def test_a_split_whose_move_was_interrupted_counts_as_absent(
    site: Site, release: Release, training: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_coco(release=release)
    move = Path.replace

    def stop(path: Path, target: Path) -> Path:
        if path.name == "instances_train2017.json":
            raise KeyboardInterrupt
        return move(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            fetch_coco(release=training)
    assert not find_state("coco", release=training).present and find_state("coco", release=release).present
    site.asked.clear()
    assert contents(fetch_coco(release=training)) == TRAIN_WHOLE | WHOLE
    assert site.asked == []


@pytest.mark.parametrize("name", ["instances_val2017.json", "instances_train2017.json"])
def test_either_split_of_a_folder_that_you_have_is_remembered(
    own: Path, release: Release, training: Release, cache: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for path, content in TRAIN_WHOLE.items():
        (own / path).parent.mkdir(parents=True, exist_ok=True)
        (own / path).write_bytes(content)
    (own / "annotations" / name).unlink()
    monkeypatch.setitem(RELEASES, "val2017", release)
    monkeypatch.setitem(RELEASES, "train2017", training)
    gone, kept = ("val2017", "train2017") if "val" in name else ("train2017", "val2017")
    fetch = CliRunner()
    adopted = fetch.invoke(data.commands["fetch"], ["coco", "--coco-dir", str(own), "--split", kept])
    assert (adopted.exit_code, adopted.output) == (0, f"{own}\n")
    assert locate_photographs("coco", kept) == own
    refused = fetch.invoke(data.commands["fetch"], ["coco", "--coco-dir", str(own), "--split", gone])
    assert isinstance(refused.exception, SpecError) and f"must hold {gone}/" in str(refused.exception)
    fetched = fetch.invoke(data.commands["fetch"], ["coco", "--split", gone])
    assert fetched.exit_code == 0 and fetched.stdout.endswith(f"{cache / 'data' / 'coco'}\n")
    assert (locate_photographs("coco", kept), locate_photographs("coco", gone)) == (own, cache / "data" / "coco")
    assert fetch.invoke(data.commands["fetch"], ["imagenet", "--split", kept]).exit_code == 2


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
    with pytest.raises(SpecError, match=r"instances_train2017\.json: no such file .*must hold train2017/"):
        adopt("coco", own, SPEC.model_copy(update={"split": "train2017"}))
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
