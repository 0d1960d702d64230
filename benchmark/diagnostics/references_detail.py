"""Independent references of the DETAIL metrics."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.signal.windows import tukey
from skimage.metrics import peak_signal_noise_ratio

from benchmark.diagnostics.references_common import Array, OneImage, luma, mean_of_scored, ssim_map

__all__ = ["DETAIL", "load_lpips"]

Spectrum = npt.NDArray[np.complex128]


def _psnr(one: OneImage) -> float:
    with np.errstate(divide="ignore"):
        return min(float(peak_signal_noise_ratio(one.seen, one.recon, data_range=1)), 60.0)


def _mse_norm(one: OneImage) -> float:
    return float((((one.recon - one.seen) / np.array([0.229, 0.224, 0.225])) ** 2).mean())


def _ssim(one: OneImage) -> float:
    return float(ssim_map(one.seen, one.recon).mean()) if min(one.mask.shape) >= 11 else math.nan


def _bands(one: OneImage) -> Iterator[tuple[float, float, float]]:
    """Yield the lowest and highest frequency of each octave band and its explained variance; NaN if x is flat."""
    x, y = luma(one.seen), luma(one.recon)
    height, width = x.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    spectrum_x, spectrum_y = (np.fft.rfft2((gray - x.mean()) * window) for gray in (x, y))
    # Whole numbers before the only division, so that none is lost at the limit of a band.
    rows, columns = np.round(np.fft.fftfreq(height) * height), np.arange(width // 2 + 1)
    cycles = np.sqrt((rows[:, None] * width) ** 2 + (columns * height) ** 2) / width
    for octave in range(5):
        low, high = 3.5 * 2**octave, min(7.0 * 2**octave, height / 2)
        band = (cycles > low) & (cycles <= high)
        if band.sum() >= 8:
            energy = (np.abs(spectrum_x[band]) ** 2).sum()
            error = (np.abs(spectrum_x[band] - spectrum_y[band]) ** 2).sum()
            flat = energy / x.size**2 < 1e-8
            yield low, high, math.nan if flat else float(np.clip(1 - error / energy, 0, 1))


def _spectral_ev(one: OneImage) -> float:
    return mean_of_scored([ev for _, _, ev in _bands(one)])


def _spectrum(image: Array) -> Spectrum:
    """Return the Fourier transform of windowed luma over the full plane, complex (H, W)."""
    gray = luma(image)
    window = np.outer(*(tukey(side, 0.5) for side in gray.shape))
    return np.fft.fft2((gray - np.average(gray, weights=window)) * window)


def _ring_sums(one: OneImage, limits: list[tuple[Fraction, Fraction]]) -> Iterator[tuple[float, float, float]]:
    """Yield sum |X|^2, sum |Y|^2 and Re sum X conj Y of each ring; its limits are squares of cycles per height."""
    x, y = _spectrum(one.seen), _spectrum(one.recon)
    height, width = x.shape
    ky, kx = np.meshgrid(np.fft.fftfreq(height, 1 / height), np.fft.fftfreq(width, 1 / width), indexing="ij")
    squared = np.rint(ky).astype(int) ** 2 * width**2 + np.rint(kx).astype(int) ** 2 * height**2
    for low, high in limits:
        ring = (squared > math.floor(low * width**2)) & (squared <= math.floor(high * width**2))
        power_x, power_y = (float((np.abs(part[ring]) ** 2).sum()) for part in (x, y))
        yield power_x, power_y, float((x[ring] * y[ring].conj()).real.sum())


def _octave_rings(height: int) -> list[tuple[Fraction, Fraction]]:
    octaves = [(Fraction(7, 4) * 2**j, min(Fraction(7, 2) * 2**j, Fraction(height, 2))) for j in range(6)]
    return [(low**2, high**2) for low, high in octaves if high**2 >= 2 * low**2]


def _correlation(power_x: float, power_y: float, cross: float) -> float:
    return cross / math.sqrt(power_x * max(power_y, 0.01 * power_x))


def _octave_sums(one: OneImage) -> list[tuple[float, float, float]]:
    """Return the sums of the octave rings in which x is not flat."""
    sums = _ring_sums(one, _octave_rings(one.mask.shape[0]))
    return [ring for ring in sums if ring[0] / one.mask.size**2 >= 1e-8]


def _frc(one: OneImage) -> float:
    return mean_of_scored([_correlation(*ring) for ring in _octave_sums(one)])


def _ring_contrast(one: OneImage) -> float:
    return mean_of_scored([math.sqrt(power_y / power_x) for power_x, power_y, _ in _octave_sums(one)])


def _resolution_px(one: OneImage) -> float:
    height = one.mask.shape[0]
    nyquist, lows = Fraction(height, 2) ** 2, [Fraction(49, 16)]
    while lows[-1] * 2 < nyquist:
        lows.append(lows[-1] * 2)
    limits = [(low, min(2 * low, nyquist)) for low in lows if low < nyquist]
    centers = [math.log2(low * high) / 4 for low, high in limits]
    rings = zip(centers, _ring_sums(one, limits), strict=True)
    points = [(center, _correlation(*ring)) for center, ring in rings if ring[0] / one.mask.size**2 >= 1e-8]
    if not points:
        return math.nan
    below = [value < 0.5 for _, value in points]
    if not any(below):
        return float(height)
    first = below.index(True)
    if first == 0:
        return 0.0
    (coarse, higher), (fine, lower) = points[first - 1 : first + 1]
    return float(2 * 2 ** np.interp(0.5, [lower, higher], [fine, coarse]))


def load_lpips(path: Path) -> Callable[[Array, Array], float]:
    """Return LPIPS (AlexNet) of the `lpips` package, for two images (H, W, 3) in [0, 1].

    Args:
        path: safetensors file with the convolutions of torchvision's AlexNet.
    """
    import lpips
    from safetensors.torch import load_file

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    trunk = load_file(path)
    layers = [(1, 0), (2, 3), (3, 6), (4, 8), (5, 10)]
    names = [(f"slice{k}.{layer}.{part}", f"features.{layer}.{part}") for k, layer in layers for part in
             ("weight", "bias")]  # fmt: skip
    model.net.load_state_dict({own: trunk[published] for own, published in names}, strict=True)

    def distance(first: Array, second: Array) -> float:
        pair = [torch.from_numpy(image).permute(2, 0, 1)[None].float() * 2 - 1 for image in (first, second)]
        with torch.inference_mode():
            return float(model(*pair))

    return distance


def _lpips_alex(one: OneImage) -> float:
    if one.perceptual is None or min(one.mask.shape) < 31:
        return math.nan
    return one.perceptual(*(np.repeat(luma(image)[..., None], 3, axis=2) for image in (one.seen, one.recon)))


DETAIL: dict[str, Callable[[OneImage], float]] = {
    "frc": _frc,
    "resolution_px": _resolution_px,
    "ring_contrast": _ring_contrast,
    "psnr": _psnr,
    "mse_norm": _mse_norm,
    "ssim": _ssim,
    "spectral_ev": _spectral_ev,
    "lpips_alex": _lpips_alex,
}
