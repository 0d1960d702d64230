"""Statistics against scipy, and by simulation."""

from __future__ import annotations

import tracemalloc
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats as reference

from benchmark.records.statistics import (
    anchored,
    bootstrap_means,
    bootstrap_medians,
    bootstrap_weights,
    interval,
    masked_mean,
    masked_median,
    paired_difference,
    paired_differences,
    rank,
    sign_flip_p,
)
from benchmark.suites.lock import Anchor

VALUES = hnp.arrays(np.float64, (7, 3), elements=st.one_of(st.floats(-5, 5), st.just(float("nan"))))


@given(VALUES)
def test_masked_mean_leaves_out_what_is_not_scored(values: np.ndarray) -> None:
    found = masked_mean(values)
    for column in range(3):
        scored = values[:, column][~np.isnan(values[:, column])]
        if scored.size:
            assert np.isclose(found[column], scored.mean())
        else:
            assert np.isnan(found[column])


@given(VALUES, st.integers(0, 1000))
@settings(max_examples=50)
def test_bootstrap_means_equal_a_loop(values: np.ndarray, seed: int) -> None:
    weights = bootstrap_weights(7, 4, seed)
    assert (weights.sum(1) == 7).all()
    found = bootstrap_means(values, weights)
    for row, weight in enumerate(weights.astype(int)):
        drawn = np.repeat(values, weight, axis=0)
        assert np.allclose(found[row], masked_mean(drawn), equal_nan=True)


@given(VALUES, st.integers(0, 1000))
@settings(max_examples=50)
def test_bootstrap_medians_equal_a_loop(values: np.ndarray, seed: int) -> None:
    weights = bootstrap_weights(7, 4, seed)
    found = bootstrap_medians(values, weights)
    for row, weight in enumerate(weights.astype(int)):
        drawn = np.repeat(values, weight, axis=0)
        for column in range(3):
            scored = drawn[:, column][~np.isnan(drawn[:, column])]
            assert np.isclose(found[row, column], np.median(scored) if scored.size else np.nan, equal_nan=True)
    for column in range(3):
        scored = values[:, column][~np.isnan(values[:, column])]
        expected = np.median(scored) if scored.size else np.nan
        assert np.isclose(masked_median(values)[column], expected, equal_nan=True)


def test_the_interval_is_scipys_percentile_bootstrap() -> None:
    data = np.random.default_rng(3).normal(2, 1, size=128)
    low, high = interval(bootstrap_means(data[:, None], bootstrap_weights(128, 20_000, 1)))
    expected = reference.bootstrap((data,), np.mean, n_resamples=20_000, method="percentile", random_state=2)
    assert abs(low[0] - expected.confidence_interval.low) < 0.01
    assert abs(high[0] - expected.confidence_interval.high) < 0.01


@pytest.mark.slow
def test_intervals_cover_the_truth() -> None:
    generator = np.random.default_rng(4)
    data = generator.beta(2, 5, size=(128, 2000))
    low, high = interval(bootstrap_means(data, bootstrap_weights(128, 1000, 5)))
    covered = ((low <= 2 / 7) & (high >= 2 / 7)).mean()
    assert 0.93 <= covered <= 0.97


@pytest.mark.slow
def test_intervals_of_an_axis_cover_the_truth() -> None:
    """An axis is a mean over correlated scores of one image; its interval resamples images, not scores."""
    generator = np.random.default_rng(14)
    covered = []
    weights = bootstrap_weights(128, 1000, 15)
    for _ in range(1500):
        image = generator.normal(0.5, 0.1, size=(128, 1))
        scores = image + generator.normal(0, 0.05, size=(128, 6))
        low, high = interval(bootstrap_means(scores, weights).mean(1, keepdims=True))
        covered.append(low[0] <= 0.5 <= high[0])
    assert 0.93 <= np.mean(covered) <= 0.97


def test_paired_differences_agree_with_scipy() -> None:
    generator = np.random.default_rng(16)
    first = generator.normal(0.5, 0.1, 100)
    second = first + generator.normal(0.02, 0.05, 100)
    first[3] = second[7] = np.nan
    found = paired_difference(first, second, bootstrap_weights(100, 20_000, 1), 2)
    both = (first - second)[~np.isnan(first - second)]
    expected = reference.bootstrap((both,), np.mean, n_resamples=20_000, method="percentile", random_state=3)
    assert found.mean == pytest.approx(both.mean())
    assert found.low == pytest.approx(expected.confidence_interval.low, abs=0.001)
    assert found.high == pytest.approx(expected.confidence_interval.high, abs=0.001)
    assert found.p_value == pytest.approx(reference.wilcoxon(both).pvalue, abs=0.02)


def test_a_paired_interval_is_narrower_than_two_single_ones() -> None:
    generator = np.random.default_rng(17)
    first = generator.normal(0.5, 0.2, 128)
    second = first - 0.03 + generator.normal(0, 0.01, 128)
    weights = bootstrap_weights(128, 2000, 0)
    found = paired_difference(first, second, weights, 0)
    assert found.low > 0.02
    alone = interval(bootstrap_means(np.stack([first, second], axis=1), weights))
    assert alone[0][0] < alone[1][1], "alone, the two entries cannot be told apart"


def test_absent_scores_stay_absent() -> None:
    samples = bootstrap_means(np.full((8, 1), np.nan), bootstrap_weights(8, 10, 0))
    assert np.isnan(interval(samples)).all()


def test_anchors_map_the_trivial_answer_to_zero_and_identity_to_one() -> None:
    up, down = Anchor(answer="a", floor=0.4, ceiling=1), Anchor(answer="a", floor=0.8, ceiling=0)
    assert np.allclose(anchored(np.array([0.4, 1.0, 0.7, 0.1]), up), [0, 1, 0.5, 0])
    assert np.allclose(anchored(np.array([0.8, 0.0, 0.4, 0.9]), down), [0, 1, 0.5, 0])


def test_sign_flip_agrees_with_scipy() -> None:
    generator = np.random.default_rng(6)
    for shift in (0.0, 0.1, 0.3):
        differences = generator.normal(shift, 1, size=60)
        expected = reference.permutation_test(
            (differences, np.zeros(60)), lambda a, b, axis: (a - b).mean(axis), permutation_type="samples",
            vectorized=True, n_resamples=9999, rng=np.random.default_rng(0),
        ).pvalue  # fmt: skip
        assert abs(sign_flip_p(differences, 0) - expected) < 0.02


def test_copies_tie_and_clear_differences_rank() -> None:
    generator = np.random.default_rng(7)
    base = generator.uniform(0.3, 0.7, size=128)
    entries = {"a": base, "copy of a": base.copy(), "better": base + 0.1 + generator.normal(0, 0.02, 128)}
    assert rank(entries, 0) == {"a": 2, "copy of a": 2, "better": 1}


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.float64, (24, 3), elements=st.one_of(st.floats(0, 1), st.just(float("nan")))),
    st.permutations(range(4)),
    st.integers(0, 100),
)
def test_copies_always_tie(scores: np.ndarray, order: list[int], seed: int) -> None:
    """Whatever else is on the board and in whatever order: equal entries get equal ranks."""
    entries = {"a": scores[:, 0], "copy": scores[:, 0].copy(), "b": scores[:, 1], "c": scores[:, 2]}
    names = [list(entries)[index] for index in order]
    found = rank({name: entries[name] for name in names}, seed)
    assert found["a"] == found["copy"]
    assert min(found.values()) == 1


def test_a_significant_but_tiny_difference_is_a_tie() -> None:
    base = np.random.default_rng(8).uniform(0.3, 0.7, size=128)
    assert sign_flip_p(base + 0.001 - base, 0) < 0.001
    assert rank({"a": base, "b": base + 0.001}, 0) == {"a": 1, "b": 1}


def test_many_entries_can_be_told_apart() -> None:
    """More pairs than there are sign flips: a bound over p-values from so many flips would separate nothing."""
    generator = np.random.default_rng(21)
    base = generator.normal(0.5, 0.2, 128)
    scores = {f"entry-{i:02}": base + 0.1 * i + generator.normal(0, 0.05, 128) for i in range(60)}
    assert list(rank(scores, 0).values()) == list(range(60, 0, -1))


@pytest.mark.slow
def test_among_many_equals_one_is_seldom_ahead() -> None:
    generator, separated = np.random.default_rng(22), 0
    for trial in range(100):
        base = generator.normal(0.5, 0.2, 64)
        scores = {str(i): base + generator.normal(0, 0.1, 64) for i in range(20)}
        separated += set(rank(scores, trial).values()) != {1}
    assert separated <= 11, "5 of 100 are expected, 11 or more in 1 of 100 such tests"


def test_noise_alone_seldom_separates() -> None:
    generator = np.random.default_rng(9)
    separated = 0
    for trial in range(60):
        scores = {name: generator.normal(0.5, 0.2, 64) for name in "abc"}
        separated += set(rank(scores, trial).values()) != {1}
    assert separated <= 9


# The plain way: every pair on its own, its signs drawn anew.


def plain_p(differences: np.ndarray, seed: int) -> float:
    differences = differences[~np.isnan(differences)]
    if not differences.any():
        return 1.0
    signs = np.random.default_rng(seed).integers(0, 2, size=(10_000, differences.size)) * 2 - 1
    permuted = np.abs(signs @ differences) / differences.size
    return float((1 + (permuted >= abs(differences.mean()) - 1e-12).sum()) / 10_001)


def plain_rank(scores: dict[str, np.ndarray], seed: int) -> dict[str, int]:
    """Step-down maxT of Westfall and Young, pair by pair, over the images that any entry has."""
    pairs = list(combinations(scores, 2))
    there = ~np.isnan(np.stack(list(scores.values()))).all(0)
    differences = [np.nan_to_num(scores[a] - scores[b])[there] for a, b in pairs]
    signs = np.random.default_rng(seed).integers(0, 2, size=(10_000, int(there.sum()))) * 2 - 1
    statistics, flipped = [], []
    for values in differences:
        size = np.sqrt((values**2).sum()) or np.inf
        statistics.append(abs(values.sum()) / size)
        flipped.append(np.abs(signs @ values) / size)
    left = sorted((i for i in range(len(pairs)) if differences[i].any()), key=lambda i: -statistics[i])
    ranks, p_value = dict.fromkeys(scores, 1), 0.0
    while left:
        highest = np.max([flipped[i] for i in left], axis=0)
        index = left.pop(0)
        p_value = max(p_value, (1 + (highest >= statistics[index] - 1e-9).sum()) / 10_001)
        if p_value > 0.05:
            break
        a, b = pairs[index]
        difference = np.nanmean(scores[a] - scores[b])
        ranks[b] += bool(difference > 0.005)
        ranks[a] += bool(difference < -0.005)
    return ranks


def plain_pairs(scores: dict[str, np.ndarray], weights: np.ndarray, seed: int) -> dict[tuple[str, str], list[float]]:
    found = {}
    for a, b in combinations(scores, 2):
        differences = (scores[a] - scores[b])[:, None]
        low, high = interval(bootstrap_means(differences, weights))
        found[a, b] = [masked_mean(differences)[0], low[0], high[0], plain_p(differences[:, 0], seed)]
    return found


def check_all(scores: dict[str, np.ndarray], seed: int) -> None:
    weights = bootstrap_weights(len(next(iter(scores.values()))), 40, seed)
    found, expected = paired_differences(scores, weights, seed), plain_pairs(scores, weights, seed)
    assert list(found) == list(expected)
    for pair, values in expected.items():
        assert np.allclose(found[pair], values, rtol=0, atol=1e-12, equal_nan=True)
        assert found[pair].p_value == values[3]
        a, b = pair
        assert sign_flip_p(scores[a] - scores[b], seed) == values[3]
        assert np.allclose(paired_difference(scores[a], scores[b], weights, seed), values, atol=1e-12, equal_nan=True)
    assert rank(scores, seed) == plain_rank(scores, seed)


# Sixty-fourths add up without rounding, so that ties between sums are ties whatever their order.
SIXTY_FOURTHS = st.integers(-32, 96).map(lambda number: number / 64)


@settings(max_examples=15, deadline=None)
@given(
    hnp.arrays(np.float64, (4, 11), elements=SIXTY_FOURTHS | st.just(float("nan")), fill=SIXTY_FOURTHS),
    st.booleans(),
    st.integers(0, 100),
)
def test_all_pairs_at_once_equal_each_on_its_own(scores: np.ndarray, shared: bool, seed: int) -> None:
    """Also where images are absent from one entry, or from all of them (`shared`)."""
    if shared:
        scores[:, np.isnan(scores).any(0)] = np.nan
    check_all(dict(zip("abcd", scores, strict=True)), seed)


def test_a_board_of_entries_equals_each_pair_on_its_own() -> None:
    generator = np.random.default_rng(18)
    base = generator.normal(0.5, 0.1, 50)
    scores = {f"entry-{i}": base + generator.normal(0.01 * i, 0.05, 50) for i in range(7)}
    scores["copy"] = scores["entry-3"].copy()
    scores["nothing"] = np.full(50, np.nan)
    scores["entry-5"][[3, 8]] = scores["entry-6"][[8, 41]] = np.nan
    for values in scores.values():
        values[20] = np.nan
    check_all(scores, 24120653)


def test_more_pairs_than_are_compared_at_a_time_equal_each_on_its_own() -> None:
    generator = np.random.default_rng(19)
    scores = {f"entry-{i}": generator.normal(0.05 * i, 0.1, 20) for i in range(25)}
    assert rank(scores, 3) == plain_rank(scores, 3)
    for values in scores.values():
        values[generator.integers(0, 20)] = np.nan
    assert rank(scores, 3) == plain_rank(scores, 3)


def test_no_entry_and_one_entry_rank() -> None:
    assert rank({}, 0) == {}
    assert rank({"alone": np.array([0.5, np.nan])}, 0) == {"alone": 1}
    assert paired_differences({}, bootstrap_weights(4, 5, 0), 0) == {}


def test_a_hundred_entries_are_ranked_in_little_memory() -> None:
    generator = np.random.default_rng(20)
    scores = {f"entry-{i}": generator.normal(0.001 * i, 0.1, 128) for i in range(100)}
    tracemalloc.start()
    found = rank(scores, 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 100
    assert peak < 100 * 2**20
