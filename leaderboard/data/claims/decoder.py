"""Do DETR and ViT differ in color, and in what the decoder keeps?"""

from __future__ import annotations

import numpy as np

from benchmark.suites.spec import TargetSpec
from leaderboard.data.claims.classic import MARGIN
from leaderboard.data.claims.findings import ClaimFinding, NotMeasured, Question, absent
from leaderboard.data.claims.reading import Array, Columns, Evidence, find
from leaderboard.data.views import axes_of

__all__ = ["find_decoder", "first_of", "taps_of"]


def first_of(evidence: Evidence, family: str) -> TargetSpec:
    """The first target of a family, in the order of the suite.

    Raises:
        NotMeasured: there is none.
    """
    for target in evidence.targets:
        if target.family == family:
            return target
    raise NotMeasured(f"{evidence.suite.id} has no target of the family {family}")


def taps_of(target: TargetSpec, stage: str) -> list[int]:
    """Numbers of the taps of a stage.

    Raises:
        NotMeasured: it has none.
    """
    taps = [index for index, tap in enumerate(target.taps) if tap.stage == stage]
    if not taps:
        raise NotMeasured(f"{target.id} has no taps of the stage {stage}")
    return taps


def _find_color(evidence: Evidence, subject: str, question: Question) -> list[ClaimFinding]:
    try:
        detr, vit = first_of(evidence, "detr"), first_of(evidence, "vit")
        reading = evidence.reading(subject)
        sides = [reading.axis(target.id, "color")[:, taps_of(target, "encoder")] for target in (detr, vit)]
    except NotMeasured as error:
        return [absent(question, None, str(error))]
    count = sides[0].shape[1]

    def function(means: Array) -> Array:
        return (means[:, :count].mean(1) - means[:, count:].mean(1))[:, None]

    columns = Columns(np.concatenate(sides, axis=1), function, reading.bootstrap)
    return find([question], f"{detr.id} and {vit.id}", columns)


def _find_kept(evidence: Evidence, subject: str, questions: list[Question]) -> list[ClaimFinding]:
    try:
        target, reading = first_of(evidence, "detr"), evidence.reading(subject)
        encoder, decoder = taps_of(target, "encoder"), taps_of(target, "decoder")
        values = [reading.axis(target.id, axis) for axis in axes_of(evidence.suite)]
    except NotMeasured as error:
        return [absent(question, None, str(error)) for question in questions]
    taps = len(target.taps)

    def function(means: Array) -> Array:
        parts = means.reshape(len(means), len(questions), taps)
        return parts[:, :, encoder].mean(2) - parts[:, :, decoder].mean(2)

    return find(questions, target.id, Columns(np.concatenate(values, axis=1), function, reading.bootstrap))


def find_decoder(evidence: Evidence, subject: str) -> list[ClaimFinding]:
    """Two differences, each the mean over images and taps and paired over the images.

    COLOR at the encoder taps of the first DETR of the suite minus COLOR at those of its first ViT: the claim is that
    they differ, by more than .02 either way; an interval within .02 of 0 contradicts it. And on that DETR, axis by
    axis: the encoder taps minus the decoder taps, above .02: what the decoder does not keep.
    """
    color = Question("COLOR at the encoder taps, DETR minus ViT", MARGIN, apart=True)
    kept = [Question(f"{axis.upper()}, encoder minus decoder taps", MARGIN) for axis in axes_of(evidence.suite)]
    return [*_find_color(evidence, subject, color), *_find_kept(evidence, subject, kept)]
