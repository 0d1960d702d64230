"""Fixed images that are optimized for a metric: better than their start in training, worthless elsewhere."""

from __future__ import annotations

import pytest
import torch

from benchmark.datasets.base import Sample
from benchmark.diagnostics.batteries_answers import Prior
from benchmark.diagnostics.batteries_optimized import STARTS, STEPS, FixedAnswer, optimize
from benchmark.metrics.spec import get_metric
from benchmark.suites.catalog import load_suite
from benchmark.suites.spec import Suite


@pytest.fixture(scope="module")
def prior(samples: list[Sample]) -> Prior:
    """What other images than the first eight have in common."""
    pixels = torch.stack([torch.from_numpy(sample.image) for sample in samples[64:]]).permute(0, 3, 1, 2)
    figure = torch.stack([torch.from_numpy(sample.focal_mask) for sample in samples[64:]]).float().mean(0)
    return Prior(pixels.float().mean(0) / 255, figure / figure.max())


def test_a_fixed_answer_shows_the_own_color_where_it_says() -> None:
    own = torch.zeros(4, 4)
    own[0, 0] = 1
    seen = torch.zeros(2, 3, 4, 4)
    seen[0, 0], seen[1, 2] = 0.4, 0.4
    shown = FixedAnswer(torch.full((3, 4, 4), 0.5), own).show(seen)
    assert torch.equal(shown[0, :, 1:], shown[1, :, 1:])
    assert shown[0, 0, 0, 0] > 0.7 > shown[0, 2, 0, 0]
    assert shown[1, 2, 0, 0] > 0.7 > shown[1, 0, 0, 0]


@pytest.mark.nightly
@pytest.mark.parametrize("metric", sorted(load_suite("mini@1").ranked_metrics))
def test_a_climb_raises_the_training_score_of_every_ranked_metric(
    metric: str, mini: Suite, samples: list[Sample], prior: Prior
) -> None:
    """Few images are easy to fit: what the climb is worth on others, the nightly test of all batteries says."""
    found = optimize(mini, metric, samples[:8], prior, steps=25)
    assert found.before.keys() == found.after.keys() == set(STARTS)
    best = max(found.after.values()) if get_metric(metric).higher_is_better else min(found.after.values())
    assert found.after[found.best] == best
    gains = [found.after[name] - found.before[name] for name in STARTS]
    assert max(gains) > 0.03
    again = optimize(mini, metric, samples[:8], prior, steps=25)
    assert again.after == found.after


def test_the_page_takes_at_least_500_steps() -> None:
    assert STEPS >= 500
