"""Canonical hues: against COCO's own masks and scikit-image, resumed exactly, refused with a reason, kept in locks."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from pycocotools.coco import COCO
from skimage.color import lab2rgb, rgb2lab

from benchmark.datasets.annotations import annotation_file
from benchmark.datasets.coco import read_photograph
from benchmark.engine import hues
from benchmark.engine.hues import measure_hues
from benchmark.engine.lock_builder import known_pins
from benchmark.errors import IntegrityError, SpecError, UserError
from benchmark.files.canonical import sha256_file
from benchmark.files.paths import SUITES
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import Lock, load_lock
from cli import main

# COCO's library decodes with a call that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SPLIT = "train2017"
HEIGHT, WIDTH, CELL = 60, 200, 10
IMAGES, EACH = 3, 12
RED, GRAY, GREEN = (200, 40, 40), (90, 90, 90), (40, 160, 60)
OPPOSITE = [tuple(np.rint(lab2rgb(np.array([60.0, a, 0.0])) * 255).astype(int)) for a in (30, -30)]
NAMES = {1: "red", 2: "gray", 3: "mixed", 4: "few", 5: "none"}


def draw(image: int) -> tuple[np.ndarray[Any, Any], list[dict[str, Any]]]:
    """Patches on gray, and the objects that lie inside them."""
    colors = [(1, RED)] * EACH + [(2, GRAY)] * EACH + [(3, OPPOSITE[k % 2]) for k in range(EACH)]
    colors += [(4, GREEN)] * (5 if image == 1 else 0)
    pixels, objects = np.full((HEIGHT, WIDTH, 3), 128, np.uint8), []
    for index, (category, color) in enumerate(colors):
        y, x = (CELL * part for part in divmod(index, WIDTH // CELL))
        pixels[y : y + CELL, x : x + CELL] = color
        outline = [x + 1, y + 1, x + 9, y + 1, x + 9, y + 9, x + 1, y + 9]
        objects.append({"image_id": image, "category_id": category, "segmentation": [outline]})
    return pixels, objects


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photographs of a few kinds of objects, and a crowd that would spoil the red."""
    folder = tmp_path / "coco"
    (folder / SPLIT).mkdir(parents=True)
    crowd = {"size": [HEIGHT, WIDTH], "counts": [0, HEIGHT * WIDTH]}
    objects: list[dict[str, Any]] = [{"image_id": 1, "category_id": 1, "iscrowd": 1, "segmentation": crowd}]
    for image in range(1, IMAGES + 1):
        pixels, more = draw(image)
        Image.fromarray(pixels).save(folder / SPLIT / f"{image}.png")
        objects += more
    write(folder, [item | {"id": index} for index, item in enumerate(objects)])
    return folder


def write(folder: Path, objects: list[dict[str, Any]]) -> None:
    path = folder / annotation_file(SPLIT)
    path.parent.mkdir(exist_ok=True)
    listed = [
        {"id": image, "file_name": f"{image}.png", "height": HEIGHT, "width": WIDTH} for image in range(1, IMAGES + 1)
    ]
    categories = [{"id": key, "name": name} for key, name in NAMES.items()]
    path.write_text(json.dumps({"images": listed, "categories": categories, "annotations": objects}))


def read_objects(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / annotation_file(SPLIT)).read_text())["annotations"]


def test_hues_are_those_of_the_objects_and_others_have_none_with_a_reason(folder: Path) -> None:
    found = measure_hues(folder, SPLIT)
    _, a, b = rgb2lab(np.array(RED) / 255)
    red = found.categories["red"]
    assert red.hue_deg == pytest.approx(np.degrees(np.arctan2(b, a)) % 360, abs=0.01)
    assert (red.resultant, red.objects, red.colored, red.reason) == (1.0, 36, 36, "")
    assert red.spread_deg == pytest.approx(0, abs=0.5)
    reasons = {name: item.reason for name, item in found.categories.items() if item.hue_deg is None}
    assert re.fullmatch(r"the hues scatter: resultant 0\.0\d, 0\.3 is needed", reasons.pop("mixed"))
    assert reasons == {
        "gray": "0 of 36 objects are colored, 30 are needed",
        "few": "5 of 5 objects are colored, 30 are needed",
        "none": "0 of 0 objects are colored, 30 are needed",
    }
    assert (found.split, found.images, found.left_out, found.objects) == (SPLIT, 3, 0, 113)
    assert found.annotations_sha256 == sha256_file(folder / annotation_file(SPLIT))


def test_hues_of_real_photographs_are_those_of_cocos_own_masks_and_scikit_image(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = assets / "coco_val2017_sample"
    if not sample.exists():
        pytest.skip(f"{sample} is absent")
    monkeypatch.setattr(hues, "MIN_COLORED", 1)
    path = tmp_path / "some" / annotation_file("val2017")
    path.parent.mkdir(parents=True)
    (tmp_path / "some/val2017").symlink_to(sample / "val2017")
    content = json.loads((sample / annotation_file("val2017")).read_text())
    content["images"] = content["images"][:24]
    kept = {image["id"] for image in content["images"]}
    content["annotations"] = [item for item in content["annotations"] if item["image_id"] in kept]
    path.write_text(json.dumps(content))
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO(path)
    parts: dict[str, list[Any]] = {category["name"]: [] for category in reference.cats.values()}
    for image in reference.imgs.values():
        with Image.open(path.parents[1] / "val2017" / image["file_name"]) as photograph:
            colors = rgb2lab(np.array(photograph.convert("RGB")))[..., 1:]
        for item in reference.imgToAnns[image["id"]]:
            mask = reference.annToMask(item) > 0
            if mask.any() and not item["iscrowd"]:
                parts[reference.cats[item["category_id"]]["name"]].append(colors[mask])
    found = measure_hues(tmp_path / "some", "val2017")
    assert sum(item.hue_deg is not None for item in found.categories.values()) > 5
    for name, objects in parts.items():
        ours = found.categories[name]
        assert (ours.objects, ours.colored) == (
            len(objects), sum(np.hypot(*pixels.mean(0)) >= 5 for pixels in objects),
        )  # fmt: skip
        if objects:
            a, b = np.concatenate(objects).T
            chroma = np.hypot(a, b)
            mean = (chroma * np.exp(1j * np.arctan2(b, a))).sum() / chroma.sum()
            assert ours.resultant == pytest.approx(abs(mean), abs=1e-3)
            if ours.hue_deg is not None:
                apart = (ours.hue_deg - np.degrees(np.angle(mean)) + 180) % 360 - 180
                assert abs(apart) < 0.02 and ours.resultant >= 0.3


def test_an_interrupted_measurement_resumes_with_the_same_result(
    folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = measure_hues(folder, SPLIT)
    shutil.rmtree(own_cache)
    monkeypatch.setattr(hues, "SAVED_EVERY", 1)
    seen: list[str] = []

    def stop(where: Path, split: str, image: Any) -> Any:
        seen.append(image.file_name)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return read_photograph(where, split, image)

    monkeypatch.setattr(hues, "read_photograph", stop)
    with pytest.raises(KeyboardInterrupt):
        measure_hues(folder, SPLIT)
    assert measure_hues(folder, SPLIT) == whole
    assert seen == ["1.png", "2.png", "3.png", "3.png"]
    assert measure_hues(folder, SPLIT) == whole and len(seen) == 4
    (kept,) = (own_cache / "hues").iterdir()
    kept.write_text('{"images": -1}')
    assert measure_hues(folder, SPLIT) == whole and len(seen) == 7
    Image.new("RGB", (WIDTH, HEIGHT), GREEN).save(folder / SPLIT / "2.png")
    assert measure_hues(folder, SPLIT) != whole and len(seen) == 10


def test_a_photograph_that_cannot_be_read_is_left_out_and_an_absent_one_is_named(
    folder: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / SPLIT / "3.png").write_bytes(b"no picture")
    found = measure_hues(folder, SPLIT)
    assert (found.images, found.left_out, found.objects) == (3, 1, 77)
    assert re.search(r"left out: \S*3\.png: ", capsys.readouterr().err)
    shutil.rmtree(own_cache)
    (folder / SPLIT / "3.png").unlink()
    with pytest.raises(SpecError, match=r"train2017/3\.png: no such file .*add it, or take it out"):
        measure_hues(folder, SPLIT)
    assert not own_cache.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"segmentation": [[1, 1, 5, 1, 5, 5, 1]]},
            r"train2017\.json: annotation 40: a polygon has a stray coord",
        ),
        ({"category_id": 9}, r"train2017\.json: annotation 40 is of category 9, which is not listed"),
        ({"image_id": 9}, r"train2017\.json: annotation 40 is of image 9, which is not listed"),
    ],
)
def test_malformed_annotations_are_named(folder: Path, change: dict[str, Any], message: str) -> None:
    objects = read_objects(folder)
    objects[40] |= change
    write(folder, objects)
    with pytest.raises(IntegrityError, match=message):
        measure_hues(folder, SPLIT)


def test_two_categories_of_one_name_are_refused(folder: Path) -> None:
    path = folder / annotation_file(SPLIT)
    path.write_text(path.read_text().replace('"mixed"', '"red"'))
    with pytest.raises(IntegrityError, match="two categories have the same name"):
        measure_hues(folder, SPLIT)


def test_a_cache_that_cannot_be_written_to_is_one_line(folder: Path, own_cache: Path) -> None:
    own_cache.write_text("a file")
    with pytest.raises(UserError, match=r"cannot be written: .*INVBENCH_CACHE"):
        measure_hues(folder, SPLIT)


@pytest.fixture
def suite_file(tmp_path: Path) -> Path:
    """A copy of coco@1 and its lock."""
    for path in SUITES.glob("coco-1.*"):
        shutil.copy(path, tmp_path)
    return tmp_path / "coco-1.toml"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def lock_of(suite_file: Path) -> Lock:
    return load_lock(load_suite(str(suite_file)))


def test_the_command_shows_hues_and_writes_them_into_the_lock(folder: Path, suite_file: Path) -> None:
    before = lock_of(suite_file)
    done = run("suite", "hues", suite_file, "--data-dir", folder)
    assert done.exit_code == 0, done.stderr
    assert re.search(r"^red +\d+ +1\.00 +0 +36 +36 *$", done.stdout, re.MULTILINE)
    assert re.search(r"^gray +- .* 0 of 36 objects are colored, 30 are needed$", done.stdout, re.MULTILINE)
    assert "3 images of train2017, 0 of them left out; 113 objects" in done.stdout
    after = lock_of(suite_file)
    assert after.hues == measure_hues(folder, SPLIT)
    assert after.model_copy(update={"hues": None}).digest == before.digest != after.digest
    done = run("suite", "hues", suite_file, "--data-dir", folder, "--json")
    assert json.loads(done.stdout)["categories"]["red"]["objects"] == 36


def test_locks_that_are_made_anew_keep_their_hues(folder: Path, suite_file: Path) -> None:
    assert run("suite", "hues", suite_file, "--data-dir", folder).exit_code == 0
    lock = lock_of(suite_file)
    assert run("suite", "lock", suite_file, "--draft").exit_code == 0
    assert lock_of(suite_file).hues == lock.hues is not None
    path = suite_file.with_name("coco-1.lock.json")
    path.write_text(lock.model_copy(update={"gaps": ()}).model_dump_json())
    suite = load_suite(str(suite_file))
    assert known_pins(suite).hues == known_pins(suite.model_copy(update={"title": "x"})).hues == lock.hues
    path.write_text(lock.model_copy(update={"gaps": (), "hues": None}).model_dump_json())
    assert "note: the lock was whole and has changed" in run("suite", "hues", suite_file, "--data-dir", folder).stderr


def test_what_lacks_is_named_with_its_fix(suite_file: Path) -> None:
    done = run("suite", "hues", "mini@1")
    assert done.exit_code == 2 and "mini@1: its images have no categories of COCO" in done.stderr
    done = run("suite", "hues", suite_file)
    assert done.exit_code == 2 and "invbench data fetch coco --split train2017" in done.stderr
    suite_file.with_name("coco-1.lock.json").unlink()
    done = run("suite", "hues", suite_file)
    assert done.exit_code == 2 and "no lock" in done.stderr
