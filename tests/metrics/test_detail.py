"""Detail metrics against scikit-image, scipy and an independent FFT, and their properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage as ndi
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from skimage.transform import resize
from torch import Tensor

from benchmark.metrics.case import Case, FocalMask, View
from benchmark.metrics.detail import gaussian_valid, luma, psnr, spectral_ev, ssim

METRICS = (psnr, ssim, spectral_ev)
SIZES = ((96, 96), (67, 120), (224, 160))
LUMA = np.array([0.299, 0.587, 0.114])


def photos(height: int, width: int) -> Tensor:
    """Four photographs, (4, 3, H, W) at 8 bits."""
    images = [getattr(skimage.data, name)() for name in ("astronaut", "chelsea", "coffee", "camera")]
    color = [image if image.ndim == 3 else np.stack([image] * 3, axis=2) for image in images]
    small = [np.round(resize(image, (height, width), anti_aliasing=True) * 255) for image in color]
    return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 255


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


def as_hwc(image: Tensor) -> np.ndarray:
    return View(image[None]).rgb[0].permute(1, 2, 0).double().numpy()


def spectral_ev_of(x: np.ndarray, y: np.ndarray) -> float:
    """The metric of one image (H, W, 3), bin by bin over the half plane."""
    gray_x, gray_y = x @ LUMA, y @ LUMA
    height, width = gray_x.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    spectrum_x = np.fft.fft2((gray_x - gray_x.mean()) * window)
    spectrum_y = np.fft.fft2((gray_y - gray_x.mean()) * window)
    members: dict[int, list[tuple[int, int]]] = {}
    for ky in range(height):
        for kx in range(width // 2 + 1):
            cycles = math.hypot(ky - height if ky > (height - 1) // 2 else ky, kx * height / width)
            for band in range(5):
                if 3.5 * 2**band < cycles <= min(7 * 2**band, height / 2):
                    members.setdefault(band, []).append((ky, kx))
    scores = []
    for bins in members.values():
        rows, columns = np.array(bins).T
        energy = (np.abs(spectrum_x[rows, columns]) ** 2).sum()
        if len(bins) >= 8 and energy / gray_x.size**2 >= 1e-8:
            error = (np.abs(spectrum_x[rows, columns] - spectrum_y[rows, columns]) ** 2).sum()
            scores.append(np.clip(1 - error / energy, 0, 1))
    return float(np.mean(scores)) if scores else math.nan


def test_luma_weighs_the_channels() -> None:
    view = View(torch.eye(3)[:, :, None, None].expand(3, 3, 2, 2))
    np.testing.assert_allclose(luma(view)[:, 0, 0], LUMA, atol=1e-7)


@pytest.mark.parametrize(("sigma", "radius"), [(0.8, 2), (1.5, 5), (4.0, 12)])
def test_gaussian_matches_scipy(sigma: float, radius: int) -> None:
    images = photos(48, 64)[:, 0]
    expected = ndi.gaussian_filter(images.double().numpy(), (0, sigma, sigma), radius=(0, radius, radius))
    inner = (slice(None), slice(radius, -radius), slice(radius, -radius))
    np.testing.assert_allclose(gaussian_valid(images, sigma, radius), expected[inner], atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_parity(size: tuple[int, int]) -> None:
    reference = photos(*size)
    for name, recon in degraded(reference).items():
        case = compare(reference, recon)
        scores = {metric: metric(case) for metric in METRICS}
        for i in range(len(reference)):
            x, y = as_hwc(reference[i]), as_hwc(recon[i])
            assert scores[psnr][i] == pytest.approx(peak_signal_noise_ratio(x, y, data_range=1), abs=1e-4), name
            _, full = structural_similarity(
                x @ LUMA, y @ LUMA, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
                data_range=1, full=True,
            )  # fmt: skip
            assert scores[ssim][i] == pytest.approx(full[5:-5, 5:-5].mean(), abs=2e-5), name
            assert scores[spectral_ev][i] == pytest.approx(spectral_ev_of(x, y), abs=1e-5), name


def test_identity_scores_the_best_value() -> None:
    reference = photos(96, 96)
    case = compare(reference, reference)
    assert psnr(case).tolist() == [60.0] * 4
    np.testing.assert_allclose(ssim(case), 1, atol=1e-6)
    np.testing.assert_allclose(spectral_ev(case), 1, atol=1e-6)


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


def test_spectral_ev_leaves_out_bands_that_the_original_lacks() -> None:
    reference = (torch.arange(96) / 255).expand(1, 3, 96, 96)
    fine = (torch.arange(96) % 2 / 255).expand(1, 3, 96, 96)
    x, y = as_hwc(reference[0]), as_hwc((reference + fine)[0])
    score = spectral_ev(compare(reference, reference + fine)).item()
    assert score == pytest.approx(spectral_ev_of(x, y), abs=1e-5)
    assert score > 0.9


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
