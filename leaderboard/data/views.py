"""Views: axis scores of parts of a suite (a stage, a tap, a perturbation) with intervals, and image by image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmark.records.aggregate import image_scores
from benchmark.records.record import AxisScore, Record
from benchmark.records.scores import ScoreArrays, applies
from benchmark.records.statistics import bootstrap_means, bootstrap_weights, interval, masked_mean
from benchmark.suites.lock import Anchor, Lock
from benchmark.suites.spec import AXES, Axis, Suite, TargetSpec

__all__ = [
    "AS_DEFINED",
    "RESAMPLES",
    "WHOLE",
    "Views",
    "axes_of",
    "columns_of",
    "kinds_of",
    "measure_views",
    "overall_of",
    "scopes_of",
    "shown_of",
]

AS_DEFINED = "axes"
"""The kind under which every axis is measured as the suite defines it: color under the hue kinds, else identity."""

WHOLE = "*"
"""The scope that stands for all taps of a target."""

RESAMPLES = 500
"""Bootstrap resamples of a view; records hold the suite's own number for whole targets and single taps."""

Array = npt.NDArray[np.float64]


def axes_of(suite: Suite) -> tuple[Axis, ...]:
    """Return the axes that a suite scores, in the fixed order."""
    return tuple(axis for axis in AXES if suite.axes.get(axis))


def kinds_of(suite: Suite) -> tuple[str, ...]:
    """Kinds under which a view can be taken: the axes as defined, then each perturbation alone."""
    return (AS_DEFINED, *suite.perturbations)


def scopes_of(target: TargetSpec) -> dict[str, tuple[int, ...]]:
    """Return the scopes of a target with their taps: all of them, each stage of several taps, each tap."""
    stages: dict[str, list[int]] = {}
    for index, tap in enumerate(target.taps):
        stages.setdefault(tap.stage, []).append(index)
    scopes = {WHOLE: tuple(range(len(target.taps)))}
    scopes |= {f"stage:{stage}": tuple(taps) for stage, taps in stages.items() if len(taps) > 1}
    return scopes | {tap.name: (index,) for index, tap in enumerate(target.taps)}


@dataclass(frozen=True, eq=False)
class Views:
    """The views of one record.

    Attributes:
        targets: by target, float32 (scopes, kinds, axes, 3): value and the two ends of its 95 % interval, in
            [0, 1]; NaN where nothing is scored.
        overall: the same for all targets together, (kinds, axes, 3).
        images: by target, float32 (axes, kinds, taps, images): the anchored, unclipped score of every image.
    """

    targets: Mapping[str, npt.NDArray[np.float32]]
    overall: npt.NDArray[np.float32]
    images: Mapping[str, npt.NDArray[np.float32]]


def columns_of(suite: Suite) -> list[tuple[Axis, str]]:
    """Scored pairs (axis, kind): each axis as defined and under what else any of its metrics is computed.

    Identity is left out where it is as defined.
    """
    columns: list[tuple[Axis, str]] = []
    for axis in axes_of(suite):
        columns.append((axis, AS_DEFINED))
        for kind in suite.perturbations:
            computed = [applies(metric, kind) for metric in suite.axes[axis]]
            if any(computed) and not (kind == "identity" and all(computed)):
                columns.append((axis, kind))
    return columns


def _as_identity(suite: Suite) -> list[int]:
    """Return the axes that are measured under identity alone, as defined."""
    axes = enumerate(axes_of(suite))
    return [a for a, axis in axes if all(applies(metric, "identity") for metric in suite.axes[axis])]


def _parts(
    suite: Suite, anchors: Mapping[str, Anchor], values: npt.NDArray[np.float32], axis: Axis, kind: str
) -> list[Array]:
    """Return the anchored scores (images, taps) of the metrics of an axis that are computed under a kind."""
    parts = []
    for index, perturbation in enumerate(suite.perturbations):
        if perturbation == kind:
            for metric in (metric for metric in suite.axes[axis] if applies(metric, perturbation)):
                scores = values[:, :, index, suite.metrics.index(metric)].astype(np.float64)
                parts.append(_unclipped(scores, anchors[metric]))
    if kind == AS_DEFINED:
        parts = [_unclipped(image_scores(suite, values, metric), anchors[metric]) for metric in suite.axes[axis]]
    return parts


def _unclipped(scores: Array, anchor: Anchor) -> Array:
    return (scores - anchor.floor) / (anchor.ceiling - anchor.floor)


def _triple(values: Array, samples: Array) -> npt.NDArray[np.float32]:
    low, high = interval(samples)
    return np.stack([values, low, high], axis=-1).astype(np.float32)


class _Target:
    """One target: `values` (scopes, kinds, axes), `samples` (resamples, scopes, kinds, axes), `images` as in Views."""

    def __init__(self, suite: Suite, anchors: Mapping[str, Anchor], scores: ScoreArrays, weights: Array) -> None:
        axes, kinds, taps = axes_of(suite), kinds_of(suite), len(scores.target.taps)
        values = scores.values[np.argsort(scores.images)]
        columns = [(axis, kind, _parts(suite, anchors, values, axis, kind)) for axis, kind in columns_of(suite)]
        flat = np.concatenate([part for _, _, parts in columns for part in parts], axis=1)
        drawn = np.clip(bootstrap_means(flat, weights), 0, 1).reshape(len(weights), -1, taps)
        means = np.clip(masked_mean(flat), 0, 1).reshape(-1, taps)
        scopes = list(scopes_of(scores.target).values())
        self.images = np.full((len(axes), len(kinds), taps, len(values)), np.nan, np.float32)
        self.values = np.full((len(scopes), len(kinds), len(axes)), np.nan)
        self.samples = np.full((len(weights), len(scopes), len(kinds), len(axes)), np.nan)
        start = 0
        for axis, kind, parts in columns:
            rows = slice(start, start := start + len(parts))
            a, k = axes.index(axis), kinds.index(kind)
            self.images[a, k] = masked_mean(np.stack(parts)).T
            self.values[:, k, a] = _over(means[rows].mean(0), scopes)
            self.samples[:, :, k, a] = _over(drawn[:, rows].mean(1), scopes)
        same = _as_identity(suite)
        self.images[same, kinds.index("identity")] = self.images[same, 0]


def _over(by_tap: Array, scopes: Sequence[tuple[int, ...]]) -> Array:
    """Return the mean over the taps of every scope: (..., taps) to (..., scopes); NaN if one of them is."""
    if np.isnan(by_tap).any():
        return np.stack([by_tap[..., list(taps)].mean(-1) for taps in scopes], axis=-1)
    share = np.zeros((by_tap.shape[-1], len(scopes)))
    for column, taps in enumerate(scopes):
        share[list(taps), column] = 1 / len(taps)
    return by_tap @ share


def measure_views(suite: Suite, lock: Lock, scores: Sequence[ScoreArrays]) -> Views:
    """Return the views of a record's scores.

    A metric's mean over images is anchored and clipped, an axis averages those of its metrics that are computed
    under the kind, a scope its taps and the overall view the targets, as `aggregate.summarize` does; intervals come
    from bootstrap resamples of the images that all views share. Images are in the order of their ids.
    """
    kinds = kinds_of(suite)
    weights = bootstrap_weights(len(scores[0].images), min(RESAMPLES, suite.bootstrap_resamples), suite.bootstrap_seed)
    targets = {item.target.id: _Target(suite, lock.anchors[item.target.id], item, weights) for item in scores}
    same, identity = _as_identity(suite), kinds.index("identity")

    def ends(values: Array, samples: Array) -> npt.NDArray[np.float32]:
        triples = _triple(values, samples)
        triples[..., identity, same, :] = triples[..., 0, same, :]
        return triples

    return Views(
        targets={name: ends(target.values, target.samples) for name, target in targets.items()},
        overall=ends(
            np.mean([target.values[0] for target in targets.values()], axis=0),
            np.mean([target.samples[:, 0] for target in targets.values()], axis=0),
        ),
        images={name: target.images for name, target in targets.items()},
    )


def overall_of(suite: Suite, record: Record) -> Mapping[Axis, AxisScore]:
    """Return the axes over all targets; none where the record lacks one, since its own mean is over fewer."""
    return record.overall if all(target.id in record.targets for target in suite.targets) else {}


def shown_of(suite: Suite, record: Record, views: Views | None) -> dict[str | None, npt.NDArray[np.float32]]:
    """Return the scores of all parts that a board shows: by target, and under None for all targets together.

    Each is (scopes, kinds, axes, 3) as in `Views`. Whole targets and single taps, as the axes are defined, are what
    the record states; all else is from the views, and NaN for records that have none.
    """
    kinds, axes, same = kinds_of(suite), axes_of(suite), _as_identity(suite)

    def put(part: npt.NDArray[np.float32], scores: Mapping[Axis, AxisScore]) -> None:
        for a, axis in enumerate(axes):
            if axis in scores:
                part[0, a] = scores[axis].value, scores[axis].low, scores[axis].high
        part[kinds.index("identity"), same] = part[0, same]

    shown: dict[str | None, npt.NDArray[np.float32]] = {}
    for target in (target for target in suite.targets if target.id in record.targets):
        scopes = list(scopes_of(target))
        part = np.full((len(scopes), len(kinds), len(axes), 3), np.nan, np.float32)
        shown[target.id] = part if views is None else views.targets[target.id].copy()
        stated = record.targets[target.id]
        put(shown[target.id][scopes.index(WHOLE)], stated.axes)
        for tap in (tap for tap in target.tap_names if tap in stated.taps):
            put(shown[target.id][scopes.index(tap)], stated.taps[tap].axes)
    if overall := overall_of(suite, record):
        part = np.full((len(kinds), len(axes), 3), np.nan, np.float32)
        shown[None] = (part if views is None else views.overall.copy())[None]
        put(shown[None][0], overall)
    return shown
