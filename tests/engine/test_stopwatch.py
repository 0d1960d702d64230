"""Stages are measured apart, whatever lies inside another."""

from __future__ import annotations

import time

import pytest
import torch

from benchmark.engine.stopwatch import STAGES, Stopwatch


def work(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def test_a_stage_inside_another_is_no_part_of_it() -> None:
    watch = Stopwatch(torch.device("cpu"))
    began = time.perf_counter()
    with watch.stage("scores"):
        work(0.02)
        with watch.stage("target"):
            work(0.05)
        with watch.stage("inverse"):
            work(0.01)
    total = time.perf_counter() - began
    seconds = watch.take()
    assert tuple(seconds) == STAGES
    assert seconds["target"] >= 0.05 and seconds["inverse"] >= 0.01 and seconds["scores"] >= 0.02
    assert sum(seconds.values()) == pytest.approx(total, abs=0.005)
    assert (seconds["read"], seconds["layers"]) == (0, 0)
    assert set(watch.take().values()) == {0}


def test_a_stage_that_fails_is_closed() -> None:
    watch = Stopwatch(torch.device("cpu"))
    with pytest.raises(KeyError), watch.stage("scores"):
        raise KeyError
    with watch.stage("read"):
        work(0.01)
    seconds = watch.take()
    assert seconds["read"] >= 0.01 and seconds["scores"] < 0.01


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_work_on_a_gpu_counts_where_it_was_asked_for() -> None:
    device = torch.device("cuda")
    watch, big = Stopwatch(device), torch.randn(4096, 4096, device=device)
    big @ big
    with watch.stage("target"):
        for _ in range(20):
            big @ big
    with watch.stage("inverse"):
        big @ big
    seconds = watch.take()
    assert seconds["target"] > 5 * seconds["inverse"] > 0
