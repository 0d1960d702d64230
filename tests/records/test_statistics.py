"""Means and medians over scored images against loops."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchmark.records.bootstrap import group_weights
from benchmark.records.statistics import bootstrap_means, bootstrap_medians, masked_mean, masked_median

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
    weights = group_weights(list("abcdefg"), 4, seed)
    assert (weights.sum(1) == 7).all()
    found = bootstrap_means(values, weights)
    for row, weight in enumerate(weights.astype(int)):
        drawn = np.repeat(values, weight, axis=0)
        assert np.allclose(found[row], masked_mean(drawn), equal_nan=True)


@given(VALUES, st.integers(0, 1000))
@settings(max_examples=50)
def test_bootstrap_medians_equal_a_loop(values: np.ndarray, seed: int) -> None:
    weights = group_weights(list("abcdefg"), 4, seed)
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
