"""Locks notice any change; chunks survive crashes and notice damage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmark.datasets.frozen import Sample
from benchmark.errors import IntegrityError
from benchmark.lock import check_lock, hash_perturbed
from benchmark.runs import ChunkStore, cache_root, code_digest
from benchmark.spec import Lock, Suite, load_lock, lock_path


@pytest.fixture
def lock(mini: Suite) -> Lock:
    return load_lock(mini)


def test_the_embedded_suite_is_as_pinned(mini: Suite, lock: Lock, samples: list[Sample]) -> None:
    check_lock(mini, lock, samples, where=lock_path(mini))
    assert len(lock.images) == 128
    assert len(lock.perturbed) == len(mini.audit_images) * len(mini.perturbations)
    assert {Path(name).name for name in lock.files} == {
        "test.parquet", "config.json", "model.safetensors", "preprocessor_config.json",
    }  # fmt: skip


def test_a_lock_is_canonical(mini: Suite, lock: Lock) -> None:
    text = json.dumps(lock.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"
    assert lock_path(mini).read_text() == text


@pytest.mark.parametrize("kind", ["files", "images", "perturbed"])
def test_any_difference_stops_and_is_named(mini: Suite, lock: Lock, samples: list[Sample], kind: str) -> None:
    pinned = getattr(lock, kind)
    name = sorted(pinned)[1]
    for changed, state in (
        (pinned | {name: "0" * 64}, "different"),
        ({key: value for key, value in pinned.items() if key != name}, "not pinned"),
        (pinned | {"zzz": "0" * 64}, "missing"),
    ):
        with pytest.raises(IntegrityError, match=f"is {state}") as caught:
            check_lock(mini, lock.model_copy(update={kind: changed}), samples, where=Path("x.lock.json"))
        assert ("zzz" if state == "missing" else name) in str(caught.value)


def test_a_changed_pixel_is_noticed(mini: Suite, lock: Lock, samples: list[Sample]) -> None:
    first = samples[0]
    pixels = first.image.copy()
    pixels[3, 4, 1] ^= 1
    other = Sample(first.id, pixels, first.focal_mask, first.focal_category, first.classes, first.boxes)
    with pytest.raises(IntegrityError, match="image 'scene-0000' is different"):
        check_lock(mini, lock, [other, *samples[1:]], where=Path("x"))


def test_perturbed_hashes_are_of_the_audit_images(mini: Suite, samples: list[Sample]) -> None:
    hashes = hash_perturbed(mini, samples)
    assert {name.split("/")[0] for name in hashes} == set(mini.audit_images)
    for image in mini.audit_images:
        assert hashes[f"{image}/identity"] != hashes[f"{image}/hue_shift_120"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ChunkStore:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    return ChunkStore({"suite": "x"})


def test_chunks_round_trip(store: ChunkStore) -> None:
    assert store.load("a") is None
    arrays = {"values": np.array([1.5, np.nan], np.float32), "codes": np.arange(3, dtype=np.uint8)}
    store.save("a", arrays)
    found = store.load("a")
    assert found is not None
    for name, array in arrays.items():
        assert np.array_equal(found[name], array, equal_nan=name == "values")
        assert found[name].dtype == array.dtype
    store.clear()
    assert not store.folder.exists()


@pytest.mark.parametrize("damage", [lambda b: b[:-7], lambda b: b[:60] + b"x" + b[61:], lambda b: b"", lambda b: b[5:]])
def test_damaged_chunks_count_as_absent(store: ChunkStore, damage: object) -> None:
    store.save("a", {"values": np.arange(100.0)})
    path = store.folder / "a.npz"
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    assert store.load("a") is None


def test_other_keys_have_other_folders(store: ChunkStore) -> None:
    assert ChunkStore({"suite": "x"}).folder == store.folder
    assert ChunkStore({"suite": "y"}).folder != store.folder


def test_the_cache_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("INVBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "invbench"


def test_the_code_digest_is_stable() -> None:
    assert code_digest() == code_digest()
    assert len(code_digest()) == 64
