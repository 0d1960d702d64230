"""Shape metrics against image-by-image references, DAVIS boundary maps and scikit-learn, and their properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage as ndi
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import blobs, case_of, degraded, lit, photos
from skimage.morphology import disk
from torch import Tensor

from benchmark.diagnostics.references import REFERENCES, boundary, images_of
from benchmark.metrics.case import FocalMask, View
from benchmark.metrics.edges import (
    contour,
    dilate_bits,
    dilate_disk,
    maxima,
    mirrored,
    mirrored_bits,
    pixel_tolerance,
    reference_edges,
    strongest,
)
from benchmark.metrics.figure_ground import fg_transfer
from benchmark.metrics.shape import contour_f, edge_f

# --- edges ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "tolerance"), [((96, 96), 2), ((224, 224), 3), ((480, 640), 7), ((24, 24), 1)])
def test_pixel_tolerance(size: tuple[int, int], tolerance: int) -> None:
    assert pixel_tolerance(*size) == tolerance


@pytest.mark.parametrize("radius", [1, 2, 3, 5, 7])
def test_dilation_is_that_of_a_disk(radius: int) -> None:
    generator = torch.Generator().manual_seed(radius)
    maps = torch.rand(3, 40, 31, generator=generator) < 0.01
    maps[:, 0, 0] = maps[:, -1, 12] = True
    expected = np.stack([ndi.binary_dilation(one, disk(radius)) for one in maps.numpy()])
    assert (dilate_disk(maps, radius).numpy() == expected).all()
    bits = maps.to(torch.uint8) * 4 + maps.flip(1).to(torch.uint8) * 128
    dilated = dilate_bits(bits, radius)
    assert ((dilated & 4).bool().numpy() == expected).all()
    assert ((dilated & 128).bool() == dilate_disk(maps.flip(1), radius)).all()


def test_contour_is_the_davis_boundary() -> None:
    mask = blobs(50, 70)
    found = contour(FocalMask(mask), 1)
    for i in range(len(mask)):
        expected = boundary(mask[i].numpy())
        expected[:2] = expected[-2:] = expected[:, :2] = expected[:, -2:] = False
        assert expected.any()
        assert (found.pixels[i].numpy() == expected).all()


@pytest.mark.parametrize(("degrees", "bins"), [(0, {7, 0}), (30, {0, 1}), (80, {3, 4}), (135, {5, 6}), (150, {6, 7})])
def test_orientation_bits_are_next_to_the_gradient(degrees: float, bins: set[int]) -> None:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    angle = math.radians(degrees)
    wave = 0.5 + 0.4 * torch.sin((x * math.cos(angle) + y * math.sin(angle)) / 6)
    found = maxima(View(wave.expand(1, 3, 64, 64)), 1)
    inner = found.accepted[0, 8:-8, 8:-8][found.ridge[0, 8:-8, 8:-8] > 0.02]
    bits, counts = inner.unique(return_counts=True)
    accepted = int(bits[counts.argmax()])
    assert bins == {k for k in range(8) if accepted >> k & 1}


def test_a_recon_has_as_many_edges_as_the_original() -> None:
    images = photos(96, 96)
    noise = torch.rand(4, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    for recon in (images, noise):
        for divisor in (1, 2, 4):
            reference = View(images).get(reference_edges, divisor)
            kept = strongest(View(recon).get(maxima, divisor), reference)
            assert (kept.flatten(1).sum(1) == reference.counts).all()


def test_equal_edges_are_no_more_than_others() -> None:
    images = photos(96, 96)
    stripes = ((torch.arange(96) // 6) % 2).float().expand(4, 3, 96, 96)
    reference = View(images).get(reference_edges, 1)
    kept = strongest(View(stripes).get(maxima, 1), reference)
    assert (kept.flatten(1).sum(1) == reference.counts).all()


@pytest.mark.parametrize("flipping", [("cpu",), ()], ids=["flips", "lookup"])
def test_mirrored_edges_are_those_of_a_mirrored_wave(
    flipping: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bin k turns to 7 - k under one mirror, and stays under both."""
    monkeypatch.setattr("benchmark.metrics.edges.FLIPPING", flipping)
    bits = (1 << torch.arange(8, dtype=torch.uint8)).view(1, 2, 4)
    found = mirrored_bits(bits)[0]
    assert found[0].tolist() == bits[0].tolist()
    assert found[1].tolist() == [[16, 32, 64, 128], [1, 2, 4, 8]]
    assert found[2].tolist() == [[8, 4, 2, 1], [128, 64, 32, 16]]
    assert found[3].tolist() == bits[0].flip(0, 1).tolist()
    places = torch.arange(6).view(1, 2, 3)
    assert mirrored(places)[0].tolist() == [
        [[0, 1, 2], [3, 4, 5]],
        [[2, 1, 0], [5, 4, 3]],
        [[3, 4, 5], [0, 1, 2]],
        [[5, 4, 3], [2, 1, 0]],
    ]


# --- contour_f -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(96, 96), (50, 83), pytest.param((224, 280), marks=pytest.mark.slow)])
def test_edge_parity(size: tuple[int, int]) -> None:
    """Within .02 an image and .002 in the mean: edges of equal strength may be ranked otherwise in float32."""
    mask = blobs(*size)
    original = lit(photos(*size), mask)
    for name, metric in (("contour_f", contour_f), ("edge_f", edge_f)):
        differences = []
        for recon in degraded(original).values():
            case = case_of(original, recon, mask)
            expected = np.array([REFERENCES[name](image) for image in images_of(case)])
            differences.append(np.abs(metric(case).numpy() - expected))
        assert np.max(differences) < 0.02
        assert np.mean(differences) < 0.002


def test_contour_f_of_trivial_recons() -> None:
    mask = blobs(96, 96)
    original = lit(photos(96, 96), mask)
    assert contour_f(case_of(original, original, mask)).tolist() == [1, 1, 1, 1]
    assert contour_f(case_of(original, torch.full_like(original, 0.4), mask)).tolist() == [0, 0, 0, 0]
    assert (contour_f(case_of(original, original.roll(1, 0), mask)) < 0.6).all()


def test_contour_f_ignores_contrast_and_polarity() -> None:
    mask = blobs(96, 96)
    original = lit(photos(96, 96), mask)
    assert (contour_f(case_of(original, 0.3 + 0.4 * original, mask)) > 0.97).all()
    assert (contour_f(case_of(original, 1 - original, mask)) > 0.97).all()


def test_contour_f_tolerates_what_the_tolerance_says() -> None:
    mask = torch.zeros(1, 96, 96, dtype=torch.bool)
    mask[:, 14:50, 22:58] = True
    original = mask[:, None].float().expand(1, 3, 96, 96)
    scores = [contour_f(case_of(original, original.roll(shift, 3), mask)).item() for shift in (0, 1, 8)]
    assert scores[0] == 1
    assert scores[1] > 0.95
    assert scores[2] < 0.75


def test_contour_f_matches_orientation() -> None:
    """Vertical stripes have edges everywhere, but not along the horizontal sides of a bar."""
    mask = torch.zeros(1, 96, 96, dtype=torch.bool)
    mask[:, 16:32, 2:94] = True
    original = mask[:, None].float().expand(1, 3, 96, 96)
    near = torch.exp(-(((torch.arange(96) - 24) / 12) ** 2))[:, None]
    stripes = ((torch.arange(96) // 6) % 2 - 0.5).expand(96, 96)
    along, across = (0.5 + near * pattern.expand(1, 3, 96, 96) for pattern in (stripes.mT, stripes))
    assert contour_f(case_of(original, across, mask)).item() < 0.1
    assert contour_f(case_of(original, along, mask)).item() > 0.5


def test_contour_f_needs_a_visible_contour() -> None:
    images = photos(96, 96)
    flat = torch.full_like(images, 0.5)
    mask = blobs(96, 96)
    assert contour_f(case_of(flat, images, mask)).isnan().all()
    assert contour_f(case_of(images, images, torch.zeros_like(mask))).isnan().all()
    assert contour_f(case_of(images, images, torch.ones_like(mask))).isnan().all()
    dot = torch.zeros_like(mask)
    dot[:, 40:42, 40:42] = True
    assert contour_f(case_of(lit(images, dot), images, dot)).isnan().all()


# --- edge_f --------------------------------------------------------------------------------------


def test_edge_f_of_trivial_recons() -> None:
    original = photos(96, 96)
    mask = blobs(96, 96)
    assert edge_f(case_of(original, original, mask)).tolist() == [1, 1, 1, 1]
    assert edge_f(case_of(original, torch.full_like(original, 0.4), mask)).tolist() == [0, 0, 0, 0]
    assert (edge_f(case_of(original, original.roll(1, 0), mask)) < 0.6).all()
    assert (edge_f(case_of(original, 1 - original, mask)) > 0.95).all()


def test_edge_f_looks_at_no_mask() -> None:
    original, mask = photos(96, 96), blobs(96, 96)
    recon = degraded(original)["noise"]
    assert torch.equal(edge_f(case_of(original, recon, mask)), edge_f(case_of(original, recon, ~mask)))


def test_edge_f_needs_edges() -> None:
    images, mask = photos(96, 96), blobs(96, 96)
    assert edge_f(case_of(torch.full_like(images, 0.5), images, mask)).isnan().all()


# --- properties ----------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    coarse=st.sampled_from([1, 4, 16]),
    contrast=st.floats(0, 1),
    side=st.sampled_from([32, 96]),
)
def test_batch_independence(seed: int, coarse: int, contrast: float, side: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.rand(2, 4, 3, side // coarse, side // coarse, generator=generator)
    noise, recon = blocks.repeat_interleave(coarse, 3).repeat_interleave(coarse, 4)
    mask = blobs(side, side)
    original = lit(noise, mask)
    recon = contrast * recon + (1 - contrast) * original

    def scores_of(chosen: slice) -> list[Tensor]:
        case = case_of(original[chosen], recon[chosen], mask[chosen])
        return [contour_f(case), edge_f(case), fg_transfer(case)]

    whole = scores_of(slice(None))
    alone = [torch.cat(parts) for parts in zip(*(scores_of(slice(i, i + 1)) for i in range(4)), strict=True)]
    # Blocks of one color give the figure/ground rule many ties, which rounding breaks.
    for scores, singly, limit, atol in zip(whole, alone, (2, 2, 4), (1e-4, 1e-4, 2e-3), strict=True):
        assert scores.dtype == torch.float32
        assert ((scores.abs() <= limit) | scores.isnan()).all()
        np.testing.assert_allclose(scores, singly, atol=atol)
