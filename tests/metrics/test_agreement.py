"""Agreement of the target with itself: average precision against pycocotools, label agreement against scipy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmark.diagnostics.references import DetectedBoxes, coco_ap, label_agreement
from benchmark.metrics.agreement import average_precision, redetection_ap, self_recognition
from benchmark.metrics.case import Case, Detections, FocalMask, Networks, View
from benchmark.metrics.shape import agreement

GRID = 16


def draw(generator: torch.Generator, images: int, count: int, labels: int, side: int) -> Detections:
    """Boxes with corners on a grid of binary fractions, so that overlaps are exact and ties and repeats common."""
    low = torch.randint(0, GRID - 1, (images, count, 2), generator=generator)
    extent = torch.randint(1, side + 1, (images, count, 2), generator=generator)
    scores = torch.randint(0, 17, (images, count), generator=generator) / 16
    boxes = torch.cat([low, low + extent], dim=-1) / GRID
    return Detections(torch.randint(0, labels, (images, count), generator=generator), scores, boxes)


def expected_ap(found: Detections, truth: Detections, wanted: Tensor) -> list[float]:
    values = []
    for i, chosen in enumerate(wanted.numpy()):
        ours = [DetectedBoxes(*(part[i].double().numpy() for part in items)) for items in (found, truth)]
        one, other = (DetectedBoxes(item.labels.astype(np.int64), item.scores, item.boxes) for item in ours)
        values.append(coco_ap(one, DetectedBoxes(other.labels[chosen], other.scores[chosen], other.boxes[chosen])))
    return values


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**31 - 1),
    detections=st.integers(0, 30),
    objects=st.integers(0, 12),
    labels=st.integers(1, 4),
    side=st.sampled_from([1, 3, 10]),
    kept=st.floats(0, 1),
    copied=st.floats(0, 1),
)
def test_average_precision_is_that_of_pycocotools(
    seed: int, detections: int, objects: int, labels: int, side: int, kept: float, copied: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    truth, found = (draw(generator, 3, count, labels, side) for count in (objects, detections))
    if objects and detections:
        # Some detections are objects, moved by a little: good matches, duplicates, and wrong labels.
        source = torch.randint(0, objects, (3, detections), generator=generator)
        near = truth.boxes.gather(1, source[..., None].expand(-1, -1, 4)).clone()
        near[..., 2:] += torch.randint(0, 2, (3, detections, 2), generator=generator) / GRID
        repeat = torch.rand(3, detections, generator=generator) < copied
        boxes = torch.where(repeat[..., None], near, found.boxes)
        found = Detections(torch.where(repeat, truth.labels.gather(1, source), found.labels), found.scores, boxes)
    wanted = torch.rand(3, objects, generator=generator) < kept
    values = average_precision(found, truth, wanted)
    np.testing.assert_allclose(values, expected_ap(found, truth, wanted), rtol=0, atol=1e-6)


@pytest.mark.parametrize("twentieths", range(9, 21))
def test_overlaps_on_a_threshold_count(twentieths: int) -> None:
    """A detection that covers k twentieths of an object overlaps it by exactly k / 20."""
    label, score = torch.zeros(1, 1, dtype=torch.long), torch.ones(1, 1)
    truth = Detections(label, score, torch.tensor([[[0.0, 0.0, 20.0, 1.0]]]))
    found = Detections(label, score, torch.tensor([[[0.0, 0.0, float(twentieths), 1.0]]]))
    value = average_precision(found, truth, torch.ones(1, 1, dtype=torch.bool)).item()
    assert value == pytest.approx(expected_ap(found, truth, torch.ones(1, 1, dtype=torch.bool))[0], abs=1e-6)


@pytest.mark.parametrize("objects", [3, 7, 20, 25, 50, 100])
def test_recalls_on_the_grid_count(objects: int) -> None:
    """Every second detection misses: precision falls at recalls of k / objects, many of them on COCO's grid."""
    places = torch.arange(objects) * 2.0
    boxes = torch.stack([places, torch.zeros(objects), places + 1, torch.ones(objects)], dim=1)[None]
    label = torch.zeros(1, objects, dtype=torch.long)
    truth = Detections(label, torch.ones(1, objects), boxes)
    missing = boxes + torch.tensor([0.0, 5, 0, 5])
    scores = 1 - torch.arange(2 * objects)[None] / 256
    found = Detections(label.repeat(1, 2), scores, torch.stack([boxes, missing], dim=2).flatten(1, 2))
    wanted = torch.ones(1, objects, dtype=torch.bool)
    value = average_precision(found, truth, wanted).item()
    assert value == pytest.approx(expected_ap(found, truth, wanted)[0], abs=1e-6)


def test_perfect_and_absent_detections() -> None:
    truth = draw(torch.Generator().manual_seed(0), 2, 6, 2, 10)
    everything = torch.ones(2, 6, dtype=torch.bool)
    assert average_precision(truth, truth, everything).tolist() == pytest.approx([1, 1])
    assert average_precision(truth, truth, ~everything).isnan().all()
    elsewhere = Detections(truth.labels + 9, truth.scores, truth.boxes)
    assert average_precision(elsewhere, truth, everything).tolist() == [0, 0]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**31 - 1),
    labels=st.sampled_from([2, 8, 1000]),
    sharpness=st.sampled_from([0.1, 3.0, 30.0]),
    near=st.booleans(),
    exclusive=st.booleans(),
)
def test_agreement_is_that_of_scipy(seed: int, labels: int, sharpness: float, near: bool, exclusive: bool) -> None:
    logits = sharpness * torch.randn(2, 3, labels, generator=torch.Generator().manual_seed(seed))
    if near:
        logits[1] = logits[0] + 0.01 * logits[1]
    p, q = logits.softmax(-1) if exclusive else logits.sigmoid()
    scores = agreement(p, q, exclusive)
    assert ((scores >= 0) & (scores <= 1)).all()
    expected = [label_agreement(a, b, exclusive) for a, b in zip(p.double().numpy(), q.double().numpy(), strict=True)]
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


def test_the_target_sees_color(photos: Callable[[int, int], Tensor], networks: Networks) -> None:
    images = photos(48, 48)
    view = View(images)
    case = Case(view, view, View(images.flip(1)), FocalMask(torch.ones_like(images[:, 0]).bool()), networks)
    assert (self_recognition(case)[:3] < 1).all()
    # The photograph without color is the same with its channels in another order.
    assert self_recognition(case)[3] == 1


def test_parity_with_the_embedded_size_of_images(
    photos: Callable[[int, int], Tensor], networks: Networks, parity: Callable[..., None]
) -> None:
    view = View(photos(96, 96))
    recon = View(view.rgb.roll((9, 4), (2, 3)) * 0.9)
    case = Case(view, view, recon, FocalMask(torch.ones_like(view.rgb[:, 0]).bool()), networks)
    parity(case, ["self_recognition", "redetection_ap", "recognition"])


def test_not_scored_without_the_network_or_without_objects(
    photos: Callable[[int, int], Tensor], networks: Networks
) -> None:
    images = photos(48, 48)
    mask = FocalMask(torch.ones_like(images[:, 0]).bool())
    view, flat = View(images), View(torch.full_like(images, 0.5))
    assert self_recognition(Case(view, view, view, mask)).isnan().all()
    assert redetection_ap(Case(view, view, view, mask)).isnan().all()
    assert redetection_ap(Case(view, view, view, mask, networks)).tolist() == pytest.approx([1] * 4)
    assert redetection_ap(Case(flat, flat, view, mask, networks)).isnan().all()
