"""Is modular inversion about as good as classic inversion, for less training time?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmark.suites.spec import Suite, TargetSpec
from leaderboard.data.claims.findings import ClaimFinding, NotMeasured, Question, absent, state
from leaderboard.data.claims.reading import Array, Columns, Evidence, by_target
from leaderboard.data.claims.seeds import compare_seeds, largest_spread
from leaderboard.data.views import axes_of

__all__ = ["CLASSIC", "MARGIN", "find_classic"]

MARGIN = 0.02
"""Differences of axis scores up to this are not worth a word: so much may even answers that ignore the image score."""
_AS_MANY = 0.99
"""Training samples, as a share, that count as the same number."""
CLASSIC = "end_to_end"
"""The submission of classic inversion."""


def _questions(suite: Suite, spreads: dict[str, float], subject: str) -> list[Question]:
    return [
        Question(f"{axis.upper()}: {subject} minus {CLASSIC}", -MARGIN, -max(MARGIN, spreads.get(axis, 0.0)))
        for axis in axes_of(suite)
    ]


def _differences(evidence: Evidence, subject: str, target: TargetSpec) -> Columns:
    """Mean over taps of every axis, of both submissions: their differences are those of the board's scores."""
    ours, theirs = evidence.reading(subject), evidence.reading(CLASSIC)
    if ours.images != theirs.images:
        raise NotMeasured(f"{subject} and {CLASSIC} are not scored on the same images")
    axes = axes_of(evidence.suite)
    sides = [np.stack([one.axis(target.id, axis).mean(1) for axis in axes], axis=1) for one in (ours, theirs)]
    unlike = np.isnan(sides[0]) != np.isnan(sides[1])
    if unlike.any():
        raise NotMeasured(f"{subject} and {CLASSIC} are not scored on the same images")

    def function(means: Array) -> Array:
        return means[:, : len(axes)] - means[:, len(axes) :]

    return Columns(np.concatenate(sides, axis=1), function, ours.bootstrap)


def _stated(evidence: Evidence, name: str, target: str) -> tuple[float, float, str]:
    """Training samples of a submission on a target, its training time in hours, and the device it was measured on."""
    info = evidence.entry(name).record.inverses.get(target)
    if info is None:
        raise NotMeasured(f"the record of {name} is not complete on {target}")
    samples, hours, device = (info.training.get(key) for key in ("samples", "device_hours", "device"))
    if not isinstance(samples, int | float) or not isinstance(hours, int | float) or not isinstance(device, str):
        raise NotMeasured(f"{name} does not state its training samples, time and device on {target}")
    if samples <= 0 or hours <= 0:
        raise NotMeasured(f"{name} states no training on {target}")
    return float(samples), float(hours), device


def _iter_costs(evidence: Evidence, subject: str) -> Iterator[ClaimFinding]:
    """Training samples and times of classic inversion over those of `subject`, on every target."""
    seen = Question(f"training samples: {CLASSIC} over {subject}", _AS_MANY, stated=True)
    time = Question(f"training time: {CLASSIC} over {subject}", 1.0, stated=True)
    for target in evidence.targets:
        try:
            own, other = (_stated(evidence, name, target.id) for name in (subject, CLASSIC))
        except NotMeasured as error:
            yield from (absent(question, target.id, str(error)) for question in (seen, time))
            continue
        yield state(seen, target.id, other[0] / own[0])
        if own[2] == other[2]:
            yield state(time, target.id, other[1] / own[1])
        else:
            devices = f"trained on different devices, {own[2]} and {other[2]}: times cannot be compared"
            yield absent(time, target.id, devices)


def find_classic(evidence: Evidence, subject: str) -> list[ClaimFinding]:
    """Paired differences of the axis scores, and the quotient of the training times.

    On every target and axis: score of `subject` minus score of `end_to_end`, each the mean over images and taps; the
    claim holds where the interval lies above -.02, and is contradicted where it lies below -.02 and below what
    training seeds alone are known to change. And: training samples of `end_to_end` over those of `subject`, at least 1
    (.99), and its training time over that of `subject`, on one device, above 1.
    """
    spreads = largest_spread(compare_seeds(evidence.suite, evidence.runs, (subject, CLASSIC)))
    questions = _questions(evidence.suite, {str(axis): spread for axis, spread in spreads.items()}, subject)
    try:
        evidence.reading(subject)
        evidence.reading(CLASSIC)
    except NotMeasured as error:
        return [absent(question, None, str(error)) for question in questions]
    quality = by_target(evidence, questions, lambda target: _differences(evidence, subject, target))
    return [*quality, *_iter_costs(evidence, subject)]
