"""The claims about a suite: what the records say of each, with what it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from leaderboard.data.board import Board
from leaderboard.data.claims.catalog import ClaimReport
from leaderboard.data.claims.runs import CONDITIONS
from leaderboard.data.claims.texts import asked, interval_text, seeds_verdict, target_text, value_text
from leaderboard.site.drawings import Drawn
from leaderboard.site.marks import units_words

__all__ = ["claims_context", "verdicts_words"]


def verdicts_words(report: ClaimReport) -> list[tuple[str, str, str]]:
    """Every claim's id, sentence and verdict."""
    return [(claim.id, claim.sentence, claim.verdict) for claim in report.claims]


def claims_context(board: Board, figures: Mapping[str, Sequence[Drawn]]) -> dict[str, Any]:
    """Context of the template `claims.html.j2`.

    `figures` holds the charts by claim, and under `seeds` those of the comparison over training seeds.
    """
    report = board.claims
    return {
        "report": report,
        "known": {entry.submission.id for entry in board.entries},
        "figures": figures,
        "units": units_words(board),
        "asked": asked,
        "interval": interval_text,
        "value": value_text,
        "where": target_text,
        "seeds_verdict": seeds_verdict,
        "conditions": CONDITIONS,
    }
