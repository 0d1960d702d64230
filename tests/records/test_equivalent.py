"""Scores as thumbnails that are as good: interpolation, its ends, and what is left without one."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.records.equivalent import FLAT_COLOR, find_equivalent, rows_of
from benchmark.records.record import Estimate

YARDSTICK = {2: 0.1, 4: 0.3, 8: 0.25, 16: 0.5, 120: 0.8, 240: 0.9}
"""Its running maximum has a plateau from 4 to 8 rows."""


@pytest.mark.parametrize(
    ("score", "rows"),
    [(0.0999, 0.0), (0.1, 2.0), (0.2, 2 * 2**0.5), (0.3, 4.0), (0.4, 8 * 2**0.5), (0.9, 240.0), (0.91, inf)],
)
def test_rows_are_interpolated_in_log2_on_the_running_maximum(score: float, rows: float) -> None:
    assert rows_of(YARDSTICK, score) == pytest.approx(rows)


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_a_higher_score_is_never_worth_a_smaller_thumbnail(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert rows_of(YARDSTICK, low) <= rows_of(YARDSTICK, high)


@given(st.floats(0.1, 0.9))
def test_rows_agree_with_numpy(score: float) -> None:
    top = np.maximum.accumulate(list(YARDSTICK.values()))
    first = [i for i, value in enumerate(top) if i == 0 or value > top[i - 1]]  # the smallest of a plateau
    last = [max(i for i, value in enumerate(top) if value == top[k]) for k in first]
    ends = [(top[k], np.log2(list(YARDSTICK)[k])) for k in first]
    starts = [np.log2(list(YARDSTICK)[k]) for k in last]
    at = next(i for i, (value, _) in enumerate(ends) if score <= value)
    if at == 0:
        expected = ends[0][1]
    else:
        share = (score - ends[at - 1][0]) / (ends[at][0] - ends[at - 1][0])
        expected = starts[at - 1] + share * (ends[at][1] - starts[at - 1])
    assert np.log2(rows_of(YARDSTICK, score)) == pytest.approx(expected)


def test_words_have_two_digits_and_no_exponent() -> None:
    def told(value: float, low: float | None = None, high: float | None = None) -> str:
        return str(find_equivalent(YARDSTICK, "detail", Estimate(value=value, low=low, high=high)))

    assert told(0.2) == "2.8x2.8" and told(0.8) == "120x120"
    assert told(0.3, 0.05, 0.95) == "4x4 [< 2, > 240]"
    assert told(-0.1) == "< 2" and told(0.95) == "> 240"


def test_there_is_none_without_a_score_or_yardstick_or_where_that_is_flat() -> None:
    assert find_equivalent({}, "detail", Estimate(value=0.5)) is None
    assert find_equivalent(YARDSTICK, "detail", Estimate(value=None)) is None
    assert find_equivalent(YARDSTICK, "color", Estimate(value=FLAT_COLOR + 0.001)) is None
    assert find_equivalent(YARDSTICK, "color", Estimate(value=FLAT_COLOR)) is not None
    assert find_equivalent(YARDSTICK, "shape", Estimate(value=FLAT_COLOR + 0.001)) is not None
