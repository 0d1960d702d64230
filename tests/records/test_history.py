"""A record is never edited: it is superseded or withdrawn, and what was published stays as it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from forge import SMALL, TARGET, World, edit_json, make_world, put, reseal

from benchmark.engine.rescore import make_receipt
from benchmark.errors import IntegrityError, SpecError, UserError
from benchmark.records.consistency import check_predecessor
from benchmark.records.history import (
    HISTORY,
    RECORD_FILES,
    SUPERSEDED,
    check_history,
    find_withdrawal,
    load_history,
    supersede,
    superseded_folders,
    withdraw,
)
from benchmark.records.receipts import Difference, load_receipts, write_receipt
from benchmark.records.record import load_record
from benchmark.submissions.findings import Finding
from benchmark.submissions.ownership import check_change
from benchmark.suites.spec import ImagenetData

SUITE = "mini@1"
DAY = datetime.now(UTC).date()


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    world.write(tmp_path)
    return tmp_path / SMALL


def contents(place: Path) -> dict[str, bytes]:
    return {
        path.relative_to(place).as_posix(): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()
    }


def renew(world: World, folder: Path, version: str, reason: str = "A mistake in training.") -> Path:
    """Supersede the record by another, as an evaluation does; return where the old one went."""
    aside = folder.parent / f"new-{version}"
    new = world.write(aside, SMALL)
    reseal(new, lambda content: content["submission"].update(title=version))
    place = supersede(folder, SUITE, reason, load_record(new).digest, DAY)
    for name in RECORD_FILES:
        (new / name).rename(folder / "records" / SUITE / name)
    shutil.rmtree(aside)
    return place


def test_without_events_there_is_no_history(folder: Path) -> None:
    assert load_history(folder).events == ()
    check_history(folder)


def test_a_superseded_record_stays_byte_for_byte(world: World, folder: Path, cpu: torch.device) -> None:
    record = load_record(folder / "records" / SUITE)
    same = Difference(compared=1, equal=1, largest=0, beyond=0, unmatched=0)
    receipt = make_receipt("rescored", record, dict.fromkeys(world.suite.metrics, same), cpu, "B. Reader", 2)
    write_receipt(folder / "records" / SUITE, receipt)
    before = contents(folder / "records" / SUITE)
    place = renew(world, folder, "2", 'A "quoted" reason: x = [1] # ünïcode')
    assert place.name == record.digest[:16]
    assert contents(place) == before
    assert len(before) == 4
    event = load_history(folder).events[0]
    assert (event.kind, event.record, event.date) == ("superseded", record.digest, DAY)
    assert event.by == load_record(folder / "records" / SUITE).digest
    assert event.reason == 'A "quoted" reason: x = [1] # ünïcode'
    check_history(folder)


def test_a_chain_of_three_leads_to_the_present_record(world: World, folder: Path) -> None:
    digests = [load_record(folder / "records" / SUITE).digest]
    texts = [""]
    for version in ("2", "3", "4"):
        renew(world, folder, version)
        digests.append(load_record(folder / "records" / SUITE).digest)
        texts.append((folder / HISTORY).read_text())
    events = load_history(folder).events
    assert [event.record for event in events] == digests[:-1]
    assert [event.by for event in events] == digests[1:]
    assert {place.name for place in superseded_folders(folder / "records" / SUITE)} == {d[:16] for d in digests[:-1]}
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
    check_history(folder)


def test_a_withdrawn_record_stays_where_it_is(world: World, folder: Path) -> None:
    before = contents(folder)
    event = withdraw(folder, SUITE, "Trained on the test images.", DAY)
    assert {name: data for name, data in contents(folder).items() if name != HISTORY} == before
    assert find_withdrawal(load_history(folder), event.record) == event
    check_history(folder)
    renew(world, folder, "2")
    assert find_withdrawal(load_history(folder), load_record(folder / "records" / SUITE).digest) is None
    check_history(folder)


def test_nothing_is_withdrawn_twice(folder: Path) -> None:
    withdraw(folder, SUITE, "A mistake.", DAY)
    text = (folder / HISTORY).read_text()
    with pytest.raises(SpecError, match="was withdrawn already"):
        withdraw(folder, SUITE, "The same mistake.", DAY)
    assert (folder / HISTORY).read_text() == text
    (folder / HISTORY).write_text(text + text.partition("\n")[2])
    with pytest.raises(IntegrityError, match="is withdrawn twice"):
        check_history(folder)


@pytest.mark.parametrize("reason", ["", " ", "a\x1b[31m", "turned\u202e", "x" * 2001, "two\nlines"])
def test_a_reason_is_plain_text(folder: Path, reason: str) -> None:
    before = contents(folder)
    with pytest.raises(SpecError, match="field 'reason'"):
        withdraw(folder, SUITE, reason, DAY)
    with pytest.raises(SpecError, match="field 'reason'"):
        supersede(folder, SUITE, reason, "1" * 64, DAY)
    assert contents(folder) == before


def test_a_record_is_not_superseded_by_itself_or_twice(world: World, folder: Path) -> None:
    digest = load_record(folder / "records" / SUITE).digest
    before = contents(folder)
    with pytest.raises(SpecError, match="names the other record"):
        supersede(folder, SUITE, "No reason.", digest, DAY)
    assert contents(folder) == before
    shutil.copytree(folder / "records" / SUITE, folder.parent / "first")
    renew(world, folder, "2")
    for name in RECORD_FILES:
        (folder.parent / "first" / name).replace(folder / "records" / SUITE / name)
    with pytest.raises(SpecError, match="was superseded once before"):
        supersede(folder, SUITE, "Back and forth.", "1" * 64, DAY)


def test_there_must_be_a_record(folder: Path) -> None:
    for act in (
        lambda: withdraw(folder, "coco@1", "None.", DAY),
        lambda: supersede(folder, "coco@1", "No", "1" * 64, DAY),
    ):
        with pytest.raises(SpecError, match="no such file"):
            act()


def edit_history(old: str, new: str, count: int = 1) -> Callable[[Path], Any]:
    def change(folder: Path) -> None:
        text = (folder / HISTORY).read_text()
        assert old in text
        (folder / HISTORY).write_text(text.replace(old, new, count))

    return change


def first_old(folder: Path) -> Path:
    digest = load_history(folder).events[0].record
    return folder / "records" / SUITE / SUPERSEDED / digest[:16]


def drop_events(folder: Path) -> None:
    (folder / HISTORY).unlink()


def present_of_its_own(folder: Path) -> None:
    reseal(folder / "records" / SUITE, lambda content: content["submission"].update(title="of my own"))


def event_of(folder: Path, **fields: str) -> None:
    text = "".join(f'{name} = "{value}"\n' for name, value in fields.items())
    with (folder / HISTORY).open("a") as file:
        file.write(f"\n[[events]]\n{text}date = {DAY}\n")


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no event of a superseded record": (drop_events, "no event supersedes record"),
    "a superseded record removed": (lambda f: shutil.rmtree(first_old(f)), "is not below"),
    "a folder of another name": (lambda f: first_old(f).rename(first_old(f).with_name("0" * 16)), "holds record"),
    "a superseded record edited": (
        lambda f: edit_json(first_old(f) / "record.json", lambda c: c["submission"].update(title="0")),
        "digest does not match",
    ),
    "a superseded record without its file": (lambda f: (first_old(f) / "record.json").unlink(), "no such file"),
    "another present record": (present_of_its_own, "is not the present record"),
    "no present record": (lambda f: (f / "records" / SUITE / "record.json").unlink(), "is not the present record"),
    "an event of a suite without records": (
        lambda f: event_of(f, kind="withdrawn", suite="coco@1", record="1" * 64, reason="x"), "tells of coco@1",
    ),
    "a withdrawal of what is not there": (
        lambda f: event_of(f, kind="withdrawn", suite=SUITE, record="1" * 64, reason="x"), "is not in the tree",
    ),
    "an event twice": (
        lambda f: event_of(
            f, kind="superseded", suite=SUITE, record=load_history(f).events[0].record, by="1" * 64, reason="x"
        ),
        "is superseded twice",
    ),
    "a withdrawal with a successor": (
        lambda f: event_of(f, kind="withdrawn", suite=SUITE, record="1" * 64, by="2" * 64, reason="x"), "'by' names",
    ),
    "an unknown kind": (edit_history('"superseded"', '"improved"'), "field 'events.0.kind'"),
    "an unknown field": (edit_history("reason", "excuse"), "field 'events.0"),
    "a day that is none": (edit_history(str(DAY), "2025-13-01"), "not valid TOML"),
    "no TOML": (edit_history("[[events]]", "[[events"), "not valid TOML"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_history_is_found(world: World, folder: Path, kind: str) -> None:
    renew(world, folder, "2")
    renew(world, folder, "3")
    check_history(folder)
    change, message = BROKEN[kind]
    change(folder)
    with pytest.raises(UserError, match=message):
        check_history(folder)


# What was published, against what is proposed.


@pytest.fixture
def published(world: World, folder: Path, cpu: torch.device) -> Path:
    """Return a submission with a superseded and a present record, a receipt of it, and one withdrawal."""
    renew(world, folder, "2")
    record = load_record(folder / "records" / SUITE)
    same = Difference(compared=1, equal=1, largest=0, beyond=0, unmatched=0)
    receipt = make_receipt("rescored", record, dict.fromkeys(world.suite.metrics, same), cpu, "B. Reader", 2)
    write_receipt(folder / "records" / SUITE, receipt)
    base = folder.parent / "base"
    shutil.copytree(folder, base / SMALL)
    return base / SMALL


def found(folder: Path, published: Path) -> list[Finding]:
    return [finding for finding in check_change(folder, published) if finding.severity == "error"]


def test_what_only_adds_is_fine(world: World, folder: Path, published: Path) -> None:
    assert found(folder, published) == []
    (folder / "README.md").write_text("More.")
    renew(world, folder, "3")
    withdraw(folder, SUITE, "Too good.", DAY)
    assert found(folder, published) == []
    check_history(folder)
    assert found(folder, folder.parent / "nowhere") != [], "its receipt was slipped in"


def slip_in(folder: Path) -> None:
    place = folder / "records" / SUITE
    receipt = next((place / "receipts").iterdir())
    edit_json(receipt, lambda content: content.update(by="Me"))
    receipt.rename(receipt.with_name("reproduced-000000000000.json"))


EDITS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "record edited": (present_of_its_own, "was edited or removed"),
    "run of a record edited": (
        lambda f: edit_json(f / "records" / SUITE / "record.json", lambda c: c["run"].update(device_name="Mine")),
        "was edited or removed",
    ),
    "tables written anew": (
        lambda f: (f / "records" / SUITE / "audit.parquet").write_bytes(b"PAR1"), "was edited or removed",
    ),
    "record removed": (lambda f: (f / "records" / SUITE / "record.json").unlink(), "was edited or removed"),
    "everything removed": (lambda f: shutil.rmtree(f / "records"), "was edited or removed"),
    "superseded record edited": (
        lambda f: edit_json(first_old(f) / "record.json", lambda c: c["submission"].update(title="0")),
        "superseded record was edited or removed",
    ),
    "superseded record removed": (lambda f: shutil.rmtree(first_old(f)), "superseded record was edited or removed"),
    "superseded table removed": (
        lambda f: (first_old(f) / "scores.parquet").unlink(), "superseded record was edited or removed",
    ),
    "history rewritten": (edit_history("A mistake in training.", "Even better now."), "published history was edited"),
    "history removed": (drop_events, "published history was edited"),
    "history cut": (lambda f: (f / HISTORY).write_text("# Nothing happened.\n"), "published history was edited"),
    "receipt edited": (
        lambda f: edit_json(next((f / "records" / SUITE / "receipts").iterdir()), lambda c: c.update(by="Me")),
        "a receipt cannot be submitted",
    ),
    "receipt slipped in": (slip_in, "a receipt cannot be submitted"),
    "receipt removed": (
        lambda f: shutil.rmtree(f / "records" / SUITE / "receipts"), "a published receipt was edited or removed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", EDITS)
def test_edits_of_what_was_published_are_found(folder: Path, published: Path, kind: str) -> None:
    change, message = EDITS[kind]
    change(folder)
    items = found(folder, published)
    assert any(message in item.message for item in items)
    assert all(item.severity == "error" and item.cure and item.where.startswith(str(folder)) for item in items)


def test_a_receipt_of_the_superseded_record_does_not_speak_for_its_successor(
    world: World, folder: Path, published: Path
) -> None:
    place = folder / "records" / SUITE
    old = renew(world, folder, "3")
    shutil.copytree(old / "receipts", place / "receipts")
    assert found(folder, published) == [], "the receipt is a published one"
    with pytest.raises(IntegrityError, match="is of record"):
        load_receipts(place, load_record(place))


def test_a_superseded_record_of_someone_else_is_refused(world: World, folder: Path) -> None:
    place = renew(world, folder, "2")
    reseal(place, lambda content: content["submission"].update(id="other"))
    digest = load_record(place).digest
    edit_history(load_history(folder).events[0].record, digest)(folder)
    moved = place.rename(place.with_name(digest[:16]))
    with pytest.raises(SpecError, match="is the record of 'other'") as caught:
        check_history(folder)
    assert caught.value.where == str(moved / "record.json")


def test_a_predecessor_is_checked_as_any_record(world: World, folder: Path) -> None:
    place = renew(world, folder, "2")
    check_predecessor(world.suite, world.lock, SMALL, place, load_record(place))
    reseal(place, put("score/value", 0.99))
    with pytest.raises(IntegrityError, match=r"'score\.value'"):
        check_predecessor(world.suite, world.lock, SMALL, place, load_record(place))


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("score/value", "score.value"),
        ("overall/color/value", "overall.color.value"),
        (f"targets/{TARGET}/axes/detail/value", "overall.detail.value"),
        (f"targets/{TARGET}/taps/encoder.0/axes/shape/value", f"targets.{TARGET}.axes.shape.value"),
    ],
)
def test_a_predecessor_under_another_lock_adds_up(world: World, folder: Path, path: str, field: str) -> None:
    place = renew(world, folder, "2")
    reseal(place, put("lock_digest", "1" * 64))
    check_predecessor(world.suite, world.lock, SMALL, place, load_record(place))
    reseal(place, put(path, 0.99))
    with pytest.raises(IntegrityError, match=f"field '{field}'"):
        check_predecessor(world.suite, world.lock, SMALL, place, load_record(place))


def test_a_predecessor_of_what_may_not_be_published_holds_no_picture(world: World, folder: Path) -> None:
    place = renew(world, folder, "2")
    data = ImagenetData(source="imagenet", images=128, description="x", resize="pillow-bilinear", salt="x", pool=128)
    suite = world.suite.model_copy(update={"dataset": data})
    with pytest.raises(SpecError, match="rows") as caught:
        check_predecessor(suite, world.lock, SMALL, place, load_record(place))
    assert caught.value.where == str(place / "audit.parquet")


def test_a_predecessor_is_not_later_than_the_event_that_superseded_it(world: World, folder: Path) -> None:
    place = renew(world, folder, "2")
    reseal(place, put("run/started", f"{DAY - timedelta(days=2)}T00:00:00Z"))
    check_history(folder)
    edit_history(f"date = {DAY}", f"date = {DAY - timedelta(days=5)}")(folder)
    with pytest.raises(SpecError, match=r"field 'run\.started': .* when it was superseded"):
        check_history(folder)


def test_nothing_is_withdrawn_on_a_day_to_come(folder: Path) -> None:
    withdraw(folder, SUITE, "A mistake.", date(9999, 12, 31))
    with pytest.raises(SpecError, match=r"field 'events\.0\.date': 9999-12-31 is in the future"):
        check_history(folder)


def test_a_superseded_record_keeps_its_tables(world: World, folder: Path) -> None:
    place = renew(world, folder, "2")
    (place / "scores.parquet").unlink()
    with pytest.raises(SpecError, match=r"scores\.parquet: no such file"):
        check_history(folder)
