"""From entries to rows: their ranks, and the numbers that the board shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from benchmark.inverses.spec import METHODS
from benchmark.records.record import AxisScore, Record
from benchmark.records.statistics import rank
from benchmark.suites.spec import HUE_PERTURBATIONS, Axis, Suite
from leaderboard.data.entries import Entry
from leaderboard.data.views import axes_of, overall_of

__all__ = [
    "DASH",
    "MINUS",
    "RANK_RULE",
    "AxisCell",
    "Cost",
    "Part",
    "Row",
    "Table",
    "Tables",
    "axes_of",
    "color_means",
    "cost_of",
    "label_of",
    "make_table",
    "not_evaluated",
    "rank_on_axis",
    "reference_of",
    "render_number",
    "tables_of",
    "text_table",
    "unscored",
    "why_missing",
]

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
RANK_RULE = (
    "A rank is one more than the number of entries that are better by more than 0.005 and significantly so "
    "(sign-flip test on the same images, corrected for all pairs, 5 %); what the data cannot separate shares a rank."
)


@dataclass(frozen=True)
class Part:
    """One metric inside an axis; `reason` says why a value is missing."""

    metric: str
    value: float | None
    reason: str


@dataclass(frozen=True)
class AxisCell:
    """One axis of one entry; `tied` names those that share its rank, `reason` says why the score is missing."""

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
        parameters: of the inverse; of all inverses where targets are taken together.
        device_hours: of training, likewise; `training_device` is where.
        ms_per_recon: milliseconds a recon, target and inverse; the mean of the targets where they are taken together.
        device: where it was measured.
        reason: why the whole is not known.
    """

    parameters: int | None
    device_hours: float | None
    training_device: str | None
    ms_per_recon: float | None
    device: str
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """One entry in a table. `place` follows the mean of its axis ranks; None: not ranked."""

    entry: Entry
    cells: tuple[AxisCell, ...]
    reference: str | None
    badges: tuple[str, ...]
    place: int | None
    cost: Cost


@dataclass(frozen=True)
class Table:
    """Rows by place, then those that cannot be ranked, then the reference points."""

    ranked: tuple[Row, ...]
    unranked: tuple[Row, ...]
    references: tuple[Row, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows, in the order in which they are shown."""
        return self.ranked + self.unranked + self.references


def rank_on_axis(suite: Suite, entries: Sequence[Entry], target: str | None, axis: Axis) -> dict[str, int]:
    """Return the rank of each entry that has scores of `axis`, by paired comparison over images (`stats.rank`)."""
    scores = {entry.submission.id: entry.image_axis(target, axis) for entry in entries}
    return rank({name: values for name, values in scores.items() if values is not None}, suite.bootstrap_seed)


def reference_of(entry: Entry) -> str | None:
    """Return `ceiling` or `floor` for the entries that only bound the board, else None."""
    method = METHODS.get(entry.submission.method)
    return method.role if method and method.role != "entry" else None


def _badges(entry: Entry) -> tuple[str, ...]:
    record = entry.record
    marks = {
        "withdrawn": entry.withdrawal is not None,
        "partial": record.status == "partial",
        "draft": record.draft,
        "bf16": record.precision == "bfloat16",
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


def cost_of(record: Record, target: str | None) -> Cost:
    """Cost of an entry on a target, or on all of them."""
    names = [name for name in record.targets if target in (None, name)]
    inverses = [record.inverses[name] for name in names if name in record.inverses]
    hours = [value for inverse in inverses if isinstance(value := inverse.training.get("device_hours"), int | float)]
    devices = {str(inverse.training["device"]) for inverse in inverses if "device" in inverse.training}
    times = [record.run.ms_per_recon[name] for name in names if name in record.run.ms_per_recon]
    whole = bool(inverses) and len(inverses) == len(names)
    return Cost(
        parameters=sum(inverse.parameters for inverse in inverses) if whole else None,
        device_hours=float(sum(hours)) if hours and len(hours) == len(inverses) else None,
        training_device=", ".join(sorted(devices)) or None,
        ms_per_recon=sum(times) / len(times) if times and len(times) == len(names) else None,
        device=record.run.device_name,
    )


def _cell(suite: Suite, entry: Entry, target: str | None, axis: Axis, ranks: Mapping[str, int]) -> AxisCell:
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
    rank = ranks.get(name)
    tied = tuple(other for other, its in ranks.items() if its == rank and other != name) if rank else ()
    return AxisCell(axis, score if has_value else None, rank, tuple(parts), reason, tied)


def make_table(suite: Suite, entries: Sequence[Entry], target: str | None = None) -> Table:
    """Return the rows of one target, or of all targets together when `target` is None."""
    axes, rankable = axes_of(suite), [e for e in entries if e.rankable and reference_of(e) is None]
    by_axis: dict[Axis, dict[str, int]] = {}
    for axis in axes:
        scored = [e for e in rankable if (score := _score(suite, e.record, target, axis)) and score.value is not None]
        by_axis[axis] = rank_on_axis(suite, scored, target, axis)
    means: dict[str, float] = {}
    for entry in entries:
        got = [by_axis[axis][entry.submission.id] for axis in axes if entry.submission.id in by_axis[axis]]
        if got and len(got) == len(axes):
            means[entry.submission.id] = sum(got) / len(got)
    rows = []
    for entry in entries:
        name = entry.submission.id
        mean = means.get(name)
        place = None if mean is None else 1 + sum(other < mean for other in means.values())
        cells = tuple(_cell(suite, entry, target, axis, by_axis[axis]) for axis in axes)
        cost = cost_of(entry.record, target)
        if lacks := not_evaluated(suite, entry.record, target):
            cost = Cost(None, None, None, None, cost.device, lacks)
        rows.append(Row(entry, cells, reference_of(entry), _badges(entry), place, cost))
    rows.sort(key=lambda row: (row.place or 0, row.reference or "", row.entry.submission.id))
    return Table(
        ranked=tuple(row for row in rows if row.place is not None),
        unranked=tuple(row for row in rows if row.place is None and row.reference is None),
        references=tuple(row for row in rows if row.reference is not None),
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


def text_table(suite: Suite, entries: Sequence[Entry], highlight: str | None) -> str:
    """Return one plain-text table a target; `highlight` is the submission whose row gets an arrow."""
    axes, blocks = axes_of(suite), []
    for target in suite.targets:
        lines = []
        for row in make_table(suite, entries, target.id).rows:
            name = row.entry.submission.id
            marks = f" ({', '.join(row.badges)})" if row.badges else ""
            rank = str(row.place) if row.place else row.reference or DASH
            lines.append([rank, f"{'> ' if name == highlight else ''}{name}{marks}", *map(_plus_minus, row.cells)])
        head = ["rank", "submission", *(axis.upper() for axis in axes)]
        text = tabulate(lines, headers=head, tablefmt="simple", disable_numparse=True)
        blocks.append(f"{target.id}: {target.title}\n\n{text}")
    return "\n\n".join(blocks)


def _plus_minus(cell: AxisCell) -> str:
    if cell.score is None:
        return DASH
    low, high = cell.score.low, cell.score.high
    half = "" if low is None or high is None else f" \N{PLUS-MINUS SIGN}{(high - low) / 2:.3f}"
    return render_number(cell.score.value) + half
