"""From entries to rows: their places, and the numbers that the board shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmark.records.places import Standing
from benchmark.records.record import AxisScore, Record
from benchmark.records.statistics import mean_over_targets
from benchmark.suites.spec import HUE_PERTURBATIONS, Axis, Suite
from leaderboard.data.entries import Entry
from leaderboard.data.scores import ImageScores, ranked_on, reference_of, scores_of
from leaderboard.data.standings import Ranking, rank_entries
from leaderboard.data.views import axes_of, overall_of

__all__ = [
    "DASH",
    "MINUS",
    "RANK_RULE",
    "AxisCell",
    "Cost",
    "Part",
    "Row",
    "Score",
    "Table",
    "Tables",
    "axes_of",
    "color_means",
    "cost_of",
    "label_of",
    "make_table",
    "not_evaluated",
    "reference_of",
    "render_number",
    "tables_of",
    "unscored",
    "why_missing",
]

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
RANK_RULE = (
    "A place is the position by score, the mean of the axis scores, so that no third submission changes the order of "
    'two. "=" marks neighbors that are not significantly different, and the range beside it says from which place to '
    "which the order is open: 1 plus the submissions that are significantly better, to the last place minus those that "
    "are significantly worse (paired sign-flip test over groups of images, corrected for all pairs, 5 %)."
)


@dataclass(frozen=True)
class Part:
    """One metric inside an axis; `reason` says why a value is missing."""

    metric: str
    value: float | None
    reason: str


@dataclass(frozen=True)
class AxisCell:
    """One axis of one entry.

    Attributes:
        rank: position on this axis by its score; None: not ranked.
        tied: entries that are not significantly different on this axis.
        reason: why the score is missing.
    """

    axis: Axis
    score: AxisScore | None
    rank: int | None
    parts: tuple[Part, ...]
    reason: str
    tied: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cost:
    """What an entry costs; None where it is not stated or was not measured.

    Attributes:
        device: where it was measured.
        parameters: of the inverse; of all inverses where targets are taken together.
        device_hours: of training, likewise; `training_device` is where.
        samples: images that training saw, with repetition, likewise; `training_data` is what they were.
        ms_per_recon: milliseconds a recon, target and inverse; where targets are taken together their mean, as scores
            have it.
        reason: why the whole is not known.
    """

    device: str
    parameters: int | None = None
    device_hours: float | None = None
    training_device: str | None = None
    samples: int | None = None
    training_data: str | None = None
    ms_per_recon: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Score:
    """The mean of the axis scores, with its 95 % interval; None where there are too few groups for one.

    For records without scores image by image (not complete, drafts, withdrawn) it is what they state.
    """

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Row:
    """One entry in a table. `place` follows its score; None: not ranked.

    `standing` holds the places that the data allow; `score` is None where an axis is not scored.
    """

    entry: Entry
    cells: tuple[AxisCell, ...]
    reference: str | None
    badges: tuple[str, ...]
    place: int | None
    cost: Cost
    standing: Standing | None = None
    score: Score | None = None

    @property
    def place_label(self) -> str:
        """The place, with "=" where a neighbor is not significantly different; empty where it is not ranked."""
        return f"{self.place or ''}{'=' if self.standing and self.standing.equal else ''}"

    @property
    def rank_range(self) -> str:
        """The places that the data allow, such as `1-3` with a dash; empty where it is only one."""
        one = self.standing is None or self.standing.best == self.standing.worst
        return "" if self.standing is None or one else f"{self.standing.best}{DASH}{self.standing.worst}"


@dataclass(frozen=True)
class Table:
    """Rows by place, then those that cannot be ranked, then the reference points.

    Attributes:
        shares: by axis, its share of the variance between the ranked entries: which axis makes the differences;
            empty where they do not differ.
        leaders: the ranked entries that none exceeds on any axis: one, several that are equal, or none.
        images, groups: what the ranked entries were scored on, and how many groups that is.
    """

    ranked: tuple[Row, ...]
    unranked: tuple[Row, ...]
    references: tuple[Row, ...]
    shares: Mapping[Axis, float] = field(default_factory=dict)
    leaders: tuple[str, ...] = ()
    images: int = 0
    groups: int = 0

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows, in the order in which they are shown."""
        return self.ranked + self.unranked + self.references


def _badges(entry: Entry) -> tuple[str, ...]:
    record = entry.record
    marks = {
        "withdrawn": entry.withdrawal is not None,
        "partial": record.status == "partial",
        "draft": record.draft,
        "bf16": record.precision == "bfloat16",
        "compiled": record.compiled,
    }
    return tuple(name for name, holds in marks.items() if holds)


def not_evaluated(suite: Suite, record: Record, target: str | None = None) -> str:
    """Return in words that a record lacks a target, or any at all; empty where it lacks none."""
    absent = [item.id for item in suite.targets if item.id not in record.targets]
    if target is not None:
        return "target not evaluated" if target in absent else ""
    return f"not evaluated on {', '.join(absent)}" if absent else ""


def label_of(entry: Entry) -> str:
    """Return the id of an entry with what is to be known of its record."""
    marks = ", ".join("bfloat16" if badge == "bf16" else badge for badge in _badges(entry))
    return f"{entry.submission.id} ({marks})" if marks else entry.submission.id


def _score(suite: Suite, record: Record, target: str | None, axis: Axis) -> AxisScore | None:
    if target is None:
        return overall_of(suite, record).get(axis)
    return record.targets[target].axes.get(axis) if target in record.targets else None


def why_missing(record: Record, metrics: Collection[str], target: str | None = None, tap: str | None = None) -> str:
    """Return in words why a value made of `metrics` is absent, from what the record left unscored."""
    if target is not None and target not in record.targets:
        return "target not evaluated"
    if target is not None and tap is not None and tap not in record.targets[target].taps:
        return "tap not evaluated"
    counts: Counter[str] = Counter()
    for cell in record.cells:
        if cell.metric in metrics and target in (None, cell.target) and tap in (None, cell.tap):
            counts.update(cell.unscored)
    reasons = "; ".join(reason for reason, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    return f"not scored: {reasons}" if reasons else "no score in the record"


def cost_of(suite: Suite, record: Record, target: str | None) -> Cost:
    """Cost of an entry on a target, or on all of them."""
    names = [name for name in record.targets if target in (None, name)]
    inverses = [record.inverses[name] for name in names if name in record.inverses]
    hours = [value for inverse in inverses if isinstance(value := inverse.training.get("device_hours"), int | float)]
    samples = [value for inverse in inverses if isinstance(value := inverse.training.get("samples"), int)]
    devices, data = (
        ", ".join(sorted({str(inverse.training[key]) for inverse in inverses if key in inverse.training})) or None
        for key in ("device", "data")
    )
    times = {name: record.run.ms_per_recon[name] for name in names if name in record.run.ms_per_recon}
    whole = bool(inverses) and len(inverses) == len(names)
    return Cost(
        parameters=sum(inverse.parameters for inverse in inverses) if whole else None,
        device_hours=float(sum(hours)) if hours and len(hours) == len(inverses) else None,
        training_device=devices,
        samples=sum(samples) if samples and len(samples) == len(inverses) else None,
        training_data=data,
        ms_per_recon=float(mean_over_targets(suite, times)) if times and len(times) == len(names) else None,
        device=record.run.device_name,
    )


def _score_of(scores: ImageScores, weights: Mapping[Axis, float], name: str) -> Score | None:
    estimate = scores.bootstrap.estimate_mixed(scores.parts[name], scores.shares(weights)[:, None])
    value, low, high = (None if np.isnan(end[0]) else round(float(end[0]), 6) for end in estimate)
    return None if value is None else Score(value, low, high)


def _stated(suite: Suite, record: Record, target: str | None) -> Score | None:
    """Return the score that a record states; none over all targets where it lacks one."""
    if target is None:
        score = record.score if overall_of(suite, record) else None
    else:
        score = record.targets[target].score if target in record.targets else None
    return None if score is None or score.value is None else Score(score.value, score.low, score.high)


def _cell(suite: Suite, entry: Entry, target: str | None, axis: Axis, ranking: Ranking) -> AxisCell:
    score, metrics = _score(suite, entry.record, target, axis), suite.axes[axis]
    has_value = score is not None and score.value is not None
    reason = "" if has_value else why_missing(entry.record, metrics, target)
    if target is None:
        reason = not_evaluated(suite, entry.record) or reason
    parts = []
    for metric in metrics if has_value else ():
        value = score.parts.get(metric) if score else None
        parts.append(Part(metric, value, "" if value is not None else why_missing(entry.record, [metric], target)))
    name = entry.submission.id
    rank, tied = ranking.ranks.get(axis, {}).get(name), ranking.tied.get(axis, {}).get(name, ())
    return AxisCell(axis, score if has_value else None, rank, tuple(parts), reason, tied)


def make_table(
    suite: Suite, entries: Sequence[Entry], target: str | None = None, weights: Mapping[Axis, float] | None = None
) -> Table:
    """Return the rows of one target, or of all targets together when `target` is None.

    An entry is ranked on every target that it is complete on, and overall where it is complete on all.

    Args:
        weights: of the axes in the score, not all 0; None: all the same.

    Raises:
        SpecError: two entries are not scored on the same images.
    """
    axes = axes_of(suite)
    plain, weights = weights is None, weights or dict.fromkeys(axes, 1.0)
    every, held = scores_of(suite, entries, target), scores_of(suite, ranked_on(entries, target), target)
    ranking = rank_entries(suite, held, weights) if held else Ranking()
    rows = []
    for entry in entries:
        name = entry.submission.id
        cells = tuple(_cell(suite, entry, target, axis, ranking) for axis in axes)
        cost = cost_of(suite, entry.record, target)
        if lacks := not_evaluated(suite, entry.record, target):
            cost = Cost(cost.device, reason=lacks)
        standing = ranking.standings.get(name)
        place = standing.place if standing else None
        score = _score_of(every, weights, name) if every and name in every.parts else None
        score = score or (_stated(suite, entry.record, target) if plain else None)
        rows.append(Row(entry, cells, reference_of(entry), _badges(entry), place, cost, standing, score))
    rows.sort(key=lambda row: (row.place or 0, row.reference or "", row.entry.submission.id))
    return Table(
        ranked=tuple(row for row in rows if row.place is not None),
        unranked=tuple(row for row in rows if row.place is None and row.reference is None),
        references=tuple(row for row in rows if row.reference is not None),
        shares=ranking.shares,
        leaders=ranking.leaders,
        images=len(held.bootstrap.members) if held else 0,
        groups=held.bootstrap.groups if held else 0,
    )


Tables = Mapping[str | None, Table]
"""The table of every target by its id, and that of all targets together under None."""


def tables_of(suite: Suite, entries: Sequence[Entry]) -> Tables:
    """Return every table of a suite."""
    return {None: make_table(suite, entries)} | {
        target.id: make_table(suite, entries, target.id) for target in suite.targets
    }


def render_number(value: float | None, digits: int = 3) -> str:
    """Return a value with a fixed number of digits, or a dash."""
    return DASH if value is None else f"{round(value, digits) + 0.0:.{digits}f}".replace("-", MINUS)


def color_means(record: Record, target: str, tap: str, metric: str) -> float | None:
    """Return the mean of a color metric at a tap, each hue kind weighing the same; None if one is unscored."""
    by_kind = {
        cell.perturbation: cell.value
        for cell in record.cells
        if (cell.target, cell.tap, cell.metric) == (target, tap, metric) and cell.perturbation in HUE_PERTURBATIONS
    }
    values = [value for value in by_kind.values() if value is not None]
    return sum(values) / len(values) if values and len(values) == len(by_kind) else None


def unscored(record: Record) -> list[tuple[str, str, int]]:
    """Return (metric, reason, count) of everything left unscored, over all targets, taps and perturbations."""
    counts: Counter[tuple[str, str]] = Counter()
    for cell in record.cells:
        for reason, count in cell.unscored.items():
            counts[cell.metric, reason] += count
    return [(metric, reason, count) for (metric, reason), count in sorted(counts.items()) if count]
