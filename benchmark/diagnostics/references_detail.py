"""Independent references of the DETAIL metrics."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from skimage.metrics import peak_signal_noise_ratio

from benchmark.diagnostics.references_common import Array, OneImage, luma, mean_of_scored, ssim_map

__all__ = ["DETAIL", "load_lpips"]


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


def _hf_ev(one: OneImage) -> float:
    return mean_of_scored([ev for low, _, ev in _bands(one) if low >= 28])


def _f50(one: OneImage) -> float:
    points = [(math.log2(low * high) / 2, ev) for low, high, ev in _bands(one) if not math.isnan(ev)]
    if not points:
        return math.nan
    for k in reversed(range(len(points))):
        center, ev = points[k]
        if ev >= 0.5 and k == len(points) - 1:
            return float(2**center)
        if ev >= 0.5:
            finer_center, finer_ev = points[k + 1]
            return float(2 ** np.interp(0.5, [finer_ev, ev], [finer_center, center]))
    return 3.5


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
    "psnr": _psnr,
    "mse_norm": _mse_norm,
    "ssim": _ssim,
    "spectral_ev": _spectral_ev,
    "hf_ev": _hf_ev,
    "f50": _f50,
    "lpips_alex": _lpips_alex,
}
