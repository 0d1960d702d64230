"""What a suite refers to is found, compared with its lock, and explained where it is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from benchmark.content.content import Content
from benchmark.content.pins import find_gaps
from benchmark.diagnostics.needs import find_needs
from benchmark.engine.lock_builder import draft_lock
from benchmark.errors import SpecError
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import Lock, load_lock
from cli import main


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def say_once(done: Result, code: int, *texts: str) -> None:
    assert done.exit_code == code, done.output
    assert len(done.stderr.strip().splitlines()) == 1
    for text in texts:
        assert text in done.stderr


def test_a_suite_without_its_photographs_says_how_to_get_them() -> None:
    say_once(run("eval", "--suite", "coco@1", "--submission", "copy"), 2, "invbench data fetch coco", "--coco-dir DIR")
    say_once(run("eval", "--suite", "imagenet@1", "--submission", "copy"), 2, "--imagenet-dir DIR")


def test_a_submission_without_weights_for_a_target_names_it() -> None:
    say_once(run("eval", "--suite", "coco@1", "--submission", "ridge"), 2, "no weights for target 'detr-resnet-50'")
    say_once(run("eval", "--target", "mini-vat"), 2, "did you mean 'mini-vit'")


def test_another_annotation_file_than_the_pinned_one_is_refused(assets: Path) -> None:
    data = assets / "coco_val2017_sample"
    if not data.is_dir():
        pytest.skip(f"no photographs in {data}; set INVBENCH_TEST_ASSETS")
    done = run("eval", "--suite", "coco@1", "--submission", "copy", "--data-dir", data)
    say_once(done, 3, "file 'annotations/instances_val2017.json' is different")


def test_an_unknown_revision_stops_only_its_own_target() -> None:
    full = load_suite("coco@1")
    swin = full.target("swin-base")
    swin = swin.model_copy(update={"source": swin.source.model_copy(update={"revision": None})})
    suite = full.model_copy(update={"targets": (full.targets[0], swin)})
    content = Content(suite, load_lock(full))
    assert "revision of microsoft/swin-base-patch4-window7-224" in find_gaps(suite, content.lock)
    with pytest.raises(SpecError, match=r"revision of microsoft/swin-base.* is not known yet.*suite lock coco@1"):
        content.target(swin)
    known = content.lock.model_copy(update={"revisions": {"microsoft/swin-base-patch4-window7-224": "a" * 40}})
    assert Content(suite, known).revision("microsoft/swin-base-patch4-window7-224", None) == "a" * 40
    assert "revision of microsoft/swin-base-patch4-window7-224" not in find_gaps(suite, known)


@pytest.mark.parametrize("suite_id", ["coco@1", "imagenet@1"])
def test_the_committed_draft_is_what_the_command_writes(suite_id: str) -> None:
    suite = load_suite(suite_id)
    text = json.dumps(draft_lock(suite).model_dump(mode="json"), indent=1, sort_keys=True) + "\n"
    assert suite.lock_path.read_text() == text
    assert {"lpips/alexnet", "lpips/heads"} <= load_lock(suite).files.keys()


def test_suite_show_names_the_gaps_and_diff_the_fields() -> None:
    shown = run("suite", "show", "coco@1").stdout
    for text in ("facebook/detr-resnet-50@1d5f47bd", "architecture vit", "not pinned", "yardsticks at 224x224"):
        assert text in shown
    assert json.loads(run("suite", "show", "coco@1", "--json").stdout)["dataset"]["salt"] == "coco@1:"
    rows = json.loads(run("suite", "diff", "coco@1", "imagenet@1", "--json").stdout)
    fields = {row["field"]: row for row in rows}
    assert fields["dataset.source"] == {"field": "dataset.source", "coco@1": "coco", "imagenet@1": "imagenet"}
    assert fields["targets.detr-resnet-50.family"]["imagenet@1"] == "-"
    assert "targets.vit-base-16.family" not in fields
    assert run("suite", "diff", "mini@1", "mini@1").stdout == "no difference\n"


def test_suite_files_of_ones_own_are_named_by_their_path(tmp_path: Path) -> None:
    say_once(run("suite", "show", "absent.toml"), 2, "absent.toml", "no such file")
    (tmp_path / "mine.toml").write_text("name = ")
    say_once(run("suite", "show", "mine.toml"), 2, "mine.toml", "not valid TOML")
    say_once(run("suite", "check", "coca@1"), 2, "did you mean 'coco@1'")


def test_data_fetch_takes_only_the_folder_that_belongs_to_it(tmp_path: Path) -> None:
    say_once(run("data", "fetch", "imagenet"), 2, "--imagenet-dir DIR")
    say_once(run("data", "fetch", "coco", "--imagenet-dir", tmp_path), 2, "does not go with 'coco'")
    say_once(run("data", "fetch", "coco", "--coco-dir", tmp_path), 2, "instances_val2017.json", "annotations/")
    say_once(run("data", "fetch", "imagenet", "--imagenet-dir", tmp_path), 2, "holds no class folders")


def test_needs_tell_what_is_missing() -> None:
    suite = load_suite("coco@1")
    needs = {need.name: need for need in find_needs(suite, load_lock(suite))}
    assert needs.keys() == {"images", "judge", "perceptual network", *(target.id for target in suite.targets)}
    assert not needs["images"].present
    assert not needs["swin-base"].present
    assert needs["images"].megabytes == 1069
    assert needs["detr-resnet-50"].megabytes == 167
    mini = load_suite("mini@1")
    assert all(need.present for need in find_needs(mini, load_lock(mini)))


def test_a_lock_may_name_revisions_and_old_ones_need_not(tmp_path: Path) -> None:
    mini = load_lock(load_suite("mini@1"))
    assert "revisions" not in mini.model_dump(mode="json")
    known = mini.model_copy(update={"revisions": {"a/b": "0" * 40}})
    assert Lock.model_validate_json(known.model_dump_json()).revisions == {"a/b": "0" * 40}
    assert known.digest != mini.digest
