"""Whether a date that somebody states can be one: from the project's first day to today."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from benchmark.errors import SpecError

__all__ = ["FIRST_DAY", "check_date", "day_of"]

FIRST_DAY = date(2026, 11, 22)
"""The day of the first commit: nothing was evaluated with this package before."""

_SKEW = timedelta(days=1)
"""How far clocks, and the dates of places, may be apart."""


def day_of(moment: str) -> date:
    """Return the day, in UTC, of a point in time as ISO 8601 has it."""
    return datetime.fromisoformat(moment).astimezone(UTC).date()


def check_date(day: date, field: str, where: object, latest: date | None = None) -> None:
    """Check that something happened between the project's first day and today, or the `latest` day that it can have.

    Raises:
        SpecError: it did not, by more than a day; names field and date.
    """
    today = datetime.now(UTC).date()
    limit = today if latest is None else min(latest, today)
    if FIRST_DAY - day > _SKEW:
        message = f"field '{field}': {day} is before {FIRST_DAY}, the first day of the project"
        raise SpecError(message, where=str(where), cure="state when it was")
    if day - limit > _SKEW:
        after = "in the future" if limit == today else f"after {limit}, when it was superseded"
        raise SpecError(f"field '{field}': {day} is {after}", where=str(where), cure="state when it was")
