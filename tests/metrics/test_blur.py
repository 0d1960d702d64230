"""Gaussian blurs against scipy, by additions as on a CPU and by products as elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.ndimage as ndi
import torch
from shapes import blobs, case_of, degraded, lit, photos

from benchmark.metrics import blur as module
from benchmark.metrics.blur import blur, blur_matrix, blur_radius, blur_valid


@pytest.fixture(params=["additions", "products"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The way that a CPU takes, and that of other devices."""
    monkeypatch.setattr(module, "ADDING", ("cpu",) if request.param == "additions" else ())
    return str(request.param)


@pytest.mark.parametrize(("sigma", "radius"), [(0.8, 2), (1.5, 5), (4.0, 12)])
def test_where_the_window_lies_inside(sigma: float, radius: int, way: str) -> None:
    images = photos(48, 64)[:, 0]
    expected = ndi.gaussian_filter(images.double().numpy(), (0, sigma, sigma), radius=(0, radius, radius))
    inner = (slice(None), slice(radius, -radius), slice(radius, -radius))
    np.testing.assert_allclose(blur_valid(images, sigma, radius), expected[inner], atol=1e-6, err_msg=way)


@pytest.mark.parametrize(("size", "sigma"), [((24, 32), 1.0), ((24, 32), 4.0), ((7, 10), 4.0), ((224, 96), 0.5)])
def test_borders_reflect(size: tuple[int, int], sigma: float, way: str) -> None:
    images = photos(*size)[:, 0]
    radius = blur_radius(sigma, min(size))
    expected = ndi.gaussian_filter(
        images.double().numpy(), (0, sigma, sigma), radius=(0, radius, radius), mode="mirror"
    )
    np.testing.assert_allclose(blur(images, sigma), expected, atol=1e-6, err_msg=way)


def test_a_matrix_blurs_a_line() -> None:
    line = np.random.default_rng(0).normal(size=30)
    for reflecting, expected in ((True, slice(None)), (False, slice(6, -6))):
        matrix = blur_matrix(30, 2.0, 6, torch.float64, torch.device("cpu"), reflecting=reflecting)
        found = ndi.gaussian_filter1d(line, 2.0, radius=6, mode="mirror")[expected]
        np.testing.assert_allclose(matrix.numpy() @ line, found, atol=1e-12)
        np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-12)


@pytest.mark.slow
def test_scores_with_products_agree_with_their_references(
    parity: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ADDING", ())
    for size in ((96, 96), (64, 80)):
        mask = blobs(*size)
        original = lit(photos(*size), mask)
        for recon in degraded(original).values():
            parity(case_of(original, recon, mask), ["ssim", "contour_f", "edge_f", "fg_transfer"])
