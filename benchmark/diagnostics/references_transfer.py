"""Independent references of the metrics of color changes and prototypes: numpy and scikit-image in float64.

Nothing here shares code with the metrics. Images are RGB (H, W, 3) in [0, 1], masks bool (H, W).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import scipy.ndimage as ndi
from skimage.color import rgb2lab

__all__ = ["color_transfer", "hue_error_deg", "prototype_pull"]

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.bool_]


def _whole_cells(image: Array) -> Array:
    """Mean a* + i b* of the cells that lie in the frame as a whole, complex (rows, columns)."""
    side = max(1, round(image.shape[0] / 28))
    rows, columns = image.shape[0] // side, image.shape[1] // side
    lab = rgb2lab(image)[: rows * side, : columns * side]
    return (lab[..., 1] + 1j * lab[..., 2]).reshape(rows, side, columns, side).mean((1, 3))


def _concordance(shown: Sequence[Array], answers: Sequence[Array]) -> float:
    """Lin's concordance coefficient of paired complex samples, pooled over the pairs: 1 - error / expected error."""
    error = spread = 0.0
    for d, e in zip(shown, answers, strict=True):
        error += float((np.abs(d - e) ** 2).sum())
        spread += d.size * float(np.var(d) + np.var(e) + abs(d.mean() - e.mean()) ** 2)
    return 1 - error / spread


def _mean_mirrored(shown: Sequence[Array], answers: Sequence[Array]) -> float:
    mirrored = ([np.flip(field, axes) for field in answers] for axes in (0, 1, (0, 1)))
    return float(np.mean([_concordance(shown, fields) for fields in mirrored]))


def color_transfer(original: Array, baseline: Array | None, kinds: Iterable[tuple[Array, Array]]) -> float:
    """Color transfer of one image, in [-1.633, 1.633]; NaN where it is not scored.

    Args:
        original: the unperturbed image.
        baseline: its recon; None where there is none.
        kinds: for each hue kind the perturbed image and its recon.
    """
    if baseline is None:
        return math.nan
    x, y = _whole_cells(original), _whole_cells(baseline)
    pairs = [(_whole_cells(seen) - x, _whole_cells(recon) - y) for seen, recon in kinds]
    scored = [(d, e) for d, e in pairs if d.size and np.abs(d - d.mean()).max() > 10]
    if not scored:
        return math.nan
    shown, answers = zip(*scored, strict=True)
    own = _mean_mirrored(shown, shown)
    return (_concordance(shown, answers) - _mean_mirrored(shown, answers)) / (1 - own) if own <= 0.5 else math.nan


def _focal_pixels(mask: Pixels) -> Pixels:
    tolerance = math.ceil(0.008 * math.hypot(*mask.shape))
    if mask.all():
        return mask
    eroded = ndi.distance_transform_edt(mask) > tolerance
    return eroded if eroded.sum() >= 64 else mask


def prototype_pull(seen: Array, recon: Array, mask: Pixels, hues_deg: Sequence[float], own: int) -> float:
    """Prototype pull of one image under one perturbation; NaN where it is not scored.

    Args:
        seen: the perturbed image.
        recon: its recon.
        mask: the focal mask.
        hues_deg: canonical CIELAB hue angle of each category; NaN where it has none.
        own: index of the focal category; -1 where unknown.
    """
    region = _focal_pixels(mask)
    if own < 0 or not region.any():
        return math.nan
    a_p, a_y = (complex(*rgb2lab(image)[region][:, 1:].mean(0)) for image in (seen, recon))

    def turn(hue_deg: float) -> float:
        return (hue_deg - math.degrees(np.angle(a_p)) + 180) % 360 - 180

    def pull(hue_deg: float) -> float:
        quarter = a_p * (1j if turn(hue_deg) > 0 else -1j)
        return (a_y * quarter.conjugate()).real / abs(a_p) ** 2

    if not abs(math.sin(math.radians(turn(hues_deg[own])))) >= 0.3 or abs(a_p) < 10:
        return math.nan
    return pull(hues_deg[own]) - float(np.mean([pull(hue) for hue in hues_deg if not math.isnan(hue)]))


def hue_error_deg(seen: Array, recon: Array, mask: Pixels) -> float:
    """Hue error of one image in degrees, in [0, 180]; NaN where no focal cell of the perturbed image has a hue."""
    region, side = _focal_pixels(mask), max(1, round(mask.shape[0] / 28))
    shown, answers = (rgb2lab(image)[..., 1] + 1j * rgb2lab(image)[..., 2] for image in (seen, recon))
    errors, weights = [], []
    for top in range(0, mask.shape[0], side):
        for left in range(0, mask.shape[1], side):
            cell = (slice(top, top + side), slice(left, left + side))
            inside = region[cell]
            if inside.sum() < side * side / 4:
                continue
            p, y = shown[cell][inside].mean(), answers[cell][inside].mean()
            if abs(p) >= 5:
                errors.append(90.0 if abs(y) < 5 else abs(math.degrees(np.angle(y / p))))
                weights.append(abs(p))
    return float(np.average(errors, weights=weights)) if weights else math.nan
