"""Two methods compared over several training seeds: a lead within the spread of seeds is a tie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from benchmark.files.declarations import Frozen
from benchmark.records.places import DIGITS
from benchmark.suites.spec import AXES, Axis, Suite
from leaderboard.data.claims.runs import CONDITIONS, Equal, TrainingRun, TrainingRuns

__all__ = ["MIN_SEEDS", "SeedComparison", "compare_seeds", "largest_spread"]

MIN_SEEDS = 3
"""With fewer seeds of a method nothing is said."""
_SAME_SAMPLES, _SAME_HOURS = 0.01, 0.1
"""How far apart the means of what is held equal may be, as a share of the larger one."""


class SeedComparison(Frozen):
    """One axis on one target under one condition: the first method minus the second, over training seeds."""

    target: str
    condition: Equal
    axis: Axis | Literal["score"]
    """the axis, or 'score' for the mean of the axes."""
    first: str
    second: str
    seeds: tuple[int, int]
    """number of seeds of each."""
    lead: float | None
    """mean score over the seeds of the first method minus that of the second."""
    spread: float | None
    """largest minus smallest score over the seeds of a method, of the two the larger."""
    low: float | None
    """lower end of the 95 % interval of the lead over seeds (Welch's t)."""
    high: float | None
    """upper end of it."""
    samples: tuple[float | None, float | None]
    """mean number of training samples of each."""
    device_hours: tuple[float | None, float | None]
    """mean training time of each, in hours."""
    verdict: Literal["tie", "first leads", "second leads", "undetermined"]
    """'tie' where the lead is no larger than the spread, or its interval contains 0."""
    reason: str = ""
    """why nothing is said."""


def _scores(runs: Sequence[TrainingRun], axis: Axis | Literal["score"]) -> list[float]:
    return [run.scores[axis] if axis != "score" else float(np.mean(list(run.scores.values()))) for run in runs]


def _spread(scores: Sequence[float]) -> float:
    return max(scores) - min(scores)


def _welch(first: Sequence[float], second: Sequence[float]) -> float:
    """Half of the 95 % interval of a difference of means (Welch 1947); 0 where neither varies."""
    from scipy.special import stdtrit

    parts = [float(np.var(scores, ddof=1)) / len(scores) for scores in (first, second)]
    if not (total := sum(parts)):
        return 0.0
    freedom = 1 / sum((p / total) ** 2 / (len(s) - 1) for p, s in zip(parts, (first, second), strict=True))
    return float(stdtrit(freedom, 0.975) * np.sqrt(total))


def _why_not(condition: Equal, sides: Sequence[Sequence[TrainingRun]], names: Sequence[str]) -> str:
    """Why two groups of runs cannot be compared; empty where they can."""
    few = [f"{len(runs)} of {name}" for name, runs in zip(names, sides, strict=True) if len(runs) < MIN_SEEDS]
    if few:
        return f"fewer than {MIN_SEEDS} seeds: {', '.join(few)}"
    if condition == "equal_samples":
        counts = [run.samples for runs in sides for run in runs]
        return "" if min(counts) >= (1 - _SAME_SAMPLES) * max(counts) else "the numbers of samples differ"
    if len({run.device for runs in sides for run in runs}) > 1:
        return "they were trained on different devices, whose times cannot be compared"
    hours = [float(np.mean([run.device_hours for run in runs])) for runs in sides]
    return "" if min(hours) >= (1 - _SAME_HOURS) * max(hours) else "the training times differ by more than a tenth"


def _compare(
    axis: Axis | Literal["score"], names: tuple[str, str], sides: Sequence[Sequence[TrainingRun]]
) -> SeedComparison:
    condition, target = next((run.condition, run.target) for runs in sides for run in runs)
    reason = _why_not(condition, sides, names)
    lead = spread = low = high = None
    verdict: Literal["tie", "first leads", "second leads", "undetermined"] = "undetermined"
    if all(len(runs) >= MIN_SEEDS for runs in sides):
        first, second = (_scores(runs, axis) for runs in sides)
        mean, half = float(np.mean(first) - np.mean(second)), _welch(first, second)
        lead, low, high = (_digits(value) for value in (mean, mean - half, mean + half))
        spread = _digits(max(_spread(first), _spread(second)))
        if not reason:  # what is stated decides
            tie = abs(lead) <= spread or low <= 0 <= high
            verdict = "tie" if tie else "first leads" if lead > 0 else "second leads"
    return SeedComparison(
        target=target, condition=condition, axis=axis, first=names[0], second=names[1],
        seeds=(len(sides[0]), len(sides[1])),
        lead=lead, spread=spread, low=low, high=high,
        samples=(_mean(sides[0], "samples"), _mean(sides[1], "samples")),
        device_hours=(_mean(sides[0], "device_hours"), _mean(sides[1], "device_hours")),
        verdict=verdict, reason=reason,
    )  # fmt: skip


def _mean(runs: Sequence[TrainingRun], name: Literal["samples", "device_hours"]) -> float | None:
    return _digits(float(np.mean([getattr(run, name) for run in runs]))) if runs else None


def _digits(value: float) -> float:
    return round(value, DIGITS) + 0.0


def compare_seeds(suite: Suite, runs: TrainingRuns | None, names: tuple[str, str]) -> list[SeedComparison]:
    """Compare two methods on every target and under every condition that has runs of one of them, axis by axis.

    The lead is the difference of the means over seeds. It is a tie where it is no larger than the spread: the
    distance between the best and the worst seed, of that method whose seeds are farther apart; and where its 95 %
    interval contains 0. With fewer than three seeds of a method, or where what is to be equal is not, nothing is said.
    """
    result = []
    for target in suite.targets:
        for condition in CONDITIONS:
            every = [
                run for run in (runs.runs if runs else ()) if (run.target, run.condition) == (target.id, condition)
            ]
            sides = [[run for run in every if run.method == name] for name in names]
            if any(sides):
                axes: list[Axis | Literal["score"]] = ["score", *(axis for axis in AXES if axis in suite.axes)]
                result += [_compare(axis, names, sides) for axis in axes]
    return result


def largest_spread(comparisons: Sequence[SeedComparison]) -> Mapping[Axis, float]:
    """The largest spread of seeds that is known of every axis: what a seed alone may change."""
    found: dict[Axis, float] = {}
    for item in comparisons:
        if item.axis != "score" and item.spread is not None:
            found[item.axis] = max(item.spread, found.get(item.axis, 0.0))
    return found
