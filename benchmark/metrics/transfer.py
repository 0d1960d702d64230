"""Transfer of a color change: does it come back, there and only there, and by as much?

Fields of change are measured on square cells over the whole frame and pooled over the hue kinds. What a change field
scores by the mere place and size of its object, its mirror images score too: they are subtracted.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.metrics.case import Case, View, of_both
from benchmark.metrics.cielab import lab
from benchmark.metrics.color import cell_px
from benchmark.metrics.decoys import MAX_OWN_DECOY

__all__ = ["color_transfer", "color_transfer_parts"]

MIN_CHANGE = 10.0
MIRRORS = ((3,), (2,), (2, 3))
PARTS = (1, 3, 1, 3, 1, 1)


@of_both
def _chroma_cells(view: View) -> Tensor:
    """Mean (a*, b*) of the cells that lie in the frame as a whole, (N, 2, rows, columns)."""
    chroma = view.get(lab)[:, 1:]
    count, _, height, width = chroma.shape
    side = cell_px(height)
    if width < side:
        return chroma.new_zeros(count, 2, height // side, 0)
    return F.avg_pool2d(chroma, side)


class _ChangeField(NamedTuple):
    """A field of change: its frame mean (N, 2, 1, 1) and what remains, (N, 2, rows, columns)."""

    mean: Tensor
    rest: Tensor


def _change(after: View, before: View) -> _ChangeField:
    field = after.get(_chroma_cells) - before.get(_chroma_cells)
    # MPS has no float64.
    field = field if field.device.type == "mps" else field.double()
    mean = field.mean((2, 3), keepdim=True)
    return _ChangeField(mean, field - mean)


def _squares(field: Tensor) -> Tensor:
    return field.square().sum((1, 2, 3))


def _twice_products(shown: Tensor, field: Tensor) -> Tensor:
    """Twice the inner products of a field with another one and with its three mirror images, (N, 4)."""
    images = (field, *(field.flip(axes) for axes in MIRRORS))
    return torch.stack([2 * (shown * image).sum((1, 2, 3)) for image in images], dim=1)


def color_transfer_parts(case: Case) -> Tensor:
    """Sums of one hue kind from which `color_transfer` follows once they are added over the kinds, float32 (N, 10).

    d is the field of change from x to x_p, e that from y (the baseline) to y_p, both in mean (a*, b*) of square cells
    of round(H / 28) pixels (cells cut by the frame are dropped); D and E are their means over the n cells, d' and e'
    what remains. The columns: 2<d', e'>; the same with e' mirrored left-right, top-bottom and both; |d'|^2 + |e'|^2 +
    n |D - E|^2; 2<d', d' mirrored> (three); 2 |d'|^2; 1. All are 0 where no cell of d' is longer than 10: the kind is
    not scored. All are NaN where there is no baseline.
    """
    if case.baseline is None:
        return case.not_scored()[:, None].repeat(1, sum(PARTS))
    shown, answer = case.seen.get(_change, case.original), case.recon.get(_change, case.baseline)
    cells = shown.rest[0, 0].numel()
    if not cells:
        return torch.zeros_like(case.not_scored())[:, None].repeat(1, sum(PARTS))
    between, own = _twice_products(shown.rest, answer.rest), _twice_products(shown.rest, shown.rest)
    total = _squares(shown.rest) + _squares(answer.rest) + cells * _squares(shown.mean - answer.mean)
    scored = shown.rest.square().sum(1).flatten(1).amax(1) > MIN_CHANGE**2
    parts = torch.cat((between, total[:, None], own[:, 1:], own[:, :1], torch.ones_like(total)[:, None]), dim=1)
    return (parts * scored[:, None]).float()


def color_transfer(parts: Tensor) -> Tensor:
    """Skill at returning changes of color, (N,) in [-1.633, 1.633], of `color_transfer_parts` added over hue kinds.

    (v - c) / (1 - c_x). v is Lin's concordance (1989) of the two fields of change, sum 2<d', e'> / sum (|d'|^2 +
    |e'|^2 + n |D - E|^2); c is the mean of v with e mirrored left-right, top-bottom and both; c_x is c for e = d. The
    original itself scores exactly 1, a symmetric change field exactly 0. Unrelated changes score 0 in the mean. With
    q >= 3/8 the share of |d'|^2 that is not symmetric, the largest value is q^(-1/2) <= (8/3)^(1/2). NaN where no kind
    is scored, or c_x > .5: the change resembles its mirror images.
    """
    product, mirrored, total, own_mirrored, own_total, kinds = parts.split(PARTS, dim=1)
    # Sums of differences: the mean of three equal numbers may differ from them in its last bit.
    skill = (product - mirrored).sum(1) / total[:, 0]
    own_skill = (own_total - own_mirrored).sum(1) / own_total[:, 0]
    scored = (kinds[:, 0] > 0) & (own_skill >= len(MIRRORS) * (1 - MAX_OWN_DECOY))
    return (skill / own_skill).masked_fill(~scored, math.nan)
