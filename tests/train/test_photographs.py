"""Photographs of a training: a function of seed and step alone, whoever reads them; lost ones do not end it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
import torch
from photographs import draw_photograph, write_photographs

from benchmark.datasets.folders import open_folder
from benchmark.errors import UserError
from benchmark.train.photographs import Photographs, watching_workers

SIZE = 24, 32


def open_photographs(folder: Path, seed: int = 1, workers: int = 0) -> Photographs:
    return Photographs(open_folder(folder), SIZE, "some", seed, torch.device("cpu"), workers)


def show(data: Photographs, size: int, steps: range) -> list[torch.Tensor]:
    return list(data.batches(size, steps))


def test_every_photograph_is_seen_once_in_each_time_through_in_another_order(tmp_path: Path) -> None:
    write_photographs(tmp_path, 6)
    data = open_photographs(tmp_path)
    images = [data.images.load(index, SIZE).image for index in range(6)]
    seen = torch.cat(show(data, 4, range(3)))
    assert seen.shape == (12, 3, *SIZE) and 0 <= seen.min() < seen.max() <= 1
    pixels = (seen * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    order = [next(k for k, image in enumerate(images) if (image == shown).all()) for shown in pixels]
    assert sorted(order[:6]) == sorted(order[6:]) == list(range(6)) and order[:6] != order[6:]
    assert order == [int(k) for epoch in (0, 1) for k in np.random.default_rng([1, epoch]).permutation(6)]


def test_batches_depend_on_seed_and_step_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photographs(tmp_path, 7)
    data, read = open_photographs(tmp_path), []
    whole = show(data, 3, range(8))
    load = data.images.load
    monkeypatch.setattr(data.images, "load", lambda index, size: (read.append(index), load(index, size))[1])
    late = show(data, 3, range(5, 8))
    assert len(read) == 9, "what lies before the first step is not read"
    assert all(torch.equal(one, other) for one, other in zip(whole[5:], late, strict=True))
    assert torch.equal(data.batch(6, 3), whole[6])
    assert all(torch.equal(a, b) for a, b in zip(show(data, 3, range(1, 8, 2)), whole[1::2], strict=True))
    assert not torch.equal(open_photographs(tmp_path, seed=2).batch(0, 3), whole[0])


def test_an_epoch_is_shuffled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photographs(tmp_path, 5)
    seeds, default_rng = [], np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda seed: (seeds.append(seed), default_rng(seed))[1])
    show(open_photographs(tmp_path), 2, range(10))
    assert seeds == [[1, 0], [1, 1], [1, 2], [1, 3]]


def test_reading_draws_nothing_that_networks_draw(tmp_path: Path) -> None:
    write_photographs(tmp_path, 4)
    before = torch.get_rng_state()
    show(open_photographs(tmp_path), 2, range(3))
    assert torch.equal(before, torch.get_rng_state())


def test_for_a_photograph_that_is_lost_later_the_next_one_stands_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = write_photographs(tmp_path, 12)
    data = open_photographs(tmp_path)
    order = [int(k) for k in np.random.default_rng([1, 0]).permutation(12)]
    whole = torch.cat(show(data, 4, range(3)))
    paths[order[0]].write_bytes(b"damaged")
    lost = torch.cat(show(data, 4, range(3)))
    assert torch.equal(whole[1:], lost[1:])
    assert torch.equal(lost[0], whole[order.index((order[0] + 1) % 12)])
    show(data, 4, range(3))
    said = capsys.readouterr().err
    assert said.count(f"{paths[order[0]].name}: not an image of a known format") == 1
    assert "another photograph stands in" in said
    for path in paths:
        path.unlink()
    with pytest.raises(UserError, match=r"8 photographs in a row cannot be read any more, the first: .*rerun"):
        show(data, 4, range(3))


@pytest.mark.slow
def test_other_processes_read_the_same_and_a_dead_one_is_one_line(tmp_path: Path) -> None:
    paths = write_photographs(tmp_path, 9)
    own = show(open_photographs(tmp_path), 4, range(2, 8))
    paths[3].write_bytes(b"")
    own_lost = show(open_photographs(tmp_path), 4, range(2, 8))
    others_lost = show(open_photographs(tmp_path, workers=2), 4, range(2, 8))
    assert all(torch.equal(one, other) for one, other in zip(own_lost, others_lost, strict=True))
    draw_photograph(3).save(paths[3], quality=92)
    with pytest.raises(UserError, match=r"a process that reads photographs died .*fewer --workers"):
        read_and_kill(open_photographs(tmp_path, workers=1), own[0])


def read_and_kill(data: Photographs, first: torch.Tensor) -> None:
    """Read a batch, kill who reads, and read on."""
    with watching_workers(), closing(data.batches(4, range(2, 10**6))) as batches:
        assert torch.equal(next(batches), first)
        for child in active_children():
            os.kill(child.pid or 0, signal.SIGKILL)
        for _ in batches:
            time.sleep(0.01)
