"""From per-image scores to cells, axes and their intervals (numpy only)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt

from benchmark.metrics.spec import get_metric
from benchmark.records.bootstrap import Estimates, GroupBootstrap, groups_of
from benchmark.records.record import AxisScore, Cell, Estimate, PullScore, TapScore, TargetScore
from benchmark.records.scores import SCORED, ScoreArrays, applies, defines
from benchmark.records.statistics import masked_mean, mean_over_targets
from benchmark.suites.lock import Lock, Wear
from benchmark.suites.spec import AXES, Axis, Suite

__all__ = ["PULL", "Summary", "image_axes", "image_scores", "make_bootstrap", "summarize"]

Array = npt.NDArray[np.float64]
PULL = "prototype_pull"


def image_scores(suite: Suite, values: npt.NDArray[np.float32], metric_id: str) -> Array:
    """Return a metric's score of every image and tap (images, taps): the mean over the conditions that define it."""
    conditions = [index for index, name in enumerate(suite.conditions) if defines(metric_id, name)]
    chosen = values[:, :, conditions, suite.metrics.index(metric_id)]
    return masked_mean(np.moveaxis(chosen, 2, 0).astype(np.float64))


def image_axes(suite: Suite, values: npt.NDArray[np.float32]) -> dict[Axis, Array]:
    """Return the axis scores of every image and tap (images, taps), the mean of the metrics that it is scored on.

    Everything else is a plain mean of these: the mean difference of two submissions is the difference of their scores.
    """
    return {
        axis: masked_mean(np.stack([image_scores(suite, values, m) for m in metrics]))
        for axis, metrics in suite.axes.items()
    }


def _optional(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)


def _estimate(found: Estimates, index: int) -> dict[str, float | None]:
    return {name: _optional(column[index]) for name, column in found._asdict().items()}


def _make_cell(
    suite: Suite, scores: ScoreArrays, place: tuple[int, int, int], estimate: Mapping[str, float | None]
) -> Cell:
    tap, condition, metric = place
    counts = np.bincount(scores.reasons[:, tap, condition, metric], minlength=256)
    return Cell(
        target=scores.target.id,
        tap=scores.target.taps[tap].name,
        perturbation=suite.conditions[condition],
        metric=suite.metrics[metric],
        **estimate,
        scored=int(counts[SCORED]),
        unscored={name: int(counts[code]) for code, name in enumerate(scores.reason_names, 1) if counts[code]},
    )


def _cells(suite: Suite, scores: ScoreArrays, bootstrap: GroupBootstrap) -> list[Cell]:
    places = [
        (tap, c, m)
        for tap in range(len(scores.target.taps))
        for c, condition in enumerate(suite.conditions)
        for m, metric in enumerate(suite.metrics)
        if applies(metric, condition)
    ]
    columns = np.stack([scores.values[:, tap, c, m] for tap, c, m in places], axis=1).astype(np.float64)
    medians = np.array([get_metric(suite.metrics[m]).aggregate == "median" for _, _, m in places])
    found = bootstrap.estimate(columns, medians)
    return [_make_cell(suite, scores, place, _estimate(found, i)) for i, place in enumerate(places)]


def _pulls(suite: Suite, lock: Lock, scores: ScoreArrays) -> list[dict[Wear, PullScore]]:
    """Return `prototype_pull` of every tap, apart for what the focal objects wear."""
    taps: list[dict[Wear, PullScore]] = [{} for _ in scores.target.taps]
    if PULL not in suite.metrics:
        return taps
    values = image_scores(suite, scores.values, PULL)
    for wear in get_args(Wear):
        rows = [index for index, image in enumerate(scores.images) if lock.wear.get(image) == wear]
        if not rows:
            continue
        images = [scores.images[row] for row in rows]
        found = make_bootstrap(suite, lock, images).estimate(values[rows])
        for index, tap in enumerate(taps):
            scored = int((~np.isnan(values[rows, index])).sum())
            tap[wear] = PullScore(**_estimate(found, index), images=scored)
    return taps


def make_bootstrap(suite: Suite, lock: Lock, images: Sequence[str]) -> GroupBootstrap:
    """Return the resamples of the groups of some images: the same for every submission, target, tap and axis."""
    return GroupBootstrap(groups_of(images, lock.groups), suite.bootstrap_resamples, suite.bootstrap_seed)


@dataclass(frozen=True)
class Summary:
    """The scores by target, the means over targets of the axes and of their mean, and all cells of a record."""

    targets: dict[str, TargetScore]
    score: Estimate
    overall: dict[Axis, AxisScore]
    cells: list[Cell]


class _Columns:
    """The axis scores of every image at every tap of every target, and means over some of these columns."""

    def __init__(self, suite: Suite, scores: Sequence[ScoreArrays], bootstrap: GroupBootstrap) -> None:
        self.suite = suite
        self.axes: tuple[Axis, ...] = tuple(axis for axis in AXES if axis in suite.axes)
        columns, self._labels = [], []
        self._parts: dict[str, Array] = {}
        for item in scores:
            by_axis = image_axes(suite, item.values)
            for axis in self.axes:
                columns.append(by_axis[axis])
                self._labels += [(item.target.id, tap, axis) for tap in range(len(item.target.taps))]
            for metric in suite.ranked_metrics:
                self._parts[f"{item.target.id}/{metric}"] = masked_mean(image_scores(suite, item.values, metric))
        self._values = np.concatenate(columns, axis=1)
        self._bootstrap = bootstrap
        self._shares: list[Array] = []

    def ask(self, targets: Sequence[str], axes: Sequence[Axis], tap: int | None = None) -> int:
        """Ask for the mean over axes, targets and their taps (or one of these); return where `answer` will hold it."""
        share = np.zeros(len(self._labels))
        weights = self.suite.target_weights(targets)
        for target, weight in weights.items():
            for axis in axes:
                chosen = [label[0] == target and label[2] == axis and tap in (None, label[1]) for label in self._labels]
                share[chosen] = weight / (sum(chosen) * len(axes) * sum(weights.values()))
        self._shares.append(share)
        return len(self._shares) - 1

    def answer(self) -> Estimates:
        """Return all means asked for, with their intervals."""
        return self._bootstrap.estimate_mixed(self._values, np.stack(self._shares, axis=1))

    def parts(self, targets: Sequence[str], axis: Axis, tap: int | None = None) -> dict[str, float | None]:
        """Return the mean of each metric of an axis alone, over the same taps and targets."""
        result = {}
        for metric in self.suite.axes[axis]:
            means = {target: self._parts[f"{target}/{metric}"] for target in targets}
            by_target = {target: m.mean() if tap is None else m[tap] for target, m in means.items()}
            result[metric] = _optional(float(mean_over_targets(self.suite, by_target)))
        return result


def _summarize_axes(
    suite: Suite, lock: Lock, scores: Sequence[ScoreArrays], columns: _Columns
) -> tuple[dict[str, TargetScore], Estimate, dict[Axis, AxisScore]]:
    names, axes = [item.target.id for item in scores], columns.axes
    asked: dict[tuple[tuple[str, ...], tuple[Axis, ...], int | None], int] = {}
    for chosen in (*((name,) for name in names), tuple(names)):
        for kinds in (*((axis,) for axis in axes), axes):
            asked[chosen, kinds, None] = columns.ask(chosen, kinds)
    for item in scores:
        for tap in range(len(item.target.taps)):
            asked |= {((item.target.id,), (axis,), tap): columns.ask([item.target.id], [axis], tap) for axis in axes}
    found = columns.answer()

    def axis_score(chosen: tuple[str, ...], axis: Axis, tap: int | None = None) -> AxisScore:
        estimate = _estimate(found, asked[chosen, (axis,), tap])
        return AxisScore(**estimate, parts=columns.parts(chosen, axis, tap))

    def score(chosen: tuple[str, ...]) -> Estimate:
        return Estimate(**_estimate(found, asked[chosen, axes, None]))

    targets = {}
    for item in scores:
        own, pulls = (item.target.id,), _pulls(suite, lock, item)
        taps = {
            tap.name: TapScore(
                axes={axis: axis_score(own, axis, index) for axis in axes},
                clamped=round(float(item.clamped[:, index].mean()), 6),
                pull=pulls[index],
            )
            for index, tap in enumerate(item.target.taps)
        }
        targets[item.target.id] = TargetScore(
            score=score(own), axes={axis: axis_score(own, axis) for axis in axes}, taps=taps
        )
    everything = tuple(names)
    return targets, score(everything), {axis: axis_score(everything, axis) for axis in axes}


def summarize(suite: Suite, lock: Lock, scores: Sequence[ScoreArrays]) -> Summary:
    """Return the scores by target, the overall axes and all cells of a record.

    Plain means, and nothing is clipped: over images, then taps, then the targets of an architecture, then
    architectures; the score is the mean of the axes.
    Intervals come from the same resamples of the images' groups throughout.
    """
    bootstrap = make_bootstrap(suite, lock, scores[0].images)
    targets, score, overall = _summarize_axes(suite, lock, scores, _Columns(suite, scores, bootstrap))
    cells = [cell for item in scores for cell in _cells(suite, item, bootstrap)]
    return Summary(targets, score, overall, cells)
