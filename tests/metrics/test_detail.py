"""Detail metrics against scikit-image, scipy and an independent FFT, and their properties."""

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
from shapes import photos
from torch import Tensor

from benchmark.metrics.case import Case, FocalMask, View
from benchmark.metrics.detail import luma, mse_norm, octave_bands, psnr, spectral_ev, ssim

NAMES = ("psnr", "mse_norm", "ssim", "spectral_ev")
SIZES = ((96, 96), (67, 120), (224, 160))


def compare(reference: Tensor, recon: Tensor) -> Case:
    view = View(reference)
    return Case(view, view, View(recon), FocalMask(torch.ones_like(reference[:, 0], dtype=torch.bool)))


def degraded(images: Tensor) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    blurred = ndi.gaussian_filter(images.numpy(), (0, 0, 1.5, 1.5))
    return {
        "noise": (images + 0.1 * torch.randn(images.shape, generator=generator)).clamp(0, 1),
        "blur": torch.from_numpy(blurred),
        "shift": images.roll((2, 1), (2, 3)),
        "dark": images * 0.7,
        "other": images.roll(1, 0),
    }


def test_luma_weighs_the_channels() -> None:
    view = View(torch.eye(3)[:, :, None, None].expand(3, 3, 2, 2))
    np.testing.assert_allclose(luma(view)[:, 0, 0], [0.299, 0.587, 0.114], atol=1e-7)


@pytest.mark.parametrize("size", SIZES)
def test_parity(size: tuple[int, int], parity: Callable[..., None]) -> None:
    reference = photos(*size)
    for recon in degraded(reference).values():
        parity(compare(reference, recon), NAMES)


def test_identity_scores_the_best_value() -> None:
    reference = photos(96, 96)
    case = compare(reference, reference)
    assert psnr(case).tolist() == [60.0] * 4
    assert mse_norm(case).tolist() == [0.0] * 4
    for metric in (ssim, spectral_ev):
        np.testing.assert_allclose(metric(case), 1, atol=1e-6)


def test_the_reference_is_what_the_target_saw() -> None:
    reference, seen = photos(96, 96), photos(96, 96).flip(1)
    mask = FocalMask(torch.ones(4, 96, 96, dtype=torch.bool))
    case = Case(View(reference), View(seen), View(seen), mask)
    assert psnr(case).tolist() == [60.0] * 4
    for metric in (ssim, spectral_ev):
        np.testing.assert_allclose(metric(case), 1, atol=1e-6)


def test_psnr_is_capped() -> None:
    reference = torch.full((1, 3, 64, 64), 100 / 255)
    recon = reference.clone()
    recon[0, 0, 0, 0] += 1 / 255
    assert psnr(compare(reference, recon)).item() == 60
    assert psnr(compare(reference, reference + 1 / 255)).item() == pytest.approx(20 * math.log10(255), abs=1e-3)


def test_ssim_needs_a_whole_window() -> None:
    images = photos(96, 96)
    assert ssim(compare(images[..., :10, :], images[..., :10, :])).isnan().all()
    assert not ssim(compare(images[..., :11, :], images[..., :11, :])).isnan().any()


def test_spectral_ev_of_flat_originals_is_not_scored() -> None:
    flat = torch.tensor([0.0, 0.3, 1.0])[:, None, None, None].expand(3, 3, 96, 96)
    noise = torch.rand(3, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    assert spectral_ev(compare(flat, noise)).isnan().all()
    assert spectral_ev(compare(noise, flat)).tolist() == pytest.approx([0, 0, 0], abs=0.01)


def test_spectral_ev_leaves_out_bands_that_the_original_lacks(parity: Callable[..., None]) -> None:
    reference = (torch.arange(96) / 255).expand(1, 3, 96, 96)
    fine = (torch.arange(96) % 2 / 255).expand(1, 3, 96, 96)
    case = compare(reference, reference + fine)
    parity(case, ["spectral_ev"])
    assert spectral_ev(case).item() > 0.9


@pytest.mark.parametrize("size", [(100, 130), (27, 100), (32, 480)])
def test_frequencies_at_the_limit_of_a_band_are_in_one_band(size: tuple[int, int]) -> None:
    """Sizes at which float32 frequencies fall on the wrong side of 7 or 14 cycles per height."""
    height, width = size
    found = octave_bands(height, width, torch.device("cpu"))
    members = dict.fromkeys(found.limits, 0)
    for ky, kx in itertools.product(range(height), range(width // 2 + 1)):
        squared = Fraction(min(ky, height - ky)) ** 2 + Fraction(kx * height, width) ** 2
        for low, high in members:
            members[low, high] += Fraction(low) ** 2 < squared <= Fraction(high) ** 2
    assert list(members.values()) == found.members.sum(0).tolist()


def test_spectral_ev_of_a_tiny_image_is_not_scored() -> None:
    images = photos(96, 96)[..., :6, :6]
    assert spectral_ev(compare(images, images)).isnan().all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), contrast=st.floats(0.0, 1.5), side=st.sampled_from([16, 33, 96]))
def test_bounds_and_batch_independence(seed: int, contrast: float, side: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    reference = torch.rand(3, 3, side, side, generator=generator)
    recon = 0.5 + contrast * (torch.rand(3, 3, side, side, generator=generator) - 0.5)
    recon[1] = reference[1]
    whole = compare(reference, recon)
    for metric, low, high in ((psnr, 0, 60), (ssim, -1, 1), (spectral_ev, 0, 1)):
        scores = metric(whole)
        assert scores.dtype == torch.float32
        assert ((scores >= low - 1e-6) & (scores <= high + 1e-6)).all()
        alone = torch.cat([metric(compare(reference[i : i + 1], recon[i : i + 1])) for i in range(3)])
        np.testing.assert_allclose(scores, alone, atol=1e-5)
        assert scores[1] > scores[0]
