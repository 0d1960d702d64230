"""Trainings that go on from the weights of another inverse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from benchmark.errors import SpecError, UserError
from benchmark.files.canonical import sha256_file
from benchmark.inverses.base import load_inverse
from benchmark.inverses.recipes import InverseRecipe, load_recipe
from benchmark.suites.spec import Suite
from benchmark.train.images import Scenes
from benchmark.train.inverses import train_inverse

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def few_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moments of features from few images: enough to train on for a few steps."""
    monkeypatch.setattr("benchmark.train.inverses.MOMENT_IMAGES", 32)


def train(
    suite: Suite,
    root: Path,
    method: str,
    out: str,
    *,
    target: str = "mini-swin",
    start: Path | None = None,
    rate: float = 1e-3,
    seed: int = 1,
) -> Path:
    spec = suite.target(target)
    recipe: InverseRecipe | None = None
    if method != "ridge":
        changes = {"steps": 1, "batch_size": 2, "learning_rate": rate}
        recipe = load_recipe(method, spec).model_copy(update=changes)
    folder = spec.source.directory()
    train_inverse(method, spec, folder, Scenes(seed, CPU), root / out, root / "work", CPU, recipe, start=start)
    return root / out


@pytest.fixture(scope="module")
def first(mini: Suite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(mini, tmp_path_factory.mktemp("first"), "modular_per_tap", "first")


def test_a_training_goes_on_from_the_weights_and_counts_what_they_cost(
    mini: Suite, first: Path, tmp_path: Path
) -> None:
    joint = train(mini, tmp_path, "modular_joint", "joint", start=first, rate=1e-9, seed=2)
    before, after = load_file(first / "model.safetensors"), load_file(joint / "model.safetensors")
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        if "running" not in name and tensor.is_floating_point():
            assert torch.allclose(tensor.float(), after[name].float(), atol=2e-3, rtol=2e-3), name
    began, training = (load_inverse(folder, CPU).config.training for folder in (first, joint))
    assert training["start"] == "modular_per_tap"
    assert training["start_sha256"] == sha256_file(first / "model.safetensors")
    assert training["samples"] == int(began["samples"]) + 2
    assert float(training["device_hours"]) >= float(began["device_hours"])
    assert training["device"] == began["device"]


def test_a_start_that_was_trained_elsewhere_is_no_time_of_this_device(mini: Suite, first: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(first, elsewhere)
    config = json.loads((elsewhere / "config.json").read_text(encoding="utf-8"))
    own, config["training"]["device"] = config["training"]["device"], "Some GPU x 8"
    (elsewhere / "config.json").write_text(json.dumps(config), encoding="utf-8")
    joint = train(mini, tmp_path, "modular_joint", "joint", start=elsewhere)
    assert load_inverse(joint, CPU).config.training["device"] == f"Some GPU x 8, then {own}"


def test_without_a_start_weights_are_fresh_and_the_same_call_with_one_starts_afresh(
    mini: Suite, first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh = train(mini, tmp_path, "modular_joint", "fresh")
    assert "start" not in load_inverse(fresh, CPU).config.training
    begun = train(mini, tmp_path, "modular_joint", "begun", start=first)
    said = capsys.readouterr().err
    assert "starts afresh: other start than the run in " in said
    assert said.count("--seed 1 is that of the weights to begin with: it gives the same images") == 1
    assert (fresh / "model.safetensors").read_bytes() != (begun / "model.safetensors").read_bytes()


def test_other_networks_are_refused(mini: Suite, first: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"config\.json: field 'target' differs"):
        train(mini, tmp_path, "modular_joint", "joint", target="mini-vit", start=first)
    with pytest.raises(SpecError, match="field 'architecture' differs"):
        train(mini, tmp_path, "end_to_end", "other", start=first)
    with pytest.raises(SpecError, match="no such file"):
        train(mini, tmp_path, "modular_joint", "joint", start=tmp_path)
    with pytest.raises(UserError, match="'ridge' is fitted in one go"):
        train(mini, tmp_path, "ridge", "ridge", start=first)
