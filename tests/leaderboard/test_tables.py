"""Rows, ranks and the plain-text table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import IntegrityError, SpecError
from benchmark.records import AxisScore
from benchmark.spec import Suite
from leaderboard.tables import DASH, color_means, load_entries, number, ranks, table, text_table, unscored

Enter = Callable[..., Path]


def test_ranks_share_equal_values_and_skip_missing_ones() -> None:
    scores = {name: AxisScore(value=v, parts={}) for name, v in (("a", 0.5), ("b", 0.9), ("c", 0.5), ("d", None))}
    assert ranks(scores) == {"a": 2, "b": 1, "c": 2}


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.floats(0, 1), min_size=1, max_size=6))
def test_someone_is_always_first(values: dict[str, float]) -> None:
    found = ranks({name: AxisScore(value=value, parts={}) for name, value in values.items()})
    assert min(found.values()) == 1
    assert max(found.values()) <= len(values)


def test_order_of_rows(suite: Suite, four: Path) -> None:
    found = table(suite, load_entries(suite, [four]), "mini-detr")
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
def test_what_may_not_be_ranked(suite: Suite, four: Path, enter: Enter, changes: dict[str, Any], badge: str) -> None:
    enter("better", 0.95, **changes)
    found = table(suite, load_entries(suite, [four]))
    assert [row.entry.submission.id for row in found.ranked] == ["modular", "ridge"]
    (row,) = found.unranked
    assert row.badges == (badge,)
    assert row.place is None


def test_missing_target_is_named(suite: Suite, four: Path, enter: Enter) -> None:
    one = load_entries(suite, [four])[1].record.targets
    enter("half", 0.9, targets={"mini-detr": one["mini-detr"]}, overall={})
    entries = load_entries(suite, [four])
    cell = {row.entry.submission.id: row for row in table(suite, entries).rows}["half"].cells[0]
    assert (cell.score, cell.rank, cell.reason) == (None, None, "not evaluated on mini-vit")
    cell = {row.entry.submission.id: row for row in table(suite, entries, "mini-vit").rows}["half"].cells[0]
    assert cell.reason == "target not evaluated"


def test_later_roots_replace_earlier(suite: Suite, four: Path, enter: Enter, tmp_path: Path) -> None:
    other = tmp_path / "mine"
    other.mkdir()
    folder = enter("ridge", 0.9, into=other)
    entries = load_entries(suite, [four, other])
    assert [entry.submission.id for entry in entries] == ["copy", "mean", "modular", "ridge"]
    assert entries[-1].folder == folder


def test_no_records(suite: Suite, root: Path) -> None:
    assert load_entries(suite, [root, root / "absent"]) == []


def test_other_text_of_the_suite_is_refused(suite: Suite, enter: Enter, root: Path) -> None:
    folder = enter("ridge", 0.5, suite_digest="2" * 64)
    with pytest.raises(IntegrityError, match=str(folder / "record.json")):
        load_entries(suite, [root])


def test_record_of_someone_else_is_refused(suite: Suite, four: Path) -> None:
    records = four / "modular" / "records" / suite.id
    (records / "record.json").write_bytes((four / "ridge" / "records" / suite.id / "record.json").read_bytes())
    with pytest.raises(SpecError, match="is the record of 'ridge'"):
        load_entries(suite, [four])


def test_color_means_and_unscored(suite: Suite, four: Path) -> None:
    record = load_entries(suite, [four])[2].record
    assert color_means(record, "mini-detr", "backbone", "gain_original") == pytest.approx(0.2)
    assert color_means(record, "mini-detr", "nowhere", "gain_original") is None
    taps = sum(len(target.taps) for target in suite.targets)
    assert unscored(record) == [("contour_f", "too few visible contour pixels", 8 * taps)]


def test_number() -> None:
    assert number(-0.0001) == "0.000"
    assert number(None) == DASH


def test_text_table(suite: Suite, four: Path, enter: Enter) -> None:
    enter("draft", 0.9, draft=True)
    text = text_table(suite, load_entries(suite, [four]), "ridge")
    assert text.count("DETAIL") == len(suite.targets)
    first = text.split("\n\n")[1].splitlines()
    assert first[0].split() == ["rank", "submission", "DETAIL", "SHAPE", "COLOR"]
    assert first[2].split()[:4] == ["1", "modular", "0.560", "±0.020"]
    assert first[3].split()[:3] == ["2", ">", "ridge"]
    assert first[4].split()[:3] == [DASH, "draft", "(draft)"]
    assert [line.split()[0] for line in first[5:7]] == ["ceiling", "floor"]
