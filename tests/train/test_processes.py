"""Two processes that torchrun starts train like one; the frozen target stays as it is; a lost process is one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from benchmark.errors import UserError
from benchmark.inverses.base import load_inverse
from benchmark.inverses.recipes import InverseRecipe, load_recipe
from benchmark.suites.spec import Suite
from benchmark.targets import load_target
from benchmark.train import inverses
from benchmark.train.images import Scenes
from benchmark.train.inverses import train_inverse
from benchmark.train.loop import Schedule, fit
from benchmark.train.processes import ALONE, Processes, join

ROOT = Path(__file__).parents[2]

# Trains a linear decoder of a frozen target's features: without batch norm, whose statistics are each process's own.
SCRIPT = """
import hashlib, json, sys
from functools import partial
from pathlib import Path
import torch
from safetensors.torch import load_file
from torch import nn
from benchmark.errors import UserError
from benchmark.suites.catalog import load_suite
from benchmark.targets import load_target
from benchmark.train import loop
from benchmark.train.choosing import Validation
from benchmark.train.images import Scenes
from benchmark.train.loop import Schedule, fit
from benchmark.train.processes import join

work, cpu = Path(sys.argv[1]), torch.device("cpu")
torch.set_num_threads(1)
loop.CHECKPOINT_EVERY, loop.SHOW_EVERY = 2, 1
spec = load_suite("mini@1").target("mini-vit")
target = load_target(spec, spec.source.directory(), cpu)

def digest(module):
    return hashlib.sha256(b"".join(t.numpy().tobytes() for t in module.state_dict().values())).hexdigest()

class Decoder(nn.Module):
    stop_at = None

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.steps = nn.Linear(128, 192), 0

    def forward(self, images):
        if self.stop_at is not None and self.steps == self.stop_at:
            raise UserError("stopped", where=f"rank {processes.rank}")
        self.steps += 1
        with torch.no_grad():
            tokens = target.features(images, ["encoder.2"])["encoder.2"].tensor
        assert not any(module.training for module in target.model.modules())
        patches = self.layer(tokens[:, -144:]).unflatten(1, (12, 12)).unflatten(3, (3, 8, 8))
        return (patches.permute(0, 3, 1, 4, 2, 5).flatten(2, 3).flatten(3) - images).square().mean()

def train(name, stop_at=None):
    model = Decoder()
    model.stop_at = stop_at
    validation = Validation(3, lambda: {"score": -float(model.layer.weight.detach().abs().sum())}, {})
    data = Scenes(1, cpu)
    outcome = fit(
        model, model, Schedule(6, 8, 1e-2, warmup_steps=2), batches=partial(data.batches, 8 // processes.world),
        key={}, work=work / name, device=cpu, title="decoder", journal=work / name, processes=processes,
        validation=validation,
    )
    return model, outcome

processes, before = join(cpu), digest(target.model)
straight, outcome = train("straight")
try:
    train("twice", 5)
except UserError:
    pass
resumed, _ = train("twice")
result = {"digest": digest(straight), "resumed": digest(resumed), "target": digest(target.model) == before}
result["chosen"] = outcome.chosen and outcome.chosen.step
if processes.first:
    torch.save(straight.state_dict(), work / "weights.pt")
(work / f"rank-{processes.rank}.json").write_text(json.dumps(result))
try:
    train("lost", 3 if processes.rank else None)
except UserError as error:
    sys.exit(f"Error: {error}")
"""


def launch(folder: Path, processes: int) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    script = folder / "script.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    starter = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] * (processes > 1)
    command = [sys.executable, *starter, str(script), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)


def results(folder: Path, processes: int) -> list[dict[str, Any]]:
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(processes)]


@pytest.mark.slow
def test_two_processes_train_like_one_resume_and_end_together(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, count in ((one, 1), (two, 2)):
        done = launch(folder, count)
        assert done.stderr.count("decoder: starts afresh") == 3, done.stderr
        assert done.stderr.count("decoder: resumes at step 4") == 1
        for found in results(folder, count):
            assert found["target"], "the frozen target was changed"
        first = results(folder, count)[0]
        assert first["digest"] == first["resumed"] and first["chosen"] == 6
        lines = [json.loads(line) for line in (folder / "straight/train.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines] == [1, 2, 3, 3, 4, 5, 6, 6]
    alone, together = (torch.load(folder / "weights.pt", weights_only=True) for folder in (one, two))
    for name, tensor in alone.items():
        assert torch.allclose(tensor, together[name], atol=1e-5), name
    ranks = results(two, 2)
    assert ranks[0]["digest"] == ranks[1]["digest"]
    assert len(list(two.rglob("checkpoint.pt"))) == 3
    # At last one of the two stopped after step 3.
    said = {part.partition("\n")[0] for part in done.stderr.split("Error: ")[1:]}
    other = (
        "process 0 stops: another process of the training ended (see what that one said; rerun the command to resume)"
    )
    assert done.returncode and {"rank 1: stopped"} <= said <= {"rank 1: stopped", other, ""}
    assert 'script.py", line' not in done.stderr
    (kept,) = (two / "lost").rglob("checkpoint.pt")
    assert torch.load(kept, weights_only=True)["step"] == 2


def test_alone_in_float32_accelerate_has_no_part() -> None:
    assert join(torch.device("cpu")) is ALONE
    assert (ALONE.rank, ALONE.world, ALONE.first, ALONE.precision) == (0, 1, True, "float32")


@pytest.mark.slow
def test_in_bfloat16_weights_are_float32(
    mini: Suite, cpu: torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inverses, "MOMENT_IMAGES", 16)
    spec, data, processes = mini.target("mini-swin"), Scenes(1, cpu), join(cpu, "bf16")
    recipe = load_recipe("modular", spec).model_copy(update={"steps": 2, "batch_size": 2, "storage": "float32"})
    folder, weights = spec.source.directory(), {}
    for out, how in (("half", processes), ("full", ALONE)):
        work = tmp_path / "work"
        train_inverse("modular", spec, folder, data, tmp_path / out, work, cpu, recipe, processes=how)
        weights[out] = load_file(tmp_path / out / "model.safetensors")
    assert load_inverse(tmp_path / "half", cpu).config.training["precision"] == "bf16"
    assert all(tensor.dtype != torch.bfloat16 for tensor in weights["half"].values())
    differing = [name for name in weights["full"] if not torch.equal(weights["half"][name], weights["full"][name])]
    assert differing and all(torch.allclose(weights["half"][n], weights["full"][n], atol=0.05) for n in differing)


def test_a_precision_that_a_device_lacks_is_one_line() -> None:
    with pytest.raises(UserError, match="--precision fp16: a cpu does not train in it"):
        join(torch.device("cpu"), "fp16")


def test_closed_forms_and_batches_that_cannot_be_shared_are_refused(
    mini: Suite, cpu: torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Three(Processes):
        world = 3

    spec, data = mini.target("mini-vit"), Scenes(1, cpu)
    folder, three = spec.source.directory(), Three()
    with pytest.raises(UserError, match="method 'ridge' is fitted by one process in float32"):
        train_inverse("ridge", spec, folder, data, tmp_path, tmp_path, cpu, processes=three)
    recipe = InverseRecipe(steps=1, batch_size=4, learning_rate=1e-3)
    with pytest.raises(UserError, match="--batch-size: 3 processes cannot share a batch of 4 images evenly"):
        train_inverse("modular", spec, folder, data, tmp_path, tmp_path, cpu, recipe, processes=three)


def test_a_training_leaves_the_target_as_it_was(mini: Suite, cpu: torch.device, tmp_path: Path) -> None:
    spec = mini.target("mini-detr")
    target = load_target(spec, spec.source.directory(), cpu)
    before = {name: tensor.clone() for name, tensor in target.model.state_dict().items()}
    assert any("running_mean" in name for name in before)

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(128, 3, 1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            tap = spec.tap_names[0]
            features = target.features(images, [tap])[tap].tensor
            assert not any(module.training for module in target.model.modules())
            assert not any(parameter.requires_grad for parameter in target.model.parameters())
            return self.layer(features).square().mean()

    model, data = Decoder(), Scenes(1, cpu)
    fit(
        model, model, Schedule(3, 2, 1e-2, warmup_steps=1), batches=lambda steps: data.batches(2, steps), key={},
        work=tmp_path, device=cpu, title="some",
    )  # fmt: skip
    after = target.model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
