"""What every metric says about controlled degradations: measurement and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tabulate import tabulate
from torch import Tensor
from tqdm import tqdm

from benchmark.datasets.base import Sample
from benchmark.engine.degradations import EDITS
from benchmark.engine.scorer import TILE, Scorer, Tile, iter_tiles
from benchmark.metrics.case import Networks
from benchmark.metrics.spec import METRICS, Metric, get_metric
from benchmark.records.scores import applies
from benchmark.records.statistics import anchored, masked_mean, masked_median
from benchmark.suites.lock import Anchor
from benchmark.suites.spec import AXES, HUE_PERTURBATIONS, TRAINING_MEAN, Axis, Suite

__all__ = [
    "REVERTS", "ROWS", "Degradations", "format_value", "measure_degradations",
    "render_degradations", "with_every_metric",
]  # fmt: skip

REVERTS = "reverts_to_original"
ROWS = (*EDITS, TRAINING_MEAN, REVERTS)
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Degradations:
    """Scores of edits on a suite.

    Attributes:
        suite: id of the suite.
        images: how many were scored.
        values: by edit and metric, the mean (or median, as declared) over the images; None where none is scored.
        axes: by edit and axis, the anchored score.
    """

    suite: str
    images: int
    values: dict[str, dict[str, float | None]]
    axes: dict[str, dict[Axis, float | None]]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row an edit, for scripts."""
        return [{"edit": name, "axes": self.axes[name], "metrics": self.values[name]} for name in self.values]


def with_every_metric(suite: Suite) -> Suite:
    """Return a copy of the suite that also reports every declared metric that it leaves out."""
    return suite.model_copy(update={"report": tuple(name for name in METRICS if name not in suite.ranked_metrics)})


def _perturbations(suite: Suite, metric: Metric) -> list[int]:
    """Return the perturbations that a metric is averaged over here: all hue kinds, else the one that suits it."""
    if metric.perturbations == "hue":
        return [index for index, name in enumerate(suite.perturbations) if name in HUE_PERTURBATIONS]
    wanted = "gray" if metric.perturbations == "gray" else "identity"
    return [index for index, name in enumerate(suite.perturbations) if name == wanted and applies(metric.id, name)]


def _summary(suite: Suite, values: npt.NDArray[np.float32], metric: Metric) -> Array:
    """Return a metric's value of every edit (edits,) from values (images, edits, perturbations, metrics)."""
    chosen = values[:, :, _perturbations(suite, metric), suite.metrics.index(metric.id)].astype(np.float64)
    by_image = masked_mean(np.moveaxis(chosen, 2, 0))
    return masked_median(by_image) if metric.aggregate == "median" else masked_mean(by_image)


def _optional(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def measure_degradations(
    suite: Suite,
    samples: Sequence[Sample],
    anchors: Mapping[str, Anchor],
    training_mean: Tensor,
    networks: Networks,
    device: torch.device,
    edits: Sequence[str] = ROWS,
) -> Degradations:
    """Score edits instead of recons.

    An edit is applied to what a target would see: to the image itself; for metrics under a perturbation to the
    perturbed image, beside the edit of the image itself as the recon of the unperturbed one. `reverts_to_original`
    shows the unperturbed image whatever is asked.

    Args:
        suite: its metrics are those that are scored.
        samples: in tiles of eight; fill the last one, for another image comes from the same tile.
        anchors: of the metrics of the axes.
        training_mean: float32 RGB in [0, 1], (3, H, W).
        edits: names from `ROWS`.
    """
    used = {suite.perturbations[index] for name in suite.metrics for index in _perturbations(suite, get_metric(name))}
    suite = suite.model_copy(
        update={"perturbations": tuple(p for p in suite.perturbations if p == "identity" or p in used)}
    )
    mean = training_mean.to(device)
    current: Tile

    def invert(seen: Tensor) -> dict[str, Tensor]:
        given = {TRAINING_MEAN: mean.expand_as(seen), REVERTS: current.images}
        return {name: given[name] if name in given else EDITS[name](seen, current.masks) for name in edits}

    scorer = Scorer(suite, edits, invert, networks)
    parts = []
    tiles = iter_tiles(samples, device)
    with tqdm(tiles, total=-(-len(samples) // TILE), unit="tile", desc="degradations", mininterval=0.5) as bar:
        for current in bar:
            parts.append(scorer.run(current)["values"])
    values = np.concatenate(parts)
    summaries = {name: _summary(suite, values, get_metric(name)) for name in suite.metrics}
    axes = {
        axis: np.mean([anchored(summaries[name], anchors[name]) for name in suite.axes[axis]], axis=0)
        for axis in AXES
        if axis in suite.axes
    }
    return Degradations(
        suite.id,
        len(samples),
        {edit: {name: _optional(v[i]) for name, v in summaries.items()} for i, edit in enumerate(edits)},
        {edit: {axis: _optional(v[i]) for axis, v in axes.items()} for i, edit in enumerate(edits)},
    )


def format_value(metric: Metric, value: float) -> str:
    """Return a value with no more digits than two machines agree on."""
    text = f"{value:.{2 if metric.tolerance >= 0.01 else 3}f}"
    return text.removeprefix("-") if not float(text) else text


def _header(metric: Metric) -> str:
    return f"{metric.id} {'↑' if metric.higher_is_better else '↓'}"


def _render_table(rows: list[list[str]], headers: Sequence[str]) -> str:
    align = ("left", *["right"] * (len(headers) - 1))
    return tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True, colalign=align)


def render_degradations(degradations: Degradations, axes: Mapping[Axis, Sequence[str]]) -> str:
    """Return the tables as Markdown: raw values by axis of the metrics, then the anchored axes.

    Args:
        axes: the metrics that the suite ranks, by axis.
    """
    metrics = [get_metric(name) for name in next(iter(degradations.values.values()))]
    missing = [m.id for m in metrics if any(row[m.id] is None for row in degradations.values.values())]
    ranked = "; ".join(f"{axis} = mean({', '.join(names)})" for axis, names in axes.items())
    blocks = [
        "# Metrics under controlled degradations",
        f"Written by `invbench bench degradations --suite {degradations.suite} --out docs/degradations.md`.",
        f"Each row is an edit of known effect that stands in for a recon of the {degradations.images} images of "
        f"{degradations.suite}. Read a row for what an edit costs, a column for what a metric can and cannot see: "
        "detail and shape must not fall with color alone, and no trivial answer may come near a mild edit once "
        "anchored (last table). An arrow says whether higher or lower is better.",
        "Metrics that look at a perturbation see the object recolored (mean over the five hue kinds) or the image "
        "grayed, and the edit applied to that; `reverts_to_original` then still shows the original. "
        "`hue_shift_120` turns the hue in HSV, which changes lightness too; `hue_shift_120_alone` puts the luma back. "
        f"Values are means over the images that are scored (medians: "
        f"{', '.join(m.id for m in metrics if m.aggregate == 'median')}).",
    ]
    for axis in AXES:
        chosen = [metric for metric in metrics if metric.axis == axis]
        rows = []
        for edit, row in degradations.values.items():
            cells = []
            for metric in chosen:
                value = row[metric.id]
                absent = f"- ({missing.index(metric.id) + 1})" if value is None else ""
                cells.append(absent if value is None else format_value(metric, value))
            rows.append([edit, *cells])
        blocks += [f"## {axis.capitalize()}", _render_table(rows, ["edit", *map(_header, chosen)])]
    if missing:
        notes = (f"({i}) {name}: {get_metric(name).unscored}." for i, name in enumerate(missing, 1))
        blocks += ["Not scored (-):", "\n".join(f"- {note}" for note in notes)]
    rows = [
        [edit, *("-" if value is None else f"{value:.3f}" for value in row.values())]
        for edit, row in degradations.axes.items()
    ]
    blocks += [
        "## Anchored axes",
        f"0 is the best trivial answer, 1 identity: {ranked}.",
        _render_table(rows, ["edit", *(axis for axis in AXES if axis in axes)]),
    ]
    return "\n\n".join(blocks) + "\n"
