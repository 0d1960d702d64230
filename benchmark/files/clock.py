"""Whether a date that somebody states can be one: nothing that is told has happened after today."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from benchmark.errors import SpecError

__all__ = ["check_date", "day_of"]

_SKEW = timedelta(days=1)
"""How far clocks, and the dates of places, may be apart."""


def day_of(moment: str) -> date:
    """Return the day, in UTC, of a point in time as ISO 8601 has it."""
    return datetime.fromisoformat(moment).astimezone(UTC).date()


def check_date(day: date, field: str, where: object, latest: date | None = None) -> None:
    """Check that something did not happen after today, or after the `latest` day that it can have happened on.

    Raises:
        SpecError: it did, by more than a day; names field and date.
    """
    today = datetime.now(UTC).date()
    limit = today if latest is None else min(latest, today)
    if day - limit > _SKEW:
        after = "in the future" if limit == today else f"after {limit}, when it was superseded"
        raise SpecError(f"field '{field}': {day} is {after}", where=str(where), cure="state when it was")
