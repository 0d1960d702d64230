"""Sorting of rows of numbers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["ascending"]


def ascending(rows: Tensor) -> Tensor:
    """Return every row of (N, K) in ascending order; there is no NaN in it."""
    if rows.device.type == "cpu" and not rows.requires_grad:
        # NumPy sorts with vector instructions, five to ten times faster.
        return torch.from_numpy(np.sort(rows.numpy(), axis=1))
    return rows.sort(1).values
