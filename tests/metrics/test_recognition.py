"""Agreement of a held-out judge against scipy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmark.diagnostics.references import label_agreement
from benchmark.metrics.case import Case, FocalMask, Networks, View
from benchmark.metrics.detail import luma
from benchmark.metrics.recognition import agreement, recognition

Photos = Callable[[int, int], Tensor]


def case_of(original: Tensor, recon: Tensor, networks: Networks | None = None) -> Case:
    view = View(original)
    mask = FocalMask(torch.ones_like(original[:, 0], dtype=torch.bool))
    return Case(view, view, View(recon), mask, networks or Networks())


class MultiLabelJudge:
    """Reads three probabilities off thirds of the image, and keeps what it was shown."""

    exclusive_labels = False

    def __init__(self) -> None:
        self.shown: list[Tensor] = []

    def __call__(self, images: Tensor) -> Tensor:
        self.shown.append(images)
        thirds = images[:, 1].tensor_split(3, dim=2)
        return torch.stack([third.mean((1, 2)) for third in thirds], dim=1)


class ExclusiveJudge(MultiLabelJudge):
    exclusive_labels = True

    def __call__(self, images: Tensor) -> Tensor:
        return (super().__call__(images) * 10).softmax(1)


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


def test_recognition_of_independent_labels(photos: Photos, parity: Callable[..., None]) -> None:
    original = photos(96, 96)
    recon = original.roll(1, 0)
    judge = MultiLabelJudge()
    case = case_of(original, recon, Networks(judge))
    parity(case, ["recognition"])
    judge.shown.clear()
    recognition(case_of(original, recon, Networks(judge)))
    assert [images.shape for images in judge.shown] == [original.shape] * 2
    for images, view in zip(judge.shown, (case.original, case.recon), strict=True):
        assert all((images[:, channel] == luma(view)).all() for channel in range(3))


def test_recognition_of_exclusive_labels(photos: Photos, parity: Callable[..., None]) -> None:
    original = photos(96, 96)
    view, judge = View(original), ExclusiveJudge()
    case = Case(
        view, view, View(original.roll(1, 0)), FocalMask(torch.ones_like(original[:, 0]).bool()), Networks(judge)
    )
    parity(case, ["recognition"])


def test_recognition_extremes_and_reuse() -> None:
    white, black = torch.ones(2, 3, 9, 9), torch.zeros(2, 3, 9, 9)
    judge, original, mask = MultiLabelJudge(), View(white), FocalMask(torch.ones(2, 9, 9, dtype=torch.bool))
    networks = Networks(judge)
    assert recognition(Case(original, original, View(black), mask, networks)).tolist() == pytest.approx(
        [0, 0], abs=1e-6
    )
    assert recognition(Case(original, original, View(white), mask, networks)).tolist() == [1, 1]
    assert len(judge.shown) == 3


def test_recognition_without_a_judge_is_not_scored(photos: Photos) -> None:
    images = photos(32, 32)
    assert recognition(case_of(images, images)).isnan().all()
