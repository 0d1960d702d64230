"""The page that compares submissions: paired differences of the best-placed, and of those that a reader chooses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leaderboard.data.board import Board
from leaderboard.data.credits import credits_of
from leaderboard.data.pairs import pairs
from leaderboard.data.pictures import Gallery
from leaderboard.data.views import AS_DEFINED, axes_of, columns_of
from leaderboard.site.marks import units_words

__all__ = ["SHOWN", "compare_context"]

SHOWN = 8
"""So many submissions, from the first of the table, are compared without scripts."""


def compare_context(board: Board, galleries: Mapping[str, Gallery]) -> dict[str, Any]:
    """Context of the template `compare.html.j2`."""
    ranked = [row.entry for row in board.tables[None].ranked]
    names = [entry.submission.id for entry in board.entries if entry.views is not None]
    note = f"Shown for the first {SHOWN} of the table; the downloads hold all pairs." if len(ranked) > SHOWN else ""
    shown = {credit.image for gallery in galleries.values() for credit in gallery.credits}
    return {
        "credits": credits_of(board.suite, board.lock, shown),
        "axes": axes_of(board.suite),
        "kinds": [kind for kind in dict.fromkeys(kind for _, kind in columns_of(board.suite)) if kind != AS_DEFINED],
        "names": names,
        "pairs": pairs(board.suite, ranked[:SHOWN]),
        "pairs_note": note,
        "units": units_words(board),
    }
