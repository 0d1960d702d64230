"""Color: does the recon show the color that the target saw, the original's, or none?

Everything is measured on cells: mean CIELAB in squares of round(H / 28) pixels, tiled from the upper left
corner, the last ones cut by the frame. In a cell every pixel of the region counts alike; cells of which the
region covers under a quarter of the full square are dropped. The region is the focal mask eroded by the edge
tolerance (the frame erodes nothing; the mask itself where fewer than 64 pixels would remain), for
`delta_e_2000` and `gray_residual` the whole frame.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.metrics.case import Case, FocalMask, View, of_both
from benchmark.metrics.cielab import ciede2000, lab
from benchmark.metrics.edges import dilate_disk, pixel_tolerance

__all__ = [
    "Region",
    "cell_means",
    "cell_px",
    "color_ev",
    "color_retention",
    "delta_e_2000",
    "focal_region",
    "gain_original",
    "gain_perturbed",
    "gray_residual",
    "hue_error_deg",
    "region_of",
]

CELLS_PER_HEIGHT = 28
MIN_COVERAGE = 0.25
MIN_ERODED_PX = 64
MOVED_DE00 = 5.0
MIN_MOVED_CHROMA = 10.0
MIN_TRIVIAL_DE00 = 2.0
MIN_HUE_CHROMA, NO_HUE_DEG = 5.0, 90.0
MIN_ORIGINAL_CHROMA = 5.0


def cell_px(height: int) -> int:
    """Side of the square color cells of images of a height, in pixels: round(H / 28), at least 1."""
    return max(1, round(height / CELLS_PER_HEIGHT))


def _cell_sums(images: Tensor) -> Tensor:
    """Return the sums over cells of images (N, C, H, W), (N, C, cells)."""
    side = cell_px(images.shape[-2])
    return F.avg_pool2d(images, side, ceil_mode=True, divisor_override=1).flatten(2)


class Region(NamedTuple):
    """Where color is measured: weights (N, 1, H, W), pixels per cell (N, cells), cells kept (N, cells)."""

    weights: Tensor
    pixels: Tensor
    kept: Tensor


def region_of(pixels: Tensor) -> Region:
    """Return the region of the pixels chosen, bool (N, H, W)."""
    weights = pixels.float()[:, None]
    covered = _cell_sums(weights)[:, 0]
    return Region(weights, covered, covered >= MIN_COVERAGE * cell_px(pixels.shape[-2]) ** 2)


def cell_means(view: View, region: Region) -> Tensor:
    """Return the mean CIELAB of the cells of a region, (N, 3, cells); arbitrary where a cell is dropped."""
    return _cell_sums(view.get(lab) * region.weights) / region.pixels.clamp(min=1)[:, None]


def focal_region(mask: FocalMask) -> Region:
    """Region of the focal object: the mask eroded by the edge tolerance, itself where under 64 pixels would remain."""
    tolerance = pixel_tolerance(*mask.pixels.shape[-2:])
    eroded = ~dilate_disk(~mask.pixels, tolerance)
    enough = eroded.flatten(1).sum(1) >= MIN_ERODED_PX
    return region_of(torch.where(enough[:, None, None], eroded, mask.pixels))


@of_both
def _focal_cells(view: View, mask: FocalMask) -> Tensor:
    """Return the mean CIELAB of the focal cells, (N, 3, cells); arbitrary where a cell is dropped."""
    return cell_means(view, mask.get(focal_region))


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _frame(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return which cells lie at least a quarter inside the frame, and how many pixels each of them has there."""
    pixels = _cell_sums(torch.ones(1, 1, height, width, device=device))[0, 0]
    kept = (pixels >= MIN_COVERAGE * cell_px(height) ** 2).nonzero().squeeze(1)
    return kept, pixels[kept]


@of_both
def _frame_cells(view: View) -> Tensor:
    """Return the mean CIELAB of all cells of the frame that are at least a quarter inside it, (N, 3, cells)."""
    kept, pixels = _frame(*view.rgb.shape[-2:], view.rgb.device)
    return _cell_sums(view.get(lab)).index_select(2, kept) / pixels


def _mean_over(values: Tensor, cells: Tensor) -> Tensor:
    """Return the mean of values (N, cells) over the chosen cells, (N,); 0 where there are none."""
    return (values * cells).sum(1) / cells.sum(1).clamp(min=1)


class _Moved(NamedTuple):
    """What a perturbation did to the color cells.

    Attributes:
        cells: bool (N, cells), moved by at least 5 dE00.
        shown: chroma vectors (a*, b*) of the perturbed image there (elsewhere zero), (N, 2, cells).
        original: those of the original.
        chroma_scored: bool (N,), cells have moved and their RMS chroma is at least 10 in the perturbed image.
        trivial_sse: squared chroma error of the better trivial answer (original color, gray), (N,).
        trivial_de00: mean dE00 of the better trivial answer (original color, mean color of the frame), (N,);
            0 where no cell has moved.
    """

    cells: Tensor
    shown: Tensor
    original: Tensor
    chroma_scored: Tensor
    trivial_sse: Tensor
    trivial_de00: Tensor


def _moved(seen: View, original: View, mask: FocalMask) -> _Moved:
    after, before = seen.get(_focal_cells, mask), original.get(_focal_cells, mask)
    distance = ciede2000(after, before)
    cells = (distance >= MOVED_DE00) & mask.get(focal_region).kept
    shown, kept_color = after[:, 1:] * cells[:, None], before[:, 1:] * cells[:, None]
    energy = shown.square().sum((1, 2))
    mean_color = seen.get(lab).mean((2, 3))[..., None].expand_as(after)
    return _Moved(
        cells,
        shown,
        kept_color,
        energy >= MIN_MOVED_CHROMA**2 * cells.sum(1).clamp(min=1),
        torch.minimum(energy, (kept_color - shown).square().sum((1, 2))),
        torch.minimum(_mean_over(distance, cells), _mean_over(ciede2000(mean_color, after), cells)),
    )


def _chroma_of_recon(recon: View, mask: FocalMask, moved: _Moved) -> Tensor:
    """Return the chroma vectors of the recon in the moved cells (elsewhere zero), (N, 2, cells)."""
    return recon.get(_focal_cells, mask)[:, 1:] * moved.cells[:, None]


def color_retention(case: Case) -> Tensor:
    """Return the skill at showing the perturbed color, (N,) in [0, 1].

    clip(1 - SSE(a_y, a_p) / min(SSE(a_0, a_p), SSE(0, a_p)), 0, 1) over the chroma vectors (a*, b*) of the moved
    cells (dE00(x_p, x) >= 5): against the better of the two trivial answers, the original color and gray. NaN
    where no cell moved or the RMS chroma of x_p in the moved cells is under 10.
    """
    moved = case.seen.get(_moved, case.original, case.mask)
    error = (_chroma_of_recon(case.recon, case.mask, moved) - moved.shown).square().sum((1, 2))
    skill = (1 - error / moved.trivial_sse.clamp(min=1e-6)).clamp(0, 1)
    return skill.masked_fill(~moved.chroma_scored, math.nan)


def color_ev(case: Case) -> Tensor:
    """Return the explained color of the perturbed object, lightness included, (N,) in [0, 1].

    clip(1 - dE00(y_p, x_p) / min(dE00(frame mean of x_p, x_p), dE00(x, x_p)), 0, 1), each the mean CIEDE2000
    over the moved cells. NaN where the denominator is under 2, or no cell moved.
    """
    moved = case.seen.get(_moved, case.original, case.mask)
    recon, seen = case.recon.get(_focal_cells, case.mask), case.seen.get(_focal_cells, case.mask)
    error = _mean_over(ciede2000(recon, seen), moved.cells)
    skill = (1 - error / moved.trivial_de00.clamp(min=MIN_TRIVIAL_DE00)).clamp(0, 1)
    return skill.masked_fill(moved.trivial_de00 < MIN_TRIVIAL_DE00, math.nan)


def _gains(recon: View, seen: View, original: View, mask: FocalMask) -> tuple[Tensor, Tensor]:
    """Return the non-negative least squares solution (g_p, g_o), each (N,), of a_y ~ g_p a_p + g_o a_0."""
    moved = seen.get(_moved, original, mask)
    chroma = _chroma_of_recon(recon, mask, moved)
    tiny = 1e-6
    pp, oo, po, yp, yo = (
        (first * second).sum((1, 2))
        for first, second in (
            (moved.shown, moved.shown),
            (moved.original, moved.original),
            (moved.shown, moved.original),
            (chroma, moved.shown),
            (chroma, moved.original),
        )
    )
    determinant = pp * oo - po.square()
    both_p, both_o = yp * oo - yo * po, yo * pp - yp * po
    # With two unknowns the solution is the free one if it is feasible, else the better of the two axes.
    feasible = (determinant > tiny * pp * oo) & (both_p >= 0) & (both_o >= 0)
    only_p, only_o = yp.clamp(min=0) / pp.clamp(min=tiny), yo.clamp(min=0) / oo.clamp(min=tiny)
    prefer_p = only_p * yp.clamp(min=0) >= only_o * yo.clamp(min=0)
    safe = determinant.clamp(min=tiny)
    gain_p = torch.where(feasible, both_p / safe, only_p * prefer_p)
    gain_o = torch.where(feasible, both_o / safe, only_o * ~prefer_p)
    unscored = ~moved.chroma_scored
    return gain_p.masked_fill(unscored, math.nan), gain_o.masked_fill(unscored, math.nan)


def gain_perturbed(case: Case) -> Tensor:
    """Return g_p >= 0 of the non-negative least squares a_y ~ g_p a_p + g_o a_0, (N,).

    How saturated the perturbed color is shown: 1 as it was seen, 0 not at all. NaN as for `color_retention`.
    """
    return case.recon.get(_gains, case.seen, case.original, case.mask)[0]


def gain_original(case: Case) -> Tensor:
    """Return g_o >= 0 of the same fit, (N,): near 1 the recon reverts to the original color.

    NaN as for `color_retention`.
    """
    return case.recon.get(_gains, case.seen, case.original, case.mask)[1]


def hue_error_deg(case: Case) -> Tensor:
    """Return the hue error in degrees, (N,) in [0, 180].

    Mean of the circular difference between the hues of a_y and a_p, weighted by the chroma of a_p, over the focal cells
    of chroma at least 5 in x_p, moved or not. A cell whose chroma in y is under 5 has no hue and counts as 90. NaN
    where x_p has no such cell.
    """
    recon, seen = (view.get(_focal_cells, case.mask) for view in (case.recon, case.seen))
    (a_y, b_y), (a_p, b_p) = recon[:, 1:].unbind(1), seen[:, 1:].unbind(1)
    turn = torch.rad2deg(torch.atan2((a_p * b_y - b_p * a_y).abs(), a_p * a_y + b_p * b_y))
    turn = torch.where(torch.hypot(a_y, b_y) < MIN_HUE_CHROMA, NO_HUE_DEG, turn)
    chroma = torch.hypot(a_p, b_p)
    weights = chroma * (case.mask.get(focal_region).kept & (chroma >= MIN_HUE_CHROMA))
    return (turn * weights).sum(1) / weights.sum(1)


def delta_e_2000(case: Case) -> Tensor:
    """Return the mean CIEDE2000 between recon and original over all cells of the frame, (N,) >= 0.

    For the unperturbed image. Always scored.
    """
    return ciede2000(case.recon.get(_frame_cells), case.original.get(_frame_cells)).mean(1)


def _rms_chroma(view: View) -> Tensor:
    """Return the RMS chroma over the cells of the frame, (N,)."""
    return view.get(_frame_cells)[:, 1:].square().sum(1).mean(1).sqrt()


def gray_residual(case: Case) -> Tensor:
    """Return how little color the recon of a gray image invents, (N,) in [0, 1].

    clip(1 - RMS chroma of y_p / RMS chroma of x, 0, 1) over the cells of the frame; a constant gray scores 1. NaN
    where x is nearly achromatic (RMS chroma under 5).
    """
    reference = case.original.get(_rms_chroma)
    residual = (1 - case.recon.get(_rms_chroma) / reference.clamp(min=MIN_ORIGINAL_CHROMA)).clamp(0, 1)
    return residual.masked_fill(reference < MIN_ORIGINAL_CHROMA, math.nan)
