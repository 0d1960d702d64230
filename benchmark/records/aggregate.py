"""From per-image scores to cells, axes and their intervals (numpy only)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmark.errors import SpecError
from benchmark.metrics.spec import get_metric
from benchmark.records.columns import SCORE_SCHEMA
from benchmark.records.record import AxisScore, Cell, TapScore, TargetScore
from benchmark.records.statistics import (
    anchored,
    bootstrap_means,
    bootstrap_medians,
    bootstrap_weights,
    interval,
    masked_mean,
    masked_median,
)
from benchmark.suites.lock import Anchor, Lock
from benchmark.suites.spec import AXES, HUE_PERTURBATIONS, Axis, Perturbation, Suite, TargetSpec

__all__ = [
    "NOT_APPLICABLE", "NOT_FINITE", "SCORED", "ScoreArrays", "applies", "find_status", "get_reason_names",
    "image_axes", "image_scores", "scores_from_table", "scores_to_table", "summarize",
]  # fmt: skip

SCORED, NOT_APPLICABLE = 0, 255
NOT_FINITE = "recon is not finite"
_SLACK = 1e-4
"""How far float32 rounding may carry a value beyond the range of its metric."""
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScoreArrays:
    """All scores of one target.

    Attributes:
        values: float32 (images, taps, perturbations, metrics) in the suite's order; NaN where not scored.
        reasons: uint8 of the same shape: SCORED, an index + 1 into `reason_names`, or NOT_APPLICABLE.
        clamped: float32 (images, taps, perturbations), share of recon values outside [0, 1].
    """

    target: TargetSpec
    images: tuple[str, ...]
    values: npt.NDArray[np.float32]
    reasons: npt.NDArray[np.uint8]
    clamped: npt.NDArray[np.float32]
    reason_names: tuple[str, ...]


def applies(metric_id: str, perturbation: Perturbation) -> bool:
    """Return whether a metric is computed under a perturbation."""
    scope = get_metric(metric_id).perturbations
    if scope == "all":
        return True
    if scope == "hue":
        return perturbation in HUE_PERTURBATIONS
    return perturbation == scope


def get_reason_names(suite: Suite) -> tuple[str, ...]:
    """Meanings of the reason codes 1, 2, ... of `ScoreArrays`: a recon that is not finite, or a metric's own."""
    return (NOT_FINITE, *(f"{metric_id}: {get_metric(metric_id).unscored}" for metric_id in suite.metrics))


def find_status(suite: Suite, scores: Sequence[ScoreArrays]) -> Literal["complete", "partial"]:
    """Return whether every image of every target was scored; `partial` also where a recon was not finite.

    A method that answers hard images with nothing would otherwise be ranked on the easy ones.
    """
    whole = len(scores) == len(suite.targets) and len(scores[0].images) == suite.dataset.images
    finite = all((item.reasons != 1 + item.reason_names.index(NOT_FINITE)).all() for item in scores)
    return "complete" if whole and finite else "partial"


def _axis_perturbations(suite: Suite, metric_id: str) -> list[int]:
    """Return the perturbations whose mean is an image's score: the hue kinds for color, identity otherwise."""
    kinds = HUE_PERTURBATIONS if get_metric(metric_id).perturbations == "hue" else ("identity",)
    return [index for index, name in enumerate(suite.perturbations) if name in kinds]


def image_scores(suite: Suite, values: npt.NDArray[np.float32], metric_id: str) -> Array:
    """Return a metric's score of every image and tap (images, taps): the mean over its axis' perturbations."""
    chosen = values[:, :, _axis_perturbations(suite, metric_id), suite.metrics.index(metric_id)]
    return masked_mean(np.moveaxis(chosen, 2, 0).astype(np.float64))


def image_axes(suite: Suite, anchors: Mapping[str, Anchor], values: npt.NDArray[np.float32]) -> dict[Axis, Array]:
    """Return the anchored, unclipped axis score of every image (images,), a mean over taps: for paired comparisons."""
    axes: dict[Axis, Array] = {}
    for axis, metric_ids in suite.axes.items():
        parts = [
            (image_scores(suite, values, m) - anchors[m].floor) / (anchors[m].ceiling - anchors[m].floor)
            for m in metric_ids
        ]
        axes[axis] = masked_mean(masked_mean(np.stack(parts)).T)
    return axes


def _optional(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)


def _axis_score(samples: Array, value: float, parts: Mapping[str, float]) -> AxisScore:
    low, high = interval(samples[:, None])
    return AxisScore(
        value=_optional(value),
        low=_optional(low[0]),
        high=_optional(high[0]),
        parts={name: _optional(part) for name, part in parts.items()},
    )


def _anchored(means: Array, anchor: Anchor | None) -> Array:
    """Return anchored means; NaN where the lock of a draft has no anchor yet."""
    return np.full_like(means, np.nan) if anchor is None else anchored(means, anchor)


class _Axes:
    """Anchored means of one target: `means` and bootstrap `samples` by axis and metric, each over taps."""

    def __init__(self, suite: Suite, anchors: Mapping[str, Anchor], scores: ScoreArrays, weights: Array) -> None:
        self.means: dict[Axis, dict[str, Array]] = {}
        self.samples: dict[Axis, dict[str, Array]] = {}
        for axis, metric_ids in suite.axes.items():
            by_image = {m: image_scores(suite, scores.values, m) for m in metric_ids}
            self.means[axis] = {m: _anchored(masked_mean(v), anchors.get(m)) for m, v in by_image.items()}
            self.samples[axis] = {
                m: _anchored(bootstrap_means(v, weights), anchors.get(m)) for m, v in by_image.items()
            }

    def tap(self, axis: Axis, tap: int) -> AxisScore:
        parts = {m: float(v[tap]) for m, v in self.means[axis].items()}
        samples = np.mean([v[:, tap] for v in self.samples[axis].values()], axis=0)
        return _axis_score(samples, float(np.mean(list(parts.values()))), parts)

    def whole(self, axis: Axis) -> tuple[Array, float, dict[str, float]]:
        """Return samples, value and parts of the target's axis: unweighted means over taps."""
        parts = {m: float(np.mean(v)) for m, v in self.means[axis].items()}
        samples = np.mean([v.mean(1) for v in self.samples[axis].values()], axis=0)
        return samples, float(np.mean(list(parts.values()))), parts


def _cells(suite: Suite, scores: ScoreArrays, weights: Array) -> list[Cell]:
    images, taps, perturbations, metrics = scores.values.shape
    flat = scores.values.reshape(images, -1).astype(np.float64)
    medians = np.flatnonzero(
        np.broadcast_to([get_metric(m).aggregate == "median" for m in suite.metrics], scores.values.shape[1:]).ravel()
    )
    summary = masked_mean(flat)
    summary[medians] = masked_median(flat[:, medians])
    samples = bootstrap_means(flat, weights)
    samples[:, medians] = bootstrap_medians(flat[:, medians], weights)
    low, high = interval(samples)
    cells = []
    for index in range(taps * perturbations * metrics):
        tap, perturbation, metric = np.unravel_index(index, (taps, perturbations, metrics))
        if not applies(suite.metrics[metric], suite.perturbations[perturbation]):
            continue
        codes = scores.reasons[:, tap, perturbation, metric]
        unscored = {
            name: int((codes == code).sum())
            for code, name in enumerate(scores.reason_names, 1)
            if (codes == code).any()
        }
        cells.append(
            Cell(
                target=scores.target.id,
                tap=scores.target.taps[tap].name,
                perturbation=suite.perturbations[perturbation],
                metric=suite.metrics[metric],
                value=_optional(summary[index]),
                low=_optional(low[index]),
                high=_optional(high[index]),
                scored=int((codes == SCORED).sum()),
                unscored=unscored,
            )
        )
    return cells


def summarize(
    suite: Suite, lock: Lock, scores: Sequence[ScoreArrays]
) -> tuple[dict[str, TargetScore], dict[Axis, AxisScore], list[Cell]]:
    """Return the scores by target, the overall axes and all cells of a record.

    Per image, color averages the hue kinds. A metric's mean over images is anchored and clipped, axes average
    their metrics, targets their taps, and the overall score the targets; intervals come from the same bootstrap
    resamples of the images throughout.
    """
    weights = bootstrap_weights(len(scores[0].images), suite.bootstrap_resamples, suite.bootstrap_seed)
    targets: dict[str, TargetScore] = {}
    cells: list[Cell] = []
    wholes: dict[Axis, list[tuple[Array, float, dict[str, float]]]] = {axis: [] for axis in AXES if axis in suite.axes}
    for item in scores:
        axes = _Axes(suite, lock.anchors.get(item.target.id, {}), item, weights)
        for axis in wholes:
            wholes[axis].append(axes.whole(axis))
        targets[item.target.id] = TargetScore(
            axes={axis: _axis_score(*wholes[axis][-1]) for axis in wholes},
            taps={
                tap.name: TapScore(
                    axes={axis: axes.tap(axis, index) for axis in wholes},
                    clamped=round(float(item.clamped[:, index].mean()), 6),
                )
                for index, tap in enumerate(item.target.taps)
            },
        )
        cells += _cells(suite, item, weights)
    overall = {
        axis: _axis_score(
            np.mean([samples for samples, _, _ in items], axis=0),
            float(np.mean([value for _, value, _ in items])),
            {m: float(np.mean([parts[m] for _, _, parts in items])) for m in suite.axes[axis]},
        )
        for axis, items in wholes.items()
    }
    return targets, overall, cells


def scores_to_table(suite: Suite, scores: Sequence[ScoreArrays]) -> pa.Table:
    """Return the scores as rows (SCORE_SCHEMA), ordered by target, tap, perturbation, metric and image."""
    tables = []
    for item in scores:
        codes, values = (array.transpose(1, 2, 3, 0) for array in (item.reasons, item.values))
        names = (
            [tap.name for tap in item.target.taps], list(suite.perturbations), list(suite.metrics), list(item.images),
        )  # fmt: skip
        keep = (codes != NOT_APPLICABLE).ravel()
        indices = [grid.ravel()[keep].astype(np.int32) for grid in np.indices(codes.shape)]
        tap, perturbation, metric, image = (
            pa.DictionaryArray.from_arrays(index, pa.array(labels, pa.string()))
            for index, labels in zip(indices, names, strict=True)
        )
        code = codes.ravel()[keep].astype(np.int32)
        reason = pa.DictionaryArray.from_arrays(
            pa.array(code - 1, pa.int32(), mask=code == SCORED), pa.array(item.reason_names, pa.string())
        )
        value = values.ravel()[keep]
        target = pa.DictionaryArray.from_arrays(np.zeros(len(code), np.int32), pa.array([item.target.id], pa.string()))
        columns = [image, target, tap, perturbation, metric, pa.array(value, mask=np.isnan(value)), reason]
        tables.append(pa.Table.from_arrays(columns, schema=SCORE_SCHEMA))
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def _positions(table: pa.Table, name: str, labels: Sequence[str]) -> npt.NDArray[np.int32]:
    """Return where each row's entry of a dictionary column lies in `labels`; -1 for what is not there."""
    column = table.column(name).combine_chunks()
    entries = column.dictionary.to_pylist()
    codes: npt.NDArray[np.int32] = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    if entries == list(labels[: len(entries)]):
        return codes
    position = {label: index for index, label in enumerate(labels)}
    lookup = np.array([*(position.get(label, -1) for label in entries), -1], np.int32)
    positions: npt.NDArray[np.int32] = lookup[codes]
    return positions


def _check_row(table: pa.Table, names: Sequence[str], wrong: npt.NDArray[np.bool_]) -> None:
    """Raise for the first row that is not what must stand there."""
    if wrong.any():
        row = int(np.argmax(wrong))
        content = ", ".join(f"{name} {table.column(name)[row].as_py()!r:.80}" for name in names)
        raise SpecError(f"row {row + 1} does not belong there: {content}", cure="evaluate again")


def _check_values(
    suite: Suite,
    table: pa.Table,
    value: npt.NDArray[np.float32],
    metric: npt.NDArray[np.int32],
    reason: npt.NDArray[np.int32],
) -> None:
    """Raise for a value that is absent without a reason, present with one, or out of its metric's range."""
    lows, highs = np.array([get_metric(name).range for name in suite.metrics], dtype=np.float32).T
    lows, highs = lows - _SLACK, np.where(np.isnan(highs), np.inf, highs + _SLACK)
    absent = table.column("value").is_null().to_numpy()
    outside = ~absent & ~((value >= lows[metric]) & (value <= highs[metric]) & np.isfinite(value))
    _check_row(table, ("image", "target", "tap", "perturbation", "metric", "value"), outside)
    reasoned = ~table.column("reason").is_null().to_numpy()
    _check_row(table, ("image", "target", "tap", "value", "reason"), (absent != reasoned) | (reasoned & (reason < 0)))


def scores_from_table(suite: Suite, table: pa.Table, targets: Collection[str], images: int) -> list[ScoreArrays]:
    """Return the scores that rows (SCORE_SCHEMA) hold, as `scores_to_table` writes them; `clamped` is NaN.

    Args:
        targets: those that were evaluated.
        images: how many.

    Raises:
        SpecError: a row is missing, twice there, out of its order or of something that the suite does not have;
            or a value is absent without a reason, present with one, or out of its metric's range.
    """
    specs = [target for target in suite.targets if target.id in targets]
    kinds = [(p, m) for p, kind in enumerate(suite.perturbations) for m, name in enumerate(suite.metrics)
             if applies(name, kind)]  # fmt: skip
    total = images * len(kinds) * sum(len(target.taps) for target in specs)
    if table.num_rows != total:
        raise SpecError(f"holds {table.num_rows:,} rows, not {total:,}", cure="evaluate again")
    perturbations, metrics = np.array(kinds, np.int32).reshape(-1, 2).T
    names = table.column("image")[:images].to_pylist()
    if len(set(names)) != images:
        raise SpecError("names an image twice", cure="evaluate again")
    image, target_of, perturbation, metric = (
        _positions(table, name, labels)
        for name, labels in (
            ("image", names),
            ("target", [target.id for target in specs]),
            ("perturbation", suite.perturbations),
            ("metric", suite.metrics),
        )
    )
    reason_names = get_reason_names(suite)
    reason = _positions(table, "reason", reason_names)
    value = table.column("value").to_numpy(zero_copy_only=False).astype(np.float32)
    _check_values(suite, table, value, metric, reason)

    result, start = [], 0
    for number, target in enumerate(specs):
        shape = (len(target.taps), len(kinds), images)
        rows = slice(start, start := start + int(np.prod(shape)))
        tap = _positions(table.slice(rows.start, rows.stop - rows.start), "tap", target.tap_names)
        wrong = np.zeros(table.num_rows, np.bool_)
        wrong[rows] = (
            (target_of[rows].reshape(shape) != number)
            | (tap.reshape(shape) != np.arange(shape[0])[:, None, None])
            | (perturbation[rows].reshape(shape) != perturbations[:, None])
            | (metric[rows].reshape(shape) != metrics[:, None])
            | (image[rows].reshape(shape) != np.arange(images))
        ).ravel()
        _check_row(table, ("image", "target", "tap", "perturbation", "metric"), wrong)
        full = (images, len(target.taps), len(suite.perturbations), len(suite.metrics))
        values, codes = np.full(full, np.nan, np.float32), np.full(full, NOT_APPLICABLE, np.uint8)
        values[:, :, perturbations, metrics] = value[rows].reshape(shape).transpose(2, 0, 1)
        codes[:, :, perturbations, metrics] = (reason[rows] + 1).reshape(shape).transpose(2, 0, 1)
        clamped = np.full(full[:3], np.nan, np.float32)
        result.append(ScoreArrays(target, tuple(names), values, codes, clamped, reason_names))
    return result
