"""Paired comparison: against scipy, against one pair at a time, and its properties."""

from __future__ import annotations

import tracemalloc
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats as reference

from benchmark.errors import SpecError
from benchmark.records.bootstrap import GroupBootstrap
from benchmark.records.pairs import PairTests, compare_pairs, contributions, paired_differences, stack_parts
from benchmark.records.statistics import masked_mean

NAN = float("nan")
SINGLE = [str(index) for index in range(60)]


def compared(values: np.ndarray, groups: list[str], seed: int = 0) -> PairTests:
    """Tests of entries (E, N) with one part."""
    present = ~np.isnan(values).any(0)
    added = contributions(values[:, :, None], np.ones(1))
    return compare_pairs(added, GroupBootstrap(groups, 1, 0), seed, present)


def own_groups(images: int) -> list[str]:
    return [str(index) for index in range(images)]


# --- One estimator

SCORED = hnp.arrays(np.bool_, (12, 3)).map(lambda scored: scored | (np.arange(12)[:, None] == 5))
SCORES = hnp.arrays(np.float64, (4, 12, 3), elements=st.floats(-1, 1))
SHARES = st.lists(st.floats(0, 1), min_size=3, max_size=3)


@settings(max_examples=60, deadline=None)
@given(SCORES, SCORED, SHARES)
def test_the_difference_of_two_scores_is_their_paired_difference(
    scores: np.ndarray, scored: np.ndarray, shares: list[float]
) -> None:
    """Means over images, then the parts: also where the parts of a score are scored on different images."""
    parts = {name: np.where(scored, values, NAN) for name, values in zip("abcd", scores, strict=True)}
    bootstrap = GroupBootstrap(own_groups(12), 20, 0)
    found = paired_differences(parts, shares, bootstrap, 0)
    mix = np.array(shares)[:, None]
    values = {name: float(bootstrap.estimate_mixed(part, mix).value[0]) for name, part in parts.items()}
    plain = {name: float(masked_mean(part) @ mix[:, 0]) for name, part in parts.items()}
    assert list(found) == list(combinations("abcd", 2))
    for (a, b), difference in found.items():
        paired = float(masked_mean(parts[a] - parts[b]) @ mix[:, 0])
        assert difference.mean == pytest.approx(paired, abs=1e-9)
        assert values[a] - values[b] == pytest.approx(paired, abs=1e-9)
        assert values[a] == pytest.approx(plain[a], abs=1e-9)


@given(SCORES, SCORED, SHARES)
def test_what_images_add_sums_to_the_score(scores: np.ndarray, scored: np.ndarray, shares: list[float]) -> None:
    stacked = np.where(scored, scores, NAN)
    added = contributions(stacked, np.array(shares))
    assert np.allclose(added.sum(1), [masked_mean(values) @ shares for values in stacked], atol=1e-12)
    assert (added[:, ~scored.any(1)] == 0).all()


def test_a_part_that_is_scored_nowhere_leaves_no_score_unless_it_has_no_share() -> None:
    stacked = np.full((2, 9, 2), 0.5)
    stacked[:, :, 1] = NAN
    assert np.isnan(contributions(stacked, np.array([0.5, 0.5]))).all()
    assert contributions(stacked, np.array([1.0, 0.0])).sum(1) == pytest.approx([0.5, 0.5])


def test_entries_that_are_scored_on_other_images_are_not_compared() -> None:
    first, second = np.full((2, 5, 1), 0.5)
    second[3] = NAN
    with pytest.raises(SpecError, match="'a' and 'c' are not scored on the same images"):
        stack_parts({"a": first, "b": first, "c": second})


# --- The test


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("images", [9, 13, 14, 60])
def test_single_images_give_scipys_permutation_test(images: int, shift: float) -> None:
    differences = np.random.default_rng(images).normal(shift, 1, size=images)
    expected = reference.permutation_test(
        (differences, np.zeros(images)), lambda a, b, axis: (a - b).mean(axis), permutation_type="samples",
        vectorized=True, n_resamples=9999, rng=np.random.default_rng(0),
    ).pvalue  # fmt: skip
    found = compared(np.stack([differences, np.zeros(images)]), own_groups(images))
    assert found.p_values[0, 1] == pytest.approx(expected, abs=1e-9 if images <= 13 else 0.015)
    assert found.adjusted[0, 1] == found.p_values[0, 1], "of one pair, nothing is to be corrected"


def plain_p(sums: np.ndarray, signs: np.ndarray) -> np.ndarray:
    return (np.abs(signs @ sums) >= abs(sums.sum()) - 1e-9).mean()


# Sixty-fourths add up without rounding, so that ties between sums are ties whatever their order.
SIXTY_FOURTHS = st.integers(-32, 96).map(lambda number: number / 64)


@settings(max_examples=20, deadline=None)
@given(hnp.arrays(np.float64, (4, 16), elements=SIXTY_FOURTHS), st.lists(st.integers(0, 8), min_size=16, max_size=16))
def test_all_pairs_at_once_equal_each_on_its_own(scores: np.ndarray, members: list[int]) -> None:
    """Exact tests of group sums, and Westfall and Young's steps, pair by pair."""
    names = sorted({str(member) for member in members})
    sums = np.stack([scores[:, [str(m) == name for m in members]].sum(1) for name in names], axis=1)
    signs = np.array(list(product([-1.0, 1.0], repeat=len(names))))
    pairs = list(combinations(range(4), 2))
    found = compared(scores, [str(member) for member in members])
    size = {pair: np.sqrt(((sums[pair[0]] - sums[pair[1]]) ** 2).sum()) for pair in pairs}
    flipped = {pair: np.abs(signs @ (sums[pair[0]] - sums[pair[1]])) / (size[pair] or 1) for pair in pairs}
    own = {pair: abs((sums[pair[0]] - sums[pair[1]]).sum()) / (size[pair] or 1) for pair in pairs}
    left, before = sorted((pair for pair in pairs if size[pair]), key=lambda pair: -own[pair]), 0.0
    for pair in pairs:
        expected = plain_p(sums[pair[0]] - sums[pair[1]], signs)
        assert found.p_values[pair] == found.p_values[pair[::-1]] == pytest.approx(expected)
    while left:
        highest = np.max([flipped[pair] for pair in left], axis=0)
        pair = left.pop(0)
        before = max(before, float((highest >= own[pair] - 1e-9).mean()))
        assert found.adjusted[pair] == pytest.approx(before)
        assert found.separated[pair] == (before <= 0.05 and len(names) >= 8)
    assert all(found.adjusted[pair] == 1 for pair in pairs if not size[pair])


def test_seven_groups_separate_nothing_and_eight_do() -> None:
    values = np.stack([np.linspace(0.7, 0.8, 30), np.linspace(0.1, 0.2, 30)])
    for count, separated in ((7, False), (8, True)):
        found = compared(values, [str(index % count) for index in range(30)])
        assert found.p_values[0, 1] == 2 ** (1 - count)
        assert found.separated[0, 1] == separated


def test_groups_with_nothing_scored_do_not_count() -> None:
    values = np.stack([np.linspace(0.7, 0.8, 10), np.linspace(0.1, 0.2, 10)])
    values[:, :3] = NAN
    assert not compared(values, own_groups(10)).separated.any()


def test_images_of_one_source_are_one_observation() -> None:
    """A difference that eleven photographs show by chance is not made significant by showing each twelve times."""
    generator = np.random.default_rng(2)
    differences = generator.normal(0.4, 1, 11)
    values = np.stack([np.repeat(differences, 12), np.zeros(132)])
    once = compared(np.stack([differences, np.zeros(11)]), own_groups(11)).p_values[0, 1]
    assert compared(values, [str(index // 12) for index in range(132)]).p_values[0, 1] == pytest.approx(once)
    assert once > 0.05 > compared(values, own_groups(132)).p_values[0, 1]


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.float64, (3, 24), elements=st.floats(0, 1)), st.integers(0, 100))
def test_copies_are_never_separated_and_have_p_one(scores: np.ndarray, seed: int) -> None:
    found = compared(np.concatenate([scores, scores[:1]]), own_groups(24), seed)
    assert found.p_values[0, 3] == found.adjusted[0, 3] == 1
    assert np.array_equal(found.p_values[0], found.p_values[3])
    assert np.array_equal(found.adjusted, found.adjusted.T)
    assert (found.adjusted >= found.p_values - 1e-12).all()


@settings(max_examples=20, deadline=None)
@given(hnp.arrays(np.float64, (4, 20), elements=st.floats(0, 1)), st.permutations(range(4)))
def test_the_order_of_entries_has_no_say(scores: np.ndarray, order: list[int]) -> None:
    one, other = compared(scores, own_groups(20)), compared(scores[order], own_groups(20))
    for a, b in zip(one, other, strict=True):
        assert np.allclose(a[np.ix_(order, order)], b, atol=1e-3), "equal but for ties broken by rounding"


def test_many_entries_can_be_told_apart() -> None:
    """More pairs than sign flips: Holm's bound over p-values from so many flips would separate nothing."""
    generator = np.random.default_rng(21)
    base = generator.normal(0.5, 0.2, 60)
    values = np.stack([base + 0.1 * index + generator.normal(0, 0.05, 60) for index in range(60)])
    assert (compared(values, SINGLE).separated | np.eye(60, dtype=bool)).all()


def test_a_hundred_entries_are_compared_in_little_memory() -> None:
    generator = np.random.default_rng(20)
    values = generator.normal(0.5, 0.1, (100, 128))
    tracemalloc.start()
    found = compared(values, own_groups(128))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.p_values.shape == (100, 100)
    assert peak < 100 * 2**20


# --- Intervals


def test_intervals_of_differences_are_those_of_their_own_values() -> None:
    generator = np.random.default_rng(16)
    parts = {name: generator.normal(0.5, 0.1, (40, 2)) for name in "abc"}
    scored = generator.random((40, 2)) < 0.9
    parts = {name: np.where(scored, values, NAN) for name, values in parts.items()}
    bootstrap = GroupBootstrap([str(index // 2) for index in range(40)], 500, 1)
    shares = np.array([0.25, 0.75])
    for (a, b), found in paired_differences(parts, [0.25, 0.75], bootstrap, 0).items():
        expected = bootstrap.estimate_mixed(parts[a] - parts[b], shares[:, None])
        assert [found.mean, found.low, found.high] == pytest.approx([float(own[0]) for own in expected])
        assert found.low < found.mean < found.high


def test_no_entry_and_one_entry_have_no_pairs() -> None:
    bootstrap = GroupBootstrap(own_groups(4), 5, 0)
    assert paired_differences({}, [1.0], bootstrap, 0) == {}
    assert paired_differences({"alone": np.ones((4, 1))}, [1.0], bootstrap, 0) == {}
