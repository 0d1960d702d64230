"""What came of scoring image files: as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tabulate import tabulate

from benchmark.files.spreadsheets import guarded
from benchmark.files.storing import write_text
from benchmark.metrics.spec import Metric

__all__ = ["Inputs", "Report", "render_table", "to_json", "write_csv"]


@dataclass(frozen=True)
class Inputs:
    """What to score: all of them files, or all of them folders with files of the same names.

    `recon` is the recon of `seen` if that is given, else of `original`; `baseline` is the recon of `original`.
    """

    original: Path
    recon: Path
    seen: Path | None = None
    mask: Path | None = None
    baseline: Path | None = None

    @property
    def given(self) -> dict[str, Path]:
        """The paths that are given, by role."""
        return {role: path for role, path in vars(self).items() if path is not None}


@dataclass(frozen=True, eq=False)
class Report:
    """Scores of image files.

    Attributes:
        names: of the images; `sizes` their (height, width).
        metrics: those that apply.
        values: float32 (images, metrics), NaN where not scored.
        reasons: why not, by image and metric; None where scored.
        not_applicable: why the other metrics do not apply, by id.
        device: that it ran on.
        notes: what a reader should know of how the files were read.
    """

    inputs: Inputs
    names: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    metrics: tuple[Metric, ...]
    values: npt.NDArray[np.float32]
    reasons: tuple[tuple[str | None, ...], ...]
    not_applicable: dict[str, str]
    device: str
    notes: tuple[str, ...] = ()

    def summary(self, column: int) -> float | None:
        """Return what stands for all images under a metric: its declared aggregate over those that were scored."""
        scores = self.values[:, column].astype(np.float64)
        scored = scores[~np.isnan(scores)]
        if not scored.size:
            return None
        return float(np.median(scored) if self.metrics[column].aggregate == "median" else scored.mean())

    def unscored(self, column: int) -> dict[str, int]:
        """Return how many images were left without a score under a metric, by reason."""
        return dict(Counter(row[column] for row in self.reasons if row[column] is not None))  # type: ignore[misc]


def _better(metric: Metric) -> str:
    return "higher" if metric.higher_is_better else "lower"


def _format(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.1e}"


def _table_row(report: Report, column: int) -> dict[str, str]:
    metric, value, unscored = report.metrics[column], report.summary(column), report.unscored(column)
    many = report.inputs.original.is_dir()
    row = {"metric": metric.id, "score": _format(value), "unit": metric.unit}
    row |= {"better": _better(metric), "axis": metric.axis}
    if many:
        row |= {"of images": metric.aggregate, "scored": str(len(report.names) - sum(unscored.values()))}
    reasons = [f"{count}: {reason}" if many else reason for reason, count in unscored.items()]
    return row | {"not scored": "; ".join(reasons)}


def render_table(report: Report) -> str:
    """Return the scores as a table for a terminal, and below it the metrics that do not apply."""
    rows = [_table_row(report, column) for column in range(len(report.metrics))]
    hidden = {"unit", "not scored"} - {name for row in rows for name, cell in row.items() if cell}
    rows = [{name: cell for name, cell in row.items() if name not in hidden} for row in rows]
    widths = [44 if name == "not scored" else None for name in rows[0]]
    aligned = ["right" if name in ("score", "scored") else "left" for name in rows[0]]
    text = tabulate(
        rows, headers="keys", tablefmt="simple", disable_numparse=True, colalign=aligned, maxcolwidths=widths
    )
    by_reason: dict[str, list[str]] = {}
    for name, why in report.not_applicable.items():
        by_reason.setdefault(why, []).append(name)
    lines = [f"  {', '.join(names)}: {why}" for why, names in by_reason.items()]
    notes = [f"Note: {note}" for note in report.notes]
    return "\n".join([text, *(["", "Not applicable:", *lines] if lines else []), *(["", *notes] if notes else [])])


def to_json(report: Report) -> dict[str, Any]:
    """Return the report as JSON values: aggregates by metric, then the scores of every image; null, never NaN."""
    ids = [metric.id for metric in report.metrics]
    return {
        "invbench": version("invbench"),
        "torch": torch.__version__,
        "device": report.device,
        "inputs": {role: None if path is None else str(path) for role, path in asdict(report.inputs).items()},
        "images": len(report.names),
        "metrics": {
            metric.id: {
                "version": metric.version,
                "axis": metric.axis,
                "unit": metric.unit,
                "better": _better(metric),
                "aggregate": metric.aggregate,
                "value": report.summary(column),
                "scored": int(np.isfinite(report.values[:, column]).sum()),
                "unscored": report.unscored(column),
            }
            for column, metric in enumerate(report.metrics)
        },
        "not_applicable": report.not_applicable,
        "notes": list(report.notes),
        "per_image": [
            {
                "image": name,
                "height": size[0],
                "width": size[1],
                "scores": {m: None if why else float(v) for m, v, why in zip(ids, values, reasons, strict=True)},
                "reasons": {m: why for m, why in zip(ids, reasons, strict=True) if why},
            }
            for name, size, values, reasons in zip(
                report.names, report.sizes, report.values, report.reasons, strict=True
            )
        ],
    }


def write_csv(report: Report, path: Path) -> None:
    """Write the scores of every image as rows of image, metric, value and reason; no value where not scored.

    Raises:
        UserError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("image", "metric", "value", "reason"))
    for name, values, reasons in zip(report.names, report.values, report.reasons, strict=True):
        for metric, value, why in zip(report.metrics, values, reasons, strict=True):
            writer.writerow((guarded(name), metric.id, "" if why else float(value), why or ""))
    write_text(path, text.getvalue())
