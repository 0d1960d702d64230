"""Does detail fall faster with depth than shape?"""

from __future__ import annotations

import numpy as np

from benchmark.suites.spec import TargetSpec
from leaderboard.data.claims.findings import ClaimFinding, NotMeasured, Question
from leaderboard.data.claims.reading import Array, Columns, Evidence, by_target, ratio

__all__ = ["find_depth", "shares_kept"]

_QUESTION = Question("share of DETAIL lost minus share of SHAPE lost")


def shares_kept(evidence: Evidence, subject: str, target: TargetSpec) -> Columns:
    """Every tap's score over that of the shallowest tap: DETAIL at all taps, then SHAPE.

    Raises:
        NotMeasured: the target has one tap, or an axis is not scored there.
    """
    taps = len(target.taps)
    if taps < 2:
        raise NotMeasured(f"{target.id} has one tap")
    reading = evidence.reading(subject)
    values = np.concatenate([reading.axis(target.id, "detail"), reading.axis(target.id, "shape")], axis=1)

    def function(means: Array) -> Array:
        parts = means[:, :taps], means[:, taps:]
        return np.concatenate([ratio(part, part[:, :1]) for part in parts], axis=1)

    return Columns(values, function, reading.bootstrap)


def find_depth(evidence: Evidence, subject: str) -> list[ClaimFinding]:
    """How much larger a share of DETAIL is lost with depth than of SHAPE.

    S_a(k) is the mean over images of axis a at tap k, taps from shallow (0) to deep (T - 1). The share lost is
    L_a = mean over k >= 1 of 1 - S_a(k) / S_a(0), and the statistic L_detail - L_shape, above 0. Dividing by the
    shallowest tap's score takes away that the axes have different scales; the mean over all deeper taps asks for the
    whole course, not for the last tap alone. Absent where a score at the shallowest tap is under .05.
    """

    def columns(target: TargetSpec) -> Columns:
        kept, taps = shares_kept(evidence, subject, target), len(target.taps)

        def function(means: Array) -> Array:
            shares = kept.function(means)
            lost = [1 - shares[:, start + 1 : start + taps].mean(1) for start in (0, taps)]
            return (lost[0] - lost[1])[:, None]

        return Columns(kept.values, function, kept.bootstrap)

    return by_target(evidence, [_QUESTION], columns)
