"""Who leads, and what the data cannot separate, in plain words."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.suites.spec import Axis, Suite
from leaderboard.data.rankings import Table

__all__ = ["counting_words", "counts_alike", "join_words", "verdict"]

SHOWN = 4


def join_words(words: Sequence[str]) -> str:
    """Return a list in words; a long one is cut short."""
    if len(words) > SHOWN + 1:
        return f"{', '.join(words[:SHOWN])} and {len(words) - SHOWN} others"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def counts_alike(suite: Suite) -> bool:
    """Whether every target counts the same in the mean over all of them."""
    return len(set(suite.target_weights().values())) == 1


def counting_words(suite: Suite) -> str:
    """How targets count in the mean over all of them, to follow `over all targets, `."""
    return "which count the same" if counts_alike(suite) else "those of one architecture averaged first"


def verdict(table: Table, axis: Axis) -> str:
    """Who leads on an axis, and who is not significantly behind; empty where nothing is ranked."""
    cells = {
        row.entry.submission.id: cell
        for row in table.ranked
        for cell in row.cells
        if cell.axis == axis and cell.rank is not None
    }
    if not cells:
        return ""
    first = sorted(name for name, cell in cells.items() if cell.rank == 1)
    if len(cells) == 1:
        return f"Only {first[0]} is ranked."
    leads = f"{first[0]} leads" if len(first) == 1 else f"{join_words(first)} lead with equal scores"
    close = sorted({name for leader in first for name in cells[leader].tied if name not in first})
    if close:
        return f"{leads}, not significantly ahead of {join_words(close)}."
    rest = sorted(cells.keys() - set(first))
    if not rest:
        return f"{leads}."
    return f"{leads}, significantly ahead of {rest[0] if len(rest) == 1 else 'all others'}."
