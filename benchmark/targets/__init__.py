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

__all__ = ["FAMILIES", "TIMM_FAMILIES", "load_target"]

FAMILIES = {
    "detr": "benchmark.targets.detr:DetrTarget",
    "vit": "benchmark.targets.vit:ViTTarget",
    "swin": "benchmark.targets.swin:SwinTarget",
    "dinov2": "benchmark.targets.dinov2:Dinov2Target",
    "clip": "benchmark.targets.clip:ClipTarget",
    "mae": "benchmark.targets.mae:MaeTarget",
    "dinov2_registers": "benchmark.targets.dinov2_registers:Dinov2RegistersTarget",
    "siglip": "benchmark.targets.siglip:SiglipTarget",
    "timm_vit": "benchmark.targets.timm:TimmViTTarget",
    "timm_swin": "benchmark.targets.timm:TimmSwinTarget",
    "resnet": "benchmark.targets.resnet:ResNetTarget",
}

TIMM_FAMILIES = frozenset({"timm_vit", "timm_swin"})
"""Families whose networks state mean and std in `config.json`, and have no file of their own for these."""


def load_target(spec: TargetSpec, folder: Path, device: torch.device) -> Target:
    """Load the network of a target and wrap it with the adapter of its family.

    Args:
        spec: the target; its `source` is not looked at.
        folder: the network in Hub layout; only the files of `find_files` are read.
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
