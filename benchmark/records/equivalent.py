"""Scores in words that a reader can picture: as good as a thumbnail of so many pixels. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from math import log2
from typing import NamedTuple

from benchmark.records.record import Estimate
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Axis, TargetSpec

__all__ = ["FLAT_COLOR", "Equivalent", "find_equivalent", "rows_of", "yardstick_of"]

FLAT_COLOR = 0.95
"""A color score above which the yardstick is flat, so that no thumbnail is named."""


class Equivalent(NamedTuple):
    """The thumbnail that scores the same, in words: its rows and columns, and the rows at both ends of the interval."""

    value: str
    low: str | None
    high: str | None

    def __str__(self) -> str:
        """As `9x9`, or `9x9 [7, 12]` with the interval in rows."""
        return self.value if self.low is None else f"{self.value} [{self.low}, {self.high}]"


def yardstick_of(lock: Lock, target: TargetSpec, axis: Axis) -> Mapping[int, float]:
    """Return the scores of thumbnails by their rows; none where the lock has not measured them."""
    return lock.yardsticks.get("x".join(map(str, target.input_size)), {}).get(axis, {})


def rows_of(yardstick: Mapping[int, float], score: float) -> float:
    """Return the rows of the thumbnail that reaches a score, interpolated in log2 on the running maximum.

    The fewest rows of a plateau; 0 below the smallest thumbnail, infinity above the largest.
    """
    reached, before = -1.0, None
    for rows in sorted(yardstick):
        top = max(reached, yardstick[rows])
        if score <= top:
            if before is None:
                return float(rows) if score == top else 0.0
            share = (score - reached) / (top - reached)
            return float(2 ** (log2(before) + share * (log2(rows) - log2(before))))
        reached, before = top, rows
    return float("inf")


def _in_words(yardstick: Mapping[int, float], score: float) -> str:
    """Return the rows of the thumbnail that reaches a score with two digits, or `< 2` and the like outside."""
    rows = rows_of(yardstick, score)
    if rows == 0:
        return f"< {min(yardstick)}"
    if rows == float("inf"):
        return f"> {max(yardstick)}"
    return f"{float(f'{rows:.2g}'):g}"


def find_equivalent(yardstick: Mapping[int, float], axis: Axis, score: Estimate) -> Equivalent | None:
    """Return the thumbnail that is as good as a score; None without a score or yardstick, or where that is flat."""
    if not yardstick or score.value is None or (axis == "color" and score.value > FLAT_COLOR):
        return None
    value = _in_words(yardstick, score.value)
    low, high = (None if end is None else _in_words(yardstick, end) for end in (score.low, score.high))
    return Equivalent(value if value[0] in "<>" else f"{value}x{value}", low, high)
