"""Means over targets: those of one architecture first, so that its number of networks does not matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.files.paths import PACKAGE
from benchmark.records.aggregate import image_axes, image_scores, summarize
from benchmark.records.record import load_record, load_scores
from benchmark.records.scores import NOT_APPLICABLE, ScoreArrays, applies, get_reason_names, scores_from_table
from benchmark.records.statistics import mean_over_targets
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import Lock, load_lock
from benchmark.suites.spec import Suite, TargetSpec

MINI = load_suite("mini@1")
IMAGES = 6


def suite_of(architectures: Sequence[str | None]) -> Suite:
    """A suite whose targets have two taps and these architectures; of three input sizes in turn."""
    taps = MINI.targets[0].taps[:2]
    targets = tuple(
        TargetSpec.model_validate(
            MINI.targets[0].model_dump()
            | {"id": f"target-{n}", "architecture": kind, "taps": taps, "input_size": (96 + 32 * (n % 3), 96)}
        )
        for n, kind in enumerate(architectures)
    )
    return MINI.model_copy(update={"targets": targets, "bootstrap_resamples": 40})


def scores_of(target: TargetSpec, seed: int) -> ScoreArrays:
    shape = (IMAGES, len(target.taps), len(MINI.conditions), len(MINI.metrics))
    values = np.random.default_rng(seed).uniform(0, 1, shape).astype(np.float32)
    reasons = np.zeros(shape, np.uint8)
    fits = np.array([[applies(metric, kind) for metric in MINI.metrics] for kind in MINI.conditions])
    reasons[..., ~fits] = NOT_APPLICABLE
    values[..., ~fits] = np.nan
    clamped = np.zeros((IMAGES, len(target.taps), len(MINI.perturbations)), np.float32)
    return ScoreArrays(
        target, tuple(f"image-{i}" for i in range(IMAGES)), values, reasons, clamped, get_reason_names(MINI)
    )


def lock_of(suite: Suite) -> Lock:
    return Lock(suite=suite.id, suite_digest=suite.digest, files={}, images={}, perturbed={})


def two_steps(suite: Suite, values: Mapping[str, float]) -> float:
    """The mean within every architecture, then over these, in plain Python."""
    groups: dict[str, list[float]] = {}
    for target in suite.targets:
        if target.id in values:
            groups.setdefault(target.architecture or f"alone: {target.id}", []).append(values[target.id])
    means = [sum(members) / len(members) for members in groups.values()]
    return sum(means) / len(means)


KINDS = st.lists(st.sampled_from([None, "detr", "vit", "swin"]), min_size=1, max_size=7)


@settings(max_examples=200, deadline=None)
@given(KINDS, st.data())
def test_the_mean_over_targets_is_that_of_the_means_of_architectures(
    kinds: list[str | None], data: st.DataObject
) -> None:
    suite = suite_of(kinds)
    names = data.draw(st.lists(st.sampled_from([t.id for t in suite.targets]), min_size=1, unique=True))
    values = {name: data.draw(st.floats(-1, 1)) for name in names}
    assert float(mean_over_targets(suite, values)) == pytest.approx(two_steps(suite, values), abs=1e-12)
    weights = suite.target_weights(names)
    assert weights.keys() == set(names) and np.gcd.reduce(list(weights.values())) == 1


@pytest.mark.parametrize(
    ("kinds", "weights"),
    [
        ([None, None, None], [1, 1, 1]),
        (["detr", *["vit"] * 7, "swin"], [7, 1, 1, 1, 1, 1, 1, 1, 7]),
        (["a", "a", "b", "b", "b", None], [3, 3, 2, 2, 2, 6]),
        (["target-1", None], [1, 1]),  # an architecture that has the name of another target
    ],
)
def test_weights_are_the_least_whole_numbers(kinds: list[str | None], weights: list[int]) -> None:
    assert list(suite_of(kinds).target_weights().values()) == weights


def test_a_record_states_the_means_of_architectures() -> None:
    suite = suite_of(["detr", "vit", "vit", "vit", None])
    scores = [scores_of(target, seed) for seed, target in enumerate(suite.targets)]
    found = summarize(suite, lock_of(suite), scores)
    by_axis = {
        axis: {item.target.id: float(image_axes(suite, item.values)[axis].mean()) for item in scores}
        for axis in suite.axes
    }
    for axis, values in by_axis.items():
        assert found.overall[axis].value == pytest.approx(two_steps(suite, values), abs=6e-7)
        assert found.overall[axis].value != pytest.approx(sum(values.values()) / 5, abs=1e-4)
        for metric in suite.axes[axis]:
            own = {item.target.id: float(image_scores(suite, item.values, metric).mean()) for item in scores}
            assert found.overall[axis].parts[metric] == pytest.approx(two_steps(suite, own), abs=6e-7)
    whole = np.mean([two_steps(suite, values) for values in by_axis.values()])
    assert found.score.value == pytest.approx(whole, abs=6e-7)
    some = summarize(suite, lock_of(suite), scores[1:])
    assert some.overall["detail"].value == pytest.approx(
        two_steps(suite, {name: v for name, v in by_axis["detail"].items() if name != "target-0"}), abs=6e-7
    )


@settings(max_examples=15, deadline=None)
@given(KINDS, st.integers(0, 6), st.integers(2, 5))
def test_copies_of_a_target_within_its_architecture_change_nothing(
    kinds: list[str | None], which: int, copies: int
) -> None:
    """Only where it is the whole of its architecture: else the copies would outvote the others of it."""
    which %= len(kinds)
    kinds = [kind if kind != kinds[which] or n == which else None for n, kind in enumerate(kinds)]
    kinds[which] = "copied"
    suite, split = suite_of(kinds), suite_of([*kinds, *["copied"] * (copies - 1)])
    scores = [scores_of(target, seed) for seed, target in enumerate(suite.targets)]
    more = [replace(scores[which], target=target) for target in split.targets[len(kinds) :]]
    before = summarize(suite, lock_of(suite), scores)
    after = summarize(split, lock_of(split), [*scores, *more])
    stated = [(s.value, s.low, s.high) for b in (before, after) for s in (b.score, *b.overall.values())]
    half = len(stated) // 2
    assert np.array(stated[:half], float) == pytest.approx(np.array(stated[half:], float), abs=1.1e-6, nan_ok=True)


def test_means_over_the_targets_of_mini_are_plain_to_the_last_bit() -> None:
    assert {target.architecture for target in MINI.targets} == {None}
    assert set(MINI.target_weights().values()) == {1}
    generator = np.random.default_rng(0)
    for shape in ((), (7,), (500, 4, 3)):
        values = {target.id: generator.normal(size=shape) for target in MINI.targets}
        assert np.array_equal(mean_over_targets(MINI, values), np.mean(list(values.values()), axis=0))


@pytest.mark.slow
def test_a_record_of_mini_says_what_it_said_before_architectures() -> None:
    folder = PACKAGE.parent / "submissions/ridge/records/mini@1"
    if not (folder / "scores.parquet").is_file():
        pytest.skip(f"no record in {folder}")
    record, lock = load_record(folder), load_lock(MINI)
    scores = scores_from_table(MINI, load_scores(folder, record), record.targets.keys(), record.images)
    found = summarize(MINI, lock, [replace(item, clamped=np.zeros_like(item.clamped)) for item in scores])
    assert found.overall == record.overall and found.score == record.score


def test_the_digest_knows_nothing_of_an_architecture_that_is_not_stated() -> None:
    assert "architecture" not in MINI.targets[0].model_dump()
    assert load_lock(MINI).suite_digest == MINI.digest != suite_of(["vit"]).digest
