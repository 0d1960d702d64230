"""Mirror decoys: what an answer that knows no position would score is taken off."""

from __future__ import annotations

import math

from torch import Tensor

__all__ = ["MAX_OWN_DECOY", "corrected"]

MAX_OWN_DECOY = 0.5


def corrected(scores: Tensor, own: Tensor) -> Tensor:
    """Return (v - c) / (1 - c_x), (N,): a score less what its mirror images get; NaN where c_x is over 0.5.

    Args:
        scores: raw scores (N, 4) of the recon as it is (v) and mirrored in three ways (their mean is c).
        own: the same of the original as its own recon (c_x).
    """
    # Means of differences, so that equal scores leave exactly 0.
    gain, own_gain = (scores[:, :1] - scores[:, 1:]).mean(1), (1 - own[:, 1:]).mean(1)
    return (gain / own_gain).masked_fill(1 - own_gain > MAX_OWN_DECOY, math.nan)
