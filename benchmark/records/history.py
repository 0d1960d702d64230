"""What became of records: `submissions/<id>/history.toml`. A record is never edited; it is superseded or withdrawn.

A superseded record lies unchanged below `superseded/`, under the beginning of its digest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from benchmark.errors import IntegrityError, SpecError
from benchmark.files.clock import check_date, day_of
from benchmark.files.declarations import Frozen, explain, read_toml
from benchmark.files.fields import Paragraph, Sha256, SuiteId
from benchmark.files.storing import write_text
from benchmark.records.record import load_audit, load_record, load_scores

__all__ = [
    "HISTORY",
    "RECORD_FILES",
    "SUPERSEDED",
    "Event",
    "History",
    "check_history",
    "check_supersedable",
    "find_withdrawal",
    "load_history",
    "supersede",
    "superseded_folders",
    "withdraw",
]

HISTORY = "history.toml"
SUPERSEDED = "superseded"
RECORD_FILES = ("record.json", "scores.parquet", "audit.parquet")
_HEAD = "# Written by invbench; only ever added to.\n"


class Event(Frozen):
    """What happened to the record with digest `record`: `by` is that of the one that superseded it."""

    kind: Literal["superseded", "withdrawn"]
    suite: SuiteId
    record: Sha256
    by: Sha256 | None = None
    reason: Paragraph = Field(description="why, in a sentence or two")
    date: date

    @model_validator(mode="after")
    def _successor(self) -> Event:
        if (self.by is None) != (self.kind == "withdrawn") or self.by == self.record:
            raise ValueError("'by' names the other record that superseded this one, and nothing if it was withdrawn")
        return self


class History(Frozen):
    """The events of one submission, the oldest first."""

    events: tuple[Event, ...] = Field(default=(), max_length=1000)


def load_history(folder: Path) -> History:
    """Read the history of the submission in `folder`; empty where nothing happened yet."""
    path = folder / HISTORY
    return read_toml(path, History) if path.exists() else History()


def find_withdrawal(history: History, digest: str) -> Event | None:
    """Return the withdrawal of the record with `digest`, if it was withdrawn."""
    return next((e for e in history.events if e.kind == "withdrawn" and e.record == digest), None)


def _make_event(folder: Path, **fields: Any) -> Event:
    try:
        return Event.model_validate(fields)
    except ValidationError as error:
        raise explain(error, str(folder / HISTORY), Event) from None


def _append(folder: Path, event: Event) -> None:
    """Add an event to the end of the file; what stands there is not touched."""
    import tomli_w  # checks, which write nothing, do without it

    path, added = folder / HISTORY, tomli_w.dumps(event.model_dump(exclude_none=True))
    text = path.read_text(encoding="utf-8") if path.exists() else _HEAD
    write_text(path, f"{text}\n[[events]]\n{added}")


def superseded_folders(records: Path) -> list[Path]:
    """Return the folders of the superseded records beside the one in `records`."""
    return sorted(path for path in (records / SUPERSEDED).glob("*") if path.is_dir())


def check_supersedable(folder: Path, suite_id: str, reason: str) -> None:
    """Check, before any work for its successor, that the record of a suite can be superseded for a reason.

    Raises:
        SpecError: there is no record, it was superseded once before, the reason is none, or the history is damaged.
        IntegrityError: the record is damaged.
    """
    records = folder / "records" / suite_id
    old = load_record(records)
    load_history(folder)
    fields = {"suite": suite_id, "record": old.digest, "by": old.digest[::-1], "reason": reason, "date": date.today()}
    _make_event(folder, kind="superseded", **fields)
    if (records / SUPERSEDED / old.digest[:16]).exists():
        raise SpecError("was superseded once before", where=str(records / "record.json"), cure="keep its successor")


def supersede(folder: Path, suite_id: str, reason: str, new_digest: str, today: date) -> Path:
    """Archive the record of a suite, unchanged, for one with `new_digest`; return where it went.

    If that fails, the record is where it was.

    Raises:
        SpecError: see `check_supersedable`; or the new record was itself superseded before.
        IntegrityError: it is damaged.
        UserError: the history cannot be written.
    """
    check_supersedable(folder, suite_id, reason)
    records = folder / "records" / suite_id
    old = load_record(records)
    if (records / SUPERSEDED / new_digest[:16]).exists():
        message = f"record {new_digest[:16]} was superseded once before"
        raise SpecError(message, where=str(records / SUPERSEDED), cure="keep its successor")
    fields = {"suite": suite_id, "record": old.digest, "by": new_digest, "reason": reason, "date": today}
    event = _make_event(folder, kind="superseded", **fields)
    archive = records / SUPERSEDED / old.digest[:16]
    archive.mkdir(parents=True)
    moved = [name for name in (*RECORD_FILES, "receipts") if (records / name).exists()]
    try:
        for name in moved:
            (records / name).rename(archive / name)
        _append(folder, event)
    except BaseException:
        for name in moved:
            if (archive / name).exists():
                (archive / name).rename(records / name)
        archive.rmdir()
        raise
    return archive


def withdraw(folder: Path, suite_id: str, reason: str, today: date) -> Event:
    """Withdraw the record of a suite: it stays where it is, and is no longer ranked.

    Raises:
        SpecError: there is no record, it was withdrawn already, or the reason is none.
    """
    record = load_record(folder / "records" / suite_id)
    if find_withdrawal(load_history(folder), record.digest):
        raise SpecError("was withdrawn already", where=str(folder / "records" / suite_id / "record.json"))
    fields = {"suite": suite_id, "record": record.digest, "reason": reason, "date": today}
    event = _make_event(folder, kind="withdrawn", **fields)
    _append(folder, event)
    return event


def _check_superseded(folder: Path, submission_id: str, suite_id: str, events: Sequence[Event]) -> str:
    """Check that a superseded record is whole, and was one of a submission on a suite; return its digest."""
    record = load_record(folder)
    if not re.fullmatch(r"[0-9a-f]{16}", folder.name) or not record.digest.startswith(folder.name):
        raise SpecError(f"holds record {record.digest[:16]}", where=str(folder), cure="name it so")
    if (record.submission.id, record.suite) != (submission_id, suite_id):
        message, where = f"is the record of '{record.submission.id}' on {record.suite!r:.80}", folder / "record.json"
        raise SpecError(message, where=str(where), cure=f"only records of '{submission_id}' on {suite_id} belong there")
    load_scores(folder, record)
    load_audit(folder, record)
    for event in events:
        if event.kind == "superseded" and event.record == record.digest:
            check_date(day_of(record.run.started), "run.started", folder / "record.json", event.date)
    return record.digest


def check_history(folder: Path) -> None:
    """Check that the records below `folder` and its history tell the same story.

    Raises:
        SpecError: an event is of a record that is not there or of a day to come, or a superseded record is damaged, of
            something else, later than its event or in a folder of another name.
        IntegrityError: a superseded record has no event or several, or no line of successors to the present one.
    """
    history, where = load_history(folder), str(folder / HISTORY)
    for number, event in enumerate(history.events):
        check_date(event.date, f"events.{number}.date", where)
    for records in sorted(path for path in (folder / "records").glob("*") if path.is_dir()):
        present = load_record(records).digest if (records / "record.json").exists() else None
        events = [event for event in history.events if event.suite == records.name]
        successors: dict[str, str | None] = {}
        for event in (event for event in events if event.kind == "superseded"):
            if event.record in successors:
                raise IntegrityError(f"record {event.record[:16]} is superseded twice", where=where)
            successors[event.record] = event.by
        there = set()
        for archive in superseded_folders(records):
            digest = _check_superseded(archive, folder.resolve().name, records.name, events)
            if digest not in successors:
                cure = "let invbench eval --supersede REASON write it"
                raise IntegrityError(f"no event supersedes record {digest[:16]}", where=where, cure=cure)
            there.add(digest)
        if gone := sorted(successors.keys() - there):
            message = f"superseded record {gone[0][:16]} is not below {records.name}/{SUPERSEDED}"
            raise IntegrityError(message, where=where, cure="records stay in the tree")
        for digest in there:
            latest, seen = digest, set()
            while latest in successors and latest not in seen:
                seen.add(latest)
                latest = str(successors[latest])
            if latest != present:
                message = f"record {digest[:16]} leads to {latest[:16]}, which is not the present record"
                raise IntegrityError(message, where=where)
        known = there | {present}
        withdrawn = [event.record for event in events if event.kind == "withdrawn"]
        if twice := [record for record in withdrawn if withdrawn.count(record) > 1]:
            raise IntegrityError(f"record {twice[0][:16]} is withdrawn twice", where=where)
        if lost := [record for record in withdrawn if record not in known]:
            raise IntegrityError(f"withdrawn record {lost[0][:16]} is not in the tree", where=where)
    suites = {path.name for path in (folder / "records").glob("*")}
    if strange := [event.suite for event in history.events if event.suite not in suites]:
        raise SpecError(f"tells of {strange[0]}, of which there are no records", where=where)
