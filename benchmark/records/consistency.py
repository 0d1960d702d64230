"""Whether a record follows from its own tables and from the suite: everything that needs no network. Torch-free."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.errors import IntegrityError, UserError
from benchmark.files.clock import check_date, day_of
from benchmark.metrics.layers import COMPARED, MIN_DIAGONAL, normalized_transfer, summarize_transfer
from benchmark.records.aggregate import summarize
from benchmark.records.audit import read_audit, stored_cells
from benchmark.records.record import Record, StageLayers, check_origin, load_audit, load_scores
from benchmark.records.scored import find_scored
from benchmark.records.scores import ScoreArrays, applies, find_status, scores_from_table
from benchmark.records.statistics import masked_mean
from benchmark.suites.audit import stored_images
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Suite, TargetSpec

__all__ = ["ROUNDED", "CheckedRecord", "check_complete", "check_predecessor", "check_record", "check_summary"]

ROUNDED = 2e-6
"""Aggregates are rounded to six digits; another machine may round the other way."""

CheckedRecord = tuple[list[ScoreArrays], list[npt.NDArray[np.uint8]]]
"""The scores and the audit images (images, 1 + taps, perturbations, H, W, 3) of every evaluated target."""


def _iter_differences(stated: Any, recomputed: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield path, stated and recomputed value of what differs in two dumps; `clamped` is not in the tables."""
    if isinstance(stated, dict) and isinstance(recomputed, dict):
        for name in sorted(stated.keys() | recomputed.keys()):
            if name != "clamped":
                yield from _iter_differences(stated.get(name), recomputed.get(name), f"{path}.{name}" if path else name)
    elif isinstance(stated, list) and isinstance(recomputed, list) and len(stated) == len(recomputed):
        for index, (a, b) in enumerate(zip(stated, recomputed, strict=True)):
            yield from _iter_differences(a, b, f"{path}.{index}")
    elif isinstance(stated, float | int) and isinstance(recomputed, float | int):
        if abs(stated - recomputed) > ROUNDED:
            yield path, stated, recomputed
    elif stated != recomputed:
        yield path, stated, recomputed


def _check_equal(stated: Any, recomputed: Any, path: str, where: str) -> None:
    for name, a, b in _iter_differences(stated, recomputed, path):
        message = f"field '{name}': is {a!r:.60}, but follows as {b!r:.60} from scores.parquet and the suite"
        raise IntegrityError(message, where=where, cure="evaluate again")


def _image_names(suite: Suite, lock: Lock, target: TargetSpec) -> dict[str, str]:
    """Return the name that the lock gives each image at the input size of a target, by id."""
    size = f"@{target.input_size[0]}x{target.input_size[1]}"
    if suite.dataset.source == "frozen":
        return {name: name for name in lock.images}
    return {name.removesuffix(size): name for name in lock.images if name.endswith(size)}


def _check_images(suite: Suite, lock: Lock, scores: Sequence[ScoreArrays], where: str) -> None:
    """Check that the images are those of the suite, each target's the same."""
    for item in scores:
        if item.images != scores[0].images:
            raise IntegrityError(f"'{item.target.id}' was scored on other images", where=where)
        known = _image_names(suite, lock, item.target)
        if known and (strange := [image for image in item.images if image not in known]):
            raise IntegrityError(f"image {strange[0]!r:.80} is not one of {suite.id}", where=where)


def check_complete(suite: Suite, lock: Lock, scores: Sequence[ScoreArrays], where: str) -> None:
    """Check that scores are of all images that the lock names, as those of ranked records must be.

    Raises:
        IntegrityError: they are of other images.
    """
    _check_images(suite, lock, scores, where)
    for item in scores:
        missing = _image_names(suite, lock, item.target).keys() - set(item.images)
        if missing:
            raise IntegrityError(f"image '{min(missing)}' of {suite.id} was not scored", where=where)


def _check_seen(
    suite: Suite, lock: Lock, scores: ScoreArrays, pixels: npt.NDArray[np.uint8], images: Sequence[str], where: str
) -> None:
    """Compare what the target saw with the perturbed images that the lock pins."""
    names = _image_names(suite, lock, scores.target)
    for i, p in np.argwhere(stored_cells(suite, scores.target, len(images))[:, 0]):
        image, kind = images[i], suite.perturbations[p]
        pinned = lock.perturbed.get(f"{names.get(image, image)}/{kind}")
        if pinned is not None and hashlib.sha256(pixels[i, 0, p].tobytes()).hexdigest() != pinned:
            message = f"what '{scores.target.id}' saw of {image} under {kind} is not the suite's image"
            raise IntegrityError(message, where=where, cure="evaluate again")


def _check_diagonal(suite: Suite, scores: ScoreArrays, stage: StageLayers, path: str, where: str) -> None:
    """Compare what each inverse makes of its own tap with the scores of the images that layers are compared on."""
    images = min(suite.layer_images, len(scores.images))
    _check_equal(stage.images, images, f"{path}.images", where)
    own = masked_mean(scores.values[:images, :, 0, suite.metrics.index(COMPARED)].astype(np.float64))
    for index, tap in enumerate(stage.taps):
        value = own[scores.target.tap_names.index(tap)]
        recomputed = None if np.isnan(value) else round(float(value), 6)
        _check_equal(stage.transfer[index][index], recomputed, f"{path}.transfer.{index}.{index}", where)


def _check_cka(cka: npt.NDArray[np.float64], path: str, where: str) -> None:
    """Check that alignment is symmetric, and 1 of a tap with itself; a tap that does not vary has none at all."""
    own = np.diagonal(cka)
    known = ~np.isnan(own)
    symmetric = np.allclose(cka, cka.T, rtol=0, atol=ROUNDED, equal_nan=True)
    whole = np.array_equal(~np.isnan(cka), known[:, None] & known)
    if not symmetric or not whole or not np.allclose(own[known], 1, rtol=0, atol=ROUNDED):
        message = f"field '{path}.cka': is not symmetric with 1 on its diagonal"
        raise IntegrityError(message, where=where, cure="evaluate again")


def _check_layers(suite: Suite, record: Record, scores: Sequence[ScoreArrays], where: str) -> None:
    """Check the comparison of layers: of targets that were evaluated, each tap in one group, from shallow to deep."""
    evaluated = {item.target.id: item for item in scores}
    for name, stages in record.layers.items():
        if name not in evaluated or COMPARED not in suite.metrics:
            raise IntegrityError(f"field 'layers': '{name}' was not compared", where=where)
        for stage in stages:
            _check_stage(suite, evaluated[name], stage, where)
        order = evaluated[name].target.tap_names
        groups = [[order.index(tap) for tap in stage.taps] for stage in stages]
        compared = [tap for group in groups for tap in group]
        if len(set(compared)) < len(compared) or any(group != sorted(group) for group in groups):
            message = f"field 'layers.{name}': compares a tap twice, or not from shallow to deep"
            raise IntegrityError(message, where=where, cure="evaluate again")


def _check_stage(suite: Suite, scores: ScoreArrays, stage: StageLayers, where: str) -> None:
    """Check the parts of a layer comparison that follow from each other and from the scores."""
    path = f"layers.{scores.target.id}.{stage.stage}"
    count, stages = len(stage.taps), {tap.name: tap.stage for tap in scores.target.taps}
    if count < 2 or len(set(stage.taps)) < count or any(stages.get(tap) != stage.stage for tap in stage.taps):
        raise IntegrityError(f"field '{path}.taps': are not taps of that stage", where=where, cure="evaluate again")
    limits = {"transfer": 1.0, "normalized": 1 / MIN_DIAGONAL, "cka": 1.0}
    for name, limit in limits.items():
        rows = getattr(stage, name)
        if any(value is not None and not abs(value) <= limit + ROUNDED for row in rows for value in row):
            raise IntegrityError(f"field '{path}.{name}': holds a value out of its range", where=where)
    _check_cka(np.array(stage.cka, np.float64), path, where)
    _check_diagonal(suite, scores, stage, path, where)
    matrix, normalized = (np.array(rows, np.float64) for rows in (stage.transfer, stage.normalized))
    expected = normalized_transfer(matrix)
    # A quotient of rounded numbers; whether the diagonal is large enough at all may be rounded either way, too.
    unclear = np.abs(np.diagonal(matrix) - MIN_DIAGONAL) < ROUNDED
    wrong = ~np.isclose(normalized, expected, rtol=0, atol=1e-3, equal_nan=True) & ~unclear
    for row, column in np.argwhere(wrong):
        stated, recomputed = stage.normalized[row][column], expected[row, column]
        message = (
            f"field '{path}.normalized.{row}.{column}': is {stated}, but follows as {recomputed:.6f} from 'transfer'"
        )
        raise IntegrityError(message, where=where, cure="evaluate again")
    for name, recomputed in summarize_transfer(normalized)._asdict().items():
        stated = getattr(stage, name)
        if (stated is None) != (recomputed is None) or (recomputed is not None and abs(stated - recomputed) > 1e-2):
            message = f"field '{path}.{name}': is {stated}, but follows as {recomputed} from 'normalized'"
            raise IntegrityError(message, where=where, cure="evaluate again")


def check_summary(suite: Suite, lock: Lock, record: Record, scores: Sequence[ScoreArrays], where: str) -> None:
    """Check that what a record says of its scores, all means and intervals, follows from them.

    Raises:
        IntegrityError: something does not; names the field, what it says and what follows.
    """
    summary = summarize(suite, lock, [replace(s, clamped=np.zeros_like(s.clamped)) for s in scores])
    own = record.model_dump(mode="json", include={"targets", "score", "overall", "cells"})
    dumped: Mapping[str, Any] = {
        "score": summary.score.model_dump(mode="json"),
        "overall": {axis: score.model_dump(mode="json") for axis, score in summary.overall.items()},
        "targets": {name: target.model_dump(mode="json") for name, target in summary.targets.items()},
        "cells": [cell.model_dump(mode="json") for cell in summary.cells],
    }
    for name, recomputed in dumped.items():
        _check_equal(own[name], recomputed, name, where)


def check_record(suite: Suite, lock: Lock, submission_id: str, folder: Path, record: Record) -> CheckedRecord:
    """Check that a record is of a submission and a suite, and follows from its own tables; return what these hold.

    Everything is recomputed but the scores themselves (`rescore` does that for the audit images), the share of
    clamped values, and the comparison of layers, whose parts are compared with each other.

    Raises:
        SpecError: a table is malformed; names the row.
        IntegrityError: something does not follow; names the field, what it says and what follows.
    """
    where = str(folder / "record.json")
    check_origin(suite, lock, submission_id, record, where)
    check_date(day_of(record.run.started), "run.started", where)
    unknown = [name for name in record.targets if name not in {target.id for target in suite.targets}]
    if unknown or not record.targets or record.inverses.keys() != record.targets.keys():
        message = "fields 'targets' and 'inverses': are not of the same targets of the suite"
        raise IntegrityError(message, where=where, cure="evaluate again")
    if not 0 < record.images <= suite.dataset.images:
        raise IntegrityError(f"field 'images': {suite.id} does not have {record.images}", where=where)
    targets = [target for target in suite.targets if target.id in record.targets]
    kinds = sum(applies(metric, kind) for metric in suite.metrics for kind in suite.conditions)
    taps = sum(len(target.taps) for target in targets)
    table, path = load_scores(folder, record, record.images * taps * kinds), folder / "scores.parquet"
    try:
        scores = scores_from_table(suite, table, record.targets.keys(), record.images)
        _check_images(suite, lock, scores, str(path))
        find_scored(suite, scores)
        check_summary(suite, lock, record, scores, where)
        _check_equal(record.status, find_status(suite, scores), "status", where)
        _check_equal(record.draft, lock.draft or suite.draft, "draft", where)
        _check_layers(suite, record, scores, where)
        path = folder / "audit.parquet"
        images = stored_images(suite, lock, scores[0].images)
        rows = sum(int(stored_cells(suite, target, len(images)).sum()) for target in targets)
        audit = read_audit(suite, load_audit(folder, record, rows), targets, images)
        for item, pixels in zip(scores, audit, strict=True):
            _check_seen(suite, lock, item, pixels, images, str(path))
    except UserError as error:
        if error.where is not None:
            raise
        raise type(error)(error.message, where=str(path), cure=error.cure) from None
    return scores, audit


def _mean(values: Sequence[float | None], weights: Sequence[int] | None = None) -> float | None:
    """Return the mean of values; None where one is absent, or all are."""
    known = [value for value in values if value is not None]
    return float(np.average(known, weights=weights)) if known and len(known) == len(values) else None


def _is_close(stated: float | None, recomputed: float) -> bool:
    return stated is not None and abs(stated - recomputed) <= ROUNDED


def check_predecessor(suite: Suite, lock: Lock, submission_id: str, folder: Path, record: Record) -> None:
    """Check a superseded record: as any other if it was made for this text and lock, else whether it adds up.

    It never holds pictures where the suite publishes none.

    Raises:
        SpecError, IntegrityError: see `check_record`.
    """
    if (record.suite_digest, record.lock_digest) == (suite.digest, lock.digest):
        check_record(suite, lock, submission_id, folder, record)
        return
    where = str(folder / "record.json")
    check_date(day_of(record.run.started), "run.started", where)
    for axis, score in record.overall.items():
        values = [target.axes[axis].value if axis in target.axes else None for target in record.targets.values()]
        by_now = _mean(values, list(suite.target_weights(record.targets).values()))
        # An earlier text of the suite may have stated no architectures.
        plain = _mean(values)
        then = plain if plain is not None and _is_close(score.value, plain) else by_now
        _check_equal(score.value, then, f"overall.{axis}.value", where)
    for name, target in record.targets.items():
        for axis, score in target.axes.items():
            values = [tap.axes[axis].value if axis in tap.axes else None for tap in target.taps.values()]
            _check_equal(score.value, _mean(values), f"targets.{name}.axes.{axis}.value", where)
    whole = _mean([score.value for score in record.overall.values()])
    _check_equal(record.score.value, whole, "score.value", where)
    if suite.dataset.pictures == "none":
        load_audit(folder, record, rows=0)
