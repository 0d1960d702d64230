"""Checks of a record by computing again: its audit images from their pixels, or all of it by a rerun.

Nothing of a submission is imported here: recons are read from the record's images, or from the record of a rerun.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmark.content.content import Content
from benchmark.engine.networks import load_metric_networks
from benchmark.engine.provenance import read_environment
from benchmark.engine.scorer import TILE, Scorer, iter_tiles
from benchmark.errors import IntegrityError, SpecError
from benchmark.files.pixels import to_tensor
from benchmark.metrics.case import Networks
from benchmark.metrics.spec import get_metric
from benchmark.records.audit import stored_cells
from benchmark.records.challenges import Challenge
from benchmark.records.consistency import CheckedRecord, check_record
from benchmark.records.receipts import ROUNDING, Difference, Receipt
from benchmark.records.record import Record, load_record
from benchmark.records.scores import NOT_APPLICABLE, NOT_FINITE, SCORED, ScoreArrays, get_reason_names
from benchmark.records.statistics import masked_mean
from benchmark.suites.audit import stored_images
from benchmark.suites.spec import HUE_PERTURBATIONS, POOLED, Suite

__all__ = [
    "check_inverses", "compare_reruns", "load_rerun", "make_receipt", "measure_differences", "rescore", "select_images",
]  # fmt: skip

Pixels = npt.NDArray[np.uint8]


def select_images(scores: ScoreArrays, images: Sequence[str]) -> ScoreArrays:
    """Return the scores of some images only.

    Raises:
        SpecError: one of them was not scored.
    """
    position = {image: index for index, image in enumerate(scores.images)}
    if lacking := [image for image in images if image not in position]:
        raise SpecError(f"image '{lacking[0]}' was not scored", where=scores.target.id)
    rows = [position[image] for image in images]
    return replace(
        scores,
        images=tuple(images),
        values=scores.values[rows],
        reasons=scores.reasons[rows],
        clamped=scores.clamped[rows],
    )


def _biases(gaps: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the sizes of the signed mean differences of a target: of each tap and condition, then of each condition.

    A score that is raised under one condition cannot hide behind another that is lowered.

    Args:
        gaps: (images, taps, conditions); NaN where there is nothing to compare.
    """
    cells = gaps.reshape(len(gaps), gaps.shape[1] * gaps.shape[2])
    whole = gaps.reshape(len(gaps) * gaps.shape[1], gaps.shape[2])
    means = np.concatenate([masked_mean(part) for part in (cells, whole)])
    return np.abs(means[~np.isnan(means)])


def measure_differences(
    suite: Suite, first: Sequence[ScoreArrays], second: Sequence[ScoreArrays], *, exact: bool
) -> dict[str, Difference]:
    """Return by metric how far two evaluations of the same images and targets are apart.

    Args:
        exact: whether the same pixels were scored, so that only float32 rounding is allowed (see ROUNDING); otherwise
            it is what the metric allows, for an image and for signed means over images: of each tap, and of all taps
            of a target, under each perturbation.
    """
    result = {}
    for m, name in enumerate(suite.metrics):
        metric, gaps, limits, biases = get_metric(name), [], [], []
        unmatched = 0
        for a, b in zip(first, second, strict=True):
            both = (a.reasons[..., m] == SCORED) & (b.reasons[..., m] == SCORED)
            unmatched += int((a.reasons[..., m] != b.reasons[..., m]).sum())
            stated, again = (s.values[..., m][both].astype(np.float64) for s in (a, b))
            gaps.append(again - stated)
            signed = np.full(both.shape, np.nan)
            signed[both] = gaps[-1]
            limits.append(ROUNDING * np.maximum(1, np.abs(stated)) if exact else np.full(len(stated), metric.tolerance))
            biases.append(float(_biases(signed).max(initial=0.0)))
        gap = np.abs(np.concatenate(gaps))
        result[name] = Difference(
            compared=len(gap),
            equal=int((gap == 0).sum()),
            largest=float(f"{gap.max():.3g}") if gap.size else 0.0,
            beyond=int((gap > np.concatenate(limits)).sum()),
            unmatched=unmatched,
            bias=float(f"{max(biases):.3g}"),
            biased=0 if exact else sum(bias > metric.mean_tolerance for bias in biases),
        )
    return result


def _stack(pixels: Pixels, device: torch.device) -> Tensor:
    """Return images (n, H, W, 3) as a full tile of float32 RGB (TILE, 3, H, W), filled up with the last."""
    filled = np.concatenate([pixels, np.repeat(pixels[-1:], TILE - len(pixels), axis=0)])
    return to_tensor(filled, device)


class _StoredRecons:
    """Answers the calls of a scorer, one a perturbation in the suite's order, with the stored recons of a tile."""

    def __init__(self, pixels: Pixels, taps: Sequence[str]) -> None:
        self._kinds, self._taps = iter(np.moveaxis(pixels, 2, 0)), taps

    def __call__(self, seen: Tensor) -> dict[str, Tensor]:
        recons = next(self._kinds)
        return {tap: _stack(recons[:, 1 + index], seen.device) for index, tap in enumerate(self._taps)}


def _score_pixels(
    content: Content, stated: ScoreArrays, pixels: Pixels, networks: Networks, device: torch.device
) -> ScoreArrays:
    """Score the stored recons of the images that `stated` names."""
    ids, taps = content.images.ids, stated.target.tap_names
    samples = [content.images.load(ids.index(image), stated.target.input_size) for image in stated.images]
    parts, judged = [], ids[: content.suite.judged_images]
    for number, tile in enumerate(iter_tiles(samples, device, judged=judged)):
        recons = _StoredRecons(pixels[number * TILE : (number + 1) * TILE], taps)
        parts.append(Scorer(content.suite, taps, recons, networks).run(tile))
    values, reasons, clamped = (
        np.concatenate([part[name] for part in parts]) for name in ("values", "reasons", "clamped")
    )
    return replace(stated, values=values, reasons=reasons, clamped=clamped)


def _no_pictures(content: Content, where: str) -> SpecError:
    """Return why a record holds nothing that could be scored again."""
    suite, pictures = content.suite, content.suite.dataset.pictures
    if pictures == "none":
        message = f"nothing to score again: records on {suite.id} store no pictures"
        return SpecError(message, where=where, cure=f"run all of it again: invbench verify ID --suite {suite.argument}")
    if pictures == "licensed" and not content.lock.rights:
        message = f"nothing to score again: the lock of {suite.id} states no licenses, so that no picture is stored"
        return SpecError(message, where=where, cure=f"run: invbench suite lock {suite.argument}; then evaluate again")
    return SpecError("the record holds no audit image", where=where, cure="evaluate more images")


def _find_comparable(suite: Suite, scores: ScoreArrays) -> npt.NDArray[np.bool_]:
    """Return which scores follow from the stored recons, (images, taps, conditions).

    The unperturbed recon enters scores of the others, and those over all hue kinds take all of them.
    """
    stored = stored_cells(suite, scores.target, len(scores.images))[:, 1:]
    kinds = list(suite.perturbations)
    conditions = [
        [kinds.index(kind) for kind in (HUE_PERTURBATIONS if condition == POOLED else (condition,)) if kind in kinds]
        for condition in suite.conditions
    ]
    return np.stack([stored[..., [0, *needed]].all(-1) for needed in conditions], axis=-1)


def _iter_rescorable(
    content: Content, checked: CheckedRecord
) -> Iterator[tuple[ScoreArrays, Pixels, npt.NDArray[np.bool_]]]:
    """Yield scores and pixels of the images of which recons are stored, and which scores follow from these."""
    suite = content.suite
    for scores, pixels in zip(*checked, strict=True):
        images = stored_images(suite, content.lock, scores.images)
        comparable = _find_comparable(suite, select_images(scores, images))
        used = np.flatnonzero(comparable.any((1, 2)))
        if used.size:
            yield select_images(scores, [images[index] for index in used]), pixels[used], comparable[used]


def rescore(content: Content, checked: CheckedRecord, device: torch.device) -> dict[str, Difference]:
    """Score the audit images of a record again, from the suite's originals and the stored recons.

    Values are compared to float32 rounding. Left out are recons that are not stored or were not finite, which no image
    can hold, and metrics that the record has nothing of because their network was not there.

    Args:
        checked: what `check_record` returned.

    Raises:
        SpecError: the record stores no recon, an audit image is not one of the suite, or a network of its metrics is
            not there.
    """
    suite, parts = content.suite, list(_iter_rescorable(content, checked))
    if not parts:
        raise _no_pictures(content, checked[0][0].target.id)
    networks, not_finite = load_metric_networks(content, device), 1 + get_reason_names(suite).index(NOT_FINITE)
    stated, rescored = [], []
    for own, pixels, comparable in parts:
        again = _score_pixels(content, own, pixels, networks, device)
        skipped = (own.reasons == not_finite) | ~comparable[..., None]
        for m, name in enumerate(suite.metrics):
            absent = networks.perceptual is None or not (own.reasons[..., m] == SCORED).any()
            skipped[..., m] |= "perceptual" in get_metric(name).needs and absent
        stated.append(replace(own, reasons=np.where(skipped, NOT_APPLICABLE, own.reasons)))
        rescored.append(replace(again, reasons=np.where(skipped, NOT_APPLICABLE, again.reasons)))
    return measure_differences(suite, stated, rescored, exact=True)


def check_inverses(record: Record, rerun: Record, where: str) -> None:
    """Check that a rerun was made with the weights and the code of a record.

    Raises:
        IntegrityError: it was not.
    """
    if {n: i.files for n, i in rerun.inverses.items()} != {n: i.files for n, i in record.inverses.items()}:
        raise IntegrityError("was made with other weights or code", where=where, cure="run it again")


def load_rerun(
    content: Content, record: Record, folder: Path, device: torch.device
) -> tuple[Record, list[ScoreArrays]]:
    """Read the record of a rerun, which the code of the submission may have written, and its scores.

    It is checked as any record is, its audit images are scored again, and it must be of the weights and code of
    `record`.

    Args:
        folder: that of the rerun's record.

    Raises:
        SpecError, IntegrityError: it does not pass.
    """
    rerun = load_record(folder)
    checked = check_record(content.suite, content.lock, record.submission.id, folder, rerun)
    if not all(difference.agrees for difference in rescore(content, checked, device).values()):
        raise IntegrityError("its audit images do not give its scores", where=str(folder), cure="run it again")
    check_inverses(record, rerun, str(folder / "record.json"))
    return rerun, checked[0]


def compare_reruns(suite: Suite, stated: Sequence[ScoreArrays], rerun: Sequence[ScoreArrays]) -> dict[str, Difference]:
    """Compare the scores of a record with those of a rerun, on the images of the rerun, to what the metrics allow.

    Raises:
        SpecError: the rerun has targets or images that the record has not.
    """
    known = {scores.target.id: scores for scores in stated}
    if differing := sorted(known.keys() ^ {scores.target.id for scores in rerun}):
        raise SpecError(f"target '{differing[0]}' is not in both", where="rerun", cure="evaluate the same targets")
    pairs = [(select_images(known[scores.target.id], scores.images), scores) for scores in rerun]
    return measure_differences(suite, [a for a, _ in pairs], [b for _, b in pairs], exact=False)


def make_receipt(
    kind: Literal["rescored", "reproduced", "challenged"],
    record: Record,
    differences: Mapping[str, Difference],
    device: torch.device,
    by: str,
    images: int,
    rerun_digest: str | None = None,
    isolation: tuple[str, ...] | None = None,
    challenge: Challenge | None = None,
) -> Receipt:
    """Return the unsealed receipt of a check that ran here, today, on `device`."""
    return Receipt(
        kind=kind,
        submission=record.submission.id,
        suite=record.suite,
        suite_digest=record.suite_digest,
        lock_digest=record.lock_digest,
        record_digest=record.digest,
        rerun_digest=rerun_digest,
        by=by,
        date=date.today(),
        environment=read_environment(device),
        images=images,
        isolation=isolation,
        differences=dict(differences),
        challenge=challenge,
    )
