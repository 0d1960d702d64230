"""Targets: frozen networks with named taps, one file a family."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from benchmark.errors import did_you_mean
from benchmark.spec import TargetSpec

if TYPE_CHECKING:
    import torch

    from benchmark.targets.base import Target

__all__ = ["FAMILIES", "load_target"]

FAMILIES = {
    "detr": "benchmark.targets.detr:DetrTarget",
    "vit": "benchmark.targets.vit:ViTTarget",
    "swin": "benchmark.targets.swin:SwinTarget",
}


def load_target(spec: TargetSpec, device: torch.device) -> Target:
    """Load the network of a target and wrap it with the adapter of its family.

    Raises:
        NotFoundError: no such family.
        SpecError, IntegrityError: the network is absent or incomplete.
    """
    if spec.family not in FAMILIES:
        raise did_you_mean("target family", spec.family, FAMILIES)
    module, name = FAMILIES[spec.family].split(":")
    adapter: type[Target] = getattr(import_module(module), name)
    return adapter(spec, spec.source.directory(), device)
