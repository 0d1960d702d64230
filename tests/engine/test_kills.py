"""An evaluation that is killed at any moment, also while it writes, goes on to the same record, byte for byte."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from benchmark.content.content import Content
from benchmark.engine.evaluation import evaluate
from benchmark.engine.jobs import Options
from benchmark.files.paths import submissions_root
from benchmark.submissions.candidates import Candidate, open_submission

SEED = 0


def write(content: Content, candidate: Candidate, cache: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluate with a cache of its own, and write the record."""
    monkeypatch.setenv("INVBENCH_CACHE", str(cache))
    options = Options(torch.device("cpu"), batch_size=8, limit=24, targets=("mini-swin",))
    evaluate(content, candidate, options).write(out)


def kill(child: int, cache: Path, after_s: float, *, writing: bool) -> bool:
    """Kill a process after some time, and if `writing` as soon as it writes; return whether it was still running."""
    until = time.monotonic() + after_s
    while time.monotonic() < until or (writing and not any(cache.rglob("*.tmp"))):
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_twenty_random_kills(content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        candidate = open_submission(submissions_root() / "copy", content.suite.targets, trust_code=False)
        start = time.monotonic()
        write(content, candidate, tmp_path / "whole", tmp_path / "expected", monkeypatch)
        duration, draw = time.monotonic() - start, random.Random(SEED)
        expected = {path.name: path.read_bytes() for path in (tmp_path / "expected").glob("*.parquet")}
        killed = 0
        for moment in range(20):
            cache, out = tmp_path / f"cache{moment}", tmp_path / f"out{moment}"
            child = os.fork()
            if child == 0:
                try:
                    write(content, candidate, cache, out, monkeypatch)
                finally:
                    os._exit(0)
            killed += kill(child, cache, draw.uniform(0, duration), writing=moment % 2 == 1)
            write(content, candidate, cache, out, monkeypatch)
            assert {path.name: path.read_bytes() for path in out.glob("*.parquet")} == expected
        assert killed >= 10
    finally:
        torch.set_num_threads(threads)
