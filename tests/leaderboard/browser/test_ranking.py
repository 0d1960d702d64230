"""The ranked table in a real browser: sorted, filtered, seen in parts and weighed, with its state in the address."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from browsing import Reader
from rankingtable import SORTED, choose, order, shown

from benchmark.records.receipts import Difference, Environment, Receipt, load_receipts, write_receipt
from leaderboard.data.board import Board
from leaderboard.data.rankings import Row, render_number
from leaderboard.data.views import kinds_of, scopes_of

pytestmark = pytest.mark.slow  # starts a browser

Open = Callable[..., Reader]
Site = Any
ASCENDING = {"place", "name", "parameters", "training", "ms"}


def value_of(row: Row, key: str) -> float | str | None:
    scores: dict[str, float | None] = {cell.axis: cell.score.value if cell.score else None for cell in row.cells}
    scores |= {"score": row.score.value if row.score else None}
    scores = {axis: None if value is None else round(value, 3) for axis, value in scores.items()}
    costs = {"parameters": row.cost.parameters, "training": row.cost.device_hours, "ms": row.cost.ms_per_recon}
    return ({"place": row.place, "name": row.entry.submission.id} | scores | costs)[key]


def arranged(rows: Sequence[Row], key: str, direction: str) -> list[str]:
    """Return the order of rows by a column: what has no value comes last, equal ones stay in their order."""
    there = [row for row in rows if value_of(row, key) is not None]
    there = sorted(there, key=lambda row: value_of(row, key), reverse=False)  # type: ignore[arg-type,return-value]
    if direction == "descending":
        groups = [list(group) for _, group in itertools.groupby(there, key=lambda row: value_of(row, key))]
        there = [row for group in reversed(groups) for row in group]
    absent = [row for row in rows if value_of(row, key) is None]
    return [row.entry.submission.id for row in [*there, *absent]]


@pytest.mark.parametrize("target", [None, "mini-detr"])
def test_every_column_sorts_both_ways_with_what_is_missing_last(target: str | None, rich: Site, visit: Open) -> None:
    reader = visit(rich)
    reader.open(f"mini-1/{f'target-{target}' if target else 'index'}.html")
    table = rich.boards[0].tables[target]
    assert reader.page.evaluate(SORTED) == {"place": "ascending"}
    for head in reader.page.locator("#ranking th[data-sort]").all():
        key = str(head.get_attribute("data-sort"))
        first, other = ("ascending", "descending") if key in ASCENDING else ("descending", "ascending")
        for direction in (other, first) if key == "place" else (first, other):
            head.get_by_role("button").click()
            assert reader.page.evaluate(SORTED) == {key: direction}
            parts = (table.ranked, table.unranked, table.references)
            assert order(reader) == [arranged(rows, key, direction) for rows in parts], (key, direction)


def test_the_keyboard_sorts_too(rich: Site, visit: Open) -> None:
    reader = visit(rich)
    reader.open("mini-1/index.html")
    reader.page.locator("#controls button").focus()
    reader.page.keyboard.press("Tab")  # the table itself, to be scrolled
    for _ in range(2):
        reader.page.keyboard.press("Tab")
    assert reader.page.evaluate("document.activeElement.parentElement.dataset.sort") == "name"
    reader.page.keyboard.press("Enter")
    assert reader.page.evaluate(SORTED) == {"name": "ascending"}
    assert order(reader)[0] == ["hostile", "modular", "ridge", "twin"]
    reader.page.keyboard.press("Space")
    assert reader.page.evaluate(SORTED) == {"name": "descending"}
    assert order(reader)[0] == ["twin", "ridge", "modular", "hostile"]
    assert reader.page.evaluate("document.activeElement.parentElement.dataset.sort") == "name", "the focus stays"


@pytest.fixture(scope="module")
def mixed(
    tiny_board: Callable[..., Board], build: Callable[..., Site], tmp_path_factory: pytest.TempPathFactory
) -> Site:
    """A site whose submissions are trusted differently."""
    board = tiny_board(("copy", 1.0), ("fresh", 0.4), ("rerun", 0.6), ("again", 0.8))

    kinds, entries = {"rerun": "rescored", "again": "reproduced"}, []
    same = Difference(compared=9, equal=9, largest=0, beyond=0, unmatched=0)
    for entry in board.loaded:
        record, kind = entry.record, kinds.get(entry.submission.id)
        if kind:
            receipt = Receipt(
                kind=kind, submission=entry.submission.id, suite=record.suite, suite_digest=record.suite_digest,
                lock_digest=record.lock_digest, record_digest=record.digest, rerun_digest="1" * 64, by="Somebody Else",
                date=datetime.date(2026, 1, 31), images=record.images,
                differences={cell.metric: same for cell in record.cells},
                environment=Environment(device="cpu", device_name="A CPU", python="3.11", packages={}),
            )  # fmt: skip
            write_receipt(entry.folder, receipt)
        entries.append(replace(entry, receipts=tuple(load_receipts(entry.folder, record))))
    assert {entry.submission.id: entry.trust for entry in entries if entry.submission.id in kinds} == kinds
    return build([replace(board, loaded=entries)], tmp_path_factory.mktemp("mixed"))


def test_filters_leave_what_they_name_and_the_reference_points(mixed: Site, visit: Open) -> None:
    reader = visit(mixed)
    reader.open("tiny-1/target-tiny-vit.html")
    assert order(reader) == [["again", "rerun", "fresh"], ["copy"]]
    for choices, left in (
        ({"trust": "reproduced"}, ["again"]),
        ({"trust": "rescored"}, ["rerun"]),
        ({"trust": "self-reported"}, ["fresh"]),
        ({"trust": "", "family": "again"}, ["again"]),
        ({"trust": "rescored", "family": "again"}, []),
        ({"trust": "", "family": ""}, ["again", "rerun", "fresh"]),
    ):
        choose(reader, **choices)
        assert order(reader) == [left, ["copy"]]
        assert reader.text("#status") == f"{len(left)} of 3 submissions."
    choose(reader, family="fresh", trust="self-reported")
    assert reader.state == "family=fresh&trust=self-reported"
    reader.page.get_by_role("button", name="Reset").click()
    assert (reader.state, order(reader)) == ("", [["again", "rerun", "fresh"], ["copy"]])


def test_a_heading_goes_with_the_rows_below_it(rich: Site, visit: Open) -> None:
    reader = visit(rich)
    reader.open("mini-1/index.html#family=ridge")
    assert order(reader) == [["ridge"], [], ["copy", "mean"]]
    assert reader.texts("#ranking tr.group") == ["Reference points, not ranked"]


PARTS = (
    ({"tap": "decoder.2"}, "decoder.2", "axes"),
    ({"stage": "encoder"}, "stage:encoder", "axes"),
    ({"stage": "backbone"}, "backbone", "axes"),
    ({"kind": "hue_set_120"}, "*", "hue_set_120"),
    ({"stage": "encoder", "tap": "encoder.1", "kind": "gray"}, "encoder.1", "gray"),
)


def test_a_part_shows_its_own_scores_without_places(real: Site, visit: Open) -> None:
    reader, board = visit(real), real.boards[0]
    target = board.suite.targets[0]
    reader.open(f"mini-1/target-{target.id}.html")
    whole = {entry.submission.id: shown(reader, entry.submission.id) for entry in board.entries}
    for state, scope, kind in PARTS:
        choose(reader, **state)
        s, k = list(scopes_of(target)).index(scope), kinds_of(board.suite).index(kind)
        missing = 0
        for entry in board.entries:
            name, found = entry.submission.id, entry.shown[target.id][s, k].astype(float)
            expected = [render_number(None if value != value else value) for value in found[:, 0]]
            assert shown(reader, name) == expected
            cells = reader.page.locator(f"#ranking tr[data-id='{name}'] td.axis .range").all_inner_texts()
            ranges = [f"{render_number(low)} to {render_number(high)}" for value, low, high in found if value == value]
            assert [" ".join(cell.split()).removeprefix("95 % interval ") for cell in cells] == ranges
            missing += expected.count("–")
        assert missing == len(board.entries) * {"axes": 0, "hue_set_120": 1, "gray": 1}[kind]
        assert reader.page.locator("#ranking .rank").count() == 0
        place = scope.replace(":", " ") if scope.startswith("stage:") else f"tap {scope}"
        named = [word for word in (place, kind) if word not in ("tap *", "axes")]
        assert f"scores of {', '.join(named)} alone" in reader.text("#status")
        reader.page.get_by_role("button", name="Reset").click()
        assert {name: shown(reader, name) for name in whole} == whole
        assert reader.page.locator("#ranking .rank").count() == len(order(reader)[0]) * len(board.suite.axes)


def test_a_part_is_sorted_by_what_it_shows(real: Site, visit: Open) -> None:
    reader, board = visit(real), real.boards[0]
    target = board.suite.target("mini-swin")
    reader.open(f"mini-1/target-{target.id}.html")
    reader.page.locator("#ranking th[data-sort=detail] button").click()
    orders = set()
    views = {entry.submission.id: entry.views.targets[target.id] for entry in board.entries}
    for tap in target.tap_names:
        choose(reader, tap=tap)
        place = list(scopes_of(target)).index(tap)
        detail = {name: float(views[name][place, 0, 0, 0]) for name in order(reader)[0]}
        expected = sorted(detail, key=lambda name: -detail[name])
        assert order(reader)[0] == expected, tap
        orders.add(tuple(expected))
    assert len(orders) >= 2, "not the same everywhere"


def test_a_stage_offers_its_own_taps(real: Site, visit: Open) -> None:
    reader = visit(real)
    reader.open("mini-1/target-mini-detr.html#tap=decoder.0")
    choose(reader, stage="encoder")
    assert reader.state == "stage=encoder", "a tap of another stage is given up"
    offered = reader.page.locator("#controls select[name=tap] option:not([hidden])").all_inner_texts()
    assert offered == ["all", "encoder.0", "encoder.1", "encoder.2"]
    assert reader.page.locator("#controls select[name=tap]").input_value() == ""


# --- Weights
