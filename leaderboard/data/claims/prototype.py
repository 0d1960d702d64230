"""Do deep layers draw recolored objects to their usual hue?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmark.records.aggregate import PULL, make_bootstrap
from benchmark.suites.spec import TargetSpec
from leaderboard.data.claims.findings import ClaimFinding, NotMeasured, Question
from leaderboard.data.claims.reading import Array, Columns, Evidence, by_target

__all__ = ["find_prototype", "split_by_depth"]

_DEEP = Question(f"{PULL} at the deep taps")
_RISE = Question(f"{PULL}, deep minus shallow taps")
_CONTROL = Question(f"{PULL} at the deep taps, objects in their usual color")
MIDDLE = 0.5
"""Taps up to this depth are shallow, the others deep."""


def split_by_depth(target: TargetSpec) -> tuple[list[int], list[int]]:
    """Numbers of the shallow taps (depth up to .5) and of the deep ones.

    Raises:
        NotMeasured: all lie on one side.
    """
    shallow = [index for index, tap in enumerate(target.taps) if tap.depth <= MIDDLE]
    deep = [index for index, tap in enumerate(target.taps) if tap.depth > MIDDLE]
    if not shallow or not deep:
        raise NotMeasured(f"{target.id} has no taps on both sides of the middle")
    return shallow, deep


def _pulls(evidence: Evidence, subject: str, target: TargetSpec, wear: str) -> Columns:
    """Pull at the deep taps and deep minus shallow, over the images whose focal objects wear this."""
    reading, lock = evidence.reading(subject), evidence.lock
    shallow, deep = split_by_depth(target)
    rows = [index for index, image in enumerate(reading.images) if lock.wear.get(image) == wear]
    if not rows:
        raise NotMeasured(f"{evidence.suite.id} knows no usual colors")
    values = reading.reported(target.id, PULL)[rows]

    def function(means: Array) -> Array:
        pulls = means[:, deep].mean(1), means[:, shallow].mean(1)
        return np.stack([pulls[0], pulls[0] - pulls[1]], axis=1)

    return Columns(values, function, make_bootstrap(evidence.suite, lock, [reading.images[row] for row in rows]))


def _blind(evidence: Evidence) -> float:
    """Largest pull of the answers in the lock that know no categories; at least 0, as where none is measured."""
    sizes = {"x".join(map(str, target.input_size)) for target in evidence.targets}
    answers = [item for size in sizes for item in evidence.lock.answers.get(size, {}).items()]
    return max([0.0, *(a.pull.get("recolored", 0.0) for name, a in answers if not name.startswith("prototype"))])


def find_prototype(evidence: Evidence, subject: str) -> list[ClaimFinding]:
    """`prototype_pull` of images none of whose focal objects wears its usual hue, at deep and at shallow taps.

    P(k) is the mean over these images of the pull towards the own category's usual hue minus the mean pull towards
    those of all categories, at tap k. On every target, P over the taps deeper than .5 must lie above 0 and above the
    pull of answers that know no categories (the lock's training mean image, thumbnail and red frame), and above P over
    the other taps; it is contradicted below 0. Beside it, as a control, images whose objects all wear their usual hue:
    there a pull is no reversion. Images are resampled by their groups.
    """
    asked = [replace(_DEEP, bound=_blind(evidence), refuted=0.0), _RISE]
    findings = by_target(evidence, asked, lambda target: _pulls(evidence, subject, target, "recolored"))

    def control(target: TargetSpec) -> Columns:
        found = _pulls(evidence, subject, target, "canonical")
        return replace(found, function=lambda means: found.function(means)[:, :1])

    beside = by_target(evidence, [_CONTROL], control)
    return [*findings, *(f.model_copy(update={"decides": False}) for f in beside if f.value is not None)]
