"""What a training leaves to look at: lines of JSON, and a curve."""

from __future__ import annotations

import json
import math
import sys
import types
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.train import loop
from benchmark.train.images import Scenes
from benchmark.train.journal import Journal, JournalEntry, read_journal, render_curve
from benchmark.train.loop import Schedule, fit

SCHEDULE = Schedule(steps=6, batch_size=2, learning_rate=1e-2, warmup_steps=2)


def entry(step: int, loss: float = 0.5) -> JournalEntry:
    return JournalEntry(step, loss, 1e-3, 10.0, 0.01, 2.0 * step, 1.0)


def train(folder: Path, stop_at: int | None = None) -> None:
    torch.manual_seed(0)
    model, cpu, steps = nn.Conv2d(3, 3, 3, padding=1), torch.device("cpu"), 0

    def loss(images: Tensor) -> Tensor:
        nonlocal steps
        steps += 1
        if steps - 1 == stop_at:
            raise KeyboardInterrupt
        return (model(images) - images).square().mean()

    data = Scenes(1, cpu)
    fit(
        model, loss, SCHEDULE, batches=partial(data.batches, 2), key={}, work=folder / "work", device=cpu,
        title="some", journal=folder / "out",
    )  # fmt: skip


def test_a_training_tells_its_steps_and_one_that_went_on_tells_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 2)
    monkeypatch.setattr(loop, "SHOW_EVERY", 1)
    train(tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "twice", stop_at=5)
    assert not (tmp_path / "twice/out/curve.svg").exists()
    train(tmp_path / "twice")
    straight, twice = (read_journal(tmp_path / name / "out/train.jsonl") for name in ("straight", "twice"))
    assert [e.step for e in straight] == [e.step for e in twice] == [1, 2, 3, 4, 5, 6]
    assert [e.learning_rate for e in straight] == [e.learning_rate for e in twice]
    assert straight[-1].left_s == 0 and all(e.left_s > 0 for e in straight[:-1])
    assert all(e.images_per_s > 0 and 0 <= e.waiting <= 1 and math.isfinite(e.loss) for e in twice)
    assert twice[-1].seconds > twice[3].seconds
    picture = ElementTree.parse(tmp_path / "twice/out/curve.svg").getroot()
    (line,) = picture.iter("{http://www.w3.org/2000/svg}polyline")
    assert len(line.attrib["points"].split()) == 6


def test_a_line_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    wrong = json.dumps(entry(1)._asdict() | {"loss": "x"}).encode()
    lines = json.dumps(entry(1)._asdict()).encode(), wrong, b"\xff\xfe", b"[" * 9999, b'{"step": 2, "lo'
    (tmp_path / "train.jsonl").write_bytes(b"\n".join(lines))
    assert read_journal(tmp_path / "train.jsonl") == [entry(1)]
    with Journal(tmp_path, "some", 1) as journal:
        journal.write(entry(2))
    assert [e.step for e in read_journal(tmp_path / "train.jsonl")] == [1, 2]


@pytest.mark.parametrize("losses", [[], [0.5], [0.0, -1.0], [1.0, math.nan, 0.01, math.inf], [0.3, 0.3]])
def test_any_losses_give_a_curve_within_its_frame(losses: list[float]) -> None:
    picture = ElementTree.fromstring(render_curve([entry(10 * k, loss) for k, loss in enumerate(losses)], "a"))
    (line,) = picture.iter("{http://www.w3.org/2000/svg}polyline")
    points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    assert len(points) == sum(loss > 0 and math.isfinite(loss) for loss in losses)
    assert all(0 <= x <= 640 and 0 <= y <= 320 for x, y in points)


def test_tensorboard_is_told_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, float, int]] = []

    class SummaryWriter:
        def __init__(self, folder: str) -> None:
            assert folder == str(tmp_path / "tensorboard")

        def add_scalar(self, name: str, value: float, step: int) -> None:
            told.append((name, value, step))

        def close(self) -> None:
            told.append(("closed", 0, 0))

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    with Journal(tmp_path, "some", 0) as journal:
        journal.write(entry(3))
    assert told == [("loss", 0.5, 3), ("learning_rate", 1e-3, 3), ("images_per_s", 10.0, 3), ("closed", 0, 0)]


def write_without_space(folder: Path) -> None:
    """Write a journal until its file would be larger than 500 bytes."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with Journal(folder, "some", 0) as journal:
            resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
            for step in range(50):
                journal.write(entry(step))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    with pytest.raises(UserError, match=r"train\.jsonl: cannot be written: .* \(free some space, or .*to resume\)$"):
        write_without_space(tmp_path)
    kept = read_journal(tmp_path / "train.jsonl")
    assert [line.step for line in kept] == list(range(len(kept))) and kept
    with Journal(tmp_path, "some", kept[-1].step) as journal:
        journal.write(entry(len(kept)))
    assert len(read_journal(tmp_path / "train.jsonl")) == len(kept) + 1
