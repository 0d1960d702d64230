"""Leads over training seeds: within their spread a tie; what cannot be compared says why."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from claiming import HOURS, plain

from benchmark.suites.lock import Lock
from benchmark.suites.spec import Suite
from leaderboard.data.claims.catalog import find_claims, make_evidence
from leaderboard.data.claims.classic import find_classic
from leaderboard.data.claims.findings import combine
from leaderboard.data.claims.reading import Evidence
from leaderboard.data.claims.runs import TrainingRun, TrainingRuns
from leaderboard.data.claims.seeds import SeedComparison, compare_seeds, largest_spread

Give = Callable[..., Evidence]
NAMES = ("modular", "end_to_end")


def a_run(method: str, seed: int, score: float, **changes: Any) -> TrainingRun:
    digest = sha256(f"{method} {seed} {changes.get('condition')}".encode()).hexdigest()
    fields: dict[str, Any] = {
        "method": method, "target": "mini-vit", "condition": "equal_samples", "seed": seed, "steps": 10,
        "samples": 1000, "device_hours": 1.0, "device": "GPU", "record": digest,
        "weights": digest, "scores": dict.fromkeys(("detail", "shape", "color"), score),
    }  # fmt: skip
    return TrainingRun.model_validate(fields | changes)


def runs_of(suite: Suite, lock: Lock, runs: list[TrainingRun]) -> TrainingRuns:
    ordered = tuple(sorted(runs, key=lambda run: run.key))
    head = {"suite": suite.id, "suite_digest": suite.digest, "lock_digest": lock.digest}
    return TrainingRuns.model_validate(head | {"runs": [run.model_dump() for run in ordered]})


def sides(first: list[float], second: list[float], **changes: Any) -> list[TrainingRun]:
    other = changes.pop("other", {})
    return [a_run("modular", i, score, **changes) for i, score in enumerate(first)] + [
        a_run("end_to_end", 10 + i, score, **(changes | other)) for i, score in enumerate(second)
    ]


def compare(suite: Suite, lock: Lock, runs: list[TrainingRun]) -> list[SeedComparison]:
    return compare_seeds(suite, runs_of(suite, lock, runs), NAMES)


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ([0.5, 0.52, 0.51], [0.4, 0.42, 0.41], "first leads"),
        ([0.4, 0.42, 0.41], [0.5, 0.52, 0.51], "second leads"),
        ([0.5, 0.52, 0.51], [0.49, 0.51, 0.5], "tie"),
        ([0.5, 0.5, 0.5], [0.4, 0.6, 0.5], "tie"),
        ([0.5, 0.52, 0.5], [0.515, 0.535, 0.535], "tie"),
        ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5], "tie"),
        ([0.5, 0.5, 0.5], [0.499, 0.499, 0.499], "first leads"),
    ],
)
def test_a_lead_within_the_spread_is_a_tie(
    few: Suite, pins: Lock, first: list[float], second: list[float], verdict: str
) -> None:
    found = compare(few, pins, sides(first, second))
    assert [item.axis for item in found] == ["score", "detail", "shape", "color"]
    for item in found:
        assert item.verdict == verdict and item.seeds == (3, 3)
        assert item.lead == pytest.approx(np.mean(first) - np.mean(second), abs=1e-6)
        assert item.spread == pytest.approx(max(np.ptp(first), np.ptp(second)), abs=1e-6)
        assert item.low is not None and item.high is not None and item.lead is not None
        assert item.low <= item.lead <= item.high


def test_the_interval_over_seeds_is_that_of_welch(few: Suite, pins: Lock) -> None:
    from scipy.stats import ttest_ind

    first, second = [0.5, 0.56, 0.51, 0.53], [0.4, 0.42, 0.41]
    expected = ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    (item, *_) = compare(few, pins, sides(first, second))
    assert (item.low, item.high) == pytest.approx(tuple(expected), abs=1e-6)


def test_scores_that_hardly_vary_have_an_interval(few: Suite, pins: Lock) -> None:
    (item, *_) = compare(few, pins, sides([1e-90, 0.0, 0.0], [0.0, 0.0, 0.0]))
    assert (item.verdict, item.low, item.high) == ("tie", 0, 0)


def test_the_verdict_follows_from_the_numbers_that_are_stated(few: Suite, pins: Lock) -> None:
    """Sums of decimal fractions are off by their last bits, which decide nothing."""
    apart = 0
    for low in range(10, 40):
        first, second = ([(low + k + shift) / 50 for k in (0, 1, 1)] for shift in (1, 0))
        apart += abs(np.mean(first) - np.mean(second)) > max(np.ptp(first), np.ptp(second))
        for item in compare(few, pins, sides(first, second)):
            assert (item.lead, item.spread, item.verdict) == (0.02, 0.02, "tie")
    assert apart, "as floating point has it"


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        (sides([0.5, 0.5], [0.4, 0.4, 0.4]), "fewer than 3 seeds: 2 of modular"),
        (sides([0.5, 0.5, 0.5], []), "fewer than 3 seeds: 0 of end_to_end"),
        (sides([0.5] * 3, [0.4] * 3, other={"samples": 900}), "the numbers of samples differ"),
        (sides([0.5] * 3, [0.4] * 3, condition="equal_time", other={"device": "CPU"}), "different devices"),
        (sides([0.5] * 3, [0.4] * 3, condition="equal_time", other={"device_hours": 1.2}), "more than a tenth"),
    ],
)
def test_what_cannot_be_compared_says_why(few: Suite, pins: Lock, runs: list[TrainingRun], reason: str) -> None:
    for item in compare(few, pins, runs):
        assert item.verdict == "undetermined" and reason in item.reason


def test_a_method_without_runs_has_no_cost_rather_than_none_at_all(few: Suite, pins: Lock) -> None:
    (item, *_) = compare(few, pins, sides([0.5, 0.5, 0.5], []))
    assert item.samples == (1000, None) and item.device_hours == (1, None)
    assert item.lead is item.spread is item.low is None


def test_both_conditions_are_compared_apart(few: Suite, pins: Lock) -> None:
    runs = sides([0.5, 0.52, 0.51], [0.4, 0.42, 0.41])
    runs += sides([0.5, 0.52, 0.51], [0.5, 0.51, 0.52], condition="equal_time", other={"samples": 300})
    found = compare(few, pins, runs)
    assert [(item.condition, item.verdict) for item in found if item.axis == "score"] == [
        ("equal_samples", "first leads"), ("equal_time", "tie"),
    ]  # fmt: skip
    assert largest_spread(found) == pytest.approx({"detail": 0.02, "shape": 0.02, "color": 0.02})


def test_runs_of_other_methods_take_no_part(few: Suite, pins: Lock) -> None:
    assert compare(few, pins, [a_run("ridge", seed, 0.5) for seed in range(3)]) == []


def test_a_deficit_within_the_spread_of_seeds_is_not_held_against_the_claim(few: Suite, pins: Lock, give: Give) -> None:
    """The same records contradict without runs, and leave the claim open where seeds alone change as much."""

    def higher(target: str, axis: str, depth: float, kind: str) -> float:
        return plain(target, axis, depth, kind) + 0.06

    training = HOURS | {"device_hours": 2.0}
    evidence = give(modular={}, end_to_end={"level": higher, "training": training, "seed": 2})
    assert combine(find_classic(evidence, "modular"))[0] == "does not hold"
    entries = list(evidence.entries.values())
    for spread, verdict in ((0.03, "does not hold"), (0.1, "undetermined")):
        runs = runs_of(few, pins, sides([0.5, 0.5 + spread, 0.5], [0.5, 0.5, 0.5]))
        wide = make_evidence(few, pins, entries, runs)
        assert combine(find_classic(wide, "modular"))[0] == verdict
        report = find_claims(wide)
        assert report.no_seeds == "" and {item.verdict for item in report.seeds} == {"tie"}
    assert find_claims(evidence).no_seeds == "no runs of several seeds are recorded"
