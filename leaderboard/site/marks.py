"""What stands beside a score in words: the thumbnail that is as good, and where it says nothing about the image."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.records.bootstrap import groups_of
from benchmark.records.equivalent import Equivalent, find_equivalent
from benchmark.records.record import Estimate
from benchmark.suites.spec import Axis
from leaderboard.data.board import Board
from leaderboard.data.equivalents import yardsticks_of

__all__ = ["NOTHING", "Marks", "thumbnail_words", "units_words"]

NOTHING = "no better than an answer that ignores the image"
"""What is said of a score whose interval contains 0 or lies below it."""


def thumbnail_words(equivalent: Equivalent | None) -> str:
    """An equivalent thumbnail as a phrase, with the rows at both ends of the interval; empty for none."""
    if equivalent is None:
        return ""
    sign, _, rows = equivalent.value.rpartition(" ")
    size = (f"{rows}x{rows}" if sign else rows).replace("x", "\N{MULTIPLICATION SIGN}")
    phrase = {"<": "worse than", ">": "better than"}.get(sign, "as good as")
    same = equivalent.low is None or {equivalent.low, equivalent.high} == {equivalent.value}
    span = "" if same else f" [{equivalent.low}, {equivalent.high}]"
    return f"{phrase} a {size} thumbnail{span}"


class Marks:
    """Remarks on the scores of one table: that of a target, or of all targets together (None)."""

    def __init__(self, board: Board, target: str | None) -> None:
        self._yardsticks = yardsticks_of(board.suite, board.lock, target)

    def remarks(self, axis: Axis, score: Estimate) -> tuple[str, ...]:
        """What is said beside a score, line by line."""
        nothing = score.low is not None and score.low <= 0
        lines = (NOTHING if nothing else "", thumbnail_words(find_equivalent(self._yardsticks[axis], axis, score)))
        return tuple(line for line in lines if line)


def units_words(board: Board) -> str:
    """How many images the suite has and how many groups they form, such as `128 images in 107 groups`."""
    images: Sequence[str] = sorted({name.partition("@")[0] for name in board.lock.images})
    images = images or next((entry.images for entry in board.loaded if entry.images), ())
    words = f"{board.suite.dataset.images:,} images"
    if not images:
        return words
    groups = len(set(groups_of(images, board.lock.groups)))
    return f"{len(images):,} images in {groups:,} groups"
