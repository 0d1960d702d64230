"""What a training sees by the command line: a folder of photographs, less what the suite evaluates."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from photographs import write_photographs
from PIL import Image

from benchmark.content.content import Content
from benchmark.datasets.base import Sample
from benchmark.errors import SpecError
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import load_lock
from benchmark.suites.spec import Suite
from benchmark.train.images import Scenes
from benchmark.train.photographs import Photographs
from benchmark.train.processes import ALONE
from benchmark.train.sources import Sources, open_sources

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))


def open_some(content: Content, target: str, folder: Path | None) -> Sources:
    spec, cpu = content.suite.target(target), torch.device("cpu")
    return open_sources(content, spec, cpu, seed=3, workers=0, folder=folder, processes=ALONE)


def test_an_embedded_suite_trains_on_scenes_or_on_a_folder_and_is_validated_on_scenes(
    content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.train.validation.VALIDATION_IMAGES", 2)
    assert isinstance(open_some(content, "mini-vit", None).training, Scenes)
    write_photographs(tmp_path / "coco" / "train2017", 20)
    sources = open_some(content, "mini-vit", tmp_path / "coco" / "train2017")
    assert isinstance(sources.training, Photographs) and sources.training.size == (96, 96)
    assert sources.training.description == "coco/train2017: 18 photographs"
    assert [sample.id for sample in sources.set_aside().samples] == ["validation-0000", "validation-0001"]


@pytest.fixture
def coco(assets: Path, tmp_path: Path) -> Content:
    """A suite of four photographs of COCO, of which the folder holds 96."""
    folder = assets / "coco_val2017_sample"
    if not folder.is_dir():
        pytest.skip(f"no photographs of COCO in {folder}")
    suite = load_suite("coco@1")
    small = suite.model_copy(update={"dataset": suite.dataset.model_copy(update={"images": 4})})
    lock = load_lock(suite)
    return Content(small, lock.model_copy(update={"files": {}, "images": {}}), folder)


@pytest.mark.slow
def test_photographs_of_a_suite_are_those_it_leaves_out_some_held_out_for_validation(
    coco: Content, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = open_some(coco, "vit-base-16", None)
    evaluated = set(coco.images.ids)
    aside = sources.set_aside()
    held = {sample.id for sample in aside.samples}
    assert isinstance(sources.training, Photographs)
    trained = set(sources.training.images.ids)
    assert len(evaluated) == 4 and len(held) == 9 and len(trained) == 83
    assert not evaluated & trained and not held & trained and not held & evaluated
    assert all(sample.image.shape == (224, 224, 3) for sample in aside.samples)
    assert "left out" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_folder_that_holds_the_suites_own_photographs_is_trained_on_without_them(
    coco: Content, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(4):
        source = coco.images.source(number)
        assert source
        shutil.copy(source, tmp_path / f"renamed-{number}.jpg")
        Image.open(source).save(tmp_path / f"again-{number}.jpg", quality=70)
    write_photographs(tmp_path, 12)
    training = open_some(coco, "vit-base-16", tmp_path).training
    assert isinstance(training, Photographs)
    assert all(name[0] == "0" for name in training.images.ids) and training.count == 11
    said = capsys.readouterr().err
    assert "4 of the photographs show an image that coco@1 evaluates and are left out: renamed-0.jpg = " in said
    assert "4 of the photographs look like an image that coco@1 evaluates and are left out: again-0.jpg ~ " in said


def test_without_the_suites_photographs_nothing_can_be_compared(tmp_path: Path) -> None:
    write_photographs(tmp_path / "train", 12)
    suite = load_suite("coco@1")
    with pytest.raises(SpecError, match="the photographs of coco are not here"):
        open_some(Content(suite, load_lock(suite)), "vit-base-16", tmp_path / "train")


@pytest.mark.slow
def test_the_command_trains_on_a_folder_and_says_what_it_left_out(
    tmp_path: Path, invbench: Callable[..., object], mini: Suite, samples: list[Sample]
) -> None:
    write_photographs(tmp_path / "mine", 30)
    (tmp_path / "mine" / "half.jpg").write_bytes((tmp_path / "mine" / "0000.jpg").read_bytes()[:500])
    Image.fromarray(samples[0].image).save(tmp_path / "mine" / "test.png")
    arguments = ["train", "inverse", "mean", "--target", "mini-vit", "--train-data", "mine", "--out", "out"]
    done = invbench(*arguments, "--workers", "0", "--device", "cpu", "--threads", "1")
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    said = done.stderr  # type: ignore[attr-defined]
    assert (
        f"1 of the photographs show an image that mini@1 evaluates and is left out: test.png = {samples[0].id}" in said
    )
    assert "1 of the photographs cannot be read and is left out: half.jpg: cannot be read as an image" in said
    training = json.loads((tmp_path / "out" / "config.json").read_text())["training"]
    assert training["data"] == f"{tmp_path.name}/mine: 27 photographs"
