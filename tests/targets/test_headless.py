"""Checkpoints without a head, such as DINO's and those of ImageNet-21k: features as ever, and no answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from families import check, spec_of
from networks import SMALL, Case, build, publish, save_network
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmark.errors import IntegrityError, SpecError
from benchmark.targets import load_target

CASES = {case.family: case for case in SMALL if case.family in ("vit", "swin", "resnet")}
BODIES: dict[str, Callable[[Any], Any]] = {
    "vit": lambda config: hf.ViTModel(config, add_pooling_layer=True),
    "swin": lambda config: hf.SwinModel(config, add_pooling_layer=True),
    "resnet": hf.ResNetModel,
}


def headless(case: Case, randomize: Callable[..., Any], folder: Path) -> tuple[Any, Path]:
    """A whole network, and the folder of its body alone, with its pooler where the class has one."""
    whole = randomize(build(case))
    body = BODIES[case.family](whole.config)
    body.load_state_dict(getattr(whole, case.family).state_dict(), strict=False)
    return whole, save_network(body, folder, mean=case.normalization[0], std=case.normalization[1])


@pytest.mark.parametrize("family", CASES)
def test_a_body_alone_gives_the_features_of_the_whole(
    family: str, tmp_path: Path, randomize: Callable[..., Any], cpu: torch.device
) -> None:
    case = CASES[family]
    whole, folder = headless(case, randomize, tmp_path / "body")
    names = load_file(folder / "model.safetensors").keys()
    assert not any(name.startswith("classifier") for name in names)
    assert any(name.startswith("pooler.") for name in names) == (family == "vit")
    body, full = (load_target(spec_of(case), at, cpu) for at in (folder, publish(case, whole, tmp_path / "whole")))
    assert (body.headless, full.headless) == (True, False)
    images = torch.rand(2, 3, *case.size)
    with torch.inference_mode():
        expected = full.features(images)
        for tap, item in body.features(images).items():
            assert torch.equal(item.tensor, expected[tap].tensor)
            assert item.grid == expected[tap].grid
    with pytest.raises(SpecError, match="no head of its own"):
        body.predict(images)


def test_a_checkpoint_without_a_pooler_and_one_of_another_part_too(
    tmp_path: Path, randomize: Callable[..., Any], cpu: torch.device
) -> None:
    """DINO's has no pooler; a part that nobody knows is still an error, and so is a part that is missing."""
    case = CASES["vit"]
    _, folder = headless(case, randomize, tmp_path / "body")
    weights = {n: w for n, w in load_file(folder / "model.safetensors").items() if not n.startswith("pooler.")}

    def save(tensors: dict[str, Tensor]) -> Path:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    assert load_target(spec_of(case), save(weights), cpu).headless
    with pytest.raises(IntegrityError, match="unexpected keys: prediction_head"):
        load_target(spec_of(case), save(weights | {"prediction_head.weight": torch.zeros(3)}), cpu)
    last = sorted(weights)[-1]
    with pytest.raises(IntegrityError, match=f"missing keys: .*{re.escape(last.split('.')[-1])}"):
        load_target(spec_of(case), save({n: w for n, w in weights.items() if n != last}), cpu)


def test_half_a_head_is_refused(tmp_path: Path, randomize: Callable[..., Any], cpu: torch.device) -> None:
    case = CASES["vit"]
    folder = publish(case, randomize(build(case)), tmp_path)
    weights = load_file(folder / "model.safetensors")
    del weights["classifier.bias"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(IntegrityError, match=r"missing keys: classifier\.bias"):
        load_target(spec_of(case), folder, cpu)


def test_the_tower_of_siglip_alone_loads_too(tmp_path: Path, randomize: Callable[..., Any], cpu: torch.device) -> None:
    case = next(case for case in SMALL if case.family == "siglip")
    model = randomize(build(case))
    tower = hf.SiglipVisionModel(model.vision_model.config)
    tower.load_state_dict(model.vision_model.state_dict())
    folder = save_network(tower, tmp_path, mean=case.normalization[0], std=case.normalization[1])
    check(case, model, load_target(spec_of(case), folder, cpu), 2)
