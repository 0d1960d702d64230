"""Training is seeded, resumable, and makes networks that plain transformers can load."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModelForImageClassification, DetrForObjectDetection

from benchmark.errors import SpecError, UserError
from benchmark.files.paths import resource
from benchmark.inverses import spec as inverses_spec
from benchmark.inverses.base import load_inverse, read_config
from benchmark.inverses.code import load_code
from benchmark.inverses.faults import blame
from benchmark.inverses.recipes import InverseRecipe, load_recipe
from benchmark.inverses.standardized import StandardizedInverse
from benchmark.suites.spec import Suite
from benchmark.train import loop, recipes, targets
from benchmark.train.batches import Batch, get_batches
from benchmark.train.images import Scenes
from benchmark.train.inverses import train_inverse
from benchmark.train.loop import Schedule, fit
from benchmark.train.losses import ChainLoss

DOCS = Path(__file__).parents[2] / "docs" / "training.md"
INVERSES = resource("assets/mini/inverses")
SCHEDULE = Schedule(steps=6, batch_size=2, learning_rate=1e-2, warmup_steps=2)


@pytest.fixture(autouse=True)
def few_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moments of features from few images: enough to train on for a few steps."""
    monkeypatch.setattr("benchmark.train.inverses.MOMENT_IMAGES", 32)


class Blur(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, batch: Batch) -> Tensor:
        return (self.layer(batch.images) - batch.images).square().mean()


def run(work: Path, stop_at: int | None = None, seed: int = 1, schedule: Schedule = SCHEDULE) -> Blur:
    model = Blur()
    steps = 0

    def loss(batch: Batch) -> Tensor:
        nonlocal steps
        if steps == stop_at:
            raise KeyboardInterrupt
        steps += 1
        return model(batch)

    cpu = torch.device("cpu")
    fit(
        model,
        loss,
        schedule,
        batches=partial(get_batches, seed, schedule.batch_size, "none", cpu, 0),
        key={"seed": seed},
        work=work,
        device=cpu,
        title="blur",
    )
    return model


def test_an_interrupted_training_ends_where_a_straight_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 2)
    straight = run(tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", stop_at=5)
    resumed = run(tmp_path / "b")
    for one, other in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def shortened(name: str) -> recipes.Recipe:
    recipe = recipes.RECIPES[name]
    short = {"steps": 2, "batch_size": 4, "warmup_steps": 1}
    rounds = tuple(replace(r, schedule=replace(r.schedule, **short)) for r in recipe.rounds)
    return replace(recipe, rounds=rounds)


def test_steps_are_those_of_adam_with_clipped_gradients_and_a_cosine(tmp_path: Path) -> None:
    schedule = replace(SCHEDULE, weight_decay=0.0, clip_norm=0.1)
    found, expected = run(tmp_path, schedule=schedule), Blur()
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in expected.parameters()]
    for step, batch in enumerate(get_batches(1, 2, "none", torch.device("cpu"), 0, range(6))):
        warm = 0.02 + 0.98 * step / 2
        rate = 1e-2 * (warm if step < 2 else (1 + math.cos(math.pi * (step - 2) / 4)) / 2)
        expected.zero_grad()
        expected(batch).backward()
        gradients = [p.grad for p in expected.parameters() if p.grad is not None]
        norm = math.sqrt(sum(float(g.square().sum()) for g in gradients))
        assert norm > schedule.clip_norm
        for p, g, (first, second) in zip(expected.parameters(), gradients, moments, strict=True):
            g = g * schedule.clip_norm / (norm + 1e-6)
            first.mul_(0.9).add_(0.1 * g)
            second.mul_(0.999).add_(0.001 * g.square())
            root = (second / (1 - 0.999 ** (step + 1))).sqrt()
            p.data -= rate * first / (1 - 0.9 ** (step + 1)) / (root + 1e-8)
    for one, other in zip(found.parameters(), expected.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-7)
    decayed = run(tmp_path, schedule=replace(schedule, weight_decay=0.5))
    assert not torch.allclose(found.layer.weight, decayed.layer.weight, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mini-vit", "mini-swin", "mini-judge", "mini-detr"])
def test_targets_train_and_load_with_plain_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpu: torch.device, name: str
) -> None:
    for recipe in (name, "mini-detr-backbone"):
        monkeypatch.setitem(recipes.RECIPES, recipe, shortened(recipe))
    targets.train_target(name, tmp_path / "out", tmp_path / "work", cpu, workers=2)
    loader = DetrForObjectDetection if name == "mini-detr" else AutoModelForImageClassification
    model, info = loader.from_pretrained(tmp_path / "out" / name, output_loading_info=True)
    assert not any(info[what] for what in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.config.num_labels == 8
    if name == "mini-detr":
        assert not model.config.auxiliary_loss
        (checkpoint,) = tmp_path.glob("work/mini-detr-backbone/*/checkpoint.pt")
        trained = torch.load(checkpoint, weights_only=True)["model"]
        backbone = model.model.backbone.model.state_dict()
        key = "encoder.stages.1.layers.0.layer.0.normalization.running_mean"
        assert torch.equal(backbone[key], trained[f"network.resnet.{key}"])


def test_networks_of_parts_of_a_training_are_kept_or_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpu: torch.device
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 1)
    monkeypatch.setitem(recipes.RECIPES, "mini-judge", shortened("mini-judge"))
    out, work = tmp_path / "out", tmp_path / "work"
    targets.train_target("mini-judge", out, work, cpu, keep_at=(0.25, 0.5))
    kept = {path.name: load_file(path / "model.safetensors") for path in out.iterdir()}
    assert sorted(kept) == ["mini-judge", "mini-judge-step1", "mini-judge-step2"]
    key = "classifier.1.weight"
    assert len({kept[name][key].sum().item() for name in kept}) == 3
    (first, _) = sorted(work.glob("mini-judge*/*/checkpoint.pt"))
    half = torch.load(first, weights_only=True)["model"][f"network.{key}"]
    assert torch.equal(kept["mini-judge-step2"][key], half)
    with pytest.raises(UserError, match="resumed after step 1, whose network was not kept"):
        targets.train_target("mini-judge", tmp_path / "late", work, cpu, keep_at=(0.25,))


def test_a_last_round_begins_with_a_network_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mini: Suite, cpu: torch.device
) -> None:
    monkeypatch.setitem(recipes.RECIPES, "mini-swin", shortened("mini-swin"))
    targets.train_target("mini-swin", tmp_path / "whole", tmp_path / "work", cpu, keep_at=(2 / 3,))
    start = tmp_path / "whole" / "mini-swin-step4"
    targets.train_target("mini-swin", tmp_path / "last", tmp_path / "other", cpu, start=start)
    whole, last = (load_file(tmp_path / name / "mini-swin/model.safetensors") for name in ("whole", "last"))
    assert all(torch.equal(tensor, last[name]) for name, tensor in whole.items())
    before = load_file(start / "model.safetensors")
    assert any(not torch.equal(tensor, last[name]) for name, tensor in before.items())
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["mini-swin-round3"]
    with pytest.raises(UserError, match="the last round of mini-judge does not begin with a network alone"):
        targets.train_target("mini-judge", tmp_path / "x", tmp_path / "y", cpu, start=start)
    with pytest.raises(SpecError, match="holds no mini-swin"):
        targets.train_target("mini-swin", tmp_path / "x", tmp_path / "y", cpu, start=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["end_to_end", "modular", "modular_per_tap"])
@pytest.mark.parametrize("target_id", ["mini-detr", "mini-vit", "mini-swin"])
def test_methods_train_and_store(tmp_path: Path, mini: Suite, cpu: torch.device, target_id: str, method: str) -> None:
    spec = mini.target(target_id)
    recipe = load_recipe(method, spec).model_copy(update={"steps": 6, "batch_size": 2})
    data, out = Scenes(1, cpu), tmp_path / "out"
    train_inverse(method, spec, spec.source.directory(), data, out, tmp_path / "work", cpu, recipe)
    inverse = load_inverse(tmp_path / "out", cpu)
    assert (inverse.config.training["steps"], inverse.config.training["seed"]) == (6, 1)
    assert tuple(inverse.config.taps) == mini.target(target_id).tap_names
    assert isinstance(inverse, StandardizedInverse)
    assert (inverse.get_buffer(f"deviation_{inverse.key(spec.tap_names[0])}") != 1).all()


def test_modules_learn_from_their_own_component_alone(mini: Suite, cpu: torch.device) -> None:
    from benchmark.files.paths import submissions_root
    from benchmark.inverses.base import build_inverse
    from benchmark.inverses.modular_per_tap import ModularPerTapInverse
    from benchmark.submissions.submission import load_submission
    from benchmark.targets import load_target

    folder = load_submission(submissions_root(), "modular_per_tap").weights["mini-vit"].directory(submissions_root())
    inverse = build_inverse(load_inverse(folder, cpu).config).train()
    assert isinstance(inverse, ModularPerTapInverse)
    spec = mini.target("mini-vit")
    loss = ChainLoss(inverse, load_target(spec, spec.source.directory(), cpu), seed=1)
    loss(Scenes(0, cpu).batch(0, 2)).backward()
    deepest = inverse.parts["encoder_5"]
    with_all = [p.grad.clone() for p in deepest.parameters() if p.grad is not None]
    assert with_all
    inverse.zero_grad()
    for name, part in inverse.parts.items():
        part.requires_grad_(name == "encoder_5")
    loss._generator.manual_seed(1)
    loss(Scenes(0, cpu).batch(0, 2)).backward()
    alone = [p.grad for p in deepest.parameters() if p.grad is not None]
    for one, other in zip(with_all, alone, strict=True):
        assert torch.allclose(one, other, atol=1e-7)


FREE = InverseRecipe(steps=2, batch_size=2, learning_rate=1e-2)
SUBMITTED = """
import torch
from benchmark.inverses.base import Inverse

class Odd(Inverse):
    method = "odd"

    def __init__(self, config):
        super().__init__(config)
        self.shade = torch.nn.Parameter(torch.full((3,), {start}))

    def recon(self, item):
        return self.shade.view(1, 3, 1, 1).expand(len(item.tensor), -1, 96, 96)

    def invert(self, features):
        {body}
"""


@pytest.mark.parametrize(
    ("body", "start", "message"),
    [
        ("return []", 0.5, "does not return a mapping with exactly the taps"),
        ("return {}", 0.5, "does not return a mapping with exactly the taps"),
        ("return {tap: None for tap in features}", 0.5, "returns NoneType at tap 'embeddings'"),
        (
            "return {tap: self.recon(item)[..., :1, :1] for tap, item in features.items()}",
            0.5,
            r"returns .2, 3, 1, 1. at",
        ),
        ("return {tap: self.recon(item).detach() for tap, item in features.items()}", 0.5, "no gradient flows"),
        (
            "return {tap: self.recon(item) for tap, item in features.items()}",
            "float('nan')",
            "inverse.py: tensor 'shade' is not finite",
        ),
        (
            "return {tap: self.recon(item) for tap, item in features.items()}",
            "0.5)); self.noise = (torch.randn((3,)",
            r"inverse.py: 'noise' is not stored, and the constructor gives it another value \(make it a parameter",
        ),
        ("return {tap: self.recon(item) / bar for tap, item in features.items()}", 0.5, "line 16: NameError"),
    ],
)
def test_what_submitted_code_returns_is_looked_at(
    mini: Suite,
    cpu: torch.device,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    start: object,
    message: str,
) -> None:
    monkeypatch.setattr("benchmark.inverses.spec.TRUSTED", {})
    monkeypatch.setattr("benchmark.inverses.code.TRUSTED", inverses_spec.TRUSTED)
    monkeypatch.chdir(tmp_path)
    code, target = Path("inverse.py"), mini.target("mini-vit")
    code.write_text(SUBMITTED.replace("{body}", body).replace("{start}", str(start)))
    method = load_code(code, trained=True).id
    with pytest.raises(UserError, match=message), blame(code):
        train_inverse(
            method, target, target.source.directory(), Scenes(1, cpu), tmp_path / "out", tmp_path, cpu, FREE, code
        )
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_submitted_code_that_asks_for_the_target_has_it_in_training(
    mini: Suite, cpu: torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.inverses.spec.TRUSTED", {})
    monkeypatch.setattr("benchmark.inverses.code.TRUSTED", inverses_spec.TRUSTED)
    code, target = tmp_path / "inverse.py", mini.target("mini-vit")
    body = "found = self.target.features(next(iter(features.values())).tensor.new_zeros(1, 3, 96, 96), ['embeddings'])"
    body += "\n        shift = found['embeddings'].tensor.mean()"
    body += "\n        return {tap: self.recon(item) + shift for tap, item in features.items()}"
    text = SUBMITTED.replace('"odd"', '"odd"\n    needs_target = True')
    code.write_text(text.replace("{body}", body).replace("{start}", "0.5"))
    method = load_code(code, trained=True).id
    train_inverse(method, target, target.source.directory(), Scenes(1, cpu), tmp_path, tmp_path / "w", cpu, FREE, code)
    assert load_file(tmp_path / "model.safetensors").keys() == {"shade"}, "the target is not stored with it"


def test_a_recipe_whose_numbers_do_not_fit_is_named(mini: Suite, cpu: torch.device, tmp_path: Path) -> None:
    spec, recipe = mini.target("mini-vit"), load_recipe("modular", mini.target("mini-vit"))
    for heads, message in (({"heads": 5}, "5 heads do not divide a width of"), ({}, "'heads' is missing")):
        shape = recipe.shape("vit").model_copy(update={"architecture": {"layers": 6, "ratio": 2} | heads})
        changed = recipe.model_copy(update={"shapes": {"vit": shape}})
        with pytest.raises(SpecError, match=rf"^recipe, \[shapes\.vit\]: describes no 'modular' inverse: {message}"):
            train_inverse(
                "modular", spec, spec.source.directory(), Scenes(1, cpu), tmp_path / "out", tmp_path, cpu, changed
            )
    assert list(tmp_path.iterdir()) == []


def test_methods_without_weights_say_so(mini: Suite, cpu: torch.device, tmp_path: Path) -> None:
    spec = mini.target("mini-vit")
    with pytest.raises(UserError, match="method 'copy' has nothing to train"):
        train_inverse("copy", spec, spec.source.directory(), Scenes(1, cpu), tmp_path, tmp_path, cpu)


def test_recipes_have_the_lengths_that_docs_state() -> None:
    lengths = {
        name: sum(item.schedule.steps * item.schedule.batch_size for item in recipe.rounds)
        for name, recipe in recipes.RECIPES.items()
    }
    assert lengths == {
        "mini-vit": 7500 * 32,
        "mini-swin": 6000 * 32,
        "mini-judge": 2500 * 64,
        "mini-detr-backbone": 500 * 64,
        "mini-detr": 4500 * 32,
    }


def test_docs_state_the_hours_of_the_inverses_in_the_package() -> None:
    rows = re.findall(r"^\| `(\w+)`(?:, after `(\w+)`)? \| ([\d.].*) \|$", DOCS.read_text(encoding="utf-8"), re.M)
    assert len(rows) >= 6
    for method, start, cells in rows:
        for target, cell in zip(("mini-detr", "mini-vit", "mini-swin"), cells.split(" | "), strict=True):
            training = read_config(INVERSES / method / target / "config.json").training
            before = read_config(INVERSES / start / target / "config.json").training["device_hours"] if start else 0
            assert cell.split()[0] == f"{training['device_hours'] - before:.2f}"
            assert ("(H100)" in cell) == ("H100" in training["device"])


def test_a_seed_decides_weights_and_data(tmp_path: Path, mini: Suite, cpu: torch.device) -> None:
    spec = mini.target("mini-vit")
    recipe = load_recipe("modular", spec).model_copy(update={"steps": 1, "batch_size": 2})
    for out, seed in (("first", 7), ("again", 7), ("other", 8)):
        work = tmp_path / f"work-{out}"
        train_inverse("modular", spec, spec.source.directory(), Scenes(seed, cpu), tmp_path / out, work, cpu, recipe)
    first, again, other = ((tmp_path / out / "model.safetensors").read_bytes() for out in ("first", "again", "other"))
    assert first == again != other
