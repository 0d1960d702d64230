"""Locks notice any change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.content.content import Content, empty_lock
from benchmark.content.pins import (
    check_pins,
    find_audit_rights,
    find_gaps,
    fix_gap,
    hash_image,
    hash_perturbed,
)
from benchmark.datasets import open_images
from benchmark.datasets.annotations import annotation_file
from benchmark.datasets.base import ImageSet, Sample
from benchmark.errors import IntegrityError
from benchmark.suites.audit import stored_images
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import Lock, load_lock
from benchmark.suites.rights import LICENSES
from benchmark.suites.spec import Suite

ANNOTATIONS = annotation_file("val2017")


@pytest.fixture
def lock(mini: Suite) -> Lock:
    return load_lock(mini)


def test_the_embedded_suite_is_as_pinned(mini: Suite, lock: Lock, content: Content) -> None:
    content.check()
    assert find_gaps(mini, lock) == ()
    assert len(lock.images) == 128
    assert len(lock.perturbed) == 4 * len(mini.perturbations)
    assert {Path(name).name for name in lock.files} == {
        "test.parquet", "config.json", "model.safetensors", "preprocessor_config.json",
    }  # fmt: skip


def test_a_lock_is_canonical(mini: Suite, lock: Lock) -> None:
    text = json.dumps(lock.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"
    assert mini.lock_path.read_text() == text


def changes(pinned: dict[str, str]) -> list[tuple[str, str, dict[str, str]]]:
    name = sorted(pinned)[1]
    return [
        (name, "different", pinned | {name: "0" * 64}),
        (name, "not pinned", {key: value for key, value in pinned.items() if key != name}),
        ("zzz", "missing", pinned | {"zzz": "0" * 64}),
    ]


@pytest.mark.parametrize("kind", ["files", "images", "perturbed"])
@pytest.mark.parametrize("change", range(3))
def test_any_difference_stops_and_is_named(mini: Suite, lock: Lock, kind: str, change: int) -> None:
    name, state, pinned = changes(getattr(lock, kind))[change]
    with pytest.raises(IntegrityError, match=f"is {state}") as caught:
        Content(mini, lock.model_copy(update={kind: pinned})).check()
    assert name in str(caught.value)


def test_a_draft_may_hold_more_than_is_pinned_but_nothing_else() -> None:
    pinned = {"a": "1", "b": "2"}
    check_pins("file", pinned, pinned | {"c": "3"}, draft=True, where=Path("x"))
    with pytest.raises(IntegrityError, match="file 'c' is not pinned"):
        check_pins("file", pinned, pinned | {"c": "3"}, draft=False, where=Path("x"))
    for found, state in (({"a": "1"}, "missing"), ({"a": "1", "b": "3"}, "different")):
        with pytest.raises(IntegrityError, match=f"file 'b' is {state}"):
            check_pins("file", pinned, found, draft=True, where=Path("x"))


def test_an_empty_lock_names_its_gaps(mini: Suite) -> None:
    gaps = empty_lock(mini).gaps
    assert set(gaps) == {"images", "perturbed images", "yardsticks at 96x96"}


def test_a_changed_pixel_stops_an_evaluation(mini: Suite, lock: Lock, samples: list[Sample]) -> None:
    content = Content(mini, lock.model_copy(update={"images": lock.images | {"scene-0003": "0" * 64}}))
    assert hash_image(content.images.load(2, (96, 96))) == lock.images["scene-0002"]
    with pytest.raises(IntegrityError, match="image 'scene-0003' is different"):
        content.images.load(3, (96, 96))
    pixels = samples[3].image.copy()
    pixels[3, 4, 1] ^= 1
    assert hash_image(Sample("scene-0003", pixels, samples[3].focal_mask)) != lock.images["scene-0003"]


def test_other_images_than_the_lock_names_stop_an_evaluation(mini: Suite, lock: Lock) -> None:
    fewer = {name: digest for name, digest in lock.images.items() if name != "scene-0003"}
    with pytest.raises(IntegrityError, match="image 'scene-0003' is not pinned"):
        _ = Content(mini, lock.model_copy(update={"images": fewer})).images


def test_perturbed_hashes_are_of_the_audit_images(mini: Suite, content: Content) -> None:
    images: ImageSet = content.images
    hashes = hash_perturbed(mini, images, content.lock)
    assert {name.split("/")[0] for name in hashes} == set(mini.audit_ids(images.ids))
    for image in mini.audit_ids(images.ids):
        assert hashes[f"{image}/identity"] != hashes[f"{image}/hue_shift_120"]


@pytest.mark.parametrize(
    ("gap", "locked", "fix"),
    [
        ("file a/net/config.json", False, "run: invbench suite lock mini@1"),
        ("revision of a/net", False, "state 'revision' beside repo_id = \"a/net\""),
        ("file a/net/preprocessor_config.json", True, "state another 'revision'"),
        ("images", True, "another number of images"),
    ],
)
def test_every_gap_has_its_fix(mini: Suite, gap: str, locked: bool, fix: str) -> None:
    assert fix in fix_gap(mini, gap, locked=locked)


def sample_suite(images: int, **changes: object) -> Suite:
    """coco@1 over a few photographs."""
    coco = load_suite("coco@1")
    data = coco.dataset.model_copy(update={"images": images, "share": (0.0, 1.0)} | changes)
    return coco.model_copy(update={"dataset": data})


@pytest.fixture(scope="module")
def sample(assets: Path) -> Path:
    folder = assets / "coco_val2017_sample"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    return folder


def test_a_lock_chooses_photographs_that_may_be_shown(sample: Path) -> None:
    suite = sample_suite(40)
    images = open_images(suite.dataset, sample)
    found = find_audit_rights(suite, images)
    assert len(found) == suite.audit_images == 8
    listed = {image["id"]: image for image in json.loads((sample / ANNOTATIONS).read_text())["images"]}
    assert all(listed[int(rights.image)]["license"] not in (3, 6) for rights in found)
    allowed = [name for name in images.ids if listed[int(name)]["license"] not in (3, 6)]
    assert [rights.image for rights in found] == allowed[:8], "the first of the suite's order"
    for rights in found:
        number = listed[int(rights.image)]["flickr_url"].rsplit("/", 1)[1].split("_")[0]
        assert rights.page == f"https://www.flickr.com/photo.gne?id={number}"
        assert LICENSES[rights.license].number == listed[int(rights.image)]["license"]
    lock = empty_lock(suite).model_copy(update={"rights": found})
    assert not [gap for gap in find_gaps(suite, lock) if gap.startswith("rights")]
    assert Lock.model_validate_json(lock.model_dump_json()) == lock
    assert stored_images(suite, lock, images.ids) == tuple(allowed[:8])


def test_too_few_licenses_are_a_gap_that_says_what_to_do(sample: Path) -> None:
    suite = sample_suite(9)
    lock = empty_lock(suite).model_copy(update={"rights": find_audit_rights(suite, open_images(suite.dataset, sample))})
    assert 0 < len(lock.rights) < 8
    (gap,) = (gap for gap in find_gaps(suite, lock) if gap.startswith("rights"))
    assert gap == f"rights to {8 - len(lock.rights)} of 8 audit images"
    assert fix_gap(suite, gap, locked=False) == "run: invbench suite lock coco@1"
    fix = fix_gap(suite, gap, locked=True)
    assert all(word in fix for word in ("more images", "audit_images", 'pictures = "none"', "coco-1.toml"))
    forbidden = tuple(rights.model_copy(update={"license": "cc-by-nd-2.0"}) for rights in lock.rights)
    assert "rights to 8 of 8 audit images" in find_gaps(suite, lock.model_copy(update={"rights": forbidden}))


def test_a_suite_without_pictures_needs_no_licenses(sample: Path) -> None:
    suite = sample_suite(9, pictures="none")
    assert find_audit_rights(suite, open_images(suite.dataset, sample)) == ()
    assert not [gap for gap in find_gaps(suite, empty_lock(suite)) if gap.startswith("rights")]
    assert suite.digest != sample_suite(9).digest == sample_suite(9, pictures="licensed").digest
