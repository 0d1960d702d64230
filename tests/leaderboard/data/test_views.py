"""Views agree with records, with a slow computation, and with what a view may be."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmark.records.record import AxisScore, load_scores
from benchmark.records.scores import NOT_APPLICABLE, ScoreArrays, applies
from benchmark.records.statistics import bootstrap_weights
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import Anchor, Lock
from benchmark.suites.spec import HUE_PERTURBATIONS, Suite, TapSpec
from leaderboard.data.entries import Entry
from leaderboard.data.views import AS_DEFINED, RESAMPLES, WHOLE, Views, axes_of, kinds_of, measure_views, scopes_of

Array = npt.NDArray[np.float64]
Site = Any
IMAGES, TAPS = 5, 3


@pytest.fixture(scope="module")
def modular(real: Site) -> Entry:
    """The committed record of modular on mini@1."""
    (entry,) = (entry for entry in real.boards[0].loaded if entry.submission.id == "modular")
    assert isinstance(entry, Entry)
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
    assert triple[1:] == pytest.approx([score.low, score.high], abs=0.01), "fewer resamples of the same images"


def test_views_are_the_scores_of_the_record_where_it_has_them(real: Site, modular: Entry) -> None:
    suite, views = real.boards[0].suite, views_of(modular)
    assert views.targets.keys() == modular.record.targets.keys()
    for index, axis in enumerate(axes_of(suite)):
        check_score(views.overall[0, index], modular.record.overall[axis])
        for target in suite.targets:
            found, scopes = views.targets[target.id], list(scopes_of(target))
            check_score(found[scopes.index(WHOLE), 0, index], modular.record.targets[target.id].axes[axis])
            for tap in target.tap_names:
                check_score(found[scopes.index(tap), 0, index], modular.record.targets[target.id].taps[tap].axes[axis])


def test_images_are_those_that_ranks_compare(real: Site, modular: Entry) -> None:
    suite, views = real.boards[0].suite, views_of(modular)
    assert list(modular.images) == sorted(modular.images)
    for target in suite.targets:
        for index, axis in enumerate(axes_of(suite)):
            by_tap = views.images[target.id][index, 0].astype(np.float64)
            assert by_tap.shape == (len(target.taps), suite.dataset.images)
            assert np.nanmean(by_tap, axis=0) == pytest.approx(modular.image_axes[target.id][axis], abs=1e-6)


@pytest.mark.parametrize(
    ("axis", "kind"), [("detail", "hue_set_120"), ("color", "hue_shift_240"), ("color", AS_DEFINED)]
)
def test_a_stage_under_a_perturbation_as_the_table_gives_it(
    real: Site, modular: Entry, rows: list[tuple[Any, ...]], axis: Any, kind: str
) -> None:
    board = real.boards[0]
    suite, target = board.suite, board.suite.targets[1]
    stage = {tap.name for tap in target.taps if tap.stage == "encoder"}
    kinds = set(HUE_PERTURBATIONS) if kind == AS_DEFINED else {kind}
    scores: dict[tuple[str, str], dict[str, list[float]]] = {}
    for of, tap, under, metric, image, value in rows:
        if of == target.id and tap in stage and under in kinds and metric in suite.axes[axis]:
            held = scores.setdefault((metric, tap), {}).setdefault(image, [])
            if value is not None:
                anchor = board.lock.anchors[target.id][metric]
                held.append((value - anchor.floor) / (anchor.ceiling - anchor.floor))
    used = {metric for metric, _ in scores}
    assert used == set(suite.axes[axis]) if axis == "color" else used == {"ssim", "spectral_ev"} & set(suite.axes[axis])
    assert len(scores) == len(used) * len(stage)
    order = sorted(modular.images)
    matrix = np.array([[np.mean(by[i]) if by[i] else np.nan for i in order] for by in scores.values()])
    value = np.clip(np.nanmean(matrix, axis=1), 0, 1).mean()
    weights = bootstrap_weights(len(order), RESAMPLES, suite.bootstrap_seed).astype(int)
    drawn = [matrix[:, np.repeat(np.arange(len(order)), row)] for row in weights]
    samples = [np.clip(np.nanmean(sample, axis=1), 0, 1).mean() for sample in drawn]
    expected = [value, *np.percentile(samples, [2.5, 97.5])]
    found = views_of(modular).targets[target.id]
    place = list(scopes_of(target)).index("stage:encoder"), kinds_of(suite).index(kind), axes_of(suite).index(axis)
    assert found[place] == pytest.approx(expected, abs=1e-5)


def made_up() -> tuple[Suite, Lock]:
    full = load_suite("mini@1")
    stages = ("stem", "blocks", "blocks")
    taps = tuple(TapSpec(name=f"tap.{i}", stage=stage, depth=i / 2) for i, stage in enumerate(stages))
    target = full.targets[0].model_copy(update={"taps": taps})
    axes = {"detail": ("ssim", "spectral_ev"), "shape": ("contour_f",), "color": ("color_retention",)}
    kinds = ("identity", "hue_set_0", "hue_shift_120", "gray")
    changes = {"targets": (target,), "axes": axes, "report": (), "perturbations": kinds, "bootstrap_resamples": 60}
    suite = full.model_copy(update=changes)
    anchors = {m: Anchor(answer="flat", floor=0.25, ceiling=1) for m in suite.metrics}
    lock = Lock(suite=suite.id, suite_digest=suite.digest, files={}, images={}, perturbed={},
                anchors={target.id: anchors})  # fmt: skip
    return suite, lock


SUITE, LOCK = made_up()
SHAPE = (IMAGES, TAPS, len(SUITE.perturbations), len(SUITE.metrics))
APPLIES = np.array([[applies(metric, kind) for metric in SUITE.metrics] for kind in SUITE.perturbations])


def views_of_values(values: npt.NDArray[np.float32]) -> Views:
    values = np.where(APPLIES, values, np.nan).astype(np.float32)
    reasons = np.broadcast_to(np.where(APPLIES, 0, NOT_APPLICABLE).astype(np.uint8), SHAPE)
    images = tuple(f"image-{i}" for i in range(IMAGES))
    scores = ScoreArrays(SUITE.targets[0], images, values, reasons, np.zeros(SHAPE[:3], np.float32), ())
    return measure_views(SUITE, LOCK, [scores])


def floats(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, width=32)


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
        assert ((value >= 0) & (value <= 1))[given_].all()
        assert np.isnan(low[~given_]).all() and np.isnan(high[~given_]).all()
        sure = ~np.isnan(low)
        assert ((low >= 0) & (low <= high) & (high <= 1))[sure].all()
    scopes, images = list(scopes_of(SUITE.targets[0])), views.images[SUITE.targets[0].id]
    for tap in range(TAPS):
        by_image = np.clip(images[:, :, tap], 0, 1)  # (axes, kinds, images)
        row = target[scopes.index(f"tap.{tap}")].transpose(1, 0, 2)
        single = [axes_of(SUITE).index(axis) for axis in ("shape", "color")]
        absent = np.isnan(by_image[single]).all(-1)
        assert np.isnan(row[single][absent]).all(), "nothing scored, no view"
        assert not np.isnan(row[single][~absent][:, 0]).any()
        seen = by_image[single][~absent]
        # A mean is clipped after it was taken, and so lies above no image that scores less than the best.
        assert (row[single][~absent][:, 2] <= np.nanmax(seen, axis=-1, initial=0) + 1e-6).all() if len(seen) else True


@settings(max_examples=25, deadline=None)
@given(arrays(np.float32, SHAPE, elements=floats(0.25, 1), fill=floats(0.25, 1)))
def test_where_nothing_is_clipped_or_missing_a_view_is_the_mean_of_its_images(values: npt.NDArray[np.float32]) -> None:
    views = views_of_values(values)
    target, images = views.targets[SUITE.targets[0].id], views.images[SUITE.targets[0].id]
    for number, taps in enumerate(scopes_of(SUITE.targets[0]).values()):
        means = images[:, :, list(taps)].mean((2, 3)).T  # (kinds, axes)
        assert target[number, ..., 0] == pytest.approx(means, abs=1e-5, nan_ok=True)


@settings(max_examples=25, deadline=None)
@given(floats(-0.5, 1))
def test_images_that_score_alike_leave_no_doubt(value: float) -> None:
    views = views_of_values(np.full(SHAPE, value, np.float32))
    score = min(max((value - 0.25) / 0.75, 0), 1)
    found = views.overall[0]
    assert found == pytest.approx(np.full(found.shape, score), abs=1e-5)


def test_axes_are_seen_under_the_kinds_that_they_are_computed_under() -> None:
    views = views_of_values(np.full(SHAPE, 0.5, np.float32))
    seen = ~np.isnan(views.overall[..., 0])
    by_axis = {axis: [k for k, on in zip(kinds_of(SUITE), seen[:, a], strict=True) if on]
               for a, axis in enumerate(axes_of(SUITE))}  # fmt: skip
    expected = {axis: [kind for kind in SUITE.perturbations if any(applies(m, kind) for m in SUITE.axes[axis])]
                for axis in axes_of(SUITE)}  # fmt: skip
    assert by_axis == {axis: [AS_DEFINED, *kinds] for axis, kinds in expected.items()}
    assert "identity" not in by_axis["color"]


def test_a_tap_without_any_score_leaves_its_stage_and_the_whole_target_without() -> None:
    values = np.full(SHAPE, 0.5, np.float32)
    values[:, 2, 0, SUITE.metrics.index("contour_f")] = np.nan
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
    values = np.where(APPLIES, values, np.nan).astype(np.float32)
    reasons = np.broadcast_to(np.where(APPLIES, 0, NOT_APPLICABLE).astype(np.uint8), SHAPE)
    names, clamped = [f"image-{i}" for i in range(IMAGES)], np.zeros(SHAPE[:3], np.float32)
    found = []
    for order in ([0, 1, 2, 3, 4], [3, 1, 4, 0, 2]):
        images = tuple(names[i] for i in order)
        scores = ScoreArrays(SUITE.targets[0], images, values[order], reasons, clamped, ())
        found.append(measure_views(SUITE, LOCK, [scores]))
    assert np.array_equal(found[0].overall, found[1].overall, equal_nan=True)
    for name, by_image in found[0].images.items():
        assert np.array_equal(by_image, found[1].images[name], equal_nan=True)
