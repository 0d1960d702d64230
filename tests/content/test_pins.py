"""Locks notice any change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.content.content import Content, empty_lock
from benchmark.content.pins import check_pins, find_gaps, fix_gap, hash_image, hash_perturbed
from benchmark.datasets.base import ImageSet, Sample
from benchmark.errors import IntegrityError
from benchmark.suites.lock import Lock, load_lock
from benchmark.suites.spec import Suite


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
