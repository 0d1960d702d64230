"""Mirror decoys: 1 for the image itself, 0 for what is symmetric, 0 in the mean for what ignores the image."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.ndimage as ndi
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmark.datasets.scenes import make_scene
from benchmark.metrics.case import Case, FocalMask, View
from benchmark.metrics.figure_ground import fg_transfer
from benchmark.metrics.shape import contour_f, edge_f
from benchmark.metrics.spec import METRICS

DECOYED = (contour_f, edge_f, fg_transfer)
Metric = Callable[[Case], Tensor]
COUNT = 48


@pytest.fixture(scope="module")
def scenes() -> tuple[View, FocalMask]:
    """Made images and the masks of their focal objects."""
    made = [make_scene("test", 7, index) for index in range(COUNT)]
    images = torch.from_numpy(np.stack([scene.image for scene in made])).permute(0, 3, 1, 2).float() / 255
    masks = torch.from_numpy(np.stack([scene.category_mask(scene.focal_category) for scene in made]))
    return View(images), FocalMask(masks)


def scores_of(metric: Metric, scenes: tuple[View, FocalMask], recon: Tensor) -> Tensor:
    original, mask = scenes
    return metric(Case(original, original, View(recon), mask))


def symmetric(quarter: Tensor) -> Tensor:
    """Return images of which a quarter (N, C, h, w) is given, mirrored left-right and top-bottom."""
    half = torch.cat((quarter, quarter.flip(3)), 3)
    return torch.cat((half, half.flip(2)), 2)


def noise(seed: int, sigma: float, side: int = 96) -> Tensor:
    """Return band-passed gray noise (COUNT, 3, side, side), another one per image."""
    white = np.random.default_rng(seed).normal(size=(COUNT, side, side))
    band = ndi.gaussian_filter(white, (0, sigma, sigma)) - ndi.gaussian_filter(white, (0, 2 * sigma, 2 * sigma))
    return torch.from_numpy(0.5 + 0.15 * band / band.std())[:, None].float().expand(-1, 3, -1, -1)


@pytest.mark.parametrize("metric", DECOYED)
def test_the_image_itself_scores_exactly_one(metric: Metric, scenes: tuple[View, FocalMask]) -> None:
    scores = scores_of(metric, scenes, scenes[0].rgb)
    assert scores[~scores.isnan()].tolist() == [1] * int((~scores.isnan()).sum())
    assert (~scores.isnan()).float().mean() > 0.8


def test_symmetric_features_transfer_nothing(scenes: tuple[View, FocalMask]) -> None:
    for sigma in (1.0, 3.0):
        scores = scores_of(fg_transfer, scenes, symmetric(noise(0, sigma, 48)))
        assert scores[~scores.isnan()].tolist() == [0] * int((~scores.isnan()).sum())


@pytest.mark.parametrize("metric", [contour_f, edge_f])
def test_symmetric_edges_score_nothing(metric: Metric, scenes: tuple[View, FocalMask]) -> None:
    """Exactly where the edge map is symmetric; ties and orientations at the limit of a bin leave a little elsewhere."""
    y, x = torch.meshgrid(torch.arange(96) - 47.5, torch.arange(96) - 47.5, indexing="ij")
    blob = torch.exp(-((y / 5) ** 2) / 2 - (x / 9) ** 2 / 2)
    scores = scores_of(metric, scenes, (0.3 + 0.4 * blob).expand(COUNT, 3, 96, 96))
    assert scores[~scores.isnan()].tolist() == [0] * int((~scores.isnan()).sum())
    disk = 0.3 + 0.4 * (torch.hypot(y, x) < 13)
    for recon in (disk.expand(COUNT, 3, 96, 96), symmetric(noise(0, 1.0, 48)), symmetric(noise(0, 3.0, 48))):
        scores = scores_of(metric, scenes, recon)
        assert scores.nanmean().abs() < 0.005
        assert scores[~scores.isnan()].abs().max() < 0.1


@pytest.mark.parametrize("metric", DECOYED)
@pytest.mark.parametrize("sigma", [1.0, 4.0])
def test_what_ignores_the_image_scores_nothing_in_the_mean(
    metric: Metric, sigma: float, scenes: tuple[View, FocalMask]
) -> None:
    several = torch.stack([scores_of(metric, scenes, noise(seed, sigma)) for seed in range(4)]).nanmean(0)
    several = several[~several.isnan()]
    error = several.std() / math.sqrt(len(several))
    assert several.mean().abs() < 3 * error
    assert 0 < error < 0.05


@pytest.mark.parametrize("metric", DECOYED)
def test_other_images_score_nothing_in_the_mean(metric: Metric, scenes: tuple[View, FocalMask]) -> None:
    others = [scores_of(metric, scenes, scenes[0].rgb.roll(by, 0)) for by in range(1, 8)]
    means = torch.stack(others).nanmean(0)
    means = means[~means.isnan()]
    assert means.mean().abs() < 3 * means.std() / math.sqrt(len(means))


@pytest.mark.parametrize("metric", DECOYED)
def test_a_mirror_image_scores_less_than_nothing(metric: Metric, scenes: tuple[View, FocalMask]) -> None:
    """It is one of the three decoys: v of the mirror image is about a third of what the decoys sum to."""
    scores = scores_of(metric, scenes, scenes[0].rgb.flip(3))
    assert scores.nanmean() < -0.1


@pytest.mark.parametrize("metric", DECOYED)
def test_originals_that_resemble_their_mirror_images_are_not_scored(metric: Metric) -> None:
    y, x = torch.meshgrid(torch.arange(96) - 47.5, torch.arange(96) - 47.5, indexing="ij")
    for shift, scored in ((0, False), (20, True)):
        disk = torch.hypot(y - shift, x - shift)[None] < 16
        view = View((0.3 + 0.4 * disk)[:, None].expand(1, 3, 96, 96))
        score = metric(Case(view, view, view, FocalMask(disk)))
        assert score.isnan().item() is not scored


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), size=st.sampled_from([(8, 8), (11, 11), (33, 47), (96, 40), (7, 64), (96, 96)]))
def test_small_and_uneven_images_score_in_the_declared_range(seed: int, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    images, recon = torch.rand(2, 5, 3, *size, generator=generator)
    masks = torch.rand(5, *size, generator=generator) < torch.tensor([0, 0.1, 0.5, 0.9, 1])[:, None, None]
    images = torch.where(masks[:, None], 0.5 * images, 0.4 + 0.6 * images)
    images[4], recon[3] = 0.5, 0.5
    view = View(images)
    for metric in DECOYED:
        case = Case(view, view, View(recon), FocalMask(masks))
        scores, own = metric(case), metric(Case(view, view, view, FocalMask(masks)))
        low, high = METRICS[metric.__name__].range
        assert high is not None
        assert ((scores >= low) & (scores <= high) | scores.isnan()).all()
        assert (own.isnan() == scores.isnan()).all()
        assert ((own == 1) | own.isnan()).all()
        assert scores[4].isnan()


def test_large_images_are_scored() -> None:
    y, x = torch.meshgrid(torch.arange(480) / 480, torch.arange(640) / 640, indexing="ij")
    mask = ((y - 0.6) / 0.25) ** 2 + ((x - 0.3) / 0.2) ** 2 <= 1
    view = View((0.2 + 0.5 * mask + 0.1 * torch.sin(40 * x + 23 * y)).expand(1, 3, 480, 640))
    half_as_bright = View(0.5 * view.rgb)
    for metric in DECOYED:
        assert metric(Case(view, view, half_as_bright, FocalMask(mask[None]))).item() > 0.8


def test_the_reference_is_what_the_target_saw(scenes: tuple[View, FocalMask]) -> None:
    original, mask = scenes
    seen = View(original.rgb.roll(1, 0))
    for metric in DECOYED:
        scores = metric(Case(original, seen, View(seen.rgb), mask))
        assert ((scores == 1) | scores.isnan()).all()
        assert (scores == 1).any()
