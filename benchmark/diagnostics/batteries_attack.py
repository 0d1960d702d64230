"""What a small change of a recon towards the public judge gains: why no network ranks."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.metrics.case import Case, Classifier, FocalMask, Networks, View
from benchmark.metrics.recognition import recognition

__all__ = ["flatter_judge"]

STEPS = 6


def flatter_judge(recon: Tensor, seen: Tensor, judge: Classifier, reach: float) -> Tensor:
    """Recons within `reach` of the given ones, value by value, that the judge takes for what was seen.

    Projected gradient ascent of `recognition` (Madry et al. 2018) in six steps of a quarter of the reach.

    Args:
        recon: float32 RGB in [0, 1], (N, 3, H, W); `seen` alike.
        reach: largest change of a value, such as 2/255.
    """
    with torch.inference_mode(False), torch.enable_grad():
        start, shown = recon.clone(), View(seen.clone())
        mask, found = FocalMask(torch.ones_like(start[:, 0], dtype=torch.bool)), start
        for _ in range(STEPS):
            pixels = found.detach().clone().requires_grad_()
            view = View(pixels)
            view.rgb = pixels
            recognition(Case(shown, shown, view, mask, Networks(judge=judge))).sum().backward()
            assert pixels.grad is not None
            moved = pixels.detach() + reach / 4 * pixels.grad.sign()
            found = torch.minimum(torch.maximum(moved, start - reach), start + reach).clamp(0, 1)
        return found.detach()
