"""What a hue change of the object should leave alone: its lightness, and everything around it. Diagnostics."""

from __future__ import annotations

import math

from torch import Tensor

from benchmark.metrics.case import Case, FocalMask, View
from benchmark.metrics.cielab import ciede2000
from benchmark.metrics.color import Region, cell_means, region_of
from benchmark.metrics.detail import SSIM_RADIUS, ssim_map
from benchmark.metrics.edges import dilate_disk, pixel_tolerance

__all__ = ["luma_invariance", "spill"]

MIN_SSIM = 0.05


def _ssim_inside(recon: View, seen: View, mask: FocalMask) -> Tensor:
    """Return the mean over the mask of the local SSIM of luma, (N,); NaN where the valid region holds no mask."""
    height, width = mask.pixels.shape[-2:]
    inside = mask.pixels[:, SSIM_RADIUS : height - SSIM_RADIUS, SSIM_RADIUS : width - SSIM_RADIUS]
    return (recon.get(ssim_map, seen) * inside).sum((1, 2)) / inside.sum((1, 2))


def luma_invariance(case: Case) -> Tensor:
    """Return SSIM(y_p, x_p) / SSIM(y, x) of luma inside the mask, (N,): 1 if a hue change costs no structure.

    The local SSIM of `ssim`, averaged over the mask. NaN where the valid region holds no mask, or SSIM(y, x) there
    is under .05.
    """
    if case.baseline is None or min(case.seen.rgb.shape[-2:]) < 2 * SSIM_RADIUS + 1:
        return case.not_scored()
    before = case.baseline.get(_ssim_inside, case.original, case.mask)
    ratio = case.recon.get(_ssim_inside, case.seen, case.mask) / before.clamp(min=MIN_SSIM)
    return ratio.masked_fill(~(before >= MIN_SSIM), math.nan)


def _surroundings(mask: FocalMask) -> Region:
    tolerance = pixel_tolerance(*mask.pixels.shape[-2:])
    return region_of(~dilate_disk(mask.pixels, 2 * tolerance))


def _outer_cells(view: View, mask: FocalMask) -> Tensor:
    return cell_means(view, mask.get(_surroundings))


def spill(case: Case) -> Tensor:
    """Return the mean CIEDE2000 between y and y_p over the cells outside the mask, (N,) >= 0.

    The mask is dilated by twice the edge tolerance; cells of which it leaves under a quarter are dropped. NaN where
    none remains.
    """
    if case.baseline is None:
        return case.not_scored()
    kept = case.mask.get(_surroundings).kept
    before, after = (view.get(_outer_cells, case.mask) for view in (case.baseline, case.recon))
    return (ciede2000(before, after) * kept).sum(1) / kept.sum(1)
