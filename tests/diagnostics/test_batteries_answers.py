"""Answers, filters and ideas of the batteries: pure functions that do what their names say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import median_filter
from torch import Tensor

from benchmark.datasets.base import Sample
from benchmark.diagnostics.batteries_answers import ANSWERS, Answer, Prior, dominant_color, own_color, scale_chroma
from benchmark.diagnostics.batteries_filters import (
    CHROMA_FILTERS,
    DENOISERS,
    FILTERS,
    bilateral,
    less_mirrored,
    less_symmetric_chroma,
    median,
)
from benchmark.diagnostics.batteries_ideas import IDEAS
from benchmark.metrics.case import View
from benchmark.metrics.cielab import lab
from benchmark.perturbations import gray

LOOKS = {name for name in ANSWERS if "color" in name or "another" in name}
"""Answers that know something of what was seen: its colors, or another image."""


@pytest.fixture(scope="module")
def prior() -> Prior:
    generator = torch.Generator().manual_seed(1)
    return Prior(torch.rand(3, 96, 96, generator=generator), torch.rand(96, 96, generator=generator))


@pytest.fixture(scope="module")
def masks(samples: list[Sample]) -> Tensor:
    """The focal masks of the first four frozen images."""
    return torch.stack([torch.from_numpy(sample.focal_mask) for sample in samples[:4]])


def run(function: Answer, images: Tensor, prior: Prior, seed: int = 0) -> Tensor:
    return function(images, prior, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", [*ANSWERS, *FILTERS, *DENOISERS])
def test_answers_and_filters_are_pure_and_seeded(name: str, images: Tensor, prior: Prior) -> None:
    function, before = (ANSWERS | FILTERS | DENOISERS)[name], images.clone()
    found = run(function, images, prior)
    assert torch.equal(images, before)
    assert found.shape == images.shape
    assert found.dtype == torch.float32
    assert found.isfinite().all()
    assert torch.equal(run(function, images, prior), found)
    drawn = "noise" in name or "chance" in name
    assert drawn != torch.equal(run(function, images, prior, seed=1), found)


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_ignore_where_things_are(name: str, images: Tensor, prior: Prior) -> None:
    """Turning the image by half a turn changes no answer; only those that know colors see another image."""
    found = run(ANSWERS[name], images, prior)
    turned = run(ANSWERS[name], images.flip((2, 3)), prior)
    if "another" not in name:
        assert torch.allclose(turned, found, atol=1e-5)
    others = run(ANSWERS[name], images.roll(1, 0).flip(2), prior)
    assert (name in LOOKS) != torch.equal(others, found)


@pytest.mark.parametrize("name", IDEAS)
def test_ideas_are_pure(name: str, images: Tensor, masks: Tensor) -> None:
    before = images.clone()
    found = IDEAS[name](images, masks)
    assert torch.equal(images, before)
    assert found.shape == images.shape and found.isfinite().all()
    assert torch.equal(IDEAS[name](images, masks), found)
    assert ("mask" in name) != torch.equal(IDEAS[name](images, ~masks), found)


def test_colors(images: Tensor) -> None:
    assert torch.allclose(own_color(images, 1)[..., 0, 0], images.mean((2, 3)))
    assert torch.allclose(scale_chroma(images, 0), gray(images, images), atol=0.003)
    spot = torch.full((1, 3, 8, 8), 0.5)
    spot[..., :2, :2] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    assert dominant_color(spot, 4).flatten().tolist() == pytest.approx([1, 0, 0])
    assert (own_color(spot, 4) - 0.5).abs().max() > (own_color(spot, 1) - 0.5).abs().max()


@pytest.mark.parametrize("name", [name for name in CHROMA_FILTERS if name.startswith("chroma")])
def test_chroma_filters_scale_chroma_and_keep_luma(name: str, images: Tensor, prior: Prior) -> None:
    soft = 0.4 + 0.2 * images
    found = run(CHROMA_FILTERS[name], soft, prior)
    assert torch.allclose(scale_chroma(found, 0), scale_chroma(soft, 0), atol=1e-5)
    chroma = [lab(View(rgb))[:, 1:].square().sum(1).sqrt().mean() for rgb in (soft, found)]
    assert chroma[1] / chroma[0] == pytest.approx(float(name.partition("x")[2]), rel=0.05)


def test_denoisers_are_as_defined(images: Tensor, prior: Prior) -> None:
    expected = median_filter(images.numpy(), size=(1, 1, 3, 3), mode="nearest")
    assert np.array_equal(run(median, images, prior).numpy(), expected)
    found, pixels = run(bilateral, images, prior).numpy(), images.double().numpy()
    offsets = np.arange(-3, 4)
    away = np.square(offsets)[:, None] + np.square(offsets)
    for y, x in ((10, 20), (47, 51), (90, 5)):
        window = pixels[1, :, y - 3 : y + 4, x - 3 : x + 4]
        unlike = np.square(window - pixels[1, :, y, x][:, None, None]).sum(0)
        weight = np.exp(-away / (2 * 1.5**2) - unlike / (2 * 0.1**2))
        assert found[1, :, y, x] == pytest.approx((window * weight).sum((1, 2)) / weight.sum(), abs=1e-5)


def test_what_is_symmetric_is_taken_away(images: Tensor) -> None:
    even = (images + images.flip(3) + images.flip(2) + images.flip((2, 3))) / 4
    mean = even.mean((2, 3), keepdim=True)
    assert torch.allclose(less_mirrored(even, 1), mean.expand_as(even), atol=1e-5)
    chroma = less_symmetric_chroma(even, 1)
    flat = scale_chroma(even, 0) + mean - scale_chroma(mean, 0)
    assert torch.allclose(chroma, flat, atol=1e-5)
    assert torch.allclose(scale_chroma(less_symmetric_chroma(images, 1), 0), scale_chroma(images, 0), atol=1e-5)
