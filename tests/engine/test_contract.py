"""The contract of an inverse: what breaks it is found, what is random by the rules is reproduced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.content.content import Content
from benchmark.datasets.base import Sample
from benchmark.engine.contract import Breach, add_others, find_breaches
from benchmark.engine.pipeline import Pipeline
from benchmark.engine.reading import read_features, seed_of
from benchmark.engine.scorer import iter_tiles
from benchmark.engine.stopwatch import Stopwatch
from benchmark.errors import IntegrityError
from benchmark.files.canonical import sha256_file
from benchmark.files.paths import submissions_root
from benchmark.files.pixels import to_tensor
from benchmark.inverses import code as trusted
from benchmark.inverses import spec
from benchmark.metrics.case import Networks
from benchmark.records.scores import ScoreArrays, get_reason_names
from benchmark.submissions.candidates import Candidate, describe_candidate, load_candidate, open_submission
from benchmark.suites.spec import Suite
from benchmark.targets import load_target
from benchmark.targets.taps import Features

CPU = torch.device("cpu")
HEAD = '''"""A submission."""
import torch
from benchmark.inverses.base import Inverse


class Mine(Inverse):
    """Gray."""

    method = "mine"
    calls = 0

    def invert(self, features):
        Mine.calls += 1
        self.own = getattr(self, "own", 0) + 1
        size = (3, *self.config.input_size)
        return {tap: self.show(tap, item, features, size) for tap, item in features.items()}

    def show(self, tap, item, features, size):
        images = torch.full((len(item.tensor), *size), 0.5)
'''
BAD = {
    "another tap": "        return images * features.get('embeddings', item).tensor.std((1, 2)).view(-1, 1, 1, 1)",
    "the number of taps": "        return images * len(features) / 5",
    "earlier calls": "        return images * min(1, self.own / 20)",
    "the batch": "        return images * (0.5 + item.tensor.mean())",
    "its own random numbers": "        return torch.rand(images.shape)",
}
GOOD = {
    "nothing": "        return images",
    "its own tap": "        return images * (0.5 + item.tensor.mean((1, 2)).view(-1, 1, 1, 1))",
    "seeded random numbers": "        return torch.stack([torch.rand(size, generator=g) for g in item.generators()])",
    "a gradient": (
        "        with torch.enable_grad():\n"
        "            images.requires_grad_()\n"
        "            images.square().sum().backward()\n"
        "        return images.grad / 4 + images / 4"
    ),
    "a gradient that it does not let go of": (
        "        with torch.enable_grad():\n            return images.requires_grad_() * 0.5"
    ),
    "gradients left on": ("        torch.set_grad_enabled(True)\n        return images.requires_grad_() * 0.5"),
    "a gradient of a function": ("        return torch.func.grad(lambda x: x.square().sum())(images) / 2"),
    "a gradient by its own features": (
        "        wanted = item.tensor.detach().clone().requires_grad_()\n"
        "        with torch.enable_grad():\n"
        "            (found,) = torch.autograd.grad(wanted.square().sum(), wanted)\n"
        "        return images + found.mean((1, 2)).view(-1, 1, 1, 1).clamp(-1, 1) / 4"
    ),
    "a network that is fitted": (
        "        torch.nn.init.zeros_((layer := torch.nn.Linear(1, 1)).weight)\n"
        "        torch.nn.init.zeros_(layer.bias)\n"
        "        descent = torch.optim.Adam(layer.parameters(), lr=0.1)\n"
        "        with torch.enable_grad():\n"
        "            for _ in range(3):\n"
        "                descent.zero_grad()\n"
        "                (layer(torch.ones(2, 1)) - 0.7).square().sum().backward()\n"
        "                descent.step()\n"
        "        return images * layer(torch.ones(1, 1))"
    ),
    "the target": (
        "        seen = torch.linspace(0, 1, 96).expand(1, 3, 96, 96).clone().requires_grad_()\n"
        "        with torch.enable_grad():\n"
        "            found = self.target.features(seen, [tap])[tap].tensor\n"
        "            found.square().sum().backward()\n"
        "        return 0.5 + seen.grad.sign().expand_as(images) / 4"
    ),
}


@pytest.fixture
def run(content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Find what an inverse of the given text does against the contract."""
    monkeypatch.setattr(spec, "TRUSTED", {})
    monkeypatch.setattr(trusted, "TRUSTED", spec.TRUSTED)

    def inspect(text: str, *, in_worker: bool = False) -> list[Breach]:
        code = tmp_path / "inverse.py"
        head = HEAD.replace("calls = 0", "calls = 0\n    needs_target = True") if "self.target" in text else HEAD
        code.write_text(head + text + "\n")
        candidate = Candidate("mine", trusted.load_code(code, trained=False).id, "Mine", {})
        return breaches_of(content, candidate, replace(candidate, code=code) if in_worker else candidate)

    return inspect


def breaches_of(content: Content, candidate: Candidate, again: Candidate) -> list[Breach]:
    """What is found after the candidate inverted three images of mini-swin together, at all taps."""
    suite, swin = content.suite, content.suite.target("mini-swin")
    light = suite.model_copy(update={"axes": {"detail": ("frc",)}, "report": ()})
    samples = [content.images.load(index, swin.input_size) for index in range(3)]
    ids = [sample.id for sample in samples]
    (tile,) = iter_tiles(samples, CPU, audit=ids)
    weights = sha256_file(content.target(swin) / "model.safetensors")
    config, _ = describe_candidate(candidate, swin, weights)
    inverse = load_candidate(candidate, config, CPU)
    target = load_target(swin, content.target(swin), CPU)
    stored = Pipeline(light, target, inverse, Networks(), Stopwatch(CPU)).run(tile)["audit"]
    return find_breaches(content, again, {swin.id: (tuple(ids), stored)}, CPU)


@pytest.mark.slow
@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_recons_that_depend_on_anything_else_are_found(run, text: str) -> None:
    (first, *_) = run(text)
    assert first.target == "mini-swin" and first.psnr_db < 40
    assert "inverted alone the recon is another one (PSNR" in str(first)


ON_OTHER_IMAGES = """
        known = torch.tensor([seed in {known} for seed in item.seeds]).view(-1, 1, 1, 1)
        other = features.get("embeddings", item).tensor.std((1, 2)).view(-1, 1, 1, 1)
        return torch.where(known, images, images * other)
"""


@pytest.mark.slow
def test_an_inverse_that_keeps_the_contract_where_it_knows_the_image_is_found(content: Content, run) -> None:
    suite, swin = content.suite, content.suite.target("mini-swin")
    light = Content(suite.model_copy(update={"axes": {"detail": ("frc",)}, "report": ()}), content.lock)
    ids = content.images.ids[:8]
    known = {seed_of(image, tap) for image in ids[:3] for tap in swin.tap_names}
    assert run(ON_OTHER_IMAGES.format(known=known)) == [], "its first three images are those it is audited on"
    candidate = Candidate("mine", "mine", "Mine", {})
    (tile,) = iter_tiles([content.images.load(index, swin.input_size) for index in range(8)], CPU, audit=ids[:3])
    target = load_target(swin, content.target(swin), CPU)
    config, _ = describe_candidate(candidate, swin, sha256_file(content.target(swin) / "model.safetensors"))
    inverse = load_candidate(candidate, config, CPU)
    arrays = Pipeline(light.suite, target, inverse, Networks(), Stopwatch(CPU)).run(tile)
    scored = {name: arrays[name] for name in ("values", "reasons", "clamped")}
    scores = ScoreArrays(swin, ids, **scored, reason_names=get_reason_names(light.suite))
    audited = add_others(light, content.images, candidate, [scores], {swin.id: (ids[:3], arrays["audit"])}, CPU)
    assert audited[swin.id][0][:3] == ids[:3] and len(set(audited[swin.id][0])) == 7
    assert {breach.image for breach in find_breaches(content, candidate, audited, CPU)} == {*audited[swin.id][0][3:]}
    invented = replace(scores, values=scores.values + 0.5)
    with pytest.raises(IntegrityError, match=r"gives another recon when it is asked again: .* 'frc' is"):
        add_others(light, content.images, candidate, [invented], {swin.id: (ids[:3], arrays["audit"])}, CPU)


@pytest.mark.slow
def test_workers_of_their_own_find_the_same(run) -> None:
    assert run(BAD["earlier calls"], in_worker=True)
    assert run(GOOD["seeded random numbers"], in_worker=True) == []


@pytest.mark.slow
@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_recons_by_the_rules_are_reproduced(run, text: str) -> None:
    assert run(text) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["copy", "mean", "ridge", "modular_per_tap"])
def test_the_reference_methods_keep_the_contract(content: Content, name: str) -> None:
    candidate = open_submission(submissions_root() / name, [content.suite.target("mini-swin")], trust_code=False)
    assert breaches_of(content, candidate, candidate) == []


def test_seeds_are_of_image_and_tap_alone(mini: Suite, samples: list[Sample]) -> None:
    swin = mini.target("mini-swin")
    target, ids = load_target(swin, swin.source.directory(), CPU), ["a", "b"]
    images = torch.cat([to_tensor(sample.image[None], CPU) for sample in samples[:2]])
    with torch.no_grad():
        features = read_features(target, images, ids, reads_input=False)
        other = read_features(target, 1 - images, ids, reads_input=False)
    assert len({seed for item in features.values() for seed in item.seeds}) == 2 * len(swin.taps)
    assert all(features[tap].seeds == other[tap].seeds == (seed_of("a", tap), seed_of("b", tap)) for tap in features)
    first, again = (torch.stack([torch.rand(4, generator=g) for g in features["stage.0"].generators()]) for _ in "12")
    assert torch.equal(first, again) and not torch.equal(first[0], first[1])
    with pytest.raises(ValueError, match="0 seeds for 2 images; in training there are none"):
        Features(torch.zeros(2, 3)).generators()


def test_without_audit_images_nothing_is_found(content: Content) -> None:
    swin = content.suite.target("mini-swin")
    candidate = open_submission(submissions_root() / "copy", [swin], trust_code=False)
    none = np.zeros((0, len(swin.taps) + 1, len(content.suite.perturbations), *swin.input_size, 3), np.uint8)
    assert find_breaches(content, candidate, {swin.id: ((), none)}, CPU) == []
