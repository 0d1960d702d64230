"""Anchors: what the best trivial answer and a perfect recon score on a suite, measured once for its lock."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from benchmark.content.content import Content
from benchmark.datasets.base import ImageSet, Sample
from benchmark.engine.degradations import EDITS
from benchmark.engine.networks import load_metric_networks
from benchmark.engine.scorer import Scorer, iter_tiles
from benchmark.errors import SpecError
from benchmark.files.paths import submissions_root
from benchmark.inverses.base import load_inverse
from benchmark.metrics.case import Networks
from benchmark.metrics.spec import get_metric
from benchmark.records.aggregate import image_scores
from benchmark.records.statistics import masked_mean
from benchmark.submissions.submission import load_submission
from benchmark.suites.lock import Anchor
from benchmark.suites.spec import TRAINING_MEAN, Suite, TargetSpec

__all__ = ["ANSWERS", "load_training_mean", "measure_anchors", "measure_suite_anchors"]

IDENTITY = "identity"
ANSWERS = ("own_mean_color", "another_image", TRAINING_MEAN, "white_noise")


def _answers(seen: Tensor, training_mean: Tensor) -> dict[str, Tensor]:
    """Return the trivial answers to what the target saw; another image is the one before it in its tile."""
    nowhere = torch.zeros(seen.shape[0], *seen.shape[2:], dtype=torch.bool, device=seen.device)
    given = {IDENTITY: seen, TRAINING_MEAN: training_mean.expand_as(seen)}
    return given | {name: EDITS[name](seen, nowhere) for name in ANSWERS if name not in given}


def measure_anchors(
    suite: Suite, samples: Iterable[Sample], training_mean: Tensor, networks: Networks, device: torch.device
) -> dict[str, Anchor]:
    """Return the anchor of every metric that enters an axis.

    Args:
        samples: of one size.
        training_mean: float32 RGB in [0, 1], (3, H, W).
        networks: what the metrics of the axes may ask.

    Raises:
        SpecError: a metric may not be ranked, scores nothing, or takes a trivial answer for as good as identity.
    """
    mean = training_mean.to(device)
    scorer = Scorer(suite, (IDENTITY, *ANSWERS), lambda seen: _answers(seen, mean), networks)
    values = np.concatenate([scorer.run(tile)["values"] for tile in iter_tiles(samples, device)])
    anchors: dict[str, Anchor] = {}
    for metric_id in (metric for metric in suite.metrics if metric in suite.ranked_metrics):
        if not get_metric(metric_id).rankable:
            raise SpecError(f"metric '{metric_id}' is never ranked", where=suite.id, cure="list it under 'report'")
        ceiling, *floors = (float(score) for score in masked_mean(image_scores(suite, values, metric_id)))
        sign = 1 if get_metric(metric_id).higher_is_better else -1
        best = max(range(len(ANSWERS)), key=lambda index: sign * floors[index])
        if not sign * (ceiling - floors[best]) > 0:
            raise SpecError(f"metric '{metric_id}' does not tell identity from '{ANSWERS[best]}'", where=suite.id)
        answers = {answer: round(floor, 6) for answer, floor in zip(ANSWERS, floors, strict=True)}
        anchors[metric_id] = Anchor(
            answer=ANSWERS[best], floor=answers[ANSWERS[best]], ceiling=round(ceiling, 6), answers=answers
        )
    return anchors


def _iter_samples(images: ImageSet, size: tuple[int, int]) -> Iterable[Sample]:
    return (images.load(index, size) for index in range(len(images.ids)))


def load_training_mean(spec: TargetSpec, images: ImageSet, device: torch.device) -> Tensor:
    """Stand-in for the mean training image of a target, float32 RGB in [0, 1], (3, H, W).

    The image of the `mean` submission where it has one for the target, else the mean of the suite's own images.
    """
    mean = load_submission(submissions_root(), "mean")
    if spec.id in mean.weights:
        return load_inverse(mean.weights[spec.id].directory(submissions_root() / "mean"), device).get_buffer("image")
    total = np.zeros((*spec.input_size, 3))
    for sample in _iter_samples(images, spec.input_size):
        total += sample.image
    return torch.from_numpy(total / len(images.ids) / 255).permute(2, 0, 1).float().to(device)


def measure_suite_anchors(content: Content, device: torch.device) -> dict[str, dict[str, Anchor]]:
    """Return the anchors by target; targets of one input size share them."""
    suite, images = content.suite, content.images
    networks = load_metric_networks(content, device)
    known: dict[tuple[int, int], dict[str, Anchor]] = {}
    for target in suite.targets:
        size = target.input_size
        if size not in known:
            mean = load_training_mean(target, images, device)
            with tqdm(_iter_samples(images, size), total=len(images.ids), unit="image", desc="anchors") as bar:
                known[size] = measure_anchors(suite, bar, mean, networks, device)
    return {target.id: known[target.input_size] for target in suite.targets}
