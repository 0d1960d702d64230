"""Who leads and what the data cannot separate, in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from leaderboard.data.board import Board
from leaderboard.data.rankings import AxisCell, Row, Table
from leaderboard.data.wording import join_words, verdict

Make = Callable[..., Board]


@pytest.fixture(scope="module")
def row(tiny_board: Make) -> Row:
    return tiny_board(("one", 0.5)).tables[None].ranked[0]


def table_of(row: Row, ranks: dict[str, int | None], tied: tuple[str, ...] = ()) -> Table:
    """Return a table whose rows have these ranks on detail; `tied` are not separated from each other."""
    rows = []
    for name, rank in ranks.items():
        submission = row.entry.submission.model_copy(update={"id": name})
        close = tuple(other for other in tied if other != name) if name in tied else ()
        cell = AxisCell("detail", row.cells[0].score, rank, (), "", close)
        rows.append(replace(row, entry=replace(row.entry, submission=submission), cells=(cell,)))
    return Table(tuple(rows), (), ())


MANY = tuple(f"m{number}" for number in range(20))


@pytest.mark.parametrize(
    ("ranks", "tied", "words"),
    [
        ({}, "", ""),
        ({"a": None}, "", ""),
        ({"a": 1}, "", "Only a is ranked."),
        ({"b": 2, "a": 1}, "", "a leads, significantly ahead of b."),
        ({"b": 2, "a": 1}, "ab", "a leads, not significantly ahead of b."),
        ({"b": 1, "a": 1}, "ab", "a and b lead with equal scores."),
        ({"a": 1, "b": 2, "c": 3}, "", "a leads, significantly ahead of all others."),
        ({"a": 1, "b": 2, "c": 3}, "bc", "a leads, significantly ahead of all others."),
        ({"a": 1, "b": 2, "c": 3, "d": 4}, "abc", "a leads, not significantly ahead of b and c."),
        ({"a": 1, "b": 1, "c": 3}, "ab", "a and b lead with equal scores, significantly ahead of c."),
        ({"a": 1, "b": 1, "c": 3}, "abc", "a and b lead with equal scores, not significantly ahead of c."),
        (
            {"a": 1, **{name: 2 + number for number, name in enumerate(MANY)}},
            ("a", *MANY),
            "a leads, not significantly ahead of m0, m1, m10, m11 and 16 others.",
        ),
    ],
)  # fmt: skip
def test_verdicts(row: Row, ranks: dict[str, int | None], tied: Sequence[str], words: str) -> None:
    assert verdict(table_of(row, ranks, tuple(tied)), "detail") == words


def test_rows_without_a_rank_on_the_axis_are_no_part_of_it(row: Row) -> None:
    assert verdict(table_of(row, {"a": 1, "b": None, "c": 2}), "detail") == "a leads, significantly ahead of c."
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
    assert verdict(board.tables[None], "shape") == "high leads, significantly ahead of low."
    assert verdict(tiny_board(("copy", 1.0)).tables[None], "shape") == ""
