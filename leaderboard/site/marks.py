"""What stands beside a score in words: the thumbnail that is as good, and where it says nothing about the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmark.records.bootstrap import groups_of
from benchmark.records.equivalent import Equivalent, find_equivalent, yardstick_of
from benchmark.records.record import Estimate
from benchmark.suites.spec import Axis
from leaderboard.data.board import Board
from leaderboard.data.rankings import Row, Score
from leaderboard.data.views import axes_of

__all__ = ["NOTHING", "Marks", "thumbnail_words", "units_words", "yardsticks_of"]

NOTHING = "no better than an answer that ignores the image"
"""What is said of a score whose interval contains 0 or lies below it."""


def yardsticks_of(board: Board, target: str | None) -> dict[Axis, dict[int, float]]:
    """Scores of thumbnails by axis and rows: on a target, or over all targets the mean of those that all have."""
    targets = [item for item in board.suite.targets if target in (None, item.id)]
    found: dict[Axis, dict[int, float]] = {}
    for axis in axes_of(board.suite):
        each = [yardstick_of(board.lock, item, axis) for item in targets]
        rows = sorted(set(each[0]).intersection(*each[1:]))
        found[axis] = {count: sum(one[count] for one in each) / len(each) for count in rows}
    return found


def thumbnail_words(equivalent: Equivalent | None) -> str:
    """An equivalent thumbnail as a phrase, with the rows at both ends of the interval; empty for none."""
    if equivalent is None:
        return ""
    sign, _, rows = equivalent.value.rpartition(" ")
    size = (f"{rows}x{rows}" if sign else rows).replace("x", "\N{MULTIPLICATION SIGN}")
    phrase = {"<": "worse than", ">": "better than"}.get(sign, "as good as")
    span = "" if equivalent.low is None else f" [{equivalent.low}, {equivalent.high}]"
    return f"{phrase} a {size} thumbnail{span}"


class Marks:
    """Remarks on the scores of one table: that of a target, or of all targets together (None)."""

    def __init__(self, board: Board, target: str | None) -> None:
        self.target = target
        self.yardsticks: Mapping[Axis, Mapping[int, float]] = yardsticks_of(board, target)
        self._all = [item.id for item in board.suite.targets]

    def remarks(self, axis: Axis, score: Estimate) -> tuple[str, ...]:
        """What is said beside a score, line by line."""
        nothing = score.low is not None and score.low <= 0
        lines = (NOTHING if nothing else "", thumbnail_words(find_equivalent(self.yardsticks[axis], axis, score)))
        return tuple(line for line in lines if line)

    def score(self, row: Row) -> Estimate | Score | None:
        """The mean of the axes of a row: as it is placed by, or else as its record states; None where it lacks one."""
        record = row.entry.record
        if row.score is not None:
            return row.score
        stated: Estimate | None = None
        if self.target is None:
            stated = record.score if all(name in record.targets for name in self._all) else None
        elif self.target in record.targets:
            stated = record.targets[self.target].score
        return None if stated is None or stated.value is None else stated


def units_words(board: Board) -> str:
    """How many images the suite has and how many groups they form, such as `128 images in 107 groups`."""
    images: Sequence[str] = sorted({name.partition("@")[0] for name in board.lock.images})
    images = images or next((entry.images for entry in board.loaded if entry.images), ())
    words = f"{board.suite.dataset.images:,} images"
    if not images:
        return words
    groups = len(set(groups_of(images, board.lock.groups)))
    return f"{len(images):,} images in {groups:,} groups"
