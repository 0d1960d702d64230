"""The synthetic load: records that pass every check, and reading many of them in several processes."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmark.errors import IntegrityError, SpecError, UserError
from benchmark.records.columns import table_digest
from benchmark.records.consistency import check_record
from benchmark.records.record import Record, load_record, load_scores
from benchmark.records.store import record_folder
from benchmark.submissions.submission import list_submissions
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Suite
from leaderboard.data.entries import Entry, load_entries
from leaderboard.data.rankings import reference_of
from leaderboard.data.synthetic import write_load

Load = tuple[Suite, Lock, Path]
MANY = 10
"""More than are read in one process."""


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    root = tmp_path_factory.mktemp("load")
    return *write_load(root, MANY, targets=2, taps=4, images=8, seed=3), root


@pytest.fixture(scope="module")
def entries(load: Load) -> list[Entry]:
    suite, lock, root = load
    return load_entries(suite, lock, [root])


def test_every_record_follows_from_its_own_tables(load: Load, entries: list[Entry]) -> None:
    suite, lock, _ = load
    assert len(entries) == MANY
    for entry in entries:
        check_record(suite, lock, entry.submission.id, entry.folder, entry.record)
        for _, record in entry.superseded:
            check_record(suite, lock, entry.submission.id, entry.folder / "superseded" / record.digest[:16], record)


def test_a_load_has_all_kinds_of_entries(load: Load, entries: list[Entry]) -> None:
    suite, _, _ = load
    assert {reference_of(entry) for entry in entries} == {None, "ceiling", "floor"}
    assert {entry.trust for entry in entries} == {"self-reported", "rescored", "reproduced"}
    assert Counter(entry.record.status for entry in entries) == {"complete": MANY - 1, "partial": 1}
    assert Counter(entry.record.precision for entry in entries) == {"float32": MANY - 1, "bfloat16": 1}
    assert sum(entry.withdrawal is not None for entry in entries) == 1
    assert sum(len(entry.superseded) for entry in entries) == 1
    assert sum(entry.rankable for entry in entries) == MANY - 3
    assert len({entry.submission.method for entry in entries}) == MANY - 2
    assert any(entry.record.layers for entry in entries)
    assert any("device_hours" in i.training for entry in entries for i in entry.record.inverses.values())
    assert [tap.stage for tap in suite.targets[0].taps] == ["stem", "stem", "middle", "head"]


def test_the_same_seed_writes_the_same_load(load: Load, tmp_path: Path) -> None:
    suite, lock, root = load
    again = write_load(tmp_path / "a", MANY, targets=2, taps=4, images=8, seed=3)
    assert again == (suite, lock)
    files = {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert {path.relative_to(tmp_path / "a"): path.read_bytes()
            for path in (tmp_path / "a").rglob("*") if path.is_file()} == files  # fmt: skip


def test_many_records_are_read_as_few_are(load: Load, entries: list[Entry], tmp_path: Path) -> None:
    suite, lock, root = load
    for entry in entries[:3]:
        (tmp_path / entry.submission.id).symlink_to(root / entry.submission.id)
    few = load_entries(suite, lock, [tmp_path])
    for one, other in zip(few, entries[:3], strict=True):
        assert (one.submission, one.record, one.receipts) == (other.submission, other.record, other.receipts)
        assert one.image_axes.keys() == other.image_axes.keys()
        for target, axes in one.image_axes.items():
            for axis, values in axes.items():
                assert values.tobytes() == other.image_axes[target][axis].tobytes()


def test_a_record_travels_between_processes_whole(entries: list[Entry]) -> None:
    for entry in entries:
        found = pickle.loads(pickle.dumps(entry.record))
        assert type(found) is Record
        assert found == entry.record
        assert found.content_digest() == entry.record.digest


@pytest.mark.slow
def test_unusable_records_among_many_keep_what_is_said_of_them(tmp_path: Path) -> None:
    suite, lock = write_load(tmp_path, MANY, targets=1, taps=2, images=4, seed=0)
    names = list_submissions(tmp_path)
    changed, broken = (record_folder(tmp_path, names[place], suite.id) / "record.json" for place in (2, 6))
    content = json.loads(changed.read_text())
    changed.write_text(json.dumps(content | {"images": 3}))
    broken.write_text("{}")
    found: list[UserError] = []
    left = load_entries(suite, lock, [tmp_path], on_unusable=found.append)
    assert [entry.submission.id for entry in left] == [name for i, name in enumerate(names) if i not in (2, 6)]
    assert [(type(error), error.where) for error in found] == [(IntegrityError, str(changed)), (SpecError, str(broken))]
    assert (found[0].message, found[0].cure) == ("the digest does not match the content", "evaluate again")
    with pytest.raises(IntegrityError) as caught:
        load_entries(suite, lock, [tmp_path])
    with pytest.raises(IntegrityError) as alone:
        load_record(changed.parent)
    assert str(caught.value) == str(alone.value)


def plain_digest(table: pa.Table) -> str:
    """Return the digest of a table row by row, as records have stated it from the first."""
    content = b""
    for name in table.column_names:
        content += f"{name}:{table.num_rows};".encode()
        for value in table.column(name).to_pylist():
            if name == "value":
                content += np.float32(np.nan if value is None else value).tobytes()
            else:
                content += b"\0" * 32 if value is None else hashlib.sha256(value.encode()).digest()
    return hashlib.sha256(content).hexdigest()


def test_the_digest_of_a_table_does_not_depend_on_what_was_hashed_before(entries: list[Entry]) -> None:
    whole = load_scores(entries[0].folder, entries[0].record)
    head = whole.slice(0, 2000)
    taps = head.column("tap").to_pylist()
    other = head.set_column(2, head.schema.field("tap"), pa.array([taps[-1], *taps[1:]]).dictionary_encode())
    labels = head.select(["image", "tap"])
    for table in (head, head.slice(0, 1999), other, head, labels, pa.concat_tables([head.slice(0, 9), head.slice(9)])):
        assert table_digest(table) == plain_digest(table)
    assert len({table_digest(table) for table in (head, head.slice(0, 1999), other, labels)}) == 4


@pytest.mark.slow
def test_the_command_measures_a_small_load(invbench: Callable[..., object], tmp_path: Path) -> None:
    size = ("--entries", "3", "--targets", "1", "--taps", "2", "--images", "4", "--keep", str(tmp_path))
    done = invbench("bench", "board", *size, "--json")
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    row = json.loads(done.stdout)  # type: ignore[attr-defined]
    files = [path for path in (tmp_path / "board").rglob("*") if path.is_file()]
    assert row["entries"] == 3
    assert row["files"] == len(files)
    assert row["bytes"] == sum(path.stat().st_size for path in files)
    assert 0 < row["largest_page_bytes"] <= row["bytes"]
    assert row["pages"] == len([path for path in files if path.suffix == ".html"])
    again = invbench("bench", "board", *size)
    assert again.returncode == 2  # type: ignore[attr-defined]
    assert "holds submissions or a board already" in again.stderr  # type: ignore[attr-defined]


@pytest.mark.nightly
def test_pages_of_a_hundred_submissions_stay_light(invbench: Callable[..., object], tmp_path: Path) -> None:
    """The full load of 6 targets and 14 taps, but for fewer images, which no page shows one by one."""
    done = invbench("bench", "board", "--images", "16", "--keep", str(tmp_path), "--json", timeout=540)
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    row = json.loads(done.stdout)  # type: ignore[attr-defined]
    assert row["entries"] == 100
    assert row["pages"] == 2 + 100 + 2 * 6 + 4, "home, metrics; a submission, a target, a gallery each; and four"
    assert row["largest_page_bytes"] < 1_000_000
    for page in (tmp_path / "board").rglob("*.html"):
        images = re.findall(r"<img [^>]*>", page.read_text(encoding="utf-8"))
        assert all('loading="lazy"' in image for image in images), page
    overview = (tmp_path / "board" / "load-1" / "target-target-1.html").read_text(encoding="utf-8")
    assert overview.count("<tr data-id=") == 100
    ranks = {int(rank) for rank in re.findall(r'<span class="unseen">rank </span>(\d+)', overview)}
    assert len(ranks) > 1, "sixteen images tell some of a hundred apart"
