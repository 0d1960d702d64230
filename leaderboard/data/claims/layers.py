"""Do neighboring layers share more than distant ones?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from benchmark.records.record import StageLayers
from benchmark.records.statistics import mean_over_targets
from leaderboard.data.claims.findings import ClaimFinding, NotMeasured, Question, absent, permuted
from leaderboard.data.claims.reading import Array, Evidence

__all__ = ["contrast", "find_layers"]

_CKA = Question("linear CKA, neighbors minus distant taps")
_TRANSFER = Question("frc transfer, neighbors minus distant taps")
PERMUTATIONS = 10_000
Measure = Callable[[StageLayers], Sequence[Sequence[float | None]]]
MEASURES: tuple[tuple[Question, Measure], ...] = (
    (_CKA, lambda stage: stage.cka),
    (_TRANSFER, lambda stage: stage.normalized),
)


def contrast(matrix: Array) -> float:
    """Mean over pairs of neighboring taps minus mean over pairs two or more apart, both ways; NaN without either.

    Args:
        matrix: (T, T) from shallow to deep; NaN where a pair is not scored.
    """
    apart = np.abs(np.subtract.outer(np.arange(len(matrix)), np.arange(len(matrix))))
    near, far = matrix[apart == 1], matrix[apart > 1]
    near, far = near[~np.isnan(near)], far[~np.isnan(far)]
    return float(near.mean() - far.mean()) if near.size and far.size else float("nan")


def _matrix(rows: Sequence[Sequence[float | None]]) -> Array:
    return np.array([[np.nan if value is None else value for value in row] for row in rows], np.float64)


def _shuffled(matrix: Array, generator: np.random.Generator) -> Array:
    """The contrast with the taps in random orders, (permutations,)."""
    orders = generator.permuted(np.tile(np.arange(len(matrix)), (PERMUTATIONS, 1)), axis=1)
    mixed = matrix[orders[:, :, None], orders[:, None, :]]
    apart = np.abs(np.subtract.outer(np.arange(len(matrix)), np.arange(len(matrix))))
    scored = ~np.isnan(mixed)
    means = []
    for chosen in (apart == 1, apart > 1):
        count = (scored & chosen).sum((1, 2))
        total = np.where(scored & chosen, mixed, 0.0).sum((1, 2))
        means.append(np.divide(total, count, out=np.full(len(mixed), np.nan), where=count > 0))
    return means[0] - means[1]


def _stages(evidence: Evidence, subject: str, target: str, measure: Measure) -> list[Array]:
    """Matrices of the stages of a target that hold neighbors and distant taps.

    Raises:
        NotMeasured: there are none, or the record is not complete on the target.
    """
    evidence.reading(subject).on(target)
    stages = evidence.entry(subject).record.layers.get(target, ())
    if not stages:
        raise NotMeasured(f"the record of {subject} compares no layers of {target}")
    matrices = [_matrix(measure(stage)) for stage in stages]
    usable = [matrix for matrix in matrices if not np.isnan(contrast(matrix))]
    if not usable:
        raise NotMeasured(f"no stage of {target} has distant taps of one shape that are scored")
    return usable


def _p_values(value: float, chance: npt.NDArray[np.float64]) -> tuple[float, float]:
    known = chance[~np.isnan(chance)]
    slack = 1e-12
    above, below = (known >= value - slack).sum(), (known <= value + slack).sum()
    return float(1 + above) / (1 + len(known)), float(1 + below) / (1 + len(known))


def _of_measure(evidence: Evidence, subject: str, question: Question, measure: Measure) -> list[ClaimFinding]:
    findings: list[ClaimFinding] = []
    values: dict[str, float] = {}
    chances: dict[str, Array] = {}
    generator = np.random.default_rng(evidence.suite.bootstrap_seed)
    for target in evidence.targets:
        try:
            matrices = _stages(evidence, subject, target.id, measure)
        except NotMeasured as error:
            findings.append(absent(question, target.id, str(error), decides=False))
            continue
        value = values[target.id] = float(np.mean([contrast(matrix) for matrix in matrices]))
        chance = chances[target.id] = np.mean([_shuffled(matrix, generator) for matrix in matrices], axis=0)
        findings.append(permuted(question, target.id, value, _p_values(value, chance), decides=False))
    if any(target.id not in evidence.reading(subject).values for target in evidence.targets):
        return [*findings, absent(question, None, "not measured on every target")]
    if not values:
        return [*findings, absent(question, None, "no target has neighboring and distant taps that are scored")]
    value = float(mean_over_targets(evidence.suite, values))
    chance = mean_over_targets(evidence.suite, chances)
    of = None if len(values) == len(evidence.targets) else " and ".join(values)
    return [*findings, permuted(question, of, value, _p_values(value, chance), decides=True)]


def find_layers(evidence: Evidence, subject: str) -> list[ClaimFinding]:
    """How much more neighboring taps of a stage share than taps two or more apart.

    For a matrix M of a stage: mean of M[i, j] over |i - j| = 1 minus mean over |i - j| >= 2; then the mean over the
    stages of a target, and over targets. M is the linear CKA of the features, which asks no inverse, and the `frc`
    that the inverse of tap j makes of the features of tap i over that of its own. Records hold these as means over
    images, so that there is no interval: the order of the taps within every stage is shuffled 10,000 times, and the
    claim holds where at most 2.5 % of the orders give as large a mean over the targets, for both M. `subject` must
    have a network for each tap: where taps share one, their transfer is 1 by construction. Targets whose stages have
    two taps only have no distant pair and are left out; the finding that decides names the others. Absent where the
    record is not complete on every target.

    Raises:
        NotMeasured: there is no record of `subject`.
    """
    try:
        evidence.reading(subject)
    except NotMeasured as error:
        return [absent(question, None, str(error)) for question, _ in MEASURES]
    return [f for question, measure in MEASURES for f in _of_measure(evidence, subject, question, measure)]
