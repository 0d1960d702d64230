"""Validation chooses weights and changes nothing else; interrupted anywhere, a training ends with the same choice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from photographs import draw_photograph
from torch import Tensor, nn

from benchmark.datasets.base import Sample
from benchmark.errors import UserError
from benchmark.inverses.base import build_inverse, load_inverse
from benchmark.inverses.recipes import load_recipe
from benchmark.inverses.spec import InverseConfig
from benchmark.suites.catalog import load_suite
from benchmark.suites.spec import Suite
from benchmark.targets import load_target
from benchmark.train import inverses, loop, validation
from benchmark.train.choosing import Validation
from benchmark.train.images import Scenes
from benchmark.train.inverses import train_inverse
from benchmark.train.journal import read_journal, read_validations
from benchmark.train.loop import Outcome, Schedule, fit
from benchmark.train.validation import Aside, draw_aside, make_validation, measure

SCHEDULE = Schedule(steps=8, batch_size=2, learning_rate=1e-2, warmup_steps=2)
SCORES = (0.2, 0.5, 0.4, 0.5)


class Drawing(nn.Module):
    """A network whose training draws random numbers, and whose batch norm changes where it is not in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(), nn.Conv2d(4, 3, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (self.layers(images) - images).square().mean()


class Runs:
    """Trainings below a folder; `measured` holds the modes and steps of validations."""

    def __init__(self, root: Path) -> None:
        self.root, self.measured, self.stop_at = root, 0, -1

    def measure(self, model: Drawing) -> Mapping[str, float]:
        self.measured += 1
        if self.measured == self.stop_at:
            raise KeyboardInterrupt
        torch.rand(3)
        model(torch.rand(2, 3, 8, 8))
        assert not any(module.training for module in model.modules())
        return {"score": SCORES[(self.measured - 1) % 4], "detail": 0.1}

    def fit(self, name: str, every: int | None, scores: Mapping[str, float] | None = None) -> tuple[Drawing, Outcome]:
        cpu, model = torch.device("cpu"), Drawing()
        how = None
        if every:
            how = Validation(every, lambda: scores if scores is not None else self.measure(model), {"some": 1})
        outcome = fit(
            model, model, SCHEDULE, batches=partial(Scenes(1, cpu).batches, 2), key={}, work=self.root / name,
            device=cpu, title="drawing", journal=self.root / name / "out", validation=how,
        )  # fmt: skip
        assert all(module.training for module in model.modules())
        return model, outcome


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 3)
    monkeypatch.setattr(loop, "SHOW_EVERY", 1)
    return Runs(tmp_path)


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


def test_the_first_of_the_best_weights_are_kept(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, outcome = runs.fit("validated", 2)
    assert outcome.chosen and (outcome.chosen.step, outcome.chosen.score) == (4, 0.5)
    entries = read_validations(runs.root / "validated/out/train.jsonl")
    assert [(entry.step, entry.score) for entry in entries] == [(2, 0.2), (4, 0.5), (6, 0.4), (8, 0.5)]
    assert entries[1].scores == {"detail": 0.1}
    checkpoint = next((runs.root / "validated").rglob("checkpoint.pt"))
    last = torch.load(checkpoint, weights_only=True)
    assert all(torch.equal(tensor, last["best"]["weights"][name]) for name, tensor in chosen.state_dict().items())
    assert not torch.equal(last["model"]["layers.0.weight"], chosen.state_dict()["layers.0.weight"])


def test_with_and_without_validation_the_steps_are_the_same(runs: Runs) -> None:
    plain, outcome = runs.fit("plain", None)
    assert outcome.chosen is None
    unscored, outcome = runs.fit("unscored", 2, scores={})
    assert outcome.chosen is None and same(plain, unscored)
    runs.measured = 0
    runs.fit("validated", 1)
    plain_losses, losses = (
        [entry.loss for entry in read_journal(runs.root / name / "out/train.jsonl")] for name in ("plain", "validated")
    )
    assert len(losses) == 8 and losses == plain_losses


@pytest.mark.parametrize("stop_at", [1, 2, 3, 4])
def test_a_training_that_was_stopped_in_a_validation_ends_like_a_straight_one(runs: Runs, stop_at: int) -> None:
    straight, outcome = runs.fit("straight", 2)
    runs.measured, runs.stop_at = 0, stop_at
    with pytest.raises(KeyboardInterrupt):
        runs.fit("twice", 2)
    entries = read_validations(runs.root / "twice/out/train.jsonl")
    assert len(entries) == stop_at - 1
    # It goes on after the last checkpoint, of step 3 or 6.
    runs.measured, runs.stop_at = {1: 0, 2: 1, 3: 1, 4: 3}[stop_at], -1
    resumed, again = runs.fit("twice", 2)
    assert same(straight, resumed)
    assert again.chosen and outcome.chosen and again.chosen._replace(seconds=0) == outcome.chosen._replace(seconds=0)
    assert [entry.step for entry in read_validations(runs.root / "twice/out/train.jsonl")] == [2, 4, 6, 8]


def copy_of(suite: Suite) -> tuple[object, object]:
    spec = suite.target("mini-vit")
    target = load_target(spec, spec.source.directory(), torch.device("cpu"))
    config = InverseConfig(method="copy", target=spec.id, target_sha256="0" * 64, input_size=(96, 96), taps={"x": (1,)})
    return target, build_inverse(config.model_copy(update={"taps": {}}))


def test_the_image_itself_scores_one_and_an_inverse_what_the_board_says(mini: Suite, samples: list[Sample]) -> None:
    target, copier = copy_of(mini)
    perfect = measure(Aside(mini, samples[:8]), target, copier)  # type: ignore[arg-type]
    assert perfect == {name: pytest.approx(1, abs=1e-6) for name in ("score", "detail", "shape", "color")}


def test_without_masks_shape_is_what_suites_without_masks_rank(mini: Suite) -> None:
    import numpy as np

    photographs = [np.array(draw_photograph(seed).resize((96, 96))) for seed in range(3)]
    samples = [Sample(str(k), pixels, np.ones((96, 96), np.bool_)) for k, pixels in enumerate(photographs)]
    ranked = validation.rank_only(load_suite("coco@1"), samples)
    assert ranked.axes == {"detail": ("frc",), "shape": ("edge_f",), "color": ("color_transfer",)}
    assert ranked.metrics == ("frc", "edge_f", "color_transfer") and "gray" not in ranked.perturbations
    target, copier = copy_of(mini)
    scores = measure(Aside(mini, samples), target, copier)  # type: ignore[arg-type]
    assert scores["score"] == pytest.approx(1, abs=1e-6)
    flat = [replace(sample, image=np.full((96, 96, 3), 90, np.uint8)) for sample in samples]
    assert measure(Aside(mini, flat), target, copier) == {}, "missing is not zero"  # type: ignore[arg-type]


def test_a_recon_that_is_not_finite_is_never_chosen(mini: Suite, samples: list[Sample]) -> None:
    target, copier = copy_of(mini)
    invert = copier.invert  # type: ignore[attr-defined]
    copier.invert = lambda features: {tap: recon * torch.nan for tap, recon in invert(features).items()}  # type: ignore[attr-defined]
    assert measure(Aside(mini, samples[:2]), target, copier) == {}  # type: ignore[arg-type]


def test_validation_scenes_are_their_own(monkeypatch: pytest.MonkeyPatch, mini: Suite, samples: list[Sample]) -> None:
    monkeypatch.setattr(validation, "VALIDATION_IMAGES", 4)
    aside = draw_aside(mini)
    assert [sample.id for sample in aside.samples] == [f"validation-000{k}" for k in range(4)]
    evaluated = {sample.image.tobytes() for sample in samples}
    assert not any(sample.image.tobytes() in evaluated for sample in aside.samples)


@pytest.mark.slow
def test_an_inverse_says_by_what_its_weights_were_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mini: Suite
) -> None:
    monkeypatch.setattr(inverses, "MOMENT_IMAGES", 16)
    monkeypatch.setattr(validation, "VALIDATION_IMAGES", 2)
    spec, cpu = mini.target("mini-swin"), torch.device("cpu")
    recipe = load_recipe("end_to_end", spec).model_copy(update={"steps": 2, "batch_size": 2, "validate_every": 1})
    folder, data = spec.source.directory(), Scenes(1, cpu)
    with pytest.raises(UserError, match="--validate-every: there are no images to validate on"):
        train_inverse("end_to_end", spec, folder, data, tmp_path / "out", tmp_path, cpu, recipe)
    validate = partial(make_validation, draw_aside(mini))
    train_inverse("end_to_end", spec, folder, data, tmp_path / "out", tmp_path, cpu, recipe, validate=validate)
    training = load_inverse(tmp_path / "out", cpu).config.training
    entries = read_validations(tmp_path / "out" / "train.jsonl")
    best = max(entries, key=lambda entry: (entry.score, -entry.step))
    assert (training["chosen_step"], training["validation_score"]) == (best.step, best.score)
    assert training["validation_detail"] == best.scores["detail"]
    assert json.loads((tmp_path / "out/config.json").read_text())["training"] == training
