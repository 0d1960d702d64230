"""The tables of a board as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from benchmark.records.equivalent import find_equivalent
from benchmark.records.record import AxisScore
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Suite
from leaderboard.data.entries import Entry
from leaderboard.data.equivalents import Yardsticks, yardsticks_of
from leaderboard.data.rankings import DASH, Row, Score, axes_of, make_table, render_number

__all__ = ["text_table"]

PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
_KEY = f"as: the thumbnail of the image that scores the same; {PLUS_MINUS}: half of the 95 % interval"


def text_table(suite: Suite, lock: Lock, entries: Sequence[Entry], highlight: str | None = None) -> str:
    """Return one plain-text table a target, and one over all targets where an entry is complete on all.

    Args:
        lock: holds the scores of thumbnails that others are likened to.
        highlight: the submission whose row gets an arrow.
    """
    tables = [(f"{target.id}: {target.title}", target.id) for target in suite.targets]
    blocks = [_block(suite, lock, entries, *table, highlight) for table in tables]
    if len(tables) > 1 and make_table(suite, entries).ranked:
        blocks.append(_block(suite, lock, entries, "all targets together", None, highlight))
    return "\n\n".join([*blocks, _KEY])


def _block(
    suite: Suite, lock: Lock, entries: Sequence[Entry], title: str, target: str | None, highlight: str | None
) -> str:
    table, yardsticks = make_table(suite, entries, target), yardsticks_of(suite, lock, target)
    counts = f" ({table.images} images in {table.groups} groups)" if table.images else ""
    lines = [_line(row, yardsticks, highlight) for row in table.rows]
    head = ["place", "submission", "SCORE", *(word for axis in axes_of(suite) for word in (axis.upper(), "as"))]
    return f"{title}{counts}\n\n{tabulate(lines, headers=head, tablefmt='simple', disable_numparse=True)}"


def _line(row: Row, yardsticks: Yardsticks, highlight: str | None) -> list[str]:
    name = row.entry.submission.id
    marks = f" ({', '.join(row.badges)})" if row.badges else ""
    place = row.place_label + (f" ({row.rank_range})" if row.rank_range else "")
    line = [place or row.reference or DASH, f"{'> ' if name == highlight else ''}{name}{marks}", _number(row.score)]
    for cell in row.cells:
        equivalent = find_equivalent(yardsticks[cell.axis], cell.axis, cell.score) if cell.score else None
        line += [_number(cell.score), equivalent.value if equivalent else ""]
    return line


def _number(score: AxisScore | Score | None) -> str:
    if score is None:
        return DASH
    low, high = score.low, score.high
    half = "" if low is None or high is None else f" {PLUS_MINUS}{(high - low) / 2:.3f}"
    return render_number(score.value) + half
