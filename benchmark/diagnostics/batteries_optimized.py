"""For each metric, the one fixed image that scores best on training images: found by descent, judged on others.

Metrics through which gradients flow are climbed by them, on pixels that are not rounded; the others by gradients
estimated from pairs of opposite steps (evolution strategies; Salimans et al. 2017).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from benchmark.datasets.base import Sample
from benchmark.diagnostics.batteries_answers import Prior, own_color, to_luma
from benchmark.diagnostics.batteries_scores import kinds_of
from benchmark.engine.precision import float32
from benchmark.engine.scorer import load_finish, load_parts
from benchmark.files.pixels import to_tensor
from benchmark.metrics.blur import blur
from benchmark.metrics.case import Case, FocalMask, View
from benchmark.metrics.spec import get_metric
from benchmark.perturbations import perturb
from benchmark.suites.spec import POOLED, Perturbation, Suite

__all__ = ["STARTS", "STEPS", "FixedAnswer", "Optimized", "optimize"]

STEPS = 500
BATCH = 8
COEFFICIENTS = 8
RATE = 0.006
STRETCH = 0.04
SEED = 5
STARTS = ("training mean image", "smooth noise", "gray with faint noise")


class FixedAnswer(NamedTuple):
    """An image, and where the own mean color is shown in it.

    Attributes:
        image: RGB (3, H, W).
        own: factor on the chroma of the own mean color that is added, (H, W).
    """

    image: Tensor
    own: Tensor

    def show(self, seen: Tensor) -> Tensor:
        """Recons (N, 3, H, W) of what the target was shown."""
        color = own_color(seen, 1)
        return (self.image + self.own * (color - to_luma(color))).clamp(0, 1)


class Optimized(NamedTuple):
    """The best fixed answer to a metric.

    Attributes:
        best: the start from which it came.
        before: training score of each start.
        after: training score of each answer that was found from it.
    """

    metric: str
    answer: FixedAnswer
    best: str
    before: dict[str, float]
    after: dict[str, float]


class _TrainingBatch:
    """Training images with what metrics derive from them."""

    def __init__(self, images: Tensor, masks: Tensor, kinds: Sequence[Perturbation]) -> None:
        self.original, self.mask = View(images), FocalMask(masks)
        self.seen = {
            kind: self.original if kind == "identity" else View(perturb(kind, self.original.rgb, masks))
            for kind in kinds
        }


class _Objective:
    """Mean score of fixed answers over training images."""

    def __init__(self, suite: Suite, metric_id: str, samples: Sequence[Sample], device: torch.device) -> None:
        self.metric, self.function = get_metric(metric_id), load_parts(metric_id)
        self.kinds = kinds_of(suite, metric_id)
        self.sign = 1 if self.metric.higher_is_better else -1
        self.batches = []
        for first in range(0, len(samples), BATCH):
            part = samples[first : first + BATCH]
            images = to_tensor(np.stack([sample.image for sample in part]), device)
            masks = torch.from_numpy(np.stack([sample.focal_mask for sample in part])).to(device)
            self.batches.append(_TrainingBatch(images, masks, self.kinds))

    def _case(self, batch: _TrainingBatch, answer: FixedAnswer, kind: Perturbation, rounded: bool) -> Case:
        views = []
        for seen in (batch.seen[kind], batch.original):
            pixels = answer.show(seen.rgb)
            view = View(pixels)
            if not rounded:
                view.rgb = pixels
            views.append(view)
        return Case(batch.original, batch.seen[kind], views[0], batch.mask, baseline=views[1])

    def scores(
        self, answer: FixedAnswer, batch: _TrainingBatch, kinds: Sequence[Perturbation], rounded: bool
    ) -> Tensor:
        """Scores of the images of a batch, higher is better; NaN where not scored."""
        parts = torch.stack([self.function(self._case(batch, answer, kind, rounded)) for kind in kinds])
        if self.metric.perturbations == POOLED:
            return self.sign * load_finish(self.metric.id)(parts.sum(0))
        return self.sign * parts.nanmean(0)

    def step(self, answer: FixedAnswer, number: int, rounded: bool) -> Tensor:
        """Mean score on the batch of a step, under one of the kinds."""
        batch = self.batches[number % len(self.batches)]
        kind = self.kinds[number % len(self.kinds)]
        return self.scores(answer, batch, (kind,), rounded).nanmean().nan_to_num()

    @torch.no_grad()
    def total(self, answer: FixedAnswer) -> float:
        """Mean score on all training images, as an evaluation computes it."""
        found = torch.cat([self.scores(answer, batch, self.kinds, rounded=True) for batch in self.batches])
        return self.sign * float(found.nanmean())


class _Climb:
    """A fixed answer made of a start and waves of low frequency, whose weights are climbed."""

    def __init__(self, start: FixedAnswer, colored: bool) -> None:
        self.start = start
        self.theta = torch.zeros(1 + colored, COEFFICIENTS, COEFFICIENTS, device=start.image.device)
        self.waves = [self._waves(size).to(start.image) for size in start.image.shape[1:]]

    @staticmethod
    def _waves(size: int) -> Tensor:
        """Cosines of a root mean square of 1, (frequencies, size)."""
        places = (torch.arange(size) + 0.5) * (math.pi / size)
        waves = torch.cos(torch.arange(COEFFICIENTS)[:, None] * places)
        return waves / waves.square().mean(1, keepdim=True).sqrt()

    def answer(self, theta: Tensor) -> FixedAnswer:
        fields = torch.einsum("ckl,kh,lw->chw", theta, *self.waves)
        own = self.start.own + 10 * fields[1] if len(theta) > 1 else torch.zeros_like(self.start.own)
        return FixedAnswer((self.start.image + fields[0]).clamp(0, 1), own)

    def _estimate(self, objective: _Objective, number: int, generator: torch.Generator) -> Tensor:
        away = torch.randn(self.theta.shape, generator=generator).to(self.theta)
        up, down = (objective.step(self.answer(self.theta + s * STRETCH * away), number, True) for s in (1, -1))
        return (up - down) / (2 * STRETCH) * away

    def run(self, objective: _Objective, steps: int, generator: torch.Generator) -> FixedAnswer:
        """The answer after some steps of Adam (Kingma and Ba 2015), whose rate falls linearly to 0."""
        theta = self.theta.requires_grad_()
        optimizer = torch.optim.Adam([theta], RATE, maximize=True)
        decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
        smooth_metric = objective.step(self.answer(theta), 0, rounded=False).requires_grad
        for number in range(steps):
            if smooth_metric:
                optimizer.zero_grad()
                objective.step(self.answer(theta), number, rounded=False).backward()
            else:
                with torch.no_grad():
                    theta.grad = self._estimate(objective, number, generator)
            optimizer.step()
            decay.step()
        return self.answer(theta.detach())


def _starts(prior: Prior, generator: torch.Generator) -> dict[str, FixedAnswer]:
    noise = torch.randn((3, *prior.figure.shape), generator=generator).to(prior.mean)
    waves = blur(noise, 4)
    ramp = waves[1] / waves[1].std()
    gray = torch.full_like(prior.mean, 0.5)
    answers = (
        FixedAnswer(prior.mean, 4 * prior.figure),
        FixedAnswer(gray + 0.15 * waves[0] / waves[0].std(), 2 * ramp),
        FixedAnswer(gray + 0.01 * noise[2], 0.1 * ramp),
    )
    return dict(zip(STARTS, answers, strict=True))


@float32()
def optimize(suite: Suite, metric_id: str, samples: Sequence[Sample], prior: Prior, steps: int = STEPS) -> Optimized:
    """The fixed answer that scores best by a metric on training images, from three starts.

    Metrics that compare two recons (see `Metric.needs`) score a fixed image 0 by construction: for them the answer
    also shows the own mean color of what was seen, with a fixed map of strengths that is optimized too.

    Args:
        samples: the training images; their device is that of `prior`.
        steps: from each start.
    """
    objective = _Objective(suite, metric_id, samples, prior.mean.device)
    colored = "baseline" in objective.metric.needs
    generator = torch.Generator().manual_seed(SEED)
    before, after, answers = {}, {}, {}
    for name, start in tqdm(_starts(prior, generator).items(), unit="start", desc=f"optimize for {metric_id}"):
        climb = _Climb(start, colored)
        before[name] = objective.total(climb.answer(torch.zeros_like(climb.theta)))
        answers[name] = climb.run(objective, steps, generator)
        after[name] = objective.total(answers[name])
    best = max(after, key=lambda name: objective.sign * after[name])
    return Optimized(metric_id, answers[best], best, before, after)
