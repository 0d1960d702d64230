"""A store of records: what becomes of the one that is there, and that a failure loses neither it nor the new one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from forge import SMALL, World, make_world, reseal

from benchmark.errors import SpecError, UserError
from benchmark.records.history import HISTORY, check_history, load_history
from benchmark.records.record import Record, load_record
from benchmark.records.store import RecordStore, record_folder

SUITE = "mini@1"
Write = Callable[[Path], Record]


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture
def store(world: World, tmp_path: Path) -> RecordStore:
    world.write(tmp_path / "store")
    return RecordStore(tmp_path / "store")


@pytest.fixture
def newer(world: World, tmp_path: Path) -> Callable[[str], Write]:
    """Give what writes another record, told by a version."""

    def make(version: str) -> Write:
        source = world.write(tmp_path / f"new-{version}", SMALL)
        reseal(source, lambda content: content["submission"].update(title=version))

        def write(folder: Path) -> Record:
            shutil.copytree(source, folder, dirs_exist_ok=True)
            return load_record(folder)

        return write

    return make


def digest(store: RecordStore) -> str:
    return load_record(record_folder(store.root, SMALL, SUITE)).digest


def tree(store: RecordStore) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}


def test_a_record_is_superseded_or_replaced(store: RecordStore, newer: Callable[[str], Write]) -> None:
    first = digest(store)
    second = store.put(SMALL, SUITE, newer("2"), "Better.")
    assert digest(store) == second.digest != first
    assert [event.record for event in load_history(store.root / SMALL).events] == [first]
    check_history(store.root / SMALL)
    third = store.put(SMALL, SUITE, newer("3"))
    assert digest(store) == third.digest


def test_the_same_record_supersedes_nothing(store: RecordStore, newer: Callable[[str], Write]) -> None:
    store.put(SMALL, SUITE, newer("2"), "Better.")
    before = tree(store)
    store.put(SMALL, SUITE, newer("2"), "Better still.")
    assert tree(store) == before


def damage_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")


def damage_kind(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("damage", [damage_text, damage_kind])
def test_a_history_that_cannot_be_read_is_told_before_any_work_and_nothing_is_lost(
    store: RecordStore, newer: Callable[[str], Write], damage: Callable[[Path], None]
) -> None:
    damage(store.root / SMALL / HISTORY)
    before = tree(store)
    with pytest.raises(UserError):
        store.check_free(SMALL, SUITE, reason="Better.", overwriting=False)
    with pytest.raises(UserError):
        store.put(SMALL, SUITE, newer("2"), "Better.")
    assert tree(store) == before


def test_a_history_that_cannot_be_written_leaves_the_record_where_it_was(
    store: RecordStore, newer: Callable[[str], Write], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(store)

    def full(*arguments: object, **options: object) -> None:
        raise UserError("cannot be written: No space left on device")

    monkeypatch.setattr("benchmark.records.history.write_text", full)
    with pytest.raises(UserError, match="No space left"):
        store.put(SMALL, SUITE, newer("2"), "Better.")
    assert tree(store) == before


@pytest.mark.parametrize("reason", ["", "two\nlines", " "])
def test_a_reason_that_is_none_is_told_before_any_work(store: RecordStore, reason: str) -> None:
    with pytest.raises(SpecError, match="field 'reason'"):
        store.check_free(SMALL, SUITE, reason=reason, overwriting=False)


def test_a_record_never_comes_back(store: RecordStore, newer: Callable[[str], Write], world: World) -> None:
    store.put(SMALL, SUITE, newer("2"), "Better.")
    store.put(SMALL, SUITE, newer("3"), "Better still.")
    before = tree(store)
    with pytest.raises(SpecError, match="was superseded once before"):
        store.put(SMALL, SUITE, newer("2"), "Back.")
    assert tree(store) == before
    check_history(store.root / SMALL)


def test_what_is_published_is_not_touched_unasked(store: RecordStore) -> None:
    with pytest.raises(SpecError, match="--supersede REASON"):
        store.check_free(SMALL, SUITE, reason=None, overwriting=False)
    store.check_free(SMALL, SUITE, reason=None, overwriting=True)
    store.check_free("another", SUITE, reason=None, overwriting=False)
