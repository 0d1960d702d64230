"""Anchors: what the best trivial answer and a perfect recon score on a suite, measured once for its lock."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from benchmark.aggregate import image_scores
from benchmark.datasets.frozen import Sample
from benchmark.degradations import EDITS
from benchmark.errors import SpecError
from benchmark.inverses.base import load_inverse
from benchmark.metrics.case import Classifier, Networks
from benchmark.metrics.spec import get_metric
from benchmark.scoring import Scorer, iter_tiles
from benchmark.spec import TRAINING_MEAN, Anchor, Suite
from benchmark.stats import masked_mean
from benchmark.submissions import load_submission, submissions_root
from benchmark.targets.judge import load_judge

__all__ = ["ANSWERS", "measure_anchors", "measure_suite_anchors"]

IDENTITY = "identity"
ANSWERS = ("own_mean_color", "another_image", TRAINING_MEAN, "white_noise")


def _answers(seen: Tensor, training_mean: Tensor) -> dict[str, Tensor]:
    """Return the trivial answers to what the target saw; another image is the one before it in its tile."""
    nowhere = torch.zeros(seen.shape[0], *seen.shape[2:], dtype=torch.bool, device=seen.device)
    given = {IDENTITY: seen, TRAINING_MEAN: training_mean.expand_as(seen)}
    return given | {name: EDITS[name](seen, nowhere) for name in ANSWERS if name not in given}


def measure_anchors(
    suite: Suite, samples: Sequence[Sample], training_mean: Tensor, judge: Classifier | None, device: torch.device
) -> dict[str, Anchor]:
    """Return the anchor of every metric that enters an axis.

    Args:
        training_mean: float32 RGB in [0, 1], (3, H, W).

    Raises:
        SpecError: a metric may not be ranked, scores nothing, or takes a trivial answer for as good as identity.
    """
    mean = training_mean.to(device)
    scorer = Scorer(suite, (IDENTITY, *ANSWERS), lambda seen: _answers(seen, mean), Networks(judge))
    values = np.concatenate([scorer.run(tile)["values"] for tile in iter_tiles(samples, suite, device)])
    anchors: dict[str, Anchor] = {}
    for metric_id in (m for metric_ids in suite.axes.values() for m in metric_ids):
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


def measure_suite_anchors(
    suite: Suite, samples: Sequence[Sample], device: torch.device
) -> dict[str, dict[str, Anchor]]:
    """Return the anchors by target; targets of one input size share them.

    The training mean image is the one of the `mean` submission.
    """
    mean = load_submission(submissions_root(), "mean")
    judge = load_judge(suite.judge, device) if suite.judge else None
    known: dict[tuple[int, int], dict[str, Anchor]] = {}
    for target in suite.targets:
        if target.input_size not in known:
            image = load_inverse(mean.weights[target.id].directory(), device).get_buffer("image")
            known[target.input_size] = measure_anchors(suite, samples, image, judge, device)
    return {target.id: known[target.input_size] for target in suite.targets}
