"""The group bootstrap against scipy and loops over groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats as reference

from benchmark.records.bootstrap import GroupBootstrap, group_weights, groups_of, percentiles, widening

NAN = float("nan")
GROUPS = ("b", "a", "c", "a", "c", "c", "d")
VALUES = hnp.arrays(np.float64, (7, 3), elements=st.one_of(st.floats(-5, 5), st.just(NAN)))
SHARES = np.array([[1.0, 0.5, 0.0], [0.0, 0.5, 0.25], [0.0, 0.0, 0.75]])


def drawn_groups(weights: np.ndarray) -> dict[str, int]:
    """How often each group is drawn in one resample of `GROUPS`."""
    return {name: int(weights[GROUPS.index(name)]) for name in "abcd"}


def test_an_image_without_a_group_is_its_own() -> None:
    assert groups_of(("x", "y", "z"), {"y": "photograph"}) == ("x", "photograph", "z")


@given(st.permutations(range(7)), st.integers(0, 1000))
def test_whole_groups_are_drawn_whatever_the_order_of_images(order: list[int], seed: int) -> None:
    weights = group_weights(GROUPS, 20, seed)
    for row in weights:
        assert sum(drawn_groups(row).values()) == 4
        assert all(weight == drawn_groups(row)[name] for weight, name in zip(row, GROUPS, strict=True))
    shuffled = group_weights([GROUPS[index] for index in order], 20, seed)
    assert np.array_equal(shuffled, weights[:, order])


def test_every_group_is_drawn_once_per_resample_on_average() -> None:
    means = group_weights(GROUPS, 20_000, 1).mean(0)
    assert np.abs(means - 1).max() < 0.03
    assert not np.array_equal(group_weights(GROUPS, 20, 1), group_weights(GROUPS, 20, 2))


@pytest.mark.parametrize("groups", [2, 3, 11, 107, 5000])
def test_the_factor_is_that_of_the_t_distribution(groups: int) -> None:
    (found,) = widening(np.array([groups]))
    normal = reference.norm.ppf(0.975)
    assert found == pytest.approx(reference.t.ppf(0.975, groups - 1) / normal * np.sqrt(groups / (groups - 1)))
    assert normal == pytest.approx(1.96, abs=1e-4)


def test_fewer_than_two_groups_give_no_interval() -> None:
    assert np.isnan(widening(np.array([0, 1]))).all()
    values = np.full((7, 2), NAN)
    values[[1, 3], 0] = 0.25, 0.75  # both of group a
    found = GroupBootstrap(GROUPS, 50, 0).estimate(values)
    assert found.value[0] == 0.5 and np.isnan(found.low).all() and np.isnan(found.high).all()
    assert np.isnan(found.value[1])


def plain(values: np.ndarray, row: np.ndarray, medians: bool) -> np.ndarray:
    """Mean or median of each column over the images of the drawn groups, one after the other."""
    chosen = [index for index, weight in enumerate(row) for _ in range(int(weight))]
    drawn = values[chosen]
    found = np.full(values.shape[1], NAN)
    for column in range(values.shape[1]):
        scored = drawn[:, column][~np.isnan(drawn[:, column])]
        if scored.size:
            found[column] = np.median(scored) if medians else scored.mean()
    return found


def plain_interval(point: float, samples: np.ndarray, count: int) -> tuple[float, float]:
    if count < 2:
        return NAN, NAN
    low, high = np.nanpercentile(samples, [2.5, 97.5])
    factor = reference.t.ppf(0.975, count - 1) / reference.norm.ppf(0.975) * np.sqrt(count / (count - 1))
    return point - factor * (point - low), point + factor * (high - point)


def count_groups(scored: np.ndarray) -> int:
    return len({name for name, holds in zip(GROUPS, scored, strict=True) if holds})


@settings(max_examples=50, deadline=None)
@given(VALUES, st.integers(0, 1000))
def test_estimates_equal_a_loop_over_groups(values: np.ndarray, seed: int) -> None:
    bootstrap = GroupBootstrap(GROUPS, 40, seed)
    medians = np.array([False, True, False])
    found = bootstrap.estimate(values, medians)
    for column in range(3):
        part = values[:, [column]]
        samples = np.array([plain(part, row, bool(medians[column]))[0] for row in bootstrap.weights])
        (point,) = plain(part, np.ones(7), bool(medians[column]))
        low, high = plain_interval(point, samples, count_groups(~np.isnan(part[:, 0])))
        expected = [point, low, high]
        assert np.allclose([one[column] for one in found], expected, atol=1e-9, equal_nan=True)


@settings(max_examples=50, deadline=None)
@given(VALUES, st.integers(0, 1000))
def test_mixed_estimates_equal_a_loop_over_groups(values: np.ndarray, seed: int) -> None:
    bootstrap = GroupBootstrap(GROUPS, 40, seed)
    found = bootstrap.estimate_mixed(values, SHARES)
    for result in range(3):
        used = np.flatnonzero(SHARES[:, result])
        samples = np.array([plain(values[:, used], row, False) @ SHARES[used, result] for row in bootstrap.weights])
        point = plain(values[:, used], np.ones(7), False) @ SHARES[used, result]
        assert np.isclose(found.value[result], point, equal_nan=True)
        if not np.isnan(samples).all():
            expected = plain_interval(point, samples, count_groups((~np.isnan(values[:, used])).any(1)))
            assert np.allclose([found.low[result], found.high[result]], expected, atol=1e-9, equal_nan=True)


@given(VALUES)
def test_a_single_column_mixes_to_itself(values: np.ndarray) -> None:
    assume(not np.isnan(values).all(0).any())
    bootstrap = GroupBootstrap(GROUPS, 30, 3)
    assert np.allclose(bootstrap.estimate(values), bootstrap.estimate_mixed(values, np.eye(3)), equal_nan=True)


def test_many_columns_equal_one_after_the_other() -> None:
    values = np.random.default_rng(5).normal(size=(7, 150))
    values[2, 40] = NAN
    bootstrap, medians = GroupBootstrap(GROUPS, 60, 2), np.arange(150) % 3 == 0
    found = bootstrap.estimate(values, medians)
    for column in (0, 40, 64, 99, 149):
        one = bootstrap.estimate(values[:, [column]], medians[[column]])
        assert [float(own[0]) for own in one] == pytest.approx([whole[column] for whole in found])


def test_single_images_give_scipys_percentile_bootstrap() -> None:
    data = np.random.default_rng(3).normal(2, 1, size=128)
    bootstrap = GroupBootstrap([str(index) for index in range(128)], 20_000, 1)
    low, high = percentiles(bootstrap.weights @ data[:, None] / 128)
    expected = reference.bootstrap((data,), np.mean, n_resamples=20_000, method="percentile", random_state=2)
    assert abs(low[0] - expected.confidence_interval.low) < 0.01
    assert abs(high[0] - expected.confidence_interval.high) < 0.01


def test_images_of_one_source_make_an_interval_wider() -> None:
    """Eleven photographs with twelve images each: the interval is that of eleven values."""
    values = np.repeat(np.random.default_rng(4).normal(size=11), 12)[:, None]
    grouped = GroupBootstrap([str(index // 12) for index in range(132)], 4000, 0).estimate(values)
    alone = GroupBootstrap([str(index) for index in range(132)], 4000, 0).estimate(values)
    assert grouped.value == alone.value
    wider = (grouped.high - grouped.low) / (alone.high - alone.low)
    assert wider[0] == pytest.approx(np.sqrt(12) * float(widening(np.array([11]))[0]), rel=0.1)


def test_nothing_scored_gives_nothing() -> None:
    assert np.isnan(GroupBootstrap(GROUPS, 10, 0).estimate(np.full((7, 2), NAN))).all()
    assert np.isnan(percentiles(np.full((10, 1), NAN))).all()
