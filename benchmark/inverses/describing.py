"""The configuration of a new inverse, from the target that it is made for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from benchmark.inverses.recipes import Shape
from benchmark.inverses.spec import InverseConfig
from benchmark.targets.base import Target
from benchmark.targets.taps import Features

__all__ = ["describe_inverse"]


def _is_spatial(item: Features) -> bool:
    """Whether features are a map, or have a token for each cell of their grid."""
    if item.tensor.ndim == 4:
        return True
    return item.grid is not None and item.tensor.shape[1] >= item.grid[0] * item.grid[1]


@torch.no_grad()
def describe_inverse(target: Target, method: str, shape: Shape, **more: Any) -> InverseConfig:
    """Return the configuration of an inverse of `target`: the shapes of its features, and the grids of spatial ones.

    Args:
        shape: the method's own numbers for the target's family.
        more: further fields of InverseConfig, such as `target_sha256`.
    """
    spec = target.spec
    blank = torch.zeros(1, 3, *spec.input_size, device=target.device)
    features: Mapping[str, Features] = target.features(blank)
    return InverseConfig(
        method=method,
        target=spec.id,
        input_size=spec.input_size,
        taps={name: tuple(item.tensor.shape[1:]) for name, item in features.items()},
        grids={name: item.grid for name, item in features.items() if item.grid and _is_spatial(item)},
        architecture=shape.architecture,
        sequences=shape.sequences,
        **more,
    )
