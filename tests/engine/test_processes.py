"""Processes that share an evaluation on one machine make the record of one, also if some of them die."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.content.content import Content
from benchmark.engine import processes
from benchmark.engine.computing import compute
from benchmark.engine.evaluation import Evaluation, evaluate
from benchmark.engine.jobs import Options
from benchmark.engine.processes import count_processes, evaluate_by_processes, share_cores
from benchmark.errors import UserError
from benchmark.files.paths import submissions_root
from benchmark.submissions.candidates import Candidate, open_submission
from benchmark.suites.spec import Suite

OPTIONS = Options(torch.device("cpu"), batch_size=8, limit=24, targets=("mini-swin",))


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty cache, and one thread."""
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def candidate(content: Content) -> Candidate:
    return open_submission(submissions_root() / "copy", content.suite.targets, trust_code=False)


def sealed(done: Evaluation, folder: Path) -> tuple[str, dict[str, bytes]]:
    record = done.write(folder)
    return record.digest, {path.name: path.read_bytes() for path in folder.glob("*.parquet")}


@pytest.mark.slow
def test_the_record_is_that_of_one_process(content: Content, candidate: Candidate, tmp_path: Path) -> None:
    one = evaluate(content, candidate, OPTIONS)
    expected = sealed(one, tmp_path / "one")
    one.clear()
    parent = os.getpid()

    def die(*given: Any, **more: Any) -> frozenset[str]:
        if os.getpid() != parent:
            os._exit(1)
        return compute(*given, **more)

    with pytest.MonkeyPatch.context() as patch:
        several = evaluate_by_processes(content, candidate, OPTIONS, 2)
        assert sealed(several, tmp_path / "several") == expected
        assert several.record.run.threads == 1
        assert sum(several.record.run.stages_s.values()) > 0
        several.clear()
        patch.setattr(processes, "compute", die)
        assert sealed(evaluate_by_processes(content, candidate, OPTIONS, 3), tmp_path / "dying") == expected


def test_a_mistake_is_told_once(
    content: Content, candidate: Candidate, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*given: Any, **more: Any) -> frozenset[str]:
        raise UserError("the disk is full", where="here")

    monkeypatch.setattr(processes, "compute", fail)
    with pytest.raises(UserError, match="the disk is full"):
        evaluate_by_processes(content, candidate, OPTIONS, 2)
    assert "disk" not in capfd.readouterr().err


def test_a_process_for_each_core_that_memory_suffices_for(mini: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)))
    for gibibytes, expected in ((3, 2), (1, 1), (1000, 64)):
        text = f"MemTotal: 9 kB\nMemFree: 0 kB\nMemAvailable: {gibibytes * 2**20} kB\n"
        monkeypatch.setattr(Path, "read_text", lambda path, encoding, text=text: text)
        assert count_processes(mini) == expected
        assert count_processes(mini, isolated=True) == {3: 1, 1: 1, 1000: 64}[gibibytes]
    monkeypatch.setattr("sys.platform", "darwin")
    assert count_processes(mini) == 1


def test_threads_that_are_asked_for_are_one_process(mini: Suite, cpu: torch.device) -> None:
    assert share_cores(mini, cpu, 3) == 1
    assert share_cores(mini, torch.device("cuda"), None) == 1
    assert share_cores(mini, cpu, None) >= 1
