"""Places by score, rank ranges, and which axis makes the differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchmark.records.bootstrap import GroupBootstrap
from benchmark.records.pairs import compare_pairs, contributions, stack_parts
from benchmark.records.places import Standing, find_leaders, find_standings, variance_shares

GROUPS = [str(index // 2) for index in range(20)]
ENTRIES = hnp.arrays(np.float64, (4, 20, 2), elements=st.floats(0, 1))
EVEN = np.array([0.5, 0.5])


def stand(parts: dict[str, np.ndarray], shares: np.ndarray = EVEN) -> dict[str, Standing]:
    """Standings of entries by their scores, as a board finds them."""
    added = contributions(stack_parts(parts), shares)
    tests = compare_pairs(added, GroupBootstrap(GROUPS, 1, 0), 0, np.ones(20, np.bool_))
    return dict(zip(parts, find_standings(added.sum(1), tests.separated), strict=True))


def order(standings: dict[str, Standing], *names: str) -> int:
    """1, 0 or -1: which of two entries comes first."""
    first, second = (standings[name].place for name in names)
    return (first < second) - (first > second)


@settings(max_examples=40, deadline=None)
@given(ENTRIES, hnp.arrays(np.float64, (20, 2), elements=st.floats(-1, 1)))
def test_no_third_entry_and_no_noise_on_it_changes_the_order_of_two(entries: np.ndarray, noise: np.ndarray) -> None:
    named = dict(zip("abcd", entries, strict=True))
    two = stand({name: named[name] for name in "ab"})
    three = stand({name: named[name] for name in "cab"})
    four = stand(named)
    noisy = stand(named | {"c": named["c"] + noise})
    near = stand(named | {"e": named["a"] + 1e-6 * noise, "f": named["a"] - 1e-6 * noise})
    assert len({order(found, "a", "b") for found in (two, three, four, noisy, near)}) == 1


@settings(max_examples=40, deadline=None)
@given(ENTRIES, st.permutations("abcdx"))
def test_copies_tie_whatever_else_is_there(entries: np.ndarray, names: list[str]) -> None:
    named = dict(zip("abcd", entries, strict=True)) | {"x": entries[1].copy()}
    found = stand({name: named[name] for name in names})
    assert found["b"] == found["x"]
    assert found["b"].equal


def test_scores_that_records_state_alike_share_a_place_and_the_lead() -> None:
    scores = np.array([0.706, np.nextafter(0.706, 1), 0.7061, 0.5])
    apart = np.zeros((4, 4), np.bool_)
    assert [standing.place for standing in find_standings(scores, apart)] == [2, 2, 1, 4]
    assert find_leaders(np.stack([scores[:2], scores[1::-1]], axis=1)) == [0, 1]


@settings(max_examples=40, deadline=None)
@given(ENTRIES)
def test_a_range_holds_its_place(entries: np.ndarray) -> None:
    found = stand(dict(zip("abcd", entries, strict=True)))
    for standing in found.values():
        assert 1 <= standing.best <= standing.place <= standing.worst <= 4
    assert min(standing.place for standing in found.values()) == 1


def test_ranges_count_who_is_significantly_better_and_worse() -> None:
    separated = np.zeros((4, 4), np.bool_)
    for a, b in ((0, 3), (1, 3), (0, 2)):
        separated[a, b] = separated[b, a] = True
    found = find_standings(np.array([0.9, 0.8, 0.7, 0.1]), separated)
    assert found == [(1, 1, 2, True), (2, 1, 3, True), (3, 2, 4, True), (4, 3, 4, True)]
    separated[2, 3] = separated[3, 2] = True
    found = find_standings(np.array([0.9, 0.8, 0.7, 0.1]), separated)
    assert found[3] == Standing(place=4, best=4, worst=4, equal=False)
    assert found[2] == Standing(place=3, best=2, worst=3, equal=True)


def test_equal_scores_share_a_place_and_the_next_is_skipped() -> None:
    found = find_standings(np.array([0.2, 0.5, 0.5, 0.9]), np.ones((4, 4), np.bool_) & ~np.eye(4, dtype=bool))
    assert [standing.place for standing in found] == [4, 2, 2, 1]


def test_other_weights_give_other_places() -> None:
    detail, color = np.linspace(0.4, 0.5, 20), np.linspace(0.1, 0.2, 20)
    parts = {"sharp": np.stack([detail + 0.2, color], 1), "colorful": np.stack([detail, color + 0.3], 1)}
    assert {name: one.place for name, one in stand(parts).items()} == {"sharp": 2, "colorful": 1}
    found = stand(parts, np.array([0.9, 0.1]))
    assert {name: one.place for name, one in found.items()} == {"sharp": 1, "colorful": 2}


@pytest.mark.parametrize("count", [0, 1])
def test_few_entries(count: int) -> None:
    scores = np.full(count, 0.5)
    assert find_standings(scores, np.zeros((count, count), np.bool_)) == [Standing(1, 1, 1, False)] * count
    assert find_leaders(scores[:, None]) == list(range(count))
    assert np.isnan(variance_shares(scores[:, None])).all()


@given(hnp.arrays(np.float64, (5, 3), elements=st.floats(-1, 1)))
def test_shares_of_the_variance(scores: np.ndarray) -> None:
    found = variance_shares(scores)
    assume(scores.var(0).sum() > 1e-9)
    assert found.sum() == pytest.approx(1)
    assert (found >= 0).all()
    assert found == pytest.approx(np.array([np.var(column) for column in scores.T]) / sum(map(np.var, scores.T)))


def test_an_axis_on_which_all_are_equal_makes_no_difference() -> None:
    assert variance_shares(np.array([[0.5, 0.1], [0.5, 0.9]])) == pytest.approx([0, 1])
    assert np.isnan(variance_shares(np.full((3, 2), 0.5))).all()


def test_who_leads_on_all_axes() -> None:
    assert find_leaders(np.array([[0.5, 0.4], [0.6, 0.3]])) == []
    assert find_leaders(np.array([[0.5, 0.4], [0.6, 0.5]])) == [1]
    assert find_leaders(np.array([[0.6, 0.5], [0.1, 0.5], [0.6, 0.5]])) == [0, 2]
