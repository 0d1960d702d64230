"""Prototype colors: is the color of an object drawn to the one that its category usually has?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from benchmark.metrics.case import Case, FocalMask, View
from benchmark.metrics.cielab import lab
from benchmark.metrics.color import focal_region

__all__ = ["prototype_pull"]

MIN_CHROMA = 10.0
MIN_SINE = 0.3


def _object_chroma(view: View, mask: FocalMask) -> Tensor:
    """Mean (a*, b*) over the pixels of the focal object, (N, 2); NaN where the mask is empty."""
    weights = mask.get(focal_region).weights
    return (view.get(lab)[:, 1:] * weights).sum((2, 3)) / weights.sum((2, 3))


def prototype_pull(case: Case) -> Tensor:
    """Pull of the object's color towards the canonical hue of its own category, less that to any, (N,) in [-27, 27].

    a_p and a_y are the mean chroma vectors (a*, b*) over the object's pixels in x_p and y_p: the mask eroded by the
    edge tolerance, the mask itself where under 64 pixels would remain. For the canonical hue c of a category, h is the
    signed angle from a_p to c, t is a_p turned by 90 degrees towards c (the way around that is shorter; none where h is
    0 or 180), pull_c = <a_y, t> / |a_p|^2. The score is pull_own minus the mean of pull_c over all categories that have
    a canonical hue, the own one included. A faithful color scores 0. NaN where prototypes, the own canonical hue or
    the mask are missing, |sin h_own| < .3, or |a_p| < 10.
    """
    if case.prototypes is None:
        return case.not_scored()
    hues_deg, own = case.prototypes
    (a_p, b_p), (a_y, b_y) = (view.get(_object_chroma, case.mask).unbind(1) for view in (case.seen, case.recon))
    chroma, hues = torch.hypot(a_p, b_p), torch.deg2rad(hues_deg)
    sines = (a_p[:, None] * hues.sin() - b_p[:, None] * hues.cos()) / chroma[:, None]
    # All t are a quarter turn of a_p, counterclockwise or clockwise: they differ in their sign alone.
    pulls = ((a_p * b_y - b_p * a_y) / chroma.square())[:, None] * sines.sign().where(~sines.isnan(), math.nan)
    row = own.clamp(min=0)[:, None]
    own_sine, own_pull = sines.gather(1, row)[:, 0], pulls.gather(1, row)[:, 0]
    scored = (own >= 0) & (own_sine.abs() >= MIN_SINE) & (chroma >= MIN_CHROMA)
    return (own_pull - pulls.nanmean(1)).masked_fill(~scored, math.nan)
