"""Rows, ranks and the plain-text table."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import IntegrityError, SpecError
from benchmark.metrics.spec import get_metric
from benchmark.records.history import withdraw
from benchmark.records.record import InverseInfo, Record
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Suite
from leaderboard.data.board import Board
from leaderboard.data.entries import load_entries
from leaderboard.data.rankings import (
    DASH,
    RANK_RULE,
    Table,
    color_means,
    cost_of,
    label_of,
    make_table,
    render_number,
    unscored,
    why_missing,
)
from leaderboard.data.views import overall_of
from leaderboard.site.drawings import plan_depth

Enter = Callable[..., Path]
Make = Callable[..., Board]


def test_reference_points_and_what_is_not_ranked_share_no_rank(
    suite: Suite, lock: Lock, four: Path, enter: Enter
) -> None:
    enter("draft", 0.8, draft=True)
    for target in (None, *(target.id for target in suite.targets)):
        found = make_table(suite, load_entries(suite, lock, [four]), target)
        for row in (*found.unranked, *found.references):
            assert all(cell.rank is None and cell.tied == () for cell in row.cells)
        assert not {other for row in found.ranked for cell in row.cells for other in cell.tied}


def part_of(record: Record, target: str) -> dict[str, Any]:
    """Return fields of a record that holds one target only; its `overall` is then the mean over that one."""
    return {"targets": {target: record.targets[target]}, "status": "partial"}


def test_a_record_that_lacks_a_target_has_no_score_and_no_cost_over_all(
    suite: Suite, lock: Lock, four: Path, enter: Enter
) -> None:
    (ridge,) = (e.record for e in load_entries(suite, lock, [four]) if e.submission.id == "ridge")
    first, second = (target.id for target in suite.targets)
    enter("part", 0.9, **part_of(ridge, first))
    entries = load_entries(suite, lock, [four])
    (record,) = (entry.record for entry in entries if entry.submission.id == "part")
    assert record.overall["detail"].value is not None
    assert overall_of(suite, record) == {} and overall_of(suite, ridge) == ridge.overall
    for target, scored in ((None, False), (first, True), (second, False)):
        table = make_table(suite, entries, target)
        (row,) = (row for row in table.rows if row.entry.submission.id == "part")
        assert (row in table.ranked, row.score is not None) == (scored, scored)
        assert [cell.score is not None for cell in row.cells] == [scored] * 3
        assert (row.cost.parameters is not None) == scored
        reason = "" if scored else "target not evaluated" if target else f"not evaluated on {second}"
        assert {cell.reason for cell in row.cells} == {row.cost.reason} == {reason}


def test_charts_mark_what_is_not_ranked_and_leave_out_what_was_withdrawn(
    suite: Suite, lock: Lock, four: Path, enter: Enter
) -> None:
    enter("exact", 0.9, precision="bfloat16", status="partial")
    enter("gone", 0.9)
    withdraw(four / "gone", suite.id, "A mistake.", date(2026, 1, 31))
    board = Board(suite, lock, load_entries(suite, lock, [four]))
    labels = ["modular", "ridge", "exact (partial, bfloat16)"]
    for target in suite.targets:
        assert [label_of(entry) for entry in board.drawn(target.id)] == labels
        for plan in plan_depth(board, target):
            chart = plan.make()
            assert chart is not None
            assert {row[0] for row in chart.rows} == {"copy", "mean", *labels}
            assert "exact (partial, bfloat16)" in chart.svg.decode()


def test_rows_come_ranked_first_then_unranked_then_reference_points(
    suite: Suite, lock: Lock, four: Path, enter: Enter
) -> None:
    enter("better", 0.95, draft=True)
    found = make_table(suite, load_entries(suite, lock, [four]))
    assert found.rows == found.ranked + found.unranked + found.references
    assert [row.entry.submission.id for row in found.rows] == ["modular", "ridge", "better", "copy", "mean"]


def test_a_board_shows_the_same_whatever_order_its_records_were_read_in(
    suite: Suite, lock: Lock, four: Path, enter: Enter
) -> None:
    enter("third", 0.8002)
    enter("twin", 0.8001)
    entries = load_entries(suite, lock, [four])
    one, other = Board(suite, lock, entries), Board(suite, lock, entries[::-1])

    def shown(found: Table) -> list[Any]:
        return [(row.entry.submission.id, row.place, row.cells) for row in found.rows]

    assert one.tables.keys() == {None, *(target.id for target in suite.targets)}
    assert all(shown(one.tables[key]) == shown(other.tables[key]) for key in one.tables)
    first = [row.entry.submission.id for row in one.tables[None].ranked]
    assert sorted(first[:3]) == ["modular", "third", "twin"] and first[3] == "ridge"
    assert one.styles == other.styles == {name: i for i, name in enumerate(first)} | {"copy": None, "mean": None}
    assert [e.submission.id for e in one.drawn(None)] == first
    assert [e.submission.id for e in one.references(None)] == ["copy", "mean"]


def test_the_rule_of_the_places_is_written_beside_them() -> None:
    words = ("mean of the axis scores", '"="', "sign-flip", "groups of images", "5 %", "no third submission")
    assert all(word in RANK_RULE for word in words)


def with_training(record: Record, **training: dict[str, str | int | float]) -> Record:
    names = {name.replace("_", "-"): given for name, given in training.items()}
    inverses = {name: InverseInfo(files={}, parameters=1000, training=given) for name, given in names.items()}
    return record.model_copy(update={"inverses": inverses})


@pytest.fixture
def record(suite: Suite, lock: Lock, enter: Enter, root: Path) -> Record:
    enter("ridge", 0.5)
    (entry,) = load_entries(suite, lock, [root])
    return entry.record


def test_costs_are_summed_over_targets_and_times_averaged(suite: Suite, record: Record) -> None:
    stated = with_training(
        record,
        mini_detr={"device_hours": 2, "device": "One GPU", "samples": 64, "data": "train2017"},
        mini_vit={"device_hours": 0.5, "device": "A CPU", "samples": 32, "data": "scenes"},
    )
    run = record.run.model_copy(update={"ms_per_recon": {"mini-detr": 3.0, "mini-vit": 1.0}})
    stated = stated.model_copy(update={"run": run})
    both, one = cost_of(suite, stated, None), cost_of(suite, stated, "mini-vit")
    assert (both.parameters, both.device_hours, both.ms_per_recon) == (2000, 2.5, 2.0)
    assert both.training_device == "A CPU, One GPU"
    assert (both.samples, both.training_data) == (96, "scenes, train2017")
    assert (one.samples, one.training_data) == (32, "scenes")
    assert (one.parameters, one.device_hours, one.ms_per_recon, one.training_device) == (1000, 0.5, 1.0, "A CPU")
    assert both.device == one.device == "Some CPU"


def test_a_cost_that_one_target_lacks_is_no_cost_of_all(suite: Suite, record: Record) -> None:
    stated = with_training(record, mini_detr={"device_hours": 2}, mini_vit={"steps": 100})
    assert cost_of(suite, stated, "mini-detr").device_hours == 2.0
    assert cost_of(suite, stated, "mini-vit").device_hours is None
    assert cost_of(suite, stated, None).device_hours is None
    assert cost_of(suite, stated, None).training_device is None
    assert (cost_of(suite, stated, None).samples, cost_of(suite, stated, None).training_data) == (None, None)
    assert list(record.run.ms_per_recon) == ["mini-vit"]
    assert cost_of(suite, record, "mini-vit").ms_per_recon == 1.5
    assert cost_of(suite, record, "mini-detr").ms_per_recon is None
    assert cost_of(suite, record, None).ms_per_recon is None
    half = with_training(record, mini_detr={"device_hours": 2})
    assert cost_of(suite, half, "mini-detr").parameters == 1000
    assert cost_of(suite, half, None).parameters is None


def test_hours_that_are_not_stated_are_not_none_at_all(suite: Suite, record: Record) -> None:
    stated = with_training(record, mini_detr={}, mini_vit={"device_hours": 0})
    assert cost_of(suite, stated, "mini-detr").device_hours is None
    assert cost_of(suite, stated, "mini-vit").device_hours == 0.0


def test_a_target_that_was_not_evaluated_costs_nothing_known(suite: Suite, record: Record) -> None:
    one = record.model_copy(update={"targets": {"mini-vit": record.targets["mini-vit"]}})
    cost = cost_of(suite, one, "mini-detr")
    assert (cost.parameters, cost.device_hours, cost.ms_per_recon) == (None, None, None)
    assert cost_of(suite, one, None).parameters == 12345, "of what was evaluated"
    none = record.model_copy(update={"inverses": {}})
    assert cost_of(suite, none, None).parameters is None


def test_why_a_value_is_missing(record: Record) -> None:
    assert why_missing(record, ["ssim"], "another") == "target not evaluated"
    assert why_missing(record, ["ssim"], "mini-vit", "another") == "tap not evaluated"
    assert (
        why_missing(record, ["contour_f"], "mini-vit") == f"not scored: contour_f: {get_metric('contour_f').unscored}"
    )
    assert why_missing(record, ["ssim"], "mini-vit") == "no score in the record"


def test_order_of_rows(suite: Suite, lock: Lock, four: Path) -> None:
    found = make_table(suite, load_entries(suite, lock, [four]), "mini-detr")
    assert [(row.entry.submission.id, row.place) for row in found.ranked] == [("modular", 1), ("ridge", 2)]
    assert [(row.entry.submission.id, row.reference) for row in found.references] == [
        ("copy", "ceiling"),
        ("mean", "floor"),
    ]
    assert all(cell.rank is None for row in found.references for cell in row.cells)


@pytest.mark.parametrize(
    ("changes", "badge"),
    [
        ({"status": "partial"}, "partial"),
        ({"draft": True}, "draft"),
        ({"precision": "bfloat16"}, "bf16"),
        ({"compiled": True}, "compiled"),
    ],
)
def test_what_may_not_be_ranked(
    suite: Suite, lock: Lock, four: Path, enter: Enter, changes: dict[str, Any], badge: str
) -> None:
    enter("better", 0.95, **changes)
    found = make_table(suite, load_entries(suite, lock, [four]))
    assert [row.entry.submission.id for row in found.ranked] == ["modular", "ridge"]
    (row,) = found.unranked
    assert row.badges == (badge,)
    assert row.place is None


def test_missing_target_is_named(suite: Suite, lock: Lock, four: Path, enter: Enter) -> None:
    one = load_entries(suite, lock, [four])[1].record.targets
    enter("half", 0.9, targets={"mini-detr": one["mini-detr"]})
    entries = load_entries(suite, lock, [four])
    cell = {row.entry.submission.id: row for row in make_table(suite, entries).rows}["half"].cells[0]
    assert (cell.score, cell.rank, cell.reason) == (None, None, "not evaluated on mini-vit")
    cell = {row.entry.submission.id: row for row in make_table(suite, entries, "mini-vit").rows}["half"].cells[0]
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
    reason = f"contour_f: {get_metric('contour_f').unscored}"
    assert unscored(record) == [("contour_f", reason, taps * len(suite.perturbations))]


def test_number() -> None:
    assert render_number(-0.0001) == "0.000"
    assert render_number(-0.126, 2) == "\N{MINUS SIGN}0.13", "a hyphen would look like the dash beside it"
    assert render_number(-0.126, 2) == "\N{MINUS SIGN}0.13", "no hyphen, which beside a dash could be one"
    assert render_number(None) == DASH
