"""Nothing has happened after today, give or take the difference of two clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from benchmark.errors import SpecError
from benchmark.files.clock import check_date, day_of

TODAY = datetime.now(UTC).date()


def test_a_point_in_time_has_a_day_in_utc() -> None:
    assert day_of("2026-01-01T01:00:00+02:00") == date(2025, 12, 31)


def test_clocks_may_be_a_day_apart() -> None:
    check_date(TODAY + timedelta(days=1), "date", "history.toml")
    check_date(date(2026, 2, 2), "date", "history.toml", latest=date(2026, 2, 1))


def test_a_day_to_come_is_refused() -> None:
    with pytest.raises(SpecError, match=r"history.toml: field 'date': 9999-12-31 is in the future"):
        check_date(date(9999, 12, 31), "date", "history.toml")


def test_a_day_after_the_last_possible_one_is_refused() -> None:
    with pytest.raises(SpecError, match="2026-02-03 is after 2026-02-01, when it was superseded"):
        check_date(date(2026, 2, 3), "date", "record.json", latest=date(2026, 2, 1))
