"""The scores image by image that claims are put to: of the submissions that they name, on the targets of a suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmark.errors import UserError
from benchmark.records.aggregate import image_axes, image_scores
from benchmark.records.bootstrap import Estimates, GroupBootstrap, groups_of
from benchmark.records.record import load_scores
from benchmark.records.scores import applies, scores_from_table
from benchmark.records.statistics import bootstrap_means, masked_mean, mean_over_targets
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Axis, Perturbation, Suite, TargetSpec
from leaderboard.data.claims.findings import ClaimFinding, NotMeasured, Question, absent, judge
from leaderboard.data.claims.runs import TrainingRuns
from leaderboard.data.entries import Entry
from leaderboard.data.scores import load_bootstrap

__all__ = ["Array", "Columns", "Evidence", "Reading", "by_target", "estimate", "find", "ratio"]

Array = npt.NDArray[np.float64]
Function = Callable[[Array], Array]
MIN_SCORE = 0.05
"""A share of a score under this says nothing: as for the diagonal of a layer comparison."""


_MISSING = 0.05
"""With a larger share of resamples without a value there is no interval."""


def ratio(part: Array, whole: Array) -> Array:
    """Quotient of scores; NaN where the whole is under .05."""
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=whole >= MIN_SCORE)


@dataclass(frozen=True, eq=False)
class Reading:
    """The scores of one submission.

    Attributes:
        values: by target that the record is complete on, float32 (images, taps, conditions, metrics) in the suite's
            order, NaN where not scored; images are sorted by their ids.
        images: their ids.
        bootstrap: resamples of their groups: the suite's own, the same for every submission.
    """

    suite: Suite
    entry: Entry
    values: Mapping[str, npt.NDArray[np.float32]]
    images: tuple[str, ...]
    bootstrap: GroupBootstrap

    def on(self, target: str) -> npt.NDArray[np.float32]:
        """Scores on a target.

        Raises:
            NotMeasured: the record is not complete there.
        """
        if target not in self.values:
            raise NotMeasured(f"the record of {self.entry.submission.id} is not complete on {target}")
        return self.values[target]

    def axis(self, target: str, axis: Axis) -> Array:
        """Scores of an axis as the suite defines it, (images, taps).

        Raises:
            NotMeasured: the suite has no such axis, or the record is not complete on the target.
        """
        if not self.suite.axes.get(axis):
            raise NotMeasured(f"{self.suite.id} has no axis {axis.upper()}")
        return image_axes(self.suite, self.on(target))[axis]

    def metric(self, target: str, metric: str, kind: Perturbation) -> Array:
        """Scores of a metric under one perturbation, (images, taps).

        Raises:
            NotMeasured: the suite has no such perturbation, or the metric is not computed under it.
        """
        if kind not in self.suite.perturbations:
            raise NotMeasured(f"{self.suite.id} has no perturbation {kind}")
        if not applies(metric, kind):
            raise NotMeasured(f"{metric} is not computed under {kind}")
        index = self.suite.conditions.index(kind), self.suite.metrics.index(metric)
        return self.on(target)[:, :, index[0], index[1]].astype(np.float64)

    def reported(self, target: str, metric: str) -> Array:
        """Scores of a reported metric, (images, taps): the mean over the conditions that define it.

        Raises:
            NotMeasured: the suite does not report it.
        """
        if metric not in self.suite.metrics:
            raise NotMeasured(f"{self.suite.id} does not report {metric}")
        return image_scores(self.suite, self.on(target), metric)


def _why_unusable(entry: Entry) -> str:
    record = entry.record
    if entry.withdrawal is not None:
        return "was withdrawn"
    if record.draft:
        return "is a draft"
    if record.exploratory:
        return "is not in the official arithmetic"
    return "is complete on no target"


def _read(suite: Suite, lock: Lock, entry: Entry) -> Reading:
    if not entry.image_axes:
        raise NotMeasured(f"the record of {entry.submission.id} {_why_unusable(entry)}")
    try:
        table = load_scores(entry.folder, entry.record)
        scores = scores_from_table(suite, table, entry.record.targets.keys(), entry.record.images)
    except UserError as error:
        raise NotMeasured(f"the record of {entry.submission.id} cannot be read: {error.message}") from None
    order = np.argsort(scores[0].images)
    values = {s.target.id: s.values[order] for s in scores if s.target.id in entry.image_axes}
    groups = groups_of(entry.images, lock.groups)
    bootstrap = load_bootstrap(groups, suite.bootstrap_resamples, suite.bootstrap_seed)
    return Reading(suite, entry, values, entry.images, bootstrap)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the claims about a suite can rest on: its records by submission, and runs of several training seeds.

    `no_runs` says why there are no runs.
    """

    suite: Suite
    lock: Lock
    entries: Mapping[str, Entry]
    runs: TrainingRuns | None = None
    no_runs: str = "no runs of several seeds are recorded"
    _read: dict[str, Reading | NotMeasured] = field(default_factory=dict)

    @cached_property
    def targets(self) -> tuple[TargetSpec, ...]:
        """The targets of the suite."""
        return self.suite.targets

    def entry(self, name: str) -> Entry:
        """The entry of a submission.

        Raises:
            NotMeasured: there is no record of it.
        """
        if name not in self.entries:
            raise NotMeasured(f"no record of {name}")
        return self.entries[name]

    def reading(self, name: str) -> Reading:
        """The scores of a submission, read once.

        Raises:
            NotMeasured: there is no record of it, or none that may be ranked on any target.
        """
        if name not in self._read:
            try:
                self._read[name] = _read(self.suite, self.lock, self.entry(name))
            except NotMeasured as error:
                self._read[name] = error
        found = self._read[name]
        if isinstance(found, NotMeasured):
            raise found
        return found


@dataclass(frozen=True, eq=False)
class Columns:
    """Scores on one target, and what is computed from their means over images.

    Attributes:
        values: float64 (images, K), NaN where an image is not scored.
        function: from means (R, K) to statistics (R, M), one a question; NaN where one has no value.
        bootstrap: over the groups of the images.
    """

    values: Array
    function: Function
    bootstrap: GroupBootstrap


class _Sampled(NamedTuple):
    """Statistics of all images (M,) and of each resample (R, M), which images are scored (N,), and what is missing."""

    value: Array
    samples: Array
    scored: npt.NDArray[np.bool_]
    missing: str


def _sample(columns: Columns) -> _Sampled:
    means = masked_mean(columns.values)
    scored: npt.NDArray[np.bool_] = np.any(~np.isnan(columns.values), axis=1)
    missing = "nothing is scored at a tap" if np.isnan(means).any() else "a score that it divides by is under .05"
    return _Sampled(
        columns.function(means[None])[0],
        columns.function(bootstrap_means(columns.values, columns.bootstrap.weights)),
        scored,
        missing,
    )


def _average(suite: Suite, every: Mapping[str, _Sampled]) -> _Sampled:
    """The mean over targets, as scores have it; an image is scored that is so on any of them."""
    scored: npt.NDArray[np.bool_] = np.logical_or.reduce([one.scored for one in every.values()])
    return _Sampled(
        mean_over_targets(suite, {name: one.value for name, one in every.items()}),
        mean_over_targets(suite, {name: one.samples for name, one in every.items()}),
        scored,
        next((one.missing for one in every.values() if np.isnan(one.value).any()), ""),
    )


def _estimates(sampled: _Sampled, bootstrap: GroupBootstrap) -> tuple[Estimates, int]:
    """The values with their intervals, and the number of groups that they rest on."""
    groups = len(np.unique(bootstrap.members[sampled.scored]))
    return bootstrap.widen(sampled.value, sampled.samples, np.full(len(sampled.value), groups)), groups


def estimate(columns: Columns) -> Estimates:
    """The statistics of `columns` with their 95 % intervals, (M,) each; see `find`."""
    return _estimates(_sample(columns), columns.bootstrap)[0]


def _findings(
    questions: Sequence[Question], target: str | None, sampled: _Sampled, bootstrap: GroupBootstrap, *, decides: bool
) -> list[ClaimFinding]:
    found, groups = _estimates(sampled, bootstrap)
    often = np.isnan(sampled.samples).mean(0) > _MISSING
    sample = int(sampled.scored.sum()), groups
    result = []
    for index, question in enumerate(questions):
        value, low, high = (float(end[index]) for end in found)
        if np.isnan(value):
            result.append(absent(question, target, sampled.missing, decides=decides))
        else:
            ends = (value, np.nan, np.nan) if often[index] else (value, low, high)
            result.append(judge(question, target, ends, sample, decides=decides))
    return result


def find(questions: Sequence[Question], target: str | None, columns: Columns) -> list[ClaimFinding]:
    """The findings of some statistics: their plug-in estimates, and percentile intervals over groups of images.

    The same function is applied to the means of all images and to those of each resample of the groups; the interval
    is widened for few groups, as everywhere (`GroupBootstrap.widen`). There is none where more than 5 % of the
    resamples have no value.
    """
    return _findings(questions, target, _sample(columns), columns.bootstrap, decides=True)


def by_target(
    evidence: Evidence, questions: Sequence[Question], columns: Callable[[TargetSpec], Columns]
) -> list[ClaimFinding]:
    """The findings on every target, which decide, and of their mean over all targets, which stands beside.

    A statistic that cannot be computed on a target is absent there with its reason, and so is the mean; where the
    reason is the same on every target, it is said once.
    """
    result: list[ClaimFinding] = []
    every: dict[str, _Sampled] = {}
    bootstrap = None
    for target in evidence.targets:
        try:
            own = columns(target)
        except NotMeasured as error:
            result += [absent(question, target.id, str(error)) for question in questions]
            continue
        bootstrap = own.bootstrap
        every[target.id] = _sample(own)
        result += _findings(questions, target.id, every[target.id], bootstrap, decides=True)
    reasons = {finding.reason for finding in result}
    if bootstrap is None and len(reasons) == 1:
        (reason,) = reasons
        return [absent(question, None, reason) for question in questions]
    if len(evidence.targets) == 1:
        return result
    if bootstrap is None or len(every) < len(evidence.targets):
        return result + [absent(q, None, "not measured on every target", decides=False) for q in questions]
    return result + _findings(questions, None, _average(evidence.suite, every), bootstrap, decides=False)
