"""Every metric follows its independent reference as closely as its declaration says."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmark.diagnostics.references import REFERENCES, bin_of, boundary, limit_of, matched, peaks
from benchmark.metrics.case import Case, FocalMask, Networks, Prototypes, View
from benchmark.metrics.spec import METRICS
from benchmark.perturbations import perturb
from benchmark.suites.spec import Perturbation

Parity = Callable[..., None]
UNDER: dict[str, Perturbation] = {
    "identity": "identity",
    "all": "hue_set_240",
    "hue": "hue_shift_120",
    "hue_set": "hue_set_120",
    "hues": "hue_shift_120",
    "gray": "gray",
}


def softened(images: Tensor, seed: int, sigma: float = 0.05) -> Tensor:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
    return F.avg_pool2d(images, 3, 1, 1) + sigma * noise


def case_of(
    metric_id: str, images: Tensor, masks: Tensor, networks: Networks, invert: Callable[[Tensor], Tensor]
) -> Case:
    """The comparison of a recon, made by `invert`, under a perturbation that the metric is computed under."""
    original = View(images)
    kind = UNDER[METRICS[metric_id].perturbations]
    seen = original if kind == "identity" else View(perturb(kind, original.rgb, masks))
    # The stand-in for LPIPS has no reference: the real network is compared in its own tests.
    networks = dataclasses.replace(networks, perceptual=None)
    usual = Prototypes((torch.arange(8.0) * 45 + 20).expand(len(images), -1), torch.arange(len(images)) % 8)
    return Case(original, seen, View(invert(seen.rgb)), FocalMask(masks), networks, View(invert(original.rgb)), usual)


def test_every_metric_has_a_reference() -> None:
    assert REFERENCES.keys() == METRICS.keys()


@pytest.mark.parametrize("metric_id", METRICS)
def test_parity_on_coco_photographs(
    metric_id: str, coco: tuple[Tensor, Tensor], networks: Networks, parity: Parity
) -> None:
    images, masks = coco
    for invert in (lambda seen: softened(seen, 0), lambda seen: 0.8 * seen.roll((2, 1), (2, 3)), lambda seen: images):
        parity(case_of(metric_id, images, masks, networks, invert), [metric_id])


@pytest.mark.parametrize("metric_id", METRICS)
@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**31 - 1),
    size=st.sampled_from([(48, 64), (96, 96), (33, 47), (100, 130), (16, 24)]),
    coarse=st.sampled_from([3, 8, 16]),
    share=st.floats(0.02, 0.6),
    noise=st.sampled_from([0.0, 0.03, 0.3]),
)
def test_parity_on_made_images(
    metric_id: str,
    seed: int,
    size: tuple[int, int],
    coarse: int,
    share: float,
    noise: float,
    networks: Networks,
    parity: Parity,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    made = torch.rand(3, 4, coarse, coarse, generator=generator)
    made = F.interpolate(made, size=size, mode="bicubic", align_corners=True).clamp(0, 1)
    images, depth = made[:, :3], made[:, 3]
    masks = depth > depth.flatten(1).quantile(1 - share, dim=1)[:, None, None]
    images = torch.where(masks[:, None], 0.6 * images, 0.3 + 0.7 * images)
    parity(case_of(metric_id, images, masks, networks, lambda seen: softened(seen, seed, noise)), [metric_id])


# --- the references' own shortcuts, pixel by pixel -----------------------------------------------


def maxima_of(magnitude: np.ndarray, orientation: np.ndarray) -> np.ndarray:
    height, width = magnitude.shape
    found = np.zeros((height, width), dtype=bool)
    for i, j in np.argwhere(magnitude > 2e-3):
        di, dj = ((0, 1), (1, 1), (1, 0), (1, -1))[round(orientation[i, j] / 2) % 4]
        sides = [
            magnitude[a, b] if 0 <= a < height and 0 <= b < width else 0.0
            for a, b in ((i - di, j - dj), (i + di, j + dj))
        ]
        found[i, j] = magnitude[i, j] >= sides[0] and magnitude[i, j] > sides[1]
    return found


def matched_of(
    places: np.ndarray, directions: np.ndarray, edges: np.ndarray, orientation: np.ndarray, reach: int
) -> np.ndarray:
    """Which places have an edge within reach, of their own bin or the nearer neighbouring one."""
    spots, bins = np.argwhere(edges), np.floor(orientation[edges]) % 8
    found = []
    for place, direction in zip(np.argwhere(places), directions[places], strict=True):
        own = math.floor(direction)
        nearer = own + 1 if direction - own >= 0.5 else own - 1
        close = ((spots - place) ** 2).sum(1) <= reach**2
        found.append(np.isin(bins[close], (own % 8, nearer % 8)).any())
    return np.array(found, dtype=bool)


@pytest.mark.parametrize("seed", range(3))
def test_edges_pixel_by_pixel(seed: int) -> None:
    random = np.random.default_rng(seed)
    magnitude, orientation = random.random((2, 30, 41)) * np.array([0.01, 8])[:, None, None]
    magnitude = magnitude.round(3)
    found = peaks(magnitude, orientation)
    assert (found == maxima_of(magnitude, orientation)).all()
    places, other = random.random((30, 41)) < 0.1, random.random((30, 41)) * 8
    for reach in (1, 2, 3):
        expected = matched_of(places, other, found, orientation, reach)
        assert (matched(places, limit_of(other), found, bin_of(orientation), reach) == expected).all()
        assert expected.any()
    nothing = np.zeros_like(places)
    assert not matched(places, limit_of(other), nothing, bin_of(orientation), 5).any()
    assert matched(nothing, limit_of(other), found, bin_of(orientation), 5).shape == (0,)


def test_boundaries_pixel_by_pixel() -> None:
    """DAVIS: a pixel that differs from its east, south or southeast neighbour; the frame compares along itself."""
    mask = np.random.default_rng(0).random((20, 27)) < 0.4
    expected = np.zeros_like(mask)
    for i in range(20):
        for j in range(27):
            below, right = min(i + 1, 19), min(j + 1, 26)
            expected[i, j] = (mask[[below, i, below], [j, right, right]] != mask[i, j]).any()
    assert (boundary(mask) == expected).all()
