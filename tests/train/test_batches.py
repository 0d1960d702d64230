"""Scenes of a training: a function of seed and step alone, whoever draws them; what networks learn from them."""

from __future__ import annotations

import colorsys
import os
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.datasets.scenes import CATEGORIES, make_scene
from benchmark.errors import UserError
from benchmark.train.ahead import make_ahead
from benchmark.train.batches import Batch, get_batches, get_boxes, get_cells, get_labels
from benchmark.train.drawing import BACKGROUND, Copies, draw_scenes
from benchmark.train.images import Scenes

ROOT = Path(__file__).parents[2]


def stream(seed: int, steps: range, workers: int = 0, copies: Copies = "none") -> list[Batch]:
    return list(get_batches(seed, 4, copies, torch.device("cpu"), workers, steps))


def test_batches_depend_on_seed_and_step_alone() -> None:
    first, second = stream(1, range(5, 7))
    assert torch.equal(second.images, stream(1, range(6, 7))[0].images)
    assert not torch.equal(first.images, second.images)
    assert not torch.equal(first.images, stream(2, range(5, 6))[0].images)
    assert first.images.shape == (4, 3, 96, 96)
    assert 0 <= first.images.min() < first.images.max() <= 1


def test_other_processes_draw_the_same_batches_in_the_same_order() -> None:
    for own, others in zip(stream(1, range(2, 14), 0, "turned"), stream(1, range(2, 14), 2, "turned"), strict=True):
        assert own.counts == others.counts
        for name in ("images", "owners", "classes", "boxes"):
            assert torch.equal(getattr(own, name), getattr(others, name)), name
    own, others = (list(Scenes(1, torch.device("cpu"), n).batches(2, range(3))) for n in (0, 1))
    assert len(own) == 3 and torch.equal(torch.stack(own), torch.stack(others))


@pytest.mark.parametrize("copies", ["gray", "turned"])
def test_copies_are_the_same_scenes_twice(copies: Copies) -> None:
    colored, paired = draw_scenes(1, 2, "none", 3), draw_scenes(1, 4, copies, 3)
    assert (paired.images[:2] == colored.images).all()
    assert (paired.images[2:] != colored.images).any((1, 2, 3)).all()
    for name in ("owners", "classes", "boxes"):
        both = np.concatenate([getattr(colored, name)] * 2)
        assert (getattr(paired, name) == both).all(), name
    assert paired.counts == colored.counts * 2
    with pytest.raises(ValueError, match="3 images are no pairs"):
        draw_scenes(1, 3, copies, 0)


def test_gray_copies_have_channel_weights_of_their_own() -> None:
    colored, paired = draw_scenes(1, 2, "none", 3), draw_scenes(1, 4, "gray", 3)
    assert (paired.images[2:] == paired.images[2:, ..., :1]).all()
    mixtures = []
    for gray, image in zip(paired.images[2:], colored.images, strict=True):
        flat = image.reshape(-1, 3).astype(float)
        weights, *_ = np.linalg.lstsq(flat, gray[..., 0].ravel().astype(float), rcond=None)
        assert weights.min() > -0.01 and weights.sum() == pytest.approx(1, abs=0.01)
        assert np.abs(flat @ weights - gray[..., 0].ravel()).max() < 1
        mixtures.append(weights)
    assert np.abs(mixtures[0] - mixtures[1]).max() > 0.05


def test_turned_copies_have_all_hues_turned_by_one_angle_of_their_own() -> None:
    colored, paired = draw_scenes(1, 4, "none", 3), draw_scenes(1, 8, "turned", 3)
    angles = []
    for before, after in zip(colored.images, paired.images[4:], strict=True):
        assert (before.max(-1) == after.max(-1)).all() and (before.min(-1) == after.min(-1)).all()
        hues = [
            np.array([colorsys.rgb_to_hsv(*pixel)[0] for pixel in (image[colored_enough(before)] / 255).tolist()])
            for image in (before, after)
        ]
        turns = np.exp(2j * np.pi * (hues[1] - hues[0]))
        angles.append(np.angle(turns.mean(), deg=True) % 360)
        assert np.abs(np.angle(turns / turns.mean(), deg=True)).max() < 2
    assert np.ptp(angles) > 20


def colored_enough(image: np.ndarray) -> np.ndarray:
    return np.ptp(image, axis=-1) > 60


def test_labels_boxes_and_cells_are_those_of_the_scenes() -> None:
    (batch,) = stream(3, range(4, 5))
    labels, boxes, (classes, cell_boxes) = get_labels(batch), get_boxes(batch), get_cells(batch, 12)
    for i in range(4):
        scene = make_scene("train", 3, 16 + i)
        ids = [CATEGORIES.index(item.category) for item in scene.instances]
        assert labels[i].tolist() == [float(k in ids) for k in range(len(CATEGORIES))]
        assert boxes[i]["class_labels"].tolist() == ids
        for item, (cx, cy, w, h) in zip(scene.instances, boxes[i]["boxes"].tolist(), strict=True):
            corners = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]) * 96
            assert corners == pytest.approx(item.box, abs=1e-3)
        for cell in range(144):
            owner = scene.instance_map[cell // 12 * 8 + 4, cell % 12 * 8 + 4]
            assert classes[i, cell] == (ids[owner - 1] if owner else BACKGROUND)
            expected = boxes[i]["boxes"][owner - 1] if owner else torch.zeros(4)
            assert torch.equal(cell_boxes[i, cell], expected)


def refuse(step: int) -> int:
    if step == 2:
        raise ValueError("no such step")
    return step


def die(step: int) -> int:
    os._exit(3)


def test_errors_of_other_processes_are_passed_on_and_a_dead_one_is_one_line() -> None:
    seen: list[int] = []
    with pytest.raises(ValueError, match="no such step"):
        seen.extend(make_ahead(refuse, range(9), 1))
    assert seen == [0, 1]
    with pytest.raises(UserError, match="a process that prepares training images died"):
        list(make_ahead(die, range(3), 1))


def identity(step: int) -> int:
    return step


def test_an_endless_stream_is_drawn_a_little_ahead_only() -> None:
    asked = []

    def steps() -> object:
        for step in range(10**9):
            asked.append(step)
            yield step

    stream = make_ahead(identity, steps(), 1)  # type: ignore[arg-type]
    assert list(islice(stream, 3)) == [0, 1, 2]
    stream.close()
    assert len(asked) < 10


KILLED = """
import os, signal
from functools import partial
from benchmark.train.ahead import make_ahead
from benchmark.train.drawing import draw_images
if __name__ == "__main__":
    stream = make_ahead(partial(draw_images, 1, 1), range(10**6), 1)
    next(stream)
    from multiprocessing import active_children
    print(*[child.pid for child in active_children()], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_killed_training_leaves_no_process_behind(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 1, done.stderr
    deadline = time.monotonic() + 20
    while alive(pids[0]):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be collected does not."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
