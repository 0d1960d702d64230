"""Views: axis scores of parts of a suite (a stage, a tap, a perturbation) with intervals, and image by image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmark.records.aggregate import image_axes
from benchmark.records.bootstrap import Estimates, GroupBootstrap, groups_of
from benchmark.records.record import AxisScore, Record
from benchmark.records.scores import ScoreArrays, applies
from benchmark.records.statistics import bootstrap_means, masked_mean, mean_over_targets
from benchmark.suites.lock import Lock
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
"""The kind under which every axis is measured as the suite defines it: color over all hue kinds, else identity."""

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
        targets: by target, float64 (scopes, kinds, axes, 3): score (0 for every answer that ignores the image, 1 the
            image itself, slightly negative at worst) and the two ends of its 95 % interval; NaN where nothing is
            scored, ends also where there are too few groups.
        overall: the same for all targets together, (kinds, axes, 3).
        images: by target, float64 (axes, kinds, taps, images): the score of every image.
    """

    targets: Mapping[str, npt.NDArray[np.float64]]
    overall: npt.NDArray[np.float64]
    images: Mapping[str, npt.NDArray[np.float64]]


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


def _image_scores(suite: Suite, values: npt.NDArray[np.float32], axis: Axis, kind: str) -> Array:
    """Return the scores (images, taps) of an axis: the mean of those of its metrics that are computed under a kind."""
    if kind == AS_DEFINED:
        return image_axes(suite, values)[axis]
    index = next(index for index, perturbation in enumerate(suite.perturbations) if perturbation == kind)
    metrics = [metric for metric in suite.axes[axis] if applies(metric, suite.perturbations[index])]
    return masked_mean(np.stack([values[:, :, index, suite.metrics.index(m)] for m in metrics]).astype(np.float64))


def _stack(found: Estimates) -> npt.NDArray[np.float64]:
    return np.stack(found, axis=-1).astype(np.float64)


class _Target:
    """One target, by the scored pairs of `columns_of` (C): its images, means, resamples and groups.

    Attributes:
        images: (C, taps, images).
        means: (scopes, C).
        samples: (resamples, scopes, C).
        held: bool (groups, scopes, C), groups with anything scored.
    """

    def __init__(self, suite: Suite, scores: ScoreArrays, bootstrap: GroupBootstrap) -> None:
        values, taps = scores.values[np.argsort(scores.images)], len(scores.target.taps)
        columns = [_image_scores(suite, values, axis, kind) for axis, kind in columns_of(suite)]
        flat, scopes = np.concatenate(columns, axis=1), list(scopes_of(scores.target).values())

        def by_scope(rows: Array) -> Array:
            return np.moveaxis(_over(rows.reshape(-1, len(columns), taps), scopes), 2, 1)

        self.images = np.stack(columns).swapaxes(1, 2)
        self.means = by_scope(masked_mean(flat)[None])[0]
        self.samples = by_scope(bootstrap_means(flat, bootstrap.weights))
        self.held = by_scope(bootstrap.sums((~np.isnan(flat)).astype(np.float64))) > 0


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

    Means as `aggregate.summarize` has them: over images, then the taps of a scope, then targets; nothing is clipped.
    Intervals come from resamples of the images' groups that all views share, widened for few groups. Images are in the
    order of their ids.
    """
    axes, kinds, columns = axes_of(suite), kinds_of(suite), columns_of(suite)
    groups = groups_of(sorted(scores[0].images), lock.groups)
    bootstrap = GroupBootstrap(groups, min(RESAMPLES, suite.bootstrap_resamples), suite.bootstrap_seed)
    targets = {item.target.id: _Target(suite, item, bootstrap) for item in scores}
    places = [kinds.index(kind) for _, kind in columns], [axes.index(axis) for axis, _ in columns]
    same, identity = _as_identity(suite), kinds.index("identity")

    def spread(means: Array, samples: Array, held: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Return (..., kinds, axes, 3) of (..., C), with resamples and groups before it."""
        count = len(samples)
        found = bootstrap.widen(means.ravel(), samples.reshape(count, -1), held.sum(0).ravel())
        ends = np.full((*means.shape[:-1], len(kinds), len(axes), 3), np.nan, np.float64)
        ends[..., places[0], places[1], :] = _stack(found).reshape(*means.shape, 3)
        ends[..., identity, same, :] = ends[..., 0, same, :]
        return ends

    def by_image(images: Array) -> npt.NDArray[np.float64]:
        full = np.full((len(axes), len(kinds), *images.shape[1:]), np.nan, np.float64)
        full[places[1], places[0]] = images
        full[same, identity] = full[same, 0]
        return full

    return Views(
        targets={name: spread(target.means, target.samples, target.held) for name, target in targets.items()},
        overall=spread(
            mean_over_targets(suite, {name: target.means[0] for name, target in targets.items()}),
            mean_over_targets(suite, {name: target.samples[:, 0] for name, target in targets.items()}),
            np.any([target.held[:, 0] for target in targets.values()], axis=0),
        ),
        images={name: by_image(target.images) for name, target in targets.items()},
    )


def overall_of(suite: Suite, record: Record) -> Mapping[Axis, AxisScore]:
    """Return the axes over all targets; none where the record lacks one, since its own mean is over fewer."""
    return record.overall if all(target.id in record.targets for target in suite.targets) else {}


def shown_of(suite: Suite, record: Record, views: Views | None) -> dict[str | None, npt.NDArray[np.float64]]:
    """Return the scores of all parts that a board shows: by target, and under None for all targets together.

    Each is (scopes, kinds, axes, 3) as in `Views`. Whole targets and single taps, as the axes are defined, are what
    the record states; all else is from the views, and NaN for records that have none.
    """
    kinds, axes, same = kinds_of(suite), axes_of(suite), _as_identity(suite)

    def put(part: npt.NDArray[np.float64], scores: Mapping[Axis, AxisScore]) -> None:
        for a, axis in enumerate(axes):
            if axis in scores:
                part[0, a] = scores[axis].value, scores[axis].low, scores[axis].high
        part[kinds.index("identity"), same] = part[0, same]

    shown: dict[str | None, npt.NDArray[np.float64]] = {}
    for target in (target for target in suite.targets if target.id in record.targets):
        scopes = list(scopes_of(target))
        part = np.full((len(scopes), len(kinds), len(axes), 3), np.nan, np.float64)
        shown[target.id] = part if views is None else views.targets[target.id].copy()
        stated = record.targets[target.id]
        put(shown[target.id][scopes.index(WHOLE)], stated.axes)
        for tap in (tap for tap in target.tap_names if tap in stated.taps):
            put(shown[target.id][scopes.index(tap)], stated.taps[tap].axes)
    if overall := overall_of(suite, record):
        part = np.full((len(kinds), len(axes), 3), np.nan, np.float64)
        shown[None] = (part if views is None else views.overall.copy())[None]
        put(shown[None][0], overall)
    return shown
