"""Per-image scores as arrays and as rows of a table, and when they are whole. Torch-free."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmark.errors import SpecError
from benchmark.metrics.spec import get_metric
from benchmark.records.columns import SCORE_SCHEMA
from benchmark.suites.spec import HUE_PERTURBATIONS, POOLED, Condition, Suite, TargetSpec

__all__ = [
    "NOT_APPLICABLE", "NOT_FINITE", "SCORED", "ScoreArrays", "applies", "defines", "find_status", "get_reason_names",
    "is_complete", "scores_from_table", "scores_to_table",
]  # fmt: skip

SCORED, NOT_APPLICABLE = 0, 255
NOT_FINITE = "recon is not finite"
_SLACK = 1e-4
"""How far float32 rounding may carry a value beyond the range of its metric."""
_LARGEST = 1e5
"""The largest value of a metric whose declaration states no limit: far beyond what any image can give."""


@dataclass(frozen=True, eq=False)
class ScoreArrays:
    """All scores of one target.

    Attributes:
        values: float32 (images, taps, conditions, metrics) in the suite's order; NaN where not scored.
        reasons: uint8 of the same shape: SCORED, an index + 1 into `reason_names`, or NOT_APPLICABLE.
        clamped: float32 (images, taps, perturbations), share of recon values outside [0, 1].
    """

    target: TargetSpec
    images: tuple[str, ...]
    values: npt.NDArray[np.float32]
    reasons: npt.NDArray[np.uint8]
    clamped: npt.NDArray[np.float32]
    reason_names: tuple[str, ...]


def applies(metric_id: str, condition: Condition) -> bool:
    """Return whether a metric is computed under a perturbation, or over all hue kinds."""
    scope = get_metric(metric_id).perturbations
    if scope == "all":
        return condition != POOLED
    if scope in ("hue", "hue_set"):
        return condition in HUE_PERTURBATIONS and condition.startswith(scope)
    return condition == scope


def defines(metric_id: str, condition: Condition) -> bool:
    """Return whether an image's score is taken under a condition: identity for metrics that are computed under all."""
    return condition == "identity" if get_metric(metric_id).perturbations == "all" else applies(metric_id, condition)


def get_reason_names(suite: Suite) -> tuple[str, ...]:
    """Meanings of the reason codes 1, 2, ... of `ScoreArrays`: a recon that is not finite, or a metric's own."""
    return (NOT_FINITE, *(f"{metric_id}: {get_metric(metric_id).unscored}" for metric_id in suite.metrics))


def is_complete(suite: Suite, scores: ScoreArrays) -> bool:
    """Return whether every image of a target was scored: every recon is finite, and no axis is without any score.

    A method that answers hard images with nothing would otherwise be ranked on the easy ones.
    """
    whole = len(scores.images) == suite.dataset.images
    finite = (scores.reasons != 1 + scores.reason_names.index(NOT_FINITE)).all()
    axes = ([suite.metrics.index(metric) for metric in metrics] for metrics in suite.axes.values())
    return bool(whole and finite and all((scores.reasons[..., axis] == SCORED).any((0, 2, 3)).all() for axis in axes))


def find_status(suite: Suite, scores: Sequence[ScoreArrays]) -> Literal["complete", "partial"]:
    """Return whether scores are complete on every target of the suite."""
    whole = len(scores) == len(suite.targets) and all(is_complete(suite, item) for item in scores)
    return "complete" if whole else "partial"


def scores_to_table(suite: Suite, scores: Sequence[ScoreArrays]) -> pa.Table:
    """Return the scores as rows (SCORE_SCHEMA), ordered by target, tap, perturbation, metric and image."""
    tables = []
    for item in scores:
        codes, values = (array.transpose(1, 2, 3, 0) for array in (item.reasons, item.values))
        names = (
            [tap.name for tap in item.target.taps], list(suite.conditions), list(suite.metrics), list(item.images),
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
    """Raise for a value that is out of its metric's range, present with a reason, or absent without one of its own."""
    lows, highs = np.array([get_metric(name).range for name in suite.metrics], dtype=np.float32).T
    lows, highs = lows - _SLACK, np.where(np.isnan(highs), _LARGEST, highs + _SLACK)
    absent = table.column("value").is_null().to_numpy()
    outside = ~absent & ~((value >= lows[metric]) & (value <= highs[metric]))
    _check_row(table, ("image", "target", "tap", "perturbation", "metric", "value"), outside)
    own = (reason == 0) | (reason == 1 + metric)  # as `get_reason_names` has them
    reasoned = ~table.column("reason").is_null().to_numpy()
    _check_row(table, ("image", "target", "tap", "value", "reason"), (absent != reasoned) | (reasoned & ~own))


def scores_from_table(suite: Suite, table: pa.Table, targets: Collection[str], images: int) -> list[ScoreArrays]:
    """Return the scores that rows (SCORE_SCHEMA) hold, as `scores_to_table` writes them; `clamped` is NaN.

    Args:
        targets: those that were evaluated.
        images: how many.

    Raises:
        SpecError: a row is missing, twice there, out of its order or of something that the suite does not have;
            or a value is out of its metric's range, present with a reason, or absent without one of its metric.
    """
    specs = [target for target in suite.targets if target.id in targets]
    kinds = [(p, m) for p, kind in enumerate(suite.conditions) for m, name in enumerate(suite.metrics)
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
            ("perturbation", suite.conditions),
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
        full = (images, len(target.taps), len(suite.conditions), len(suite.metrics))
        values, codes = np.full(full, np.nan, np.float32), np.full(full, NOT_APPLICABLE, np.uint8)
        values[:, :, perturbations, metrics] = value[rows].reshape(shape).transpose(2, 0, 1)
        codes[:, :, perturbations, metrics] = (reason[rows] + 1).reshape(shape).transpose(2, 0, 1)
        clamped = np.full((*full[:2], len(suite.perturbations)), np.nan, np.float32)
        result.append(ScoreArrays(target, tuple(names), values, codes, clamped, reason_names))
    return result
