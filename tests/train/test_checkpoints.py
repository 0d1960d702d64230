"""A training resumes from its own checkpoint only; those of other runs stay and are never taken over."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from benchmark.datasets.imagenet import open_imagenet
from benchmark.errors import IntegrityError, UserError
from benchmark.files.import_graph import reachable_sources
from benchmark.files.paths import PACKAGE
from benchmark.inverses import spec
from benchmark.inverses.code import load_code
from benchmark.inverses.recipes import InverseRecipe
from benchmark.suites.spec import ImagenetData, Suite
from benchmark.train import inverses, loop, recipes, targets
from benchmark.train.checkpoints import Checkpoint
from benchmark.train.images import Scenes, TrainingImages
from benchmark.train.inverses import train_inverse
from benchmark.train.loop import Schedule
from benchmark.train.photographs import Photographs

RECIPE = InverseRecipe(steps=3, batch_size=2, learning_rate=1e-3, shapes={"swin": {"architecture": {"heads": 4}}})
METHOD, TARGET = "modular_per_tap", "mini-swin"
ROOT = Path(__file__).parents[2]


class Runs:
    """Trainings of inverses of one target in one work folder; each leaves its inverse in a folder of its own.

    `said` is what the last one wrote to stderr.
    """

    def __init__(self, suite: Suite, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.spec, self.root, self._capsys = suite.target(TARGET), root, capsys
        self.network, self.work = self.spec.source.directory(), root / "work"
        self.count, self.said = 0, ""

    def train(
        self,
        *,
        network: Path | None = None,
        data: TrainingImages | None = None,
        recipe: InverseRecipe = RECIPE,
        work: Path | None = None,
    ) -> dict[str, torch.Tensor]:
        self.count += 1
        out, cpu = self.root / f"out-{self.count}", torch.device("cpu")
        data = data or Scenes(1, cpu)
        self._capsys.readouterr()
        train_inverse(METHOD, self.spec, network or self.network, data, out, work or self.work, cpu, recipe)
        self.said = self._capsys.readouterr().err
        return load_file(out / "model.safetensors")

    def copy_network(self, name: str) -> Path:
        folder = self.root / name
        shutil.copytree(self.network, folder)
        return folder

    def checkpoints(self) -> dict[Path, int]:
        """When each checkpoint was written."""
        return {path: path.stat().st_mtime_ns for path in self.work.rglob("checkpoint.pt")}


@pytest.fixture
def runs(mini: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runs:
    monkeypatch.setattr(inverses, "MOMENT_IMAGES", 16)
    return Runs(mini, tmp_path, capsys)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def test_other_weights_of_the_network_start_afresh_and_leave_the_first_run_alone(runs: Runs) -> None:
    first = runs.train()
    assert "modular_per_tap mini-swin: starts afresh\n" in runs.said
    before = runs.checkpoints()
    other = runs.copy_network("other")
    weights = load_file(other / "model.safetensors")
    weights["swin.embeddings.patch_embeddings.projection.weight"] += 0.1
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})

    second = runs.train(network=other)
    assert not same(first, second)
    assert "modular_per_tap mini-swin: starts afresh: other configuration, network than the run in " in runs.said
    assert same(second, runs.train(network=other, work=runs.root / "alone"))
    after = runs.checkpoints()
    assert len(after) == 2 and before.items() <= after.items()
    # Both are still there to be resumed.
    assert same(first, runs.train())
    assert "modular_per_tap mini-swin: resumes at step 3 (" in runs.said
    assert same(second, runs.train(network=other))
    assert "resumes at step 3" in runs.said
    assert runs.checkpoints() == after


def test_another_normalization_of_the_network_starts_afresh(runs: Runs) -> None:
    first = runs.train()
    other = runs.copy_network("other")
    path = other / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"image_mean": [0.4, 0.5, 0.6]}))
    assert not same(first, runs.train(network=other))
    assert "starts afresh: other network than the run in " in runs.said


def test_other_data_or_another_schedule_start_afresh(runs: Runs, cpu: torch.device) -> None:
    first = runs.train()
    assert not same(first, runs.train(data=Scenes(2, cpu)))
    assert "starts afresh: other configuration, data than the run in " in runs.said
    assert not same(first, runs.train(recipe=RECIPE.model_copy(update={"learning_rate": 2e-3})))
    assert "starts afresh: other configuration, schedule than the run in " in runs.said


@pytest.mark.parametrize("part", ["code", "libraries"])
def test_other_code_or_libraries_start_afresh(runs: Runs, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    first = runs.train()
    if part == "code":
        monkeypatch.setattr(inverses, "code_digest", lambda entry: "0")
    else:
        monkeypatch.setattr(loop, "library_versions", lambda: {"torch": "0"})
    assert same(first, runs.train())
    assert f"starts afresh: other {part} than the run in " in runs.said
    assert len(runs.checkpoints()) == 2


def test_an_interrupted_modular_training_ends_where_a_straight_one_does(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 2)
    recipe = RECIPE.model_copy(update={"steps": 5})
    straight = runs.train(recipe=recipe, work=runs.root / "straight")

    class Interrupted(Scenes):
        def batches(self, size: int, steps: range) -> Generator[torch.Tensor, None, None]:
            for step, batch in zip(steps, super().batches(size, steps), strict=True):
                if size == RECIPE.batch_size and step == 3:
                    raise KeyboardInterrupt
                yield batch

    with pytest.raises(KeyboardInterrupt):
        runs.train(recipe=recipe, data=Interrupted(1, torch.device("cpu")))
    resumed = runs.train(recipe=recipe)
    assert "resumes at step 2 (" in runs.said
    assert same(straight, resumed)


def test_submitted_code_is_trained_to_give_the_image_and_is_part_of_the_key(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, weights = tmp_path / "inverse.py", []
    monkeypatch.setattr("benchmark.inverses.spec.TRUSTED", {})
    monkeypatch.setattr("benchmark.inverses.code.TRUSTED", spec.TRUSTED)
    for comment in ("", "# changed"):
        code.write_text(CODE + comment)
        method = load_code(code, trained=True).id
        recipe = InverseRecipe(steps=3, batch_size=2, learning_rate=1e-2)
        out, cpu = tmp_path / "out", torch.device("cpu")
        train_inverse(method, runs.spec, runs.network, Scenes(1, cpu), out, runs.work, cpu, recipe, code)
        weights.append(load_file(out / "model.safetensors"))
    assert same(*weights)
    assert weights[0]["shade"].abs().min() > 0
    assert "starts afresh: other submitted than the run in " in runs._capsys.readouterr().err


CODE = """
import torch
from benchmark.inverses.base import Inverse

class Even(Inverse):
    method = "even"

    def __init__(self, config):
        super().__init__(config)
        self.shade = torch.nn.Parameter(torch.zeros(3))

    def invert(self, features):
        size = self.config.input_size
        return {tap: self.shade.view(1, 3, 1, 1).expand(len(item.tensor), -1, *size) for tap, item in features.items()}
"""


def photographs(folder: Path, last: str) -> Photographs:
    """The two photographs of three that a suite of ImageNet's kind leaves out."""
    for number, name in enumerate(("a.JPEG", "b.JPEG", last)):
        path = folder / "n00000001" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (number * 40, 0, 0)).save(path)
        os.utime(path, ns=(1, 1))
    spec = ImagenetData(source="imagenet", salt="x:", pool=3, images=1, resize="pillow-bilinear", description="x")
    return Photographs(open_imagenet(spec, folder).unused(), (32, 32), "the same words", 1, torch.device("cpu"))


def test_the_key_of_photographs_tells_them_by_name_size_and_time(tmp_path: Path, cpu: torch.device) -> None:
    data = photographs(tmp_path / "one", "c.JPEG")
    assert data.key() == photographs(tmp_path / "elsewhere", "c.JPEG").key()
    keys = [data.key(), photographs(tmp_path / "two", "d.JPEG").key()]
    for size, seed in (((64, 64), 1), ((32, 32), 2)):
        keys.append(Photographs(data.images, size, "the same words", seed, cpu).key())
    path = tmp_path / "one" / "n00000001" / f"{data.images.ids[0]}.JPEG"
    os.utime(path, ns=(1, 2))
    keys.append(data.key())
    path.write_bytes(path.read_bytes() + b"more")
    os.utime(path, ns=(1, 1))
    keys.append(data.key())
    path.unlink()
    keys.append(data.key())
    assert len({json.dumps(key) for key in keys}) == len(keys) == 7


def test_the_checkpoint_of_another_run_in_the_place_of_this_ones_is_refused(tmp_path: Path, cpu: torch.device) -> None:
    one, other = Checkpoint(tmp_path, "a b", {"seed": 1}), Checkpoint(tmp_path, "a b", {"seed": 2})
    one.save({"step": 7})
    assert one.path.is_relative_to(tmp_path / "a-b")
    state = one.load(cpu)
    assert state is not None and state["step"] == 7
    assert other.load(cpu) is None
    other.folder.mkdir()
    shutil.copy(one.path, other.path)
    with pytest.raises(IntegrityError, match="belongs to another run"):
        other.load(cpu)


def short(**changes: Any) -> recipes.Recipe:
    schedule = Schedule(2, 4, 1e-3, warmup_steps=1)
    rounds = (recipes.Round(schedule), recipes.Round(schedule, copies="gray"))
    recipe = recipes.Recipe(recipes.build_backbone, recipes.BackboneTrainer, rounds, seed=104)
    return dataclasses.replace(recipe, **changes)


def test_targets_start_afresh_after_another_backbone_or_another_round_before(
    tmp_path: Path, cpu: torch.device, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    detector = dataclasses.replace(recipes.RECIPES["mini-detr"], rounds=short().rounds[:1])
    monkeypatch.setitem(recipes.RECIPES, "mini-detr", detector)
    lines = {}
    changed = (recipes.Round(Schedule(2, 4, 2e-3, warmup_steps=1)), short().rounds[1])
    for name, recipe in {"first": short(), "again": short(), "rounds": short(rounds=changed)}.items():
        monkeypatch.setitem(recipes.RECIPES, "mini-detr-backbone", recipe)
        capsys.readouterr()
        targets.train_target("mini-detr", tmp_path / name, tmp_path / "work", cpu)
        said = capsys.readouterr().err.splitlines()
        lines[name] = [line.partition(" than the run in")[0] for line in said if "afresh" in line or "resumes" in line]
    assert lines["first"] == [
        "mini-detr-backbone: starts afresh", "mini-detr-backbone-round2: starts afresh", "mini-detr: starts afresh",
    ]  # fmt: skip
    assert all("resumes at step 2" in line for line in lines["again"])
    assert lines["rounds"] == [
        "mini-detr-backbone: starts afresh: other rounds, schedule",
        "mini-detr-backbone-round2: starts afresh: other rounds",
        "mini-detr: starts afresh: other backbone",
    ]
    first, again, other = (load_file(tmp_path / name / "mini-detr/model.safetensors") for name in lines)
    assert same(first, again) and not same(first, other)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04half", None])
def test_a_damaged_checkpoint_is_one_line(tmp_path: Path, cpu: torch.device, content: bytes | None) -> None:
    checkpoint = Checkpoint(tmp_path, "some net", {"seed": 1})
    checkpoint.save({"step": 3, "model": {}})
    loaded = checkpoint.load(cpu)
    assert loaded is not None and loaded["step"] == 3
    if content is None:
        torch.save([1, 2], checkpoint.path)
    else:
        checkpoint.path.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"checkpoint\.pt: is damaged: .+ \(delete it"):
        checkpoint.load(cpu)


def test_a_full_disk_leaves_the_checkpoint_of_before(
    tmp_path: Path, cpu: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint(tmp_path, "some net", {"seed": 1})
    checkpoint.save({"step": 3})

    def full(self: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UserError, match="cannot be written: No space left on device"):
        checkpoint.save({"step": 4})
    monkeypatch.undo()
    loaded = checkpoint.load(cpu)
    assert loaded is not None and loaded["step"] == 3
    assert sorted(path.name for path in checkpoint.folder.iterdir()) == ["checkpoint.pt", "key.json"]


LOADED = """
import sys
from benchmark.suites.catalog import load_suite
spec = load_suite("mini@1").target("mini-swin")
before = set(sys.modules) - {"benchmark.suites.spec"}  # how the suite came about is not the training's
import torch
from pathlib import Path
from benchmark.train import inverses
from benchmark.train.images import Scenes
from benchmark.inverses.recipes import load_recipe
inverses.MOMENT_IMAGES = 16
cpu, work = torch.device("cpu"), Path(sys.argv[1])
recipe = load_recipe("modular_per_tap", spec).model_copy(update={"steps": 1, "batch_size": 2})
folder, scenes = spec.source.directory(), Scenes(1, cpu)
inverses.train_inverse("modular_per_tap", spec, folder, scenes, work / "out", work, cpu, recipe)
new = {name: module for name, module in sys.modules.items() if name not in before}
files = [module.__file__ for name, module in new.items() if name.split(".")[0] in ("benchmark", "leaderboard")]
print(*files, sep="\\n")
"""


@pytest.mark.slow
def test_a_training_imports_nothing_that_is_not_in_its_key(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LOADED, str(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    loaded = {Path(line) for line in done.stdout.split()}
    assert PACKAGE / "train" / "loop.py" in loaded
    assert loaded <= set(reachable_sources("benchmark.train.inverses"))
