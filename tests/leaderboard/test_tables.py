"""Rows, ranks and the plain-text table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import IntegrityError, SpecError
from benchmark.spec import Lock, Suite
from leaderboard.entries import load_entries
from leaderboard.tables import DASH, color_means, number, table, text_table, unscored

Enter = Callable[..., Path]


def test_entries_that_the_data_cannot_separate_share_a_rank(suite: Suite, lock: Lock, four: Path, enter: Enter) -> None:
    enter("twin", 0.8001)
    found = table(suite, load_entries(suite, lock, [four]), "mini-vit")
    ranks = {row.entry.submission.id: [cell.rank for cell in row.cells] for row in found.ranked}
    assert ranks == {"modular": [1, 1, 1], "twin": [1, 1, 1], "ridge": [3, 3, 3]}
    assert [row.place for row in found.ranked] == [1, 1, 3]


def test_order_of_rows(suite: Suite, lock: Lock, four: Path) -> None:
    found = table(suite, load_entries(suite, lock, [four]), "mini-detr")
    assert [(row.entry.submission.id, row.place) for row in found.ranked] == [("modular", 1), ("ridge", 2)]
    assert [(row.entry.submission.id, row.reference) for row in found.references] == [
        ("copy", "ceiling"),
        ("mean", "floor"),
    ]
    assert all(cell.rank is None for row in found.references for cell in row.cells)


@pytest.mark.parametrize(
    ("changes", "badge"),
    [({"status": "partial"}, "partial"), ({"draft": True}, "draft"), ({"precision": "bfloat16"}, "bf16")],
)
def test_what_may_not_be_ranked(
    suite: Suite, lock: Lock, four: Path, enter: Enter, changes: dict[str, Any], badge: str
) -> None:
    enter("better", 0.95, **changes)
    found = table(suite, load_entries(suite, lock, [four]))
    assert [row.entry.submission.id for row in found.ranked] == ["modular", "ridge"]
    (row,) = found.unranked
    assert row.badges == (badge,)
    assert row.place is None


def test_missing_target_is_named(suite: Suite, lock: Lock, four: Path, enter: Enter) -> None:
    one = load_entries(suite, lock, [four])[1].record.targets
    enter("half", 0.9, targets={"mini-detr": one["mini-detr"]}, overall={})
    entries = load_entries(suite, lock, [four])
    cell = {row.entry.submission.id: row for row in table(suite, entries).rows}["half"].cells[0]
    assert (cell.score, cell.rank, cell.reason) == (None, None, "not evaluated on mini-vit")
    cell = {row.entry.submission.id: row for row in table(suite, entries, "mini-vit").rows}["half"].cells[0]
    assert cell.reason == "target not evaluated"


def test_later_roots_replace_earlier(suite: Suite, lock: Lock, four: Path, enter: Enter, tmp_path: Path) -> None:
    other = tmp_path / "mine"
    other.mkdir()
    folder = enter("ridge", 0.9, into=other)
    entries = load_entries(suite, lock, [four, other])
    assert [entry.submission.id for entry in entries] == ["copy", "mean", "modular", "ridge"]
    assert entries[-1].folder == folder


def test_no_records(suite: Suite, lock: Lock, root: Path) -> None:
    assert load_entries(suite, lock, [root, root / "absent"]) == []


def test_other_text_of_the_suite_is_refused(suite: Suite, lock: Lock, enter: Enter, root: Path) -> None:
    folder = enter("ridge", 0.5, suite_digest="2" * 64)
    with pytest.raises(IntegrityError, match=str(folder / "record.json")):
        load_entries(suite, lock, [root])


def test_stale_records_can_be_left_out(suite: Suite, lock: Lock, four: Path) -> None:
    other = lock.model_copy(update={"perturbed": {"x": "0" * 64}})
    left_out: list[str] = []
    assert load_entries(suite, other, [four], on_unusable=lambda error: left_out.append(str(error))) == []
    assert len(left_out) == 4
    assert "made under another lock" in left_out[0]
    with pytest.raises(IntegrityError, match="invbench eval --submission copy"):
        load_entries(suite, other, [four])


def test_an_unreadable_record_does_not_hide_the_others(suite: Suite, lock: Lock, four: Path) -> None:
    folder = four / "ridge" / "records" / suite.id
    (folder / "record.json").write_text("{}")
    left_out: list[str] = []
    found = load_entries(suite, lock, [four], on_unusable=lambda error: left_out.append(str(error)))
    assert [entry.submission.id for entry in found] == ["copy", "mean", "modular"]
    assert len(left_out) == 1
    assert str(folder / "record.json") in left_out[0]


def test_record_of_someone_else_is_refused(suite: Suite, lock: Lock, four: Path) -> None:
    records = four / "modular" / "records" / suite.id
    (records / "record.json").write_bytes((four / "ridge" / "records" / suite.id / "record.json").read_bytes())
    with pytest.raises(SpecError, match="is the record of 'ridge'"):
        load_entries(suite, lock, [four])


def test_color_means_and_unscored(suite: Suite, lock: Lock, four: Path) -> None:
    record = load_entries(suite, lock, [four])[2].record
    assert color_means(record, "mini-detr", "backbone", "gain_original") == pytest.approx(0.2)
    assert color_means(record, "mini-detr", "nowhere", "gain_original") is None
    taps = sum(len(target.taps) for target in suite.targets)
    assert unscored(record) == [("contour_f", "too few visible contour pixels", 8 * taps)]


def test_number() -> None:
    assert number(-0.0001) == "0.000"
    assert number(None) == DASH


def test_text_table(suite: Suite, lock: Lock, four: Path, enter: Enter) -> None:
    enter("draft", 0.9, draft=True)
    text = text_table(suite, load_entries(suite, lock, [four]), "ridge")
    assert text.count("DETAIL") == len(suite.targets)
    first = text.split("\n\n")[1].splitlines()
    assert first[0].split() == ["rank", "submission", "DETAIL", "SHAPE", "COLOR"]
    assert first[2].split()[:4] == ["1", "modular", "0.560", "±0.020"]
    assert first[3].split()[:3] == ["2", ">", "ridge"]
    assert first[4].split()[:3] == [DASH, "draft", "(draft)"]
    assert [line.split()[0] for line in first[5:7]] == ["ceiling", "floor"]
