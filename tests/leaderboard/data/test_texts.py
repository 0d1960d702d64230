"""The tables of a board as plain text."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from benchmark.suites.lock import Lock
from benchmark.suites.spec import Suite
from leaderboard.data.entries import load_entries
from leaderboard.data.rankings import DASH
from leaderboard.data.texts import text_table

Enter = Callable[..., Path]


def columns(line: str, rule: str) -> list[str]:
    """Cut a line where the rule below the head does."""
    ends = [0]
    for part in rule.split("  "):
        ends.append(ends[-1] + len(part) + 2)
    return [line[start:end].strip() for start, end in pairwise(ends)]


def tables_in(text: str) -> list[list[list[str]]]:
    """The head and the rows of every table."""
    blocks = [block.splitlines() for block in text.split("\n\n")[1:-1:2]]
    return [[columns(line, block[1]) for line in (block[0], *block[2:])] for block in blocks]


@pytest.fixture
def text(suite: Suite, lock: Lock, four: Path, enter: Enter) -> str:
    enter("draft", 0.9, draft=True)
    enter("near", 0.7999)
    return text_table(suite, lock, load_entries(suite, lock, [four]), "ridge")


def test_every_target_and_all_together_have_a_table_with_intervals_and_thumbnails(suite: Suite, text: str) -> None:
    titles = text.split("\n\n")[:-1:2]
    assert titles == [
        *(f"{t.id}: {t.title} (16 images in 10 groups)" for t in suite.targets),
        "all targets together (16 images in 10 groups)",
    ]
    for head, *rows in tables_in(text):
        assert head == ["place", "submission", "SCORE", "DETAIL", "as", "SHAPE", "as", "COLOR", "as"]
        by_name = {row[1]: row for row in rows}
        assert list(by_name) == ["modular", "near", "> ridge", "draft (draft)", "copy", "mean"]
        assert [row[0] for row in rows] == [f"1= (1{DASH}2)", f"2= (1{DASH}2)", "3", DASH, "ceiling", "floor"]
        assert by_name["modular"][2].startswith("0.560 \N{PLUS-MINUS SIGN}0.0")
        assert by_name["draft (draft)"][2].startswith("0.630 \N{PLUS-MINUS SIGN}0.0"), "what its record states"
        # Made-up thumbnails score .1 + .8 log2(rows / 2) / log2(24): 12.45 rows reach .56.
        assert by_name["modular"][4::2] == ["12x12"] * 3
        assert by_name["mean"][4::2] == ["< 2"] * 3


def test_scores_below_zero_are_shown_as_they_are(suite: Suite, lock: Lock, enter: Enter, root: Path) -> None:
    enter("ridge", -0.02)
    text = text_table(suite, lock, load_entries(suite, lock, [root]))
    assert {row[2].split()[0] for head, *rows in tables_in(text) for row in rows} == {"\N{MINUS SIGN}0.014"}


def test_all_targets_have_no_table_where_nobody_is_complete(suite: Suite, lock: Lock, enter: Enter, root: Path) -> None:
    enter("ridge", 0.5)
    (ridge,) = load_entries(suite, lock, [root])
    first = suite.targets[0].id
    enter("ridge", 0.5, targets={first: ridge.record.targets[first]})
    text = text_table(suite, lock, load_entries(suite, lock, [root]))
    assert "all targets together" not in text and text.count("SCORE") == 2
