"""Every family, small and at its published size: taps are the saved network's own states, exactly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from families import check, spec_of
from networks import CLIP, FULL, SMALL, Case, build, publish, save_network
from safetensors.torch import save_file

from benchmark.errors import SpecError
from benchmark.targets import load_target


@pytest.fixture(params=SMALL, ids=lambda case: case.family)
def small(request: pytest.FixtureRequest, tmp_path: Path, randomize: Callable[..., Any]) -> tuple[Case, Any, Path]:
    model = randomize(build(request.param))
    return request.param, model, publish(request.param, model, tmp_path)


def test_taps_are_the_states_of_the_network_that_was_saved(small: tuple[Case, Any, Path], cpu: torch.device) -> None:
    case, model, folder = small
    check(case, model, load_target(spec_of(case), folder, cpu), 2)


def test_names_of_weights_may_be_those_of_the_installed_transformers(
    small: tuple[Case, Any, Path], cpu: torch.device
) -> None:
    case, model, folder = small
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    check(case, model, load_target(spec_of(case), folder, cpu), 2)


FURTHER = {"vit": 1, "dinov2": 1, "dinov2_registers": 4, "clip": 1, "mae": 1, "siglip": 0, "timm_vit": 1, "swin": 0}


@pytest.mark.parametrize("family", FURTHER)
def test_tokens_that_stand_for_no_place_come_before_the_patches(family: str, tmp_path: Path, cpu: torch.device) -> None:
    case = next(case for case in SMALL if case.family == family)
    target = load_target(spec_of(case), publish(case, build(case), tmp_path), cpu)
    for item in target.features(torch.rand(1, 3, *case.size)).values():
        assert item.grid is not None
        rows, columns = item.grid
        assert item.tensor.shape[1] == FURTHER[family] + rows * columns
        assert torch.equal(item.as_map()[0, :, 0, 0], item.tensor[0, FURTHER[family]])


# Convolutions look beyond a cell.
TOKENS = [case for case in SMALL if case.family not in ("detr", "resnet")]


@pytest.mark.parametrize("case", TOKENS, ids=lambda case: case.family)
def test_a_changed_patch_moves_only_its_own_token_of_the_grid(case: Case, tmp_path: Path, cpu: torch.device) -> None:
    target = load_target(spec_of(case), publish(case, build(case), tmp_path), cpu)
    rows, columns = case.grid
    side = case.size[0] // rows
    images = torch.rand(1, 3, *case.size)
    changed = images.clone()
    changed[:, :, side : 2 * side, 2 * side : 3 * side] = 0
    with torch.inference_mode():
        before, after = (target.features(x)["embeddings"].tensor for x in (images, changed))
    moved = (before != after).any(-1)[0].nonzero().flatten().tolist()
    first = case.shapes["embeddings"][0] - rows * columns
    assert moved == [first + columns + 2]


def test_networks_without_a_head_say_so(small: tuple[Case, Any, Path], cpu: torch.device) -> None:
    case, _, folder = small
    target, images = load_target(spec_of(case), folder, cpu), torch.rand(1, 3, *case.size)
    if case.family in ("vit", "swin", "timm_vit", "timm_swin", "resnet"):
        assert target.predict(images).logits.shape == (1, 3)
    elif case.family == "detr":
        assert target.predict(images).boxes is not None
    else:
        with pytest.raises(SpecError, match="no head of its own"):
            target.predict(images)


def test_mae_neither_drops_nor_shuffles_patches(tmp_path: Path, cpu: torch.device) -> None:
    case = next(case for case in SMALL if case.family == "mae")
    model = build(case)
    assert model.config.mask_ratio == 0.75
    target = load_target(spec_of(case), publish(case, model, tmp_path), cpu)
    images, mean, std = torch.rand(3, 3, 32, 32), *(torch.tensor(v).view(1, 3, 1, 1) for v in case.normalization)
    embed = model.vit.embeddings
    expected = embed.patch_embeddings((images - mean) / std) + embed.position_embeddings[:, 1:]
    state = torch.get_rng_state()
    found = target.features(images)["embeddings"].tensor
    assert torch.equal(found[:, 1:], expected)
    assert torch.equal(found, target.features(images)["embeddings"].tensor)
    assert torch.equal(state, torch.get_rng_state())


def test_detr_side_inputs_at_a_wide_size(tmp_path: Path, cpu: torch.device) -> None:
    case = SMALL[0]
    target = load_target(spec_of(case), publish(case, build(case), tmp_path), cpu)
    for item in target.features(torch.rand(2, 3, 64, 96)).values():
        assert item.grid == (2, 3)
        assert item.position is not None and item.position.shape == (2, 6, 16)
        assert item.valid is not None and item.valid.shape == (2, 6) and item.valid.all()


def test_detr_never_answers_with_the_auxiliary_outputs(tmp_path: Path, cpu: torch.device) -> None:
    case = SMALL[0]
    folder, images = publish(case, build(case), tmp_path), torch.rand(2, 3, 64, 96)
    expected = load_target(spec_of(case), folder, cpu).predict(images).logits
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auxiliary_loss": True}))
    assert torch.equal(load_target(spec_of(case), folder, cpu).predict(images).logits, expected)


def test_a_vision_tower_of_clip_alone_loads_too(tmp_path: Path, cpu: torch.device) -> None:
    case = next(case for case in SMALL if case.family == "clip")
    model = build(case)
    tower = hf.CLIPVisionModel(model.vision_model.config)
    tower.load_state_dict(model.vision_model.state_dict())
    save_network(tower, tmp_path, mean=CLIP[0], std=CLIP[1])
    check(case, model, load_target(spec_of(case), tmp_path, cpu), 2)


@pytest.fixture(params=FULL, ids=lambda case: case.family)
def full(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    randomize: Callable[..., Any],
) -> Iterator[tuple[Case, Any, Path]]:
    """One network at a time; its files are gone afterwards."""
    folder = tmp_path_factory.mktemp(request.param.family)
    model = randomize(build(request.param))
    yield request.param, model, publish(request.param, model, folder)
    shutil.rmtree(folder)


@pytest.mark.slow
def test_networks_of_the_published_size(full: tuple[Case, Any, Path], cpu: torch.device) -> None:
    case, model, folder = full
    if case.file_bytes:
        assert (folder / "model.safetensors").stat().st_size == case.file_bytes
    target = load_target(spec_of(case), folder, cpu)
    check(case, model, target, 1)
