"""Render the board of a suite: one page without scripts, its style sheet, its images and `board.json`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from math import isnan
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmark.metrics.page import AXIS_WORDS, UNDER, describe_range, describe_role
from benchmark.metrics.spec import METRICS, get_metric
from benchmark.records import AxisScore
from benchmark.spec import AXES, Axis, Suite, TargetSpec
from leaderboard.charts import render_curves, series_of, styles_of
from leaderboard.entries import Entry
from leaderboard.pairs import Pair, pairs
from leaderboard.strips import ImageStore, perturbation_words, shown_entries, strips
from leaderboard.tables import (
    RANK_RULE,
    AxisCell,
    Row,
    axes_of,
    color_means,
    number,
    reference_of,
    table,
    unscored,
    why_missing,
)

__all__ = ["Entry", "build_board"]

HERE = Path(__file__).parent
COLOR_METRICS = ("gain_perturbed", "gain_original", "hue_error_deg")


def environment() -> Environment:
    """Return the template environment: everything escaped, nothing undefined."""
    env = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters.update(number=number, percent=percent, duration=duration, short=lambda digest: digest[:12])
    return env


def percent(value: float | None) -> str:
    """Return a score as a coordinate along an axis from 0 to 1."""
    return f"{100 * min(max(value or 0.0, 0.0), 1.0):.1f}%"


def duration(seconds: float) -> str:
    """Return a time in words, such as `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def build_board(suite: Suite, entries: Sequence[Entry], out: Path) -> Path:
    """Write the board of `suite` into the folder `out` and return the path of its page.

    The same suite and entries give the same bytes. Other files in `out` are left alone, except images of an
    earlier build that no page needs any more.
    """
    entries = sorted(entries, key=lambda entry: entry.submission.id)
    env, images = environment(), ImageStore(out / "images")
    targets = []
    for target in suite.targets:
        charts = [(a, render_curves(env, f"{target.id}-{a}", a, target, entries)) for a in axes_of(suite)]
        targets.append(
            {
                "spec": target,
                "table": table(suite, entries, target.id),
                "charts": charts,
                "curves": [(axis, series_of(entries, target, axis)) for axis in axes_of(suite)],
                "strips": strips(suite, target, entries, images),
                "colors": [_color_block(entry, target) for entry in shown_entries(target, entries)],
                "layers": [
                    (entry, entry.record.layers[target.id])
                    for entry in entries
                    if target.id in entry.record.layers and reference_of(entry) is None
                ],
                "reported": [_reported_block(suite, entry, target) for entry in shown_entries(target, entries)],
            }
        )
    page = env.get_template("index.html.j2").render(
        suite=suite,
        digest=suite.digest,
        axes=[(axis, AXIS_WORDS[axis], suite.axes[axis]) for axis in axes_of(suite)],
        taps=sum(len(target.taps) for target in suite.targets),
        perturbations=[perturbation_words(p) for p in suite.perturbations],
        metrics=[METRICS[m] for m in suite.metrics if m in METRICS],
        pairs=pairs(suite, entries),
        overall=table(suite, entries),
        targets=targets,
        glimpse=_glimpse(targets),
        entries=[(entry, unscored(entry.record), reference_of(entry)) for entry in entries],
        styles=styles_of(entries),
        rank_rule=RANK_RULE,
        why=_why(suite, entries),
    )
    metrics_page = env.get_template("metrics.html.j2").render(
        suite=suite, metrics=METRICS.values(), axes=AXIS_WORDS, under=UNDER, span=describe_range, role=describe_role
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.html").write_text(metrics_page, encoding="utf-8", newline="\n")
    (out / "static").mkdir(exist_ok=True)
    for source in sorted((HERE / "static").iterdir()):
        (out / "static" / source.name).write_bytes(source.read_bytes())
    images.prune()
    (out / "board.json").write_text(_dump(board_data(suite, entries)), encoding="utf-8", newline="\n")
    index = out / "index.html"
    index.write_text(page, encoding="utf-8", newline="\n")
    return index


def _reported_block(suite: Suite, entry: Entry, target: TargetSpec) -> dict[str, Any]:
    """Return every metric of the unperturbed images at every tap of one entry, with the reasons of what is missing."""
    known = {(cell.tap, cell.metric): cell for cell in entry.record.cells if cell.target == target.id
             and cell.perturbation == "identity"}  # fmt: skip
    metrics = [metric for metric in suite.metrics if any(name == metric for _, name in known)]
    rows = []
    for tap in (tap.name for tap in target.taps):
        found = [(metric, known.get((tap, metric))) for metric in metrics]
        rows.append(
            (tap, [(cell.value if cell else None, _reason(cell.unscored if cell else {})) for _, cell in found])
        )
    return {"entry": entry, "metrics": [get_metric(metric) for metric in metrics], "rows": rows}


def _reason(unscored: dict[str, int]) -> str:
    return "; ".join(sorted(unscored)) or "no score in the record"


def _glimpse(targets: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return one row of images for the head of the page: an image as the target saw it and its recons at every tap."""
    for target in targets:
        for strip in target["strips"]:
            for row in strip.rows:
                name, recons = row.recons[0]
                if row.seen and all(recons):
                    pictures = [("seen", row.seen), *zip(strip.taps, recons, strict=True)]
                    return {"target": target["spec"].id, "name": name, "pictures": pictures}
    return None


def _why(suite: Suite, entries: Sequence[Entry]) -> Callable[[str, Axis, str, str], str]:
    records = {entry.submission.id: entry.record for entry in entries}
    return lambda name, axis, target, tap: why_missing(records[name], suite.axes[axis], target, tap)


def _color_block(entry: Entry, target: TargetSpec) -> dict[str, Any]:
    why = partial(why_missing, entry.record, target=target.id)
    rows = []
    for tap in (tap.name for tap in target.taps):
        values = [(metric, color_means(entry.record, target.id, tap, metric)) for metric in COLOR_METRICS]
        rows.append((tap, [(m, value, "" if value is not None else why([m], tap=tap)) for m, value in values]))
    return {"entry": entry, "rows": rows}


def board_data(suite: Suite, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return everything that `board.json` holds: the suite, and the axis scores and ranks of every entry."""
    tables = {None: table(suite, entries)} | {t.id: table(suite, entries, t.id) for t in suite.targets}
    rows = {key: {row.entry.submission.id: row for row in found.rows} for key, found in tables.items()}
    return {
        "schema_version": 1,
        "suite": {
            "id": suite.id,
            "digest": suite.digest,
            "title": suite.title,
            "images": suite.dataset.images,
            "axes": {axis: list(suite.axes[axis]) for axis in AXES if axis in suite.axes},
            "targets": {target.id: [tap.name for tap in target.taps] for target in suite.targets},
        },
        "rank_rule": RANK_RULE,
        "pairs": [_pair_data(pair) for pair in pairs(suite, entries)],
        "entries": [
            {
                "submission": entry.submission.model_dump(mode="json", include={"id", "method", "title", "authors"}),
                "record_digest": entry.record.digest,
                "rankable": entry.rankable,
                "reference": reference_of(entry),
                "badges": list(rows[None][entry.submission.id].badges),
                "trust": entry.trust,
                "receipts": [receipt.model_dump(mode="json") for receipt in entry.receipts],
                "withdrawal": entry.withdrawal.model_dump(mode="json") if entry.withdrawal else None,
                "superseded": [
                    event.model_dump(mode="json")
                    | {"overall": record.model_dump(mode="json", include={"overall"})["overall"]}
                    for event, record in entry.superseded
                ],
                "overall": _row_data(rows[None][entry.submission.id]),
                "targets": {t.id: _row_data(rows[t.id][entry.submission.id]) for t in suite.targets},
                "layers": entry.record.model_dump(mode="json", include={"layers"})["layers"],
            }
            for entry in entries
        ],
    }


def _row_data(row: Row) -> dict[str, Any]:
    return {"place": row.place, "axes": {cell.axis: _cell_data(cell) for cell in row.cells}}


def _pair_data(pair: Pair) -> dict[str, Any]:
    axes = {
        axis: {name: _finite(value) for name, value in difference._asdict().items()}
        for axis, difference in pair.differences.items()
    }
    return {"first": pair.first, "second": pair.second, "axes": axes}


def _finite(value: float) -> float | None:
    return None if isnan(value) else round(value, 6)


def _cell_data(cell: AxisCell) -> dict[str, Any]:
    score = cell.score or AxisScore(value=None, parts={})
    return score.model_dump(mode="json") | {"rank": cell.rank, "reason": cell.reason or None}


def _dump(data: dict[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
