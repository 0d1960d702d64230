"""The tables that a suite's board offers for download, as Arrow tables with fixed columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from operator import attrgetter
from typing import Any

import pyarrow as pa

from benchmark.suites.lock import Lock
from benchmark.suites.spec import Suite
from leaderboard.data.entries import Entry
from leaderboard.data.equivalents import find_equivalents
from leaderboard.data.pairs import Pair
from leaderboard.data.rankings import Tables, reference_of
from leaderboard.data.views import axes_of, overall_of

__all__ = [
    "badges_of", "cell_frame", "history_frame", "layer_frame", "method_frame", "pair_frame",
    "pull_frame", "ranking_frame", "receipt_frame", "rounded", "tap_frame",
]  # fmt: skip

TEXT, REAL, WHOLE, FLAG = pa.string(), pa.float64(), pa.int64(), pa.bool_()


def rounded(value: float | None) -> float | None:
    """Return a number to the six digits that records have; None for NaN and for what is missing."""
    return None if value is None or isnan(value) else round(value, 6)


def badges_of(tables: Tables) -> dict[str, tuple[str, ...]]:
    """Return the badges of every entry, by submission id."""
    return {row.entry.submission.id: row.badges for row in tables[None].rows}


def _make_frame(columns: Mapping[str, pa.DataType], rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=pa.schema(list(columns.items())))


def ranking_frame(suite: Suite, tables: Tables, lock: Lock) -> pa.Table:
    """Return one row per target, and one for all together, and entry."""
    head = {"target": TEXT, "place": WHOLE, "best": WHOLE, "worst": WHOLE, "equal": FLAG, "submission": TEXT,
            "method": TEXT, "title": TEXT, "trust": TEXT, "badges": TEXT, "reference": TEXT, "images": WHOLE,
            "groups": WHOLE, "score": REAL, "score_low": REAL, "score_high": REAL}  # fmt: skip
    kinds = {"": REAL, "_low": REAL, "_high": REAL, "_rank": WHOLE, "_thumbnail": TEXT, "_reason": TEXT}
    axes = {axis + name: kind for axis in axes_of(suite) for name, kind in kinds.items()}
    tail = {"parameters": WHOLE, "training_device_hours": REAL, "training_device": TEXT,
            "training_samples": WHOLE, "training_data": TEXT, "ms_per_recon": REAL, "device_name": TEXT}  # fmt: skip
    rows = []
    for target in (None, *(target.id for target in suite.targets)):
        for row in tables[target].rows:
            entry, cost, standing = row.entry, row.cost, row.standing
            fields: dict[str, Any] = {
                "target": target or "all",
                "place": row.place,
                "submission": entry.submission.id,
                "method": entry.submission.method,
                "title": entry.submission.title,
                "trust": entry.trust,
                "badges": "; ".join(row.badges),
                "reference": row.reference,
                "parameters": cost.parameters,
                "training_device_hours": rounded(cost.device_hours),
                "training_device": cost.training_device,
                "training_samples": cost.samples,
                "training_data": cost.training_data,
                "ms_per_recon": rounded(cost.ms_per_recon),
                "device_name": cost.device,
            }
            if standing:
                fields |= {"best": standing.best, "worst": standing.worst, "equal": standing.equal}
                fields |= {"images": tables[target].images, "groups": tables[target].groups}
            if row.score:
                fields |= {"score": row.score.value, "score_low": row.score.low, "score_high": row.score.high}
            scores = {cell.axis: cell.score for cell in row.cells if cell.score}
            alike = find_equivalents(suite, lock, target, scores)
            for cell in row.cells:
                score = cell.score
                values = (score.value, score.low, score.high) if score else (None, None, None)
                thumbnail = alike[cell.axis].value if cell.axis in alike else None
                names = (cell.axis + name for name in kinds)
                fields |= zip(names, (*values, cell.rank, thumbnail, cell.reason or None), strict=True)
            rows.append(fields)
    return _make_frame(head | axes | tail, rows)


def tap_frame(suite: Suite, entries: Sequence[Entry]) -> pa.Table:
    """Return one row per target, tap, entry and axis."""
    columns = {"target": TEXT, "tap": TEXT, "stage": TEXT, "depth": REAL, "submission": TEXT, "axis": TEXT,
               "value": REAL, "low": REAL, "high": REAL}  # fmt: skip
    rows = []
    for target in suite.targets:
        for tap in target.taps:
            head = {"target": target.id, "tap": tap.name, "stage": tap.stage, "depth": tap.depth}
            for entry in entries:
                of_target = entry.record.targets.get(target.id)
                of_tap = of_target.taps.get(tap.name) if of_target else None
                for axis in axes_of(suite):
                    score = of_tap.axes.get(axis) if of_tap else None
                    values = (score.value, score.low, score.high) if score else (None, None, None)
                    row = {**head, "submission": entry.submission.id, "axis": axis}
                    rows.append(row | dict(zip(("value", "low", "high"), values, strict=True)))
    return _make_frame(columns, rows)


def cell_frame(entries: Sequence[Entry]) -> pa.Table:
    """Return one row per entry, target, tap, perturbation and metric, as the records have them."""
    known = {"target": TEXT, "tap": TEXT, "perturbation": TEXT, "metric": TEXT, "value": REAL, "low": REAL,
             "high": REAL, "scored": WHOLE}  # fmt: skip
    names = ("submission", *known, "unscored", "reasons")
    kinds = (TEXT, *known.values(), WHOLE, TEXT)
    schema, read = pa.schema(list(zip(names, kinds, strict=True))), attrgetter(*known)
    parts = [schema.empty_table()]
    for entry in (entry for entry in entries if entry.record.cells):
        cells = entry.record.cells
        unscored = [cell.unscored for cell in cells]
        columns = [
            [entry.submission.id] * len(cells),
            *zip(*map(read, cells), strict=True),
            [sum(reasons.values()) if reasons else 0 for reasons in unscored],
            ["; ".join(f"{reason} ({reasons[reason]})" for reason in sorted(reasons)) if reasons else None
             for reasons in unscored],
        ]  # fmt: skip
        arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
        parts.append(pa.Table.from_arrays(arrays, schema=schema))
    return pa.concat_tables(parts)


def pull_frame(suite: Suite, entries: Sequence[Entry]) -> pa.Table:
    """Return one row per target, tap, entry and what focal objects wear, where a record has measured the pull."""
    columns = {"target": TEXT, "tap": TEXT, "submission": TEXT, "wear": TEXT, "value": REAL, "low": REAL,
               "high": REAL, "images": WHOLE}  # fmt: skip
    rows = []
    for target in suite.targets:
        for tap in target.tap_names:
            for entry in entries:
                of_target = entry.record.targets.get(target.id)
                of_tap = of_target.taps.get(tap) if of_target else None
                for wear, pull in (of_tap.pull if of_tap else {}).items():
                    row = {"target": target.id, "tap": tap, "submission": entry.submission.id, "wear": wear}
                    rows.append(row | pull.model_dump())
    return _make_frame(columns, rows)


def pair_frame(pairs: Iterable[Pair]) -> pa.Table:
    """Return a row per pair of ranked entries and axis, after one of the score, the mean of the axes."""
    numbers, rows = ("mean", "low", "high", "p_value", "adjusted"), []
    for pair in pairs:
        for name, difference in (("score", pair.score), *pair.differences.items()):
            row: dict[str, Any] = {"first": pair.first, "second": pair.second, "axis": name}
            row |= {number: rounded(getattr(difference, number)) for number in numbers}
            rows.append(row | {"separated": difference.separated})
    texts = dict.fromkeys(("first", "second", "axis"), TEXT)
    return _make_frame(texts | dict.fromkeys(numbers, REAL) | {"separated": FLAG}, rows)


def layer_frame(entries: Sequence[Entry]) -> pa.Table:
    """Return one row per entry, target, stage and pair of its taps."""
    matrices, sums = ("transfer", "normalized", "cka"), ("neighbors", "half_distance", "asymmetry")
    texts = ("submission", "target", "stage", "features_of", "inverse_of")
    rows = []
    for entry in entries:
        for target, stages in entry.record.layers.items():
            for stage in stages:
                head = {"submission": entry.submission.id, "target": target, "stage": stage.stage}
                head |= {name: getattr(stage, name) for name in ("images", *sums)}
                for i, features in enumerate(stage.taps):
                    for j, inverse in enumerate(stage.taps):
                        row = {**head, "features_of": features, "inverse_of": inverse}
                        rows.append(row | {name: getattr(stage, name)[i][j] for name in matrices})
    columns = dict.fromkeys(texts, TEXT) | {"images": WHOLE} | dict.fromkeys(matrices + sums, REAL)
    return _make_frame(columns, rows)


def method_frame(entries: Sequence[Entry], badges: Mapping[str, Sequence[str]]) -> pa.Table:
    """Return one row per entry: who made it, what it is, and the record it stands for."""
    of_submission = ("method", "title", "description", "contact", "license", "trained_on")
    of_record = {"status": TEXT, "precision": TEXT, "draft": FLAG, "images": WHOLE}
    digests = ("suite_digest", "lock_digest", "scores_sha256", "audit_sha256")
    links = ("paper", "code", "project")
    columns = dict.fromkeys(("submission", *of_submission, "authors", *links, "trust", "badges", "reference"), TEXT)
    columns |= {
        "rankable": FLAG,
        "receipts": WHOLE,
        "superseded": WHOLE,
        "started": TEXT,
        "code_version": TEXT,
    } | of_record
    columns |= dict.fromkeys(("record_digest", *digests), TEXT)
    rows = []
    for entry in entries:
        submission, record = entry.submission, entry.record
        row = {
            "submission": submission.id,
            "authors": "; ".join(submission.authors),
            "trust": entry.trust,
            "badges": "; ".join(badges[submission.id]),
            "reference": reference_of(entry),
            "rankable": entry.rankable,
            "receipts": len(entry.receipts),
            "superseded": len(entry.superseded),
            "started": record.run.started,
            "code_version": record.run.code_version,
            "record_digest": record.digest,
        }
        row |= {name: getattr(submission, name) for name in of_submission}
        row |= {name: getattr(submission.links, name) for name in links}
        rows.append(row | {name: getattr(record, name) for name in (*of_record, *digests)})
    return _make_frame(columns, rows)


def receipt_frame(entries: Sequence[Entry]) -> pa.Table:
    """Return one row per receipt and metric."""
    of_receipt = {"kind": TEXT, "by": TEXT, "images": WHOLE, "agrees": FLAG, "digest": TEXT, "record_digest": TEXT,
                  "rerun_digest": TEXT}  # fmt: skip
    of_difference = {"compared": WHOLE, "equal": WHOLE, "largest": REAL, "beyond": WHOLE, "unmatched": WHOLE}
    columns = {"submission": TEXT} | of_receipt | {"date": TEXT, "device_name": TEXT, "metric": TEXT} | of_difference
    rows = []
    for entry in entries:
        for receipt in entry.receipts:
            head = {"submission": entry.submission.id, "date": receipt.date.isoformat()}
            head |= {name: getattr(receipt, name) for name in of_receipt}
            head["device_name"] = receipt.environment.device_name
            for metric, difference in sorted(receipt.differences.items()):
                rows.append({**head, "metric": metric} | {name: getattr(difference, name) for name in of_difference})
    return _make_frame(columns, rows)


def history_frame(suite: Suite, entries: Sequence[Entry]) -> pa.Table:
    """Return one row per record that was superseded or withdrawn, with the scores that it had over all targets."""
    of_event, axes = ("kind", "record", "by", "reason"), axes_of(suite)
    columns = dict.fromkeys(("submission", "date", *of_event), TEXT) | dict.fromkeys(("score", *axes), REAL)
    rows = []
    for entry in entries:
        events = [*entry.superseded, *([(entry.withdrawal, entry.record)] if entry.withdrawal else [])]
        for event, record in events:
            row: dict[str, Any] = {"submission": entry.submission.id, "date": event.date.isoformat()}
            row |= {name: getattr(event, name) for name in of_event}
            overall = overall_of(suite, record)
            row["score"] = record.score.value if overall else None
            scores = {axis: overall.get(axis) for axis in axes}
            rows.append(row | {axis: score.value if score else None for axis, score in scores.items()})
    return _make_frame(columns, rows)
