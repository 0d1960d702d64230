"""Do detail and shape survive recoloring and gray?"""

from __future__ import annotations

import numpy as np

from benchmark.suites.spec import HUE_PERTURBATIONS, Axis, Perturbation, TargetSpec
from leaderboard.data.claims.findings import Finding, NotMeasured, Question
from leaderboard.data.claims.reading import Array, Columns, Evidence, by_target, ratio

__all__ = ["AXES_KEPT", "KEPT", "find_survival", "kinds_kept"]

KEPT = 0.9
"""An axis survives where it keeps more than this share of its score."""
AXES_KEPT: tuple[Axis, ...] = ("detail", "shape")


def kinds_kept(evidence: Evidence, subject: str, target: TargetSpec, axis: Axis) -> dict[Perturbation, Columns]:
    """By perturbation, the axis under it over the axis under identity, each the mean over images and taps.

    An image counts at a tap where it is scored under both.

    Raises:
        NotMeasured: a metric of the axis is not computed under a perturbation.
    """
    suite, reading, taps = evidence.suite, evidence.reading(subject), len(target.taps)
    metrics = suite.axes.get(axis, ())
    if not metrics:
        raise NotMeasured(f"{suite.id} has no axis {axis.upper()}")

    def function(means: Array) -> Array:
        # Columns: for each metric its taps under the perturbation, then under identity.
        parts = means.reshape(len(means), len(metrics), 2, taps).mean((1, 3))
        return ratio(parts[:, :1], parts[:, 1:])

    found: dict[Perturbation, Columns] = {}
    for kind in suite.perturbations[1:]:
        columns = []
        for metric in metrics:
            both = np.stack([reading.metric(target.id, metric, one) for one in (kind, suite.perturbations[0])])
            both[:, np.isnan(both).any(0)] = np.nan
            columns += list(both)
        found[kind] = Columns(np.concatenate(columns, axis=1), function, reading.bootstrap)
    return found


def _columns(evidence: Evidence, subject: str, target: TargetSpec) -> Columns:
    """Per axis, the share kept under the hue kinds (their mean) and under gray."""
    groups: list[list[Columns]] = []
    for axis in AXES_KEPT:
        kinds = kinds_kept(evidence, subject, target, axis)
        hues = [columns for kind, columns in kinds.items() if kind in HUE_PERTURBATIONS]
        if not hues or "gray" not in kinds:
            raise NotMeasured(f"{evidence.suite.id} does not both recolor and turn gray")
        groups += [hues, [kinds["gray"]]]
    flat = [columns for group in groups for columns in group]
    ends = np.cumsum([columns.values.shape[1] for columns in flat])[:-1]
    owner = np.repeat(np.arange(len(groups)), [len(group) for group in groups])

    def function(means: Array) -> Array:
        parts = np.split(means, ends, axis=1)
        shares = np.concatenate([one.function(part) for one, part in zip(flat, parts, strict=True)], axis=1)
        return np.stack([shares[:, owner == index].mean(1) for index in range(len(groups))], axis=1)

    return Columns(np.concatenate([columns.values for columns in flat], axis=1), function, flat[0].bootstrap)


def find_survival(evidence: Evidence, subject: str) -> list[Finding]:
    """The share of DETAIL and SHAPE that is kept when the object is recolored, and when the image turns gray.

    For axis a and perturbation k it is S_a(k) / S_a(identity), each the mean over images and taps of the axis' own
    metrics, the recon against what the network was shown; recoloring is the mean over the hue kinds. It must lie above
    .9. Images that a metric does not score under one of the two are left out of both; absent where a metric is not
    computed under a perturbation, or where the score under identity is below .05.
    """
    questions = [
        Question(f"{axis.upper()} kept under {what}", KEPT) for axis in AXES_KEPT for what in ("recoloring", "gray")
    ]
    return by_target(evidence, questions, lambda target: _columns(evidence, subject, target))
