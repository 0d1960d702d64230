"""Counts of operations and bytes against numbers worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch

from benchmark.content.content import Content
from benchmark.datasets.base import Sample
from benchmark.diagnostics.costs import Traffic, count_costs, count_tera
from benchmark.diagnostics.full_size import EnlargedImages
from benchmark.engine.scorer import TILE
from benchmark.files.paths import submissions_root
from benchmark.inverses.base import load_inverse
from benchmark.suites.spec import Suite
from benchmark.targets import load_target


def test_operations_and_bytes_are_those_of_the_textbook() -> None:
    first, second = torch.rand(30, 50), torch.rand(50, 20)
    assert count_tera(lambda: first @ second) == pytest.approx(2 * 30 * 50 * 20 / 1e12)
    query = torch.rand(1, 2, 7, 5)
    attention = count_tera(lambda: torch.nn.functional.scaled_dot_product_attention(query, query, query))
    assert attention == pytest.approx(2 * 2 * (2 * 7 * 7 * 5) / 1e12)
    with Traffic() as traffic:
        (first + 1).t().unsqueeze(0)
    assert traffic.moved == 2 * 30 * 50 * 4


def test_the_cost_of_an_image_is_the_sum_of_its_parts(mini: Suite, samples: list[Sample], cpu: torch.device) -> None:
    spec = mini.target("mini-swin")
    target = load_target(spec, spec.source.directory(), cpu)
    folder = submissions_root().parent / "benchmark/assets/mini/inverses/modular_per_tap/mini-swin"
    row = count_costs(mini, target, load_inverse(folder, cpu), samples[0])
    seen, inverse, whole, training = (
        float(row[name]) for name in ("target_TFLOP", "inverse_TFLOP", "evaluation_TFLOP", "training_TFLOP")
    )
    features = target.features(torch.zeros(1, 3, 96, 96))
    assert seen == pytest.approx(count_tera(lambda: target.features(torch.zeros(1, 3, 96, 96))))
    chain = count_tera(lambda: load_inverse(folder, cpu).invert({"stage.2": features["stage.2"]}))
    assert training == pytest.approx(seen + 3 * chain)
    assert 7 * (seen + inverse) < whole < 7.5 * (seen + inverse)
    pixels = TILE * len(spec.taps) * len(mini.perturbations) * 3 * 96 * 96 * 4
    assert float(row["scored_GB"]) * 1e9 * TILE > 10 * pixels


def test_images_are_enlarged_with_their_masks(content: Content) -> None:
    small = content.images.load(0, (96, 96))
    large = EnlargedImages(content.images, (96, 96)).load(0, (120, 160))
    assert large.image.shape == (120, 160, 3)
    assert large.image.mean() == pytest.approx(small.image.mean(), abs=1)
    assert large.focal_mask.mean() == pytest.approx(small.focal_mask.mean(), abs=0.02)


@pytest.mark.nightly
def test_the_command_computes_hours_from_speeds(invbench: Callable[..., object]) -> None:
    done = invbench("bench", "cost", "--target", "vit-base-16", "--gpus", "1", "--gpus", "8", "--json")
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    (row,) = json.loads(done.stdout)  # type: ignore[attr-defined]
    # 17.6 10^9 multiplications and additions of a ViT-B/16 on 224x224, as its authors and others count them.
    assert row["target_TFLOP"] == pytest.approx(2 * 17.6e-3, rel=0.02)
    assert row["evaluation_h_1"] == pytest.approx(8 * row["evaluation_h_8"])
