"""Inverses of every family of targets are trained, stored, loaded, and give images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from families import spec_of
from networks import SMALL, Case, build, publish
from torch import Tensor

from benchmark.inverses.base import load_inverse
from benchmark.inverses.recipes import InverseRecipe
from benchmark.targets import load_target
from benchmark.targets.files import hash_weights
from benchmark.train.images import TrainingImages
from benchmark.train.inverses import train_inverse

BLOCKS = {"layers": 2, "heads": 2, "ratio": 2, "window": 2, "width": 8}
# What leads from the grid of the first tap to the image, and the stages.
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "dinov2_registers": {"image": (8, 8, 8)},
    "siglip": {"image": (8, 8)},
    "timm_vit": {"image": (8, 8, 8)},
    "timm_swin": {"image": (8,), "stage_layers": (1, 1), "stage_heads": (2, 2)},
    "resnet": {"image": (8,), "stage_layers": (1, 2)},
}
CASES = [case for case in SMALL if case.family in SHAPES]
METHODS = ("modular", "modular_per_tap", "modular_joint", "end_to_end", "ridge", "knn", "mean")


class Noise(TrainingImages):
    """Images of noise, smooth enough to be told apart."""

    description = "noise"
    count = 64

    def __init__(self, size: tuple[int, int]) -> None:
        self.seed, self._size = 0, size

    def batch(self, step: int, size: int) -> Tensor:
        coarse = torch.rand(size, 3, 4, 4, generator=torch.Generator().manual_seed(step))
        return torch.nn.functional.interpolate(coarse, self._size, mode="bilinear")

    def key(self) -> dict[str, Any]:
        return {"noise": self._size}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.family)
def test_every_method_inverts_it(
    case: Case, tmp_path: Path, cpu: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.train.inverses.FIT_IMAGES", 64)
    monkeypatch.setattr("benchmark.train.inverses.KNN_IMAGES", 8)
    monkeypatch.setattr("benchmark.train.inverses.MOMENT_IMAGES", 16)
    spec, data = spec_of(case), Noise(case.size)
    network = publish(case, build(case), tmp_path / "network")
    target = load_target(spec, network, cpu)
    images = data.batch(99, 3)
    with torch.no_grad():
        features = target.features(images)
    shape = {"architecture": BLOCKS, "sequences": SHAPES[case.family]}
    recipe = InverseRecipe.model_validate(
        {"steps": 2, "batch_size": 4, "learning_rate": 1e-3, "shapes": {case.family: shape}}
    )
    for method in METHODS:
        out = tmp_path / method
        trained = None if method in ("ridge", "knn", "mean") else recipe
        start = tmp_path / "modular_per_tap" if method == "modular_joint" else None
        train_inverse(method, spec, network, data, out, tmp_path / "work", cpu, trained, start=start)
        inverse = load_inverse(out, cpu)
        assert inverse.config.target_sha256 == hash_weights(network)
        assert inverse.config.grids == {name: item.grid for name, item in features.items()}
        with torch.no_grad():
            recons = inverse.invert(features)
        assert recons.keys() == case.shapes.keys()
        for name, recon in recons.items():
            assert recon.shape == images.shape and recon.isfinite().all(), (method, name)
