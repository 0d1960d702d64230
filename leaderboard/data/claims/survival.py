"""Do detail and shape survive recoloring and gray?"""

from __future__ import annotations

import numpy as np

from benchmark.suites.spec import HUE_PERTURBATIONS, Axis, Perturbation, TargetSpec
from leaderboard.data.claims.findings import ClaimFinding, NotMeasured, Question, absent
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
    """The share that is kept, axis by axis under every perturbation."""
    parts = [part for axis in AXES_KEPT for part in kinds_kept(evidence, subject, target, axis).values()]
    ends = np.cumsum([part.values.shape[1] for part in parts])[:-1]

    def function(means: Array) -> Array:
        split = zip(parts, np.split(means, ends, axis=1), strict=True)
        return np.concatenate([part.function(own) for part, own in split], axis=1)

    return Columns(np.concatenate([part.values for part in parts], axis=1), function, parts[0].bootstrap)


def find_survival(evidence: Evidence, subject: str) -> list[ClaimFinding]:
    """The share of DETAIL and SHAPE that is kept under every perturbation: the object recolored, the image gray.

    For axis a and perturbation k it is S_a(k) / S_a(identity), each the mean over images and taps of the axis' own
    metrics, the recon against what the network was shown. It must lie above .9. Images that a metric does not score
    under one of the two are left out of both; absent where a metric is not computed under a perturbation, or where the
    score under identity is below .05.
    """
    kinds = evidence.suite.perturbations[1:]
    questions = [Question(f"{axis.upper()} kept under {kind}", KEPT) for axis in AXES_KEPT for kind in kinds]
    if "gray" not in kinds or not set(kinds) & set(HUE_PERTURBATIONS):
        reason = f"{evidence.suite.id} does not both recolor and turn gray"
        return [absent(Question("DETAIL and SHAPE kept", KEPT), None, reason)]
    return by_target(evidence, questions, lambda target: _columns(evidence, subject, target))
