"""What the data can and cannot separate, in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from leaderboard.data.board import Board
from leaderboard.data.rankings import AxisCell, Row, Table
from leaderboard.data.wording import join_words, verdict

Make = Callable[..., Board]


@pytest.fixture(scope="module")
def row(tiny_board: Make) -> Row:
    return tiny_board(("one", 0.5)).tables[None].ranked[0]


def table_of(row: Row, ranks: dict[str, int | None]) -> Table:
    """Return a table whose rows have these ranks on detail."""
    rows = []
    for name, rank in ranks.items():
        submission = row.entry.submission.model_copy(update={"id": name})
        cell = AxisCell("detail", row.cells[0].score, rank, (), "")
        rows.append(replace(row, entry=replace(row.entry, submission=submission), cells=(cell,)))
    return Table(tuple(rows), (), ())


@pytest.mark.parametrize(
    ("ranks", "words"),
    [
        ({}, ""),
        ({"a": None}, ""),
        ({"a": 1}, "Only a is ranked."),
        ({"b": 2, "a": 1}, "a is ahead of b."),
        ({"b": 1, "a": 1}, "The images cannot separate a and b."),
        ({"c": 1, "b": 1, "a": 1}, "The images cannot separate a, b and c."),
        ({"a": 1, "b": 2, "c": 3}, "a leads; the images separate all 3."),
        (
            {"a": 1, "b": 2, "c": 2, "d": 4},
            "a leads; b and c cannot be separated. The images tell 3 groups apart among 4.",
        ),
        (
            {"a": 1, "b": 1, "c": 3},
            "a and b lead and cannot be separated. The images tell 2 groups apart among 3.",
        ),
        (
            {"a": 1, "b": 1, "c": 3, "d": 3, "e": 5},
            "a and b lead and cannot be separated; c and d cannot be separated. "
            "The images tell 3 groups apart among 5.",
        ),
        (
            {"a": 1, **{f"m{n}": 2 for n in range(20)}, "z": 22},
            "a leads; m0, m1, m10, m11 and 16 others cannot be separated. The images tell 3 groups apart among 22.",
        ),
    ],
)  # fmt: skip
def test_verdicts(row: Row, ranks: dict[str, int | None], words: str) -> None:
    assert verdict(table_of(row, ranks), "detail") == words


def test_rows_without_a_rank_on_the_axis_are_no_part_of_it(row: Row) -> None:
    assert verdict(table_of(row, {"a": 1, "b": None, "c": 2}), "detail") == "a is ahead of c."
    assert verdict(table_of(row, {"a": 1, "b": 2}), "shape") == ""


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (1, "w0"),
        (2, "w0 and w1"),
        (3, "w0, w1 and w2"),
        (5, "w0, w1, w2, w3 and w4"),
        (6, "w0, w1, w2, w3 and 2 others"),
    ],
)
def test_lists_in_words(count: int, text: str) -> None:
    assert join_words([f"w{number}" for number in range(count)]) == text


def test_a_board_says_who_leads(tiny_board: Make) -> None:
    board = tiny_board(("low", 0.3), ("high", 0.9), ("copy", 1.0))
    assert verdict(board.tables[None], "shape") == "high is ahead of low."
    assert verdict(tiny_board(("copy", 1.0)).tables[None], "shape") == ""
