"""What the references of all axes share: one image at a time as float64 numpy arrays, and operations on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.ndimage as ndi
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from benchmark.metrics.case import Case, Classifier, View

__all__ = [
    "Array",
    "Labeler",
    "OneImage",
    "Pixels",
    "area",
    "distance_to",
    "images_of",
    "luma",
    "mean_of_scored",
    "ssim_map",
    "tolerance_of",
]

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.bool_]

LUMA = np.array([0.299, 0.587, 0.114])


class Labeler(NamedTuple):
    """A network that labels one image (H, W, 3): probabilities (L,), one distribution if `exclusive`."""

    probabilities: Callable[[Array], Array]
    exclusive: bool


@dataclass(frozen=True, eq=False)
class OneImage:
    """One comparison. Images are float64 RGB (H, W, 3) in [0, 1], already rounded to 8 bits.

    Attributes:
        original: the unperturbed image.
        seen: what the target saw.
        recon: the reconstruction of `seen`.
        mask: bool (H, W), the focal mask.
        baseline: the reconstruction of `original`.
        judge: the held-out judge.
        perceptual: LPIPS of two images, as `load_lpips` returns it.
        hues_deg: canonical CIELAB hue angle of every category; NaN where it has none.
        own: index of the focal category; -1 where it is unknown.
    """

    original: Array
    seen: Array
    recon: Array
    mask: Pixels
    baseline: Array | None = None
    judge: Labeler | None = None
    perceptual: Callable[[Array, Array], float] | None = None
    hues_deg: tuple[float, ...] = ()
    own: int = -1


def images_of(case: Case, perceptual: Callable[[Array, Array], float] | None = None) -> list[OneImage]:
    """Return the images of a batch one by one, with its networks except for the perceptual one, which is given."""

    def arrays(view: View) -> list[Array]:
        return list(np.round(view.rgb.permute(0, 2, 3, 1).cpu().numpy().astype(np.float64) * 255) / 255)

    def batch(image: Array) -> Tensor:
        return torch.from_numpy(image).permute(2, 0, 1)[None].float().to(case.recon.rgb.device)

    def labeler(network: Classifier | None) -> Labeler | None:
        if network is None:
            return None
        return Labeler(lambda image: network(batch(image))[0].double().cpu().numpy(), network.exclusive_labels)

    originals, seen, recons = (arrays(view) for view in (case.original, case.seen, case.recon))
    baselines = arrays(case.baseline) if case.baseline else [None] * len(originals)
    usual: list[tuple[tuple[float, ...], int]] = [((), -1)] * len(originals)
    if case.prototypes is not None:
        hues, own = case.prototypes
        usual = list(zip(map(tuple, hues.double().tolist()), own.tolist(), strict=True))
    return [
        OneImage(
            originals[i],
            seen[i],
            recons[i],
            case.mask.pixels[i].cpu().numpy(),
            baselines[i],
            labeler(case.networks.judge),
            perceptual,
            *usual[i],
        )
        for i in range(len(originals))
    ]


def luma(image: Array) -> Array:
    """Return the BT.601 luma (H, W)."""
    return image @ LUMA


def area(image: Array, size: tuple[int, int]) -> Array:
    """Return the means of an image (H, W) over a grid whose cells take every pixel that they touch."""
    if image.shape == size:
        return image
    rows, columns = (np.zeros((cells, side)) for cells, side in zip(size, image.shape, strict=True))
    for members in (rows, columns):
        cells, side = members.shape
        for i in range(cells):
            members[i, i * side // cells : -(-(i + 1) * side // cells)] = 1
    return rows @ image @ columns.T / np.outer(rows.sum(1), columns.sum(1))


def tolerance_of(height: int, width: int) -> int:
    """Return ceil(0.008 diagonal) in pixels."""
    return math.ceil(0.008 * math.hypot(height, width))


def distance_to(pixels: Pixels) -> Array:
    """Return the distance of every pixel to the nearest chosen one, (H, W); infinite where there is none."""
    return ndi.distance_transform_edt(~pixels) if pixels.any() else np.full(pixels.shape, np.inf)


def ssim_map(x: Array, y: Array) -> Array:
    """Return the local SSIM of luma in the valid region, (H - 10, W - 10)."""
    _, full = structural_similarity(
        luma(x), luma(y), gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, full=True
    )
    return full[5:-5, 5:-5]


def mean_of_scored(values: list[float]) -> float:
    """Return the mean of the values that are not NaN; NaN if there are none."""
    scored = [value for value in values if not math.isnan(value)]
    return float(np.mean(scored)) if scored else math.nan
