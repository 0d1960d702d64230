"""Views agree with records, with a slow computation, and with what a view may be."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from boards import write_entry
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm, t

from benchmark.records.aggregate import summarize
from benchmark.records.bootstrap import GroupBootstrap, group_weights, groups_of
from benchmark.records.pairs import paired_differences
from benchmark.records.record import AxisScore, load_scores
from benchmark.records.scores import NOT_APPLICABLE, ScoreArrays, applies
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Suite, TapSpec
from leaderboard.data.entries import Entry, load_entries
from leaderboard.data.views import AS_DEFINED, RESAMPLES, WHOLE, Views, axes_of, kinds_of, measure_views, scopes_of

Array = npt.NDArray[np.float64]
IMAGES, TAPS = 6, 3
GROUPS = {f"image-{i}": f"photograph-{i // 2}" for i in range(IMAGES)}


@pytest.fixture(scope="module")
def modular(suite: Suite, lock: Lock, tmp_path_factory: pytest.TempPathFactory) -> Entry:
    """A made-up record whose images are of a few photographs."""
    folder = tmp_path_factory.mktemp("entries")
    write_entry(suite, lock, folder, "modular", 0.8)
    (entry,) = load_entries(suite, lock, [folder])
    return entry


@pytest.fixture(scope="module")
def rows(modular: Entry) -> list[tuple[Any, ...]]:
    """Target, tap, perturbation, metric, image and value of every row of its scores."""
    table = load_scores(modular.folder, modular.record)
    names = ("target", "tap", "perturbation", "metric", "image", "value")
    return list(zip(*(table.column(name).to_pylist() for name in names), strict=True))


def views_of(entry: Entry) -> Views:
    assert entry.views is not None
    return entry.views


def check_score(triple: npt.NDArray[np.float32], score: AxisScore) -> None:
    assert score.value is not None and score.low is not None and score.high is not None
    assert triple[0] == pytest.approx(score.value, abs=1e-6)
    assert triple[1:] == pytest.approx([score.low, score.high], abs=0.005), "fewer resamples of the same groups"


def test_views_are_the_scores_of_the_record_where_it_has_them(suite: Suite, modular: Entry) -> None:
    views = views_of(modular)
    assert views.targets.keys() == modular.record.targets.keys()
    for index, axis in enumerate(axes_of(suite)):
        check_score(views.overall[0, index], modular.record.overall[axis])
        for target in suite.targets:
            found, scopes = views.targets[target.id], list(scopes_of(target))
            check_score(found[scopes.index(WHOLE), 0, index], modular.record.targets[target.id].axes[axis])
            for tap in target.tap_names:
                check_score(found[scopes.index(tap), 0, index], modular.record.targets[target.id].taps[tap].axes[axis])


def test_images_are_those_that_places_compare(suite: Suite, modular: Entry) -> None:
    views = views_of(modular)
    assert list(modular.images) == sorted(modular.images)
    for target in suite.targets:
        for index, axis in enumerate(axes_of(suite)):
            by_tap = views.images[target.id][index, 0].astype(np.float64)
            assert by_tap.shape == (len(target.taps), suite.dataset.images)
            assert np.nanmean(by_tap, axis=0) == pytest.approx(modular.image_axes[target.id][axis], abs=1e-6)


@pytest.mark.parametrize(("axis", "kind"), [("shape", "hue_set_120"), ("detail", "gray"), ("color", AS_DEFINED)])
def test_a_stage_under_a_perturbation_as_the_table_gives_it(
    suite: Suite, lock: Lock, modular: Entry, rows: list[tuple[Any, ...]], axis: Any, kind: str
) -> None:
    target = suite.targets[1]
    stage = [tap.name for tap in target.taps if tap.stage == "encoder"]
    under = "hues" if kind == AS_DEFINED else kind
    held: dict[tuple[str, str], list[float]] = {}
    used = set()
    for of, tap, condition, metric, image, value in rows:
        if of == target.id and tap in stage and condition == under and metric in suite.axes[axis]:
            used.add(metric)
            held.setdefault((image, tap), []).extend([] if value is None else [value])
    assert used == set(suite.axes[axis])
    order = sorted(modular.images)
    matrix = np.array([[np.mean(held[image, tap]) for tap in stage] for image in order])
    groups = groups_of(order, lock.groups)
    weights = group_weights(groups, RESAMPLES, suite.bootstrap_seed).astype(int)
    samples = [matrix[np.repeat(np.arange(len(order)), row)].mean() for row in weights]
    value, count = matrix.mean(), len(set(groups))
    wide = t.ppf(0.975, count - 1) / norm.ppf(0.975) * np.sqrt(count / (count - 1))
    expected = [value, *(value + wide * (end - value) for end in np.percentile(samples, [2.5, 97.5]))]
    found = views_of(modular).targets[target.id]
    place = list(scopes_of(target)).index("stage:encoder"), kinds_of(suite).index(kind), axes_of(suite).index(axis)
    assert found[place] == pytest.approx(expected, abs=1e-5)


def made_up() -> tuple[Suite, Lock]:
    full = load_suite("mini@1")
    stages = ("stem", "blocks", "blocks")
    taps = tuple(TapSpec(name=f"tap.{i}", stage=stage, depth=i / 2) for i, stage in enumerate(stages))
    target = full.targets[0].model_copy(update={"taps": taps})
    kinds = ("identity", "hue_set_0", "hue_shift_120", "gray")
    changes = {"targets": (target,), "report": (), "perturbations": kinds, "bootstrap_resamples": 60}
    suite = full.model_copy(update=changes)
    lock = Lock(suite=suite.id, suite_digest=suite.digest, files={}, images={}, perturbed={}, groups=GROUPS)
    return suite, lock


SUITE, LOCK = made_up()
SHAPE = (IMAGES, TAPS, len(SUITE.conditions), len(SUITE.metrics))
APPLIES = np.array([[applies(metric, kind) for metric in SUITE.metrics] for kind in SUITE.conditions])


def scores_of(values: npt.NDArray[np.float32], order: tuple[int, ...] = tuple(range(IMAGES))) -> ScoreArrays:
    values = np.where(APPLIES, values, np.nan).astype(np.float32)
    reasons = np.broadcast_to(np.where(APPLIES, 0, NOT_APPLICABLE).astype(np.uint8), SHAPE)
    images, clamped = tuple(f"image-{i}" for i in order), np.zeros((*SHAPE[:2], 4), np.float32)
    return ScoreArrays(SUITE.targets[0], images, values[list(order)], reasons, clamped, ())


def views_of_values(values: npt.NDArray[np.float32]) -> Views:
    return measure_views(SUITE, LOCK, [scores_of(values)])


def floats(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, width=32)


def some_scores() -> st.SearchStrategy[npt.NDArray[np.float32]]:
    return arrays(np.float32, SHAPE, elements=floats(-0.5, 1), fill=floats(-0.5, 1))


def holes() -> st.SearchStrategy[npt.NDArray[np.float32]]:
    """NaN where an image is not scored, which is the same for all entries and taps."""
    element = st.sampled_from([0.0, 0.0, float("nan")])
    return arrays(np.float32, (IMAGES, 1, *SHAPE[2:]), elements=element, fill=st.just(0.0))


@settings(max_examples=40, deadline=None)
@given(arrays(np.float32, SHAPE, elements=st.one_of(floats(-0.5, 1), st.just(float("nan"))), fill=floats(-0.5, 1)))
def test_whatever_the_scores_a_view_is_a_score_with_an_interval_or_nothing(values: npt.NDArray[np.float32]) -> None:
    views = views_of_values(values)
    (target,) = views.targets.values()
    assert target.shape == (len(scopes_of(SUITE.targets[0])), len(kinds_of(SUITE)), len(axes_of(SUITE)), 3)
    assert np.array_equal(target[0], views.overall, equal_nan=True), "one target is all targets"
    for found in (target, views.overall):
        value, low, high = np.moveaxis(found, -1, 0)
        given_ = ~np.isnan(value)
        assert (np.abs(value)[given_] <= 1 + 1e-6).all()
        assert np.isnan(low[~given_]).all() and np.isnan(high[~given_]).all()
        sure = ~np.isnan(low)
        assert (low <= high)[sure].all() and (sure == ~np.isnan(high)).all()
    scopes, images = list(scopes_of(SUITE.targets[0])), views.images[SUITE.targets[0].id]
    for tap in range(TAPS):
        by_image, row = images[:, :, tap], target[scopes.index(f"tap.{tap}")].transpose(1, 0, 2)
        absent = np.isnan(by_image).all(-1)
        assert (np.isnan(row[..., 0]) == absent).all(), "nothing scored, no view"
        assert row[~absent][:, 0] == pytest.approx(np.nanmean(by_image[~absent], axis=-1), abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(arrays(np.float32, SHAPE, elements=st.one_of(floats(-0.5, 1), st.just(float("nan"))), fill=floats(-0.5, 1)))
def test_a_view_as_defined_is_what_a_record_states(values: npt.NDArray[np.float32]) -> None:
    scores = scores_of(values)
    views, (stated,) = measure_views(SUITE, LOCK, [scores]), summarize(SUITE, LOCK, [scores]).targets.values()
    found, scopes = views.targets[SUITE.targets[0].id], list(scopes_of(SUITE.targets[0]))
    for index, axis in enumerate(axes_of(SUITE)):
        for scope, score in ((WHOLE, stated.axes[axis]), *((tap, its.axes[axis]) for tap, its in stated.taps.items())):
            expected = [np.nan if end is None else end for end in (score.value, score.low, score.high)]
            assert found[scopes.index(scope), 0, index] == pytest.approx(expected, abs=2e-6, nan_ok=True)


@settings(max_examples=15, deadline=None)
@given(st.lists(some_scores(), min_size=2, max_size=3), holes())
def test_the_difference_of_two_shown_scores_is_the_paired_difference(
    every: list[npt.NDArray[np.float32]], absent: npt.NDArray[np.float32]
) -> None:
    """For any two submissions, scope, kind and axis; image by image where a view is shown so."""
    views = {f"entry-{i}": views_of_values(values + absent) for i, values in enumerate(every)}
    target, bootstrap = SUITE.targets[0].id, GroupBootstrap(groups_of(sorted(GROUPS), GROUPS), 20, 0)
    for number, taps in enumerate(scopes_of(SUITE.targets[0]).values()):
        for k, a in np.ndindex(len(kinds_of(SUITE)), len(axes_of(SUITE))):
            shown = {name: float(own.targets[target][number, k, a, 0]) for name, own in views.items()}
            # (images, taps) of every entry, as the columns of a score
            parts = {n: own.images[target][a, k, list(taps)].T.astype(np.float64) for n, own in views.items()}
            found = paired_differences(parts, np.full(len(taps), 1 / len(taps)), bootstrap, 0)
            for first, second in combinations(shown, 2):
                difference = found[first, second].mean
                assert np.isnan(difference) == np.isnan(shown[first] - shown[second])
                assert shown[first] - shown[second] == pytest.approx(difference, abs=1e-9, nan_ok=True)


@settings(max_examples=25, deadline=None)
@given(floats(-0.5, 1))
def test_images_that_score_alike_leave_no_doubt(value: float) -> None:
    found = views_of_values(np.full(SHAPE, value, np.float32)).overall
    scored = ~np.isnan(found[..., 0])
    assert scored[0].all()
    assert found[scored] == pytest.approx(np.full((scored.sum(), 3), value), abs=1e-5), "also below 0"


def test_axes_are_seen_under_the_kinds_that_they_are_computed_under() -> None:
    views = views_of_values(np.full(SHAPE, 0.5, np.float32))
    seen = ~np.isnan(views.overall[..., 0])
    by_axis = {axis: [k for k, on in zip(kinds_of(SUITE), seen[:, a], strict=True) if on]
               for a, axis in enumerate(axes_of(SUITE))}  # fmt: skip
    expected = {axis: [kind for kind in SUITE.perturbations if any(applies(m, kind) for m in SUITE.axes[axis])]
                for axis in axes_of(SUITE)}  # fmt: skip
    assert by_axis == {axis: [AS_DEFINED, *kinds] for axis, kinds in expected.items()}
    assert by_axis["color"] == [AS_DEFINED], "color is pooled over the hue kinds"
    assert by_axis["detail"] == by_axis["shape"] == [AS_DEFINED, *SUITE.perturbations]


def test_a_tap_without_any_score_leaves_its_stage_and_the_whole_target_without() -> None:
    values = np.full(SHAPE, 0.5, np.float32)
    values[:, 2, 0, [SUITE.metrics.index(metric) for metric in SUITE.axes["shape"]]] = np.nan
    target = views_of_values(values).targets[SUITE.targets[0].id]
    shape = axes_of(SUITE).index("shape")
    absent = {
        scope for number, scope in enumerate(scopes_of(SUITE.targets[0])) if np.isnan(target[number, 0, shape, 0])
    }
    assert absent == {WHOLE, "stage:blocks", "tap.2"}


def test_scopes_are_the_target_its_stages_of_several_taps_and_its_taps() -> None:
    assert scopes_of(SUITE.targets[0]) == {
        WHOLE: (0, 1, 2), "stage:blocks": (1, 2), "tap.0": (0,), "tap.1": (1,), "tap.2": (2,),
    }  # fmt: skip


def test_the_order_of_the_images_in_a_record_changes_nothing() -> None:
    values = np.random.default_rng(1).random(SHAPE, np.float32)
    orders = (tuple(range(IMAGES)), (3, 1, 4, 0, 5, 2))
    found = [measure_views(SUITE, LOCK, [scores_of(values, order)]) for order in orders]
    assert np.array_equal(found[0].overall, found[1].overall, equal_nan=True)
    for name, by_image in found[0].images.items():
        assert np.array_equal(by_image, found[1].images[name], equal_nan=True)


def test_images_without_groups_of_two_have_no_interval() -> None:
    lock = LOCK.model_copy(update={"groups": dict.fromkeys(GROUPS, "one")})
    found = measure_views(SUITE, lock, [scores_of(np.full(SHAPE, 0.5, np.float32))]).overall
    assert found[0, :, 0] == pytest.approx(0.5) and np.isnan(found[..., 1:]).all()
