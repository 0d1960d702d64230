"""What the data can and cannot separate, in plain words."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.suites.spec import Axis
from leaderboard.data.rankings import Table

__all__ = ["join_words", "verdict"]

SHOWN = 4


def join_words(words: Sequence[str]) -> str:
    """Return a list in words; a long one is cut short."""
    if len(words) > SHOWN + 1:
        return f"{', '.join(words[:SHOWN])} and {len(words) - SHOWN} others"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def verdict(table: Table, axis: Axis) -> str:
    """Return who leads on an axis, and how many groups the images tell apart; empty where nothing is ranked."""
    ranks: dict[int, list[str]] = {}
    for row in table.ranked:
        for cell in row.cells:
            if cell.axis == axis and cell.rank is not None:
                ranks.setdefault(cell.rank, []).append(row.entry.submission.id)
    if not ranks:
        return ""
    groups = [sorted(ranks[rank]) for rank in sorted(ranks)]
    first, total = groups[0], sum(map(len, groups))
    if total == 1:
        return f"Only {first[0]} is ranked."
    if total == len(groups) == 2:
        return f"{first[0]} is ahead of {groups[1][0]}."
    if len(groups) == 1:
        return f"The images cannot separate {join_words(first)}."
    leads = f"{first[0]} leads" if len(first) == 1 else f"{join_words(first)} lead and cannot be separated"
    if len(groups) == total:
        return f"{leads}; the images separate all {total}."
    tied = max(groups[1:], key=len)
    rest = f"; {join_words(tied)} cannot be separated" if len(tied) > 1 else ""
    return f"{leads}{rest}. The images tell {len(groups)} groups apart among {total}."
