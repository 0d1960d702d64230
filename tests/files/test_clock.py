"""Nothing has happened after today, give or take the difference of two clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from benchmark.errors import SpecError
from benchmark.files.clock import FIRST_DAY, check_date, day_of

TODAY = datetime.now(UTC).date()


def test_a_point_in_time_has_a_day_in_utc() -> None:
    assert day_of("2026-01-01T01:00:00+02:00") == date(2025, 12, 31)


def test_clocks_may_be_a_day_apart() -> None:
    check_date(TODAY + timedelta(days=1), "date", "history.toml")
    check_date(FIRST_DAY + timedelta(days=2), "date", "history.toml", latest=FIRST_DAY + timedelta(days=1))
    check_date(FIRST_DAY - timedelta(days=1), "date", "history.toml")


def test_a_day_to_come_is_refused() -> None:
    with pytest.raises(SpecError, match=r"history.toml: field 'date': 9999-12-31 is in the future"):
        check_date(date(9999, 12, 31), "date", "history.toml")


def test_a_day_after_the_last_possible_one_is_refused() -> None:
    with pytest.raises(SpecError, match="2026-11-26 is after 2026-11-24, when it was superseded"):
        check_date(date(2026, 11, 26), "date", "record.json", latest=date(2026, 11, 24))


@pytest.mark.parametrize("day", [date(1, 1, 1), date(2025, 1, 1), FIRST_DAY - timedelta(days=2)])
def test_a_day_before_the_project_is_refused(day: date) -> None:
    with pytest.raises(SpecError, match=f"{day} is before {FIRST_DAY}, the first day of the project"):
        check_date(day, "date", "record.json")
