"""Estimates and intervals: the board's own differences, cover what is true, and say what they lack."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from claiming import GROUPS, HOURS, IMAGES

from benchmark.records.bootstrap import GroupBootstrap
from benchmark.records.statistics import masked_mean
from leaderboard.data.claims.classic import find_classic
from leaderboard.data.claims.findings import NotMeasured, Question
from leaderboard.data.claims.reading import Array, Columns, Evidence, find, ratio
from leaderboard.data.pairs import pairs

Give = Callable[..., Evidence]


def test_differences_are_those_of_the_board(give: Give) -> None:
    evidence = give(modular={"noise": 0.1}, end_to_end={"noise": 0.1, "seed": 5})
    findings = {(f.target, f.part.split(":")[0].lower()): f for f in find_classic(evidence, "modular") if f.groups}
    entries = [evidence.entries["modular"], evidence.entries["end_to_end"]]
    for target in (None, *(target.id for target in evidence.targets)):
        (pair,) = pairs(evidence.suite, entries, target)
        for axis, difference in pair.differences.items():
            found = findings[target, axis]
            expected = (difference.mean, difference.low, difference.high)
            assert (found.value, found.low, found.high) == pytest.approx(expected, abs=2e-6)
            assert (found.images, found.groups) == (IMAGES, GROUPS)


def shared(means: Array) -> Array:
    return ratio(means[:, 1:], means[:, :1])


@pytest.mark.slow
def test_intervals_of_ratios_cover_the_truth_as_often_as_they_say() -> None:
    """Groups of one to five images that are alike: resampling images instead would cover much less."""
    sizes = np.arange(24) % 5 + 1
    members = np.repeat(np.arange(24), sizes)
    bootstrap = GroupBootstrap([f"g{member:02d}" for member in members], 400, 7)
    generator, covered, tries = np.random.default_rng(3), 0, 300
    for _ in range(tries):
        by_group = generator.normal([0.8, 0.4], 0.1, (24, 2))
        values = by_group[members] + generator.normal(0, 0.03, (len(members), 2))
        (found,) = find([Question("share", 0.5)], None, Columns(values, shared, bootstrap))
        assert found.low is not None and found.high is not None
        covered += found.low <= 0.5 <= found.high
        assert (found.verdict == "undetermined") == (found.low <= 0.5 <= found.high)
    assert 0.91 <= covered / tries <= 0.985


def test_a_value_is_the_plain_statistic_of_the_means_of_what_is_scored() -> None:
    values = np.random.default_rng(1).uniform(0.2, 0.9, (20, 2))
    values[3] = np.nan
    values[4, 1] = np.nan
    bootstrap = GroupBootstrap([f"g{i // 2}" for i in range(20)], 200, 1)
    (found,) = find([Question("share")], "t", Columns(values, shared, bootstrap))
    assert found.value == pytest.approx(float(np.divide(*masked_mean(values)[::-1])), abs=1e-6)
    assert (found.images, found.groups) == (19, 10)


def test_where_resamples_often_have_no_value_there_is_no_interval() -> None:
    values = np.random.default_rng(1).normal([0.06, 0.5], 0.1, (20, 2))
    values[:, 0] += 0.06 - values[:, 0].mean()
    bootstrap = GroupBootstrap([f"g{i}" for i in range(20)], 200, 1)
    (found,) = find([Question("share")], None, Columns(values, shared, bootstrap))
    assert found.value is not None and found.low is found.high is None
    assert found.verdict == "undetermined" and "under .05" in found.reason


def test_quotients_of_next_to_nothing_are_none() -> None:
    found = ratio(np.array([0.1, 0.1, np.nan]), np.array([0.05, 0.0499, 0.5]))
    assert found[0] == 2 and np.isnan(found[1:]).all()


def test_what_a_record_lacks_is_named(give: Give) -> None:
    reading = give(modular={}).reading("modular")
    for ask, words in (
        (lambda: reading.on("mini-bert"), "not complete on mini-bert"),
        (lambda: reading.metric("mini-vit", "color_transfer", "gray"), "color_transfer is not computed under gray"),
        (lambda: reading.reported("mini-vit", "lpips_alex"), "does not report lpips_alex"),
    ):
        with pytest.raises(NotMeasured, match=words):
            ask()


def test_scores_that_were_changed_since_are_a_reason(give: Give) -> None:
    evidence = give(modular={}, end_to_end={"training": HOURS})
    path = evidence.entries["modular"].folder / "scores.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(NotMeasured, match="the record of modular cannot be read"):
        evidence.reading("modular")
