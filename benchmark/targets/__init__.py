"""Targets: frozen networks with named taps, one file a family."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import did_you_mean
from benchmark.suites.spec import TargetSpec

if TYPE_CHECKING:
    import torch

    from benchmark.targets.base import Target

__all__ = ["FAMILIES", "NETWORK_FILES", "load_target"]

NETWORK_FILES = ("config.json", "model.safetensors", "preprocessor_config.json")
"""A network in Hub layout; nothing else of its folder is read."""

FAMILIES = {
    "detr": "benchmark.targets.detr:DetrTarget",
    "vit": "benchmark.targets.vit:ViTTarget",
    "swin": "benchmark.targets.swin:SwinTarget",
    "dinov2": "benchmark.targets.dinov2:Dinov2Target",
    "clip": "benchmark.targets.clip:ClipTarget",
    "mae": "benchmark.targets.mae:MaeTarget",
}


def load_target(spec: TargetSpec, folder: Path, device: torch.device) -> Target:
    """Load the network of a target and wrap it with the adapter of its family.

    Args:
        spec: the target; its `source` is not looked at.
        folder: the network in Hub layout, with `NETWORK_FILES`.
        device: where it runs.

    Raises:
        NotFoundError: no such family.
        SpecError, IntegrityError: as `load_network` and `load_normalization`; or it does not take images of the
            target's size, or lacks a tap.
    """
    if spec.family not in FAMILIES:
        raise did_you_mean("target family", spec.family, FAMILIES)
    module, name = FAMILIES[spec.family].split(":")
    adapter: type[Target] = getattr(import_module(module), name)
    return adapter(spec, folder, device)
