"""Fourier ring correlation against numpy, its rings against exact fractions, and its properties."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import scipy.ndimage as ndi
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import windows
from torch import Tensor

from benchmark.metrics.case import Case, FocalMask, View
from benchmark.metrics.spectrum import frc, resolution_px, ring_contrast, rings_of, tukey

CPU = torch.device("cpu")
NAMES = ("frc", "resolution_px", "ring_contrast")
Photos = Callable[[int, int], Tensor]
Parity = Callable[..., None]


def compare(reference: Tensor, recon: Tensor) -> Case:
    view = View(reference)
    return Case(view, view, View(recon), FocalMask(torch.ones_like(reference[:, 0], dtype=torch.bool)))


def blurred(images: Tensor, sigma: float) -> Tensor:
    return torch.from_numpy(ndi.gaussian_filter(images.numpy(), (0, 0, sigma, sigma)))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 11, 33, 96, 97, 224])
def test_the_window_is_that_of_scipy(size: int) -> None:
    np.testing.assert_allclose(tukey(size, CPU), windows.tukey(size, 0.5), atol=1e-6)


@pytest.mark.parametrize("size", [(96, 96), (100, 130), (27, 100), (33, 47), (8, 8), (12, 480)])
def test_rings_hold_the_bins_that_exact_fractions_say(size: tuple[int, int]) -> None:
    height, width = size
    rings = rings_of(height, width, CPU)
    squares = [Fraction(49, 16) * 2**k for k in range(len(rings.centers) + 1)]
    limits = [(low, min(high, Fraction(height, 2) ** 2)) for low, high in itertools.pairwise(squares)]
    assert all(low < high for low, high in limits) and squares[-1] >= Fraction(height, 2) ** 2
    counts = [0] * len(limits)
    for ky, kx in itertools.product(range(height), range(width)):
        squared = Fraction(min(ky, height - ky)) ** 2 + Fraction(min(kx, width - kx) * height, width) ** 2
        for index, (low, high) in enumerate(limits):
            counts[index] += low < squared <= high
    # Every bin has a real and an imaginary part.
    assert (rings.members.sum(0) / 2).tolist() == counts
    assert rings.centers.tolist() == pytest.approx([math.log2(low * high) / 4 for low, high in limits])
    kept = [j for j in range(6) if height / 2 >= math.sqrt(2) * 1.75 * 2**j]
    assert rings.octaves == len(kept)


def test_octave_rings_end_at_112_cycles() -> None:
    assert [rings_of(side, side, CPU).octaves for side in (4, 5, 96, 112, 158, 159, 224, 480)] == [
        0, 1, 5, 5, 5, 6, 6, 6,
    ]  # fmt: skip


@pytest.mark.parametrize("size", [(96, 96), (67, 120), (224, 160), (8, 8), (11, 11), (33, 47)])
def test_parity(size: tuple[int, int], photos: Photos, parity: Parity) -> None:
    reference = photos(*size)
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(3))
    recons = (reference + 0.1 * noise, blurred(reference, 1.5), reference.roll((2, 1), (2, 3)), reference * 0.05)
    for recon in (*recons, reference.roll(1, 0), torch.full_like(reference, 0.5)):
        parity(compare(reference, recon), NAMES)


def test_parity_of_a_large_image(photos: Photos, parity: Parity) -> None:
    reference = photos(480, 640)[:2]
    parity(compare(reference, blurred(reference, 2.0)), NAMES)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    contrast=st.floats(0, 1.5),
    size=st.sampled_from([(5, 5), (8, 8), (16, 16), (33, 47), (96, 96)]),
)
def test_bounds_identity_and_batch_independence(seed: int, contrast: float, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    reference, other = torch.rand(2, 3, 3, *size, generator=generator)
    recon = 0.5 + contrast * (other - 0.5)
    recon[1] = reference[1]
    whole = compare(reference, recon)
    for metric, low, high in ((frc, -1, 1), (resolution_px, 0, size[0]), (ring_contrast, 0, math.inf)):
        scores = metric(whole)
        assert scores.dtype == torch.float32
        assert ((scores >= low) & (scores <= high)).all()
        alone = torch.cat([metric(compare(reference[i : i + 1], recon[i : i + 1])) for i in range(3)])
        np.testing.assert_allclose(scores, alone, atol=1e-3 if metric is resolution_px else 1e-5)
    assert frc(whole)[1] == ring_contrast(whole)[1] == 1
    assert resolution_px(whole)[1] == size[0]


def test_flat_and_tiny_originals_are_not_scored(photos: Photos) -> None:
    flat = torch.tensor([0.0, 0.3, 1.0])[:, None, None, None].expand(3, 3, 96, 96)
    noise = torch.rand(3, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    tiny = photos(96, 96)[..., :4, :6]
    for metric in (frc, resolution_px, ring_contrast):
        assert metric(compare(flat, noise)).isnan().all()
    for metric in (frc, ring_contrast):
        assert metric(compare(tiny, tiny)).isnan().all()
    assert frc(compare(noise, flat)).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert resolution_px(compare(noise, flat)).tolist() == [0, 0, 0]


def test_rings_that_the_original_lacks_are_left_out(parity: Parity) -> None:
    ramp = (torch.arange(96) / 255).expand(1, 3, 96, 96)
    fine = (torch.arange(96) % 2 / 255).expand(1, 3, 96, 96)
    smooth = View(blurred(ramp + 0.3, 8.0)).rgb
    for original in (ramp, smooth):
        parity(compare(original, original + 5 * fine), NAMES)
    assert frc(compare(ramp, ramp + fine)).item() > 0.9


def test_contrast_and_dimming_change_little_down_to_a_tenth(photos: Photos) -> None:
    reference = photos(96, 96)
    for contrast in (0.1, 0.5, 1.0):
        assert (frc(compare(reference, 0.5 + contrast * (reference - 0.5))) > 0.9).all()
    # 1 % of the power is a tenth of the contrast: under it the correlation falls in proportion.
    faint = frc(compare(reference, 0.5 + 0.03 * (reference - 0.5)))
    assert (faint < 0.35).all() and (faint > 0.2).all()


def test_unrelated_images_do_not_correlate() -> None:
    images, other = torch.rand(2, 64, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    scores = frc(compare(images, other))
    assert scores.mean().abs() < 3 * scores.std() / 8 < 0.1


def test_the_resolution_says_where_the_recon_gives_up(photos: Photos) -> None:
    reference = photos(224, 224)
    blocks = torch.nn.functional.avg_pool2d(reference, 14).repeat_interleave(14, 2).repeat_interleave(14, 3)
    noisy = blurred(reference, 2.0) + 0.1 * torch.rand(reference.shape, generator=torch.Generator().manual_seed(0))
    found = [resolution_px(compare(reference, recon)) for recon in (reference, noisy, blocks, reference.roll(1, 0))]
    assert (found[0] == 224).all()
    assert (found[1] > found[2]).all() and (found[1] < 224).all()
    # A grid of 16 cells resolves 16 pixels.
    assert ((found[2] > 8) & (found[2] < 32)).all()
    assert (found[3] < 8).all()


def test_the_contrast_of_detail(photos: Photos) -> None:
    reference = photos(96, 96)
    half = ring_contrast(compare(reference, 0.25 + 0.5 * reference))
    np.testing.assert_allclose(half, 0.5, atol=0.02)
    assert (ring_contrast(compare(reference, blurred(reference, 2.0))) < 0.7).all()


def test_the_reference_is_what_the_target_saw(photos: Photos) -> None:
    original, seen = View(photos(96, 96)), View(photos(96, 96).roll(1, 0))
    case = Case(original, seen, View(seen.rgb), FocalMask(torch.ones(4, 96, 96, dtype=torch.bool)))
    assert frc(case).tolist() == [1] * 4
