"""Scores of answers that stand in for recons, by ranked metric and by axis, with standard errors over groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from benchmark.datasets.base import Sample
from benchmark.engine.scorer import Scorer, Tile, iter_tiles
from benchmark.metrics.case import Networks
from benchmark.metrics.spec import get_metric
from benchmark.records.aggregate import image_axes, image_scores
from benchmark.records.scores import defines
from benchmark.records.statistics import masked_mean
from benchmark.suites.spec import HUE_PERTURBATIONS, POOLED, Perturbation, Suite

__all__ = ["Reconstruct", "Scored", "group_errors", "kinds_of", "score_answers"]

Array = npt.NDArray[np.float64]
Reconstruct = Callable[[Tile, Tensor], Mapping[str, Tensor]]
"""A tile and what the target was shown of it, float32 RGB (N, 3, H, W) -> a recon by the name of each answer."""


def group_errors(values: Array, groups: Sequence[str]) -> Array:
    """Standard error of the mean over the scored images (N, K), NaN where not scored: (K,); groups are independent.

    sqrt(G / (G - 1) sum over groups of (sum of the deviations within the group)^2) / n; NaN for a single group.
    """
    scored = ~np.isnan(values)
    deviations = np.where(scored, values - masked_mean(values), 0.0)
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, place, deviations)
    widening = len(names) / (len(names) - 1) if len(names) > 1 else np.nan
    return np.sqrt(widening * np.square(sums).sum(0)) / np.maximum(scored.sum(0), 1)


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of answers.

    Attributes:
        names: of the answers.
        groups: of the images.
        scores: by axis and by metric, (images, answers); NaN where not scored.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    scores: dict[str, Array]

    def means(self, key: str) -> dict[str, tuple[float, float]]:
        """Mean of each answer and its standard error, for an axis or a metric."""
        values = self.scores[key]
        pairs = zip(masked_mean(values).tolist(), group_errors(values, self.groups).tolist(), strict=True)
        return dict(zip(self.names, pairs, strict=True))

    def gain(self, key: str, answer: str, plain: str) -> tuple[float, float]:
        """Mean difference of two answers over the images, and its standard error."""
        first, second = (self.scores[key][:, self.names.index(name)] for name in (answer, plain))
        difference = (first - second)[:, None]
        return float(masked_mean(difference)[0]), float(group_errors(difference, self.groups)[0])


def kinds_of(suite: Suite, metric_id: str) -> tuple[Perturbation, ...]:
    """Perturbations that a metric's score on its axis is computed under."""
    pooled = get_metric(metric_id).perturbations == POOLED
    return tuple(p for p in suite.perturbations if (p in HUE_PERTURBATIONS if pooled else defines(metric_id, p)))


def _reduced(suite: Suite, report: Sequence[str]) -> Suite:
    """A copy of the suite that reports `report` alone and has the perturbations that its metrics need."""
    chosen = (*suite.ranked_metrics, *report)
    used = {"identity"}.union(*(kinds_of(suite, metric) for metric in chosen))
    kept = tuple(name for name in suite.perturbations if name in used)
    return suite.model_copy(update={"report": tuple(report), "perturbations": kept})


def score_answers(
    suite: Suite,
    samples: Sequence[Sample],
    names: Sequence[str],
    reconstruct: Reconstruct,
    device: torch.device,
    *,
    networks: Networks | None = None,
    report: Sequence[str] = (),
    title: str = "answers",
) -> Scored:
    """Score answers by every ranked metric of a suite, each under the perturbations that its axis asks for.

    Args:
        samples: in tiles of eight; fill the last one where an answer looks at its neighbours.
        names: of the answers that `reconstruct` gives.
        report: further metrics.
        title: of the progress bar.
    """
    judged, reduced = frozenset(sample.id for sample in samples), _reduced(suite, report)
    values = []
    for tile in tqdm(list(iter_tiles(samples, device, judged=judged)), unit="tile", desc=title, mininterval=0.5):
        scorer = Scorer(reduced, names, partial(reconstruct, tile), networks or Networks(), as_defined=True)
        values.append(scorer.run(tile)["values"])
    joined = np.concatenate(values)
    found = {metric: image_scores(reduced, joined, metric) for metric in reduced.metrics}
    axes = {str(axis): values for axis, values in image_axes(reduced, joined).items()}
    return Scored(tuple(names), tuple(sample.group or sample.id for sample in samples), axes | found)
