"""JSON Schemas of the files that hold claims and the runs that they rest on."""

from __future__ import annotations

from pydantic import BaseModel

from benchmark.submissions.schemas import render_schema
from leaderboard.data.claims.catalog import ClaimReport
from leaderboard.data.claims.runs import TrainingRuns

__all__ = ["CLAIM_SCHEMAS", "render_claim_schemas"]

CLAIM_SCHEMAS: dict[str, tuple[str, type[BaseModel], str]] = {
    "claims": ("claims.json", ClaimReport, "leaderboard"),
    "runs": ("runs.json", TrainingRuns, "comparison over training seeds"),
}
"""By name of the schema: the file, its model, and what it is of."""


def render_claim_schemas() -> dict[str, str]:
    """The schemas of the claims about a suite and of a file of runs, by name."""
    return {name: render_schema(file, model, owner=owner) for name, (file, model, owner) in CLAIM_SCHEMAS.items()}
