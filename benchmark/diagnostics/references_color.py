"""Independent references of the COLOR metrics."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.optimize import nnls
from skimage.color import deltaE_ciede2000, rgb2lab

from benchmark.diagnostics.references_common import Array, OneImage, Pixels, distance_to, ssim_map, tolerance_of
from benchmark.diagnostics.references_transfer import color_transfer, hue_error_deg, prototype_pull

__all__ = ["COLOR"]


def _cells(image: Array, region: Pixels) -> Array:
    """Return the mean CIELAB (cells, 3) of the cells of which the region covers at least a quarter."""
    side = max(1, round(region.shape[0] / 28))
    starts = [np.arange(0, length, side) for length in region.shape]

    def sums(values: Array) -> Array:
        return np.add.reduceat(np.add.reduceat(values, starts[0], axis=0), starts[1], axis=1)

    covered = sums(region.astype(float))
    kept = covered >= side * side / 4
    return sums(rgb2lab(image) * region[..., None])[kept] / covered[kept][:, None]


def _frame(image: Array) -> Array:
    return _cells(image, np.ones(image.shape[:2], dtype=bool))


def _focal_region(mask: Pixels) -> Pixels:
    eroded = distance_to(~mask) > tolerance_of(*mask.shape)
    return eroded if eroded.sum() >= 64 else mask


def _moved(one: OneImage) -> tuple[Array, Array, Array]:
    """Return the CIELAB of x, x_p and y_p in the moved cells, (cells, 3) each."""
    region = _focal_region(one.mask)
    x, p, y = (_cells(image, region) for image in (one.original, one.seen, one.recon))
    moved = deltaE_ciede2000(x, p) >= 5
    return x[moved], p[moved], y[moved]


def _chroma(one: OneImage) -> tuple[Array, Array, Array] | None:
    """Return the chroma vectors of x, x_p and y_p in the moved cells; None if there are none, or too faint ones."""
    a_0, a_p, a_y = (cells[:, 1:] for cells in _moved(one))
    return (a_0, a_p, a_y) if len(a_p) and math.sqrt((a_p**2).sum(1).mean()) >= 10 else None


def _color_retention(one: OneImage) -> float:
    if (chroma := _chroma(one)) is None:
        return math.nan
    a_0, a_p, a_y = chroma
    trivial = min(((a_0 - a_p) ** 2).sum(), (a_p**2).sum())
    return float(np.clip(1 - ((a_y - a_p) ** 2).sum() / trivial, 0, 1))


def _color_ev(one: OneImage) -> float:
    x, p, y = _moved(one)
    if not len(x):
        return math.nan
    mean = np.broadcast_to(rgb2lab(one.seen).mean((0, 1)), p.shape)
    trivial = min(deltaE_ciede2000(x, p).mean(), deltaE_ciede2000(mean, p).mean())
    return float(np.clip(1 - deltaE_ciede2000(y, p).mean() / trivial, 0, 1)) if trivial >= 2 else math.nan


def _gain(one: OneImage, which: int) -> float:
    if (chroma := _chroma(one)) is None:
        return math.nan
    a_0, a_p, a_y = (vectors.ravel() for vectors in chroma)
    return float(nnls(np.stack([a_p, a_0], axis=1), a_y)[0][which])


def _delta_e_2000(one: OneImage) -> float:
    return float(deltaE_ciede2000(_frame(one.original), _frame(one.recon)).mean())


def _gray_residual(one: OneImage) -> float:
    before, after = (math.sqrt((_frame(i)[:, 1:] ** 2).sum(1).mean()) for i in (one.original, one.recon))
    return float(np.clip(1 - after / before, 0, 1)) if before >= 5 else math.nan


def _luma_invariance(one: OneImage) -> float:
    inside = one.mask[5:-5, 5:-5]
    if one.baseline is None or min(one.mask.shape) < 11 or not inside.any():
        return math.nan
    before = float(ssim_map(one.original, one.baseline)[inside].mean())
    return float(ssim_map(one.seen, one.recon)[inside].mean()) / before if before >= 0.05 else math.nan


def _spill(one: OneImage) -> float:
    if one.baseline is None:
        return math.nan
    outside = distance_to(one.mask) > 2 * tolerance_of(*one.mask.shape)
    before, after = _cells(one.baseline, outside), _cells(one.recon, outside)
    return float(deltaE_ciede2000(before, after).mean()) if len(before) else math.nan


COLOR: dict[str, Callable[[OneImage], float]] = {
    "color_transfer": lambda one: color_transfer(one.original, one.baseline, [(one.seen, one.recon)]),
    "color_retention": _color_retention,
    "color_ev": _color_ev,
    "gain_perturbed": lambda one: _gain(one, 0),
    "gain_original": lambda one: _gain(one, 1),
    "prototype_pull": lambda one: prototype_pull(one.seen, one.recon, one.mask, one.hues_deg, one.own),
    "hue_error_deg": lambda one: hue_error_deg(one.seen, one.recon, one.mask),
    "delta_e_2000": _delta_e_2000,
    "gray_residual": _gray_residual,
    "luma_invariance": _luma_invariance,
    "spill": _spill,
}
