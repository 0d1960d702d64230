"""The embedded networks are worth inverting, and the measures are the field's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.content.content import Content
from benchmark.datasets.base import Sample
from benchmark.datasets.scenes import CATEGORIES, SIZE
from benchmark.diagnostics.target_quality import box_ap50, label_map, measure_suite_quality
from benchmark.targets.base import Prediction

# A little under what `invbench bench targets` measured, so that worse networks are noticed.
LEAST = {"mini-detr": 0.73, "mini-vit": 0.93, "mini-swin": 0.935, "mini-judge": 0.94}


@pytest.mark.slow
def test_the_embedded_networks_are_good_at_their_task(content: Content, cpu: torch.device) -> None:
    rows = measure_suite_quality(content, cpu)
    values = {str(row["network"]): float(row["value"]) for row in rows if "gray" not in str(row["measure"])}
    assert values.keys() == LEAST.keys()
    for name, least in LEAST.items():
        assert values[name] >= least, name


def answers(samples: list[Sample], spoil: float) -> Prediction:
    queries = 4
    logits = torch.full((len(samples), queries, len(CATEGORIES) + 1), -9.0)
    logits[..., -1] = 9
    boxes = torch.full((len(samples), queries, 4), 0.5)
    for i, sample in enumerate(samples):
        for q, (label, (x0, y0, x1, y1)) in enumerate(zip(sample.classes, sample.boxes, strict=True)):
            logits[i, q, -1], logits[i, q, label] = -9, 9
            boxes[i, q] = torch.tensor([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]) / SIZE
    boxes[..., 0] += spoil
    return Prediction(logits, boxes)


@pytest.mark.parametrize(("spoil", "expected"), [(0.0, 1.0), (0.3, 0.0)])
def test_box_ap_of_known_answers(samples: list[Sample], cpu: torch.device, spoil: float, expected: float) -> None:
    whole = answers(samples, spoil)
    assert whole.boxes is not None
    place = 0

    def predict(images: Tensor) -> Prediction:
        nonlocal place
        rows = slice(place, place + len(images))
        place += len(images)
        assert whole.boxes is not None
        return Prediction(whole.logits[rows], whole.boxes[rows])

    assert box_ap50(samples, predict, cpu) == pytest.approx(expected, abs=0.02)


def test_label_map_of_known_answers(samples: list[Sample], cpu: torch.device) -> None:
    truth = torch.tensor([[float(label in s.labels) for label in range(len(CATEGORIES))] for s in samples])
    place = 0

    def predict(images: Tensor) -> Tensor:
        nonlocal place
        place += len(images)
        return truth[place - len(images) : place]

    assert label_map(samples, predict, cpu) == pytest.approx(1)
    chance = label_map(samples, lambda images: torch.zeros(len(images), len(CATEGORIES)), cpu)
    assert chance == pytest.approx(float(np.mean(truth.mean(0).numpy())), abs=1e-6)
