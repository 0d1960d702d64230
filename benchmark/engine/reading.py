"""What an inverse is given: the features of an image at every tap, with the seeds of all that it may draw."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from benchmark.suites.spec import INPUT
from benchmark.targets.base import Target
from benchmark.targets.taps import Features

__all__ = ["apply", "read_features", "seed_of", "with_seeds"]


def seed_of(image_id: str, tap: str) -> int:
    """Return the seed of whatever is random in the recons of an image at a tap, the same under all perturbations."""
    return int.from_bytes(hashlib.sha256(f"{image_id}\n{tap}".encode()).digest()[:7])


def with_seeds(features: Features, tap: str, ids: Sequence[str]) -> Features:
    """Return features with the seeds of their images (N ids) at a tap."""
    return replace(features, seeds=tuple(seed_of(image_id, tap) for image_id in ids))


def read_features(target: Target, seen: Tensor, ids: Sequence[str], *, reads_input: bool) -> Mapping[str, Features]:
    """Return what an inverse is given of the images (N, 3, H, W) that the target sees, by tap.

    Args:
        reads_input: whether it is an oracle, which is given the images themselves and no features.
    """
    names = target.spec.tap_names
    found = {name: Features(seen) for name in (*names, INPUT)} if reads_input else target.features(seen, names)
    return {name: with_seeds(item, name, ids) for name, item in found.items()}


def apply(
    invert: Callable[[Mapping[str, Features]], Mapping[str, Tensor]], features: Mapping[str, Features]
) -> dict[str, Tensor]:
    """Return the recons by tap that an inverse makes of features, without the gradients that it may have needed."""
    with torch.no_grad():  # so that afterwards the mode is what it was, whatever the inverse leaves behind
        return {tap: recon.detach() for tap, recon in invert(features).items()}
