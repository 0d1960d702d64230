"""What a board reads: a record that cannot be used, or scores other images than the others, is left out alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from boards import audit_table, write_again

from benchmark.errors import IntegrityError, UserError
from benchmark.records.record import load_record, load_scores
from benchmark.records.scores import NOT_APPLICABLE, get_reason_names, scores_from_table
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Suite
from leaderboard.data.board import Board
from leaderboard.data.entries import load_entries
from leaderboard.site.build import build_site

Enter = Callable[..., Path]


def leave_unscored(suite: Suite, lock: Lock, folder: Path, metric: str, taps: slice) -> None:
    """Write a record again without an image's scores, for the metric's own reason, and with all that follows."""
    record = load_record(folder)
    scores = scores_from_table(suite, load_scores(folder, record), record.targets, record.images)
    code, index = 1 + get_reason_names(suite).index(reason_of(suite, metric)), suite.metrics.index(metric)
    for item in scores:
        codes, values = item.reasons[3, taps, :, index], item.values[3, taps, :, index]
        values[codes != NOT_APPLICABLE] = float("nan")
        codes[codes != NOT_APPLICABLE] = code
    write_again(suite, lock, folder, scores)


def reason_of(suite: Suite, metric: str) -> str:
    return next(name for name in get_reason_names(suite) if name.startswith(f"{metric}:"))


@pytest.mark.parametrize(
    ("taps", "words"), [(slice(0, 1), "is not scored at tap"), (slice(None), "unlike in the record of 'copy'")]
)
def test_who_scores_other_images_is_left_out_alone(
    suite: Suite, lock: Lock, four: Path, enter: Enter, tmp_path: Path, taps: slice, words: str
) -> None:
    evil = enter("evil", 0.9)
    leave_unscored(suite, lock, evil, "frc", taps)
    found: list[UserError] = []
    entries = load_entries(suite, lock, [four], found.append)
    assert [entry.submission.id for entry in entries] == ["copy", "mean", "modular", "ridge"]
    assert [error.where for error in found] == [str(evil / "scores.parquet")]
    assert words in found[0].message and "'frc' of image" in found[0].message
    build_site([Board(suite, lock, entries)], tmp_path / "out")
    with pytest.raises(IntegrityError, match=words):
        load_entries(suite, lock, [four])


def test_without_reference_points_most_records_decide(suite: Suite, lock: Lock, root: Path, enter: Enter) -> None:
    for name, level in (("a-first", 0.9), ("one", 0.5), ("two", 0.6)):
        enter(name, level)
    leave_unscored(suite, lock, root / "a-first" / "records" / suite.id, "contour_f", slice(None))
    found: list[UserError] = []
    assert [entry.submission.id for entry in load_entries(suite, lock, [root], found.append)] == ["one", "two"]
    assert "'a-first'" not in str(found[0]) and "a-first" in str(found[0].where)


@pytest.mark.parametrize("changes", [{}, {"draft": True}], ids=["ranked", "draft"])
@pytest.mark.parametrize("name", ["audit", "scores"])
def test_tables_of_another_record_leave_it_out(
    suite: Suite, lock: Lock, four: Path, enter: Enter, name: str, changes: dict[str, object]
) -> None:
    evil = enter("evil", 0.9, **changes)
    shutil.copy(four / "ridge" / "records" / suite.id / f"{name}.parquet", evil / f"{name}.parquet")
    found: list[UserError] = []
    assert len(load_entries(suite, lock, [four], found.append)) == 4
    assert [error.where for error in found] == [str(evil / f"{name}.parquet")]


def test_audit_images_of_another_size_leave_it_out(suite: Suite, lock: Lock, four: Path, enter: Enter) -> None:
    larger = [target.model_copy(update={"input_size": (32, 32)}) for target in suite.targets]
    other = suite.model_copy(update={"targets": tuple(larger)})
    evil = enter("evil", 0.9, images=lambda _, level: audit_table(other, level))
    found: list[UserError] = []
    assert len(load_entries(suite, lock, [four], found.append)) == 4
    assert found[0].where == str(evil / "audit.parquet") and "not a plain RGB PNG" in found[0].message
