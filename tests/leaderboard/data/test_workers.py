"""Work in several processes: results in order, errors as they are, and an end whenever somebody wants one."""

from __future__ import annotations

import multiprocessing
import operator
import os
import signal
import subprocess
import sys
import time
from contextlib import closing

import pytest

from leaderboard.data.workers import iter_results


@pytest.fixture(autouse=True)
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


@pytest.mark.parametrize("alone", [1, 100])
def test_results_come_in_the_order_of_the_jobs(alone: int) -> None:
    assert list(iter_results(operator.neg, range(50), alone, at_once=3)) == [-i for i in range(50)]
    assert not multiprocessing.active_children()


def test_few_jobs_are_done_in_this_process() -> None:
    prepared: list[str] = []
    processes = list(iter_results(lambda job: os.getpid(), [1, 2], 2, prepared.append, ("once",)))
    assert processes == [os.getpid()] * 2
    assert prepared == ["once"]


def test_an_error_is_the_one_that_was_raised_and_no_process_is_left() -> None:
    with pytest.raises(ValueError, match="invalid literal for int"):
        list(iter_results(int, ["1", "x", "2"], 1))
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_what_is_not_asked_for_is_not_done() -> None:
    before = time.monotonic()
    with closing(iter_results(time.sleep, [0.5] * 1000, 1)) as results:
        next(results)
    assert time.monotonic() - before < 120, "all of it takes at least 250 s"
    assert not multiprocessing.active_children()


SCRIPT = """
import os, time
from contextlib import closing
from leaderboard.data.workers import iter_results

os.cpu_count = lambda: 2
try:
    with closing(iter_results(time.sleep, [0.5] * 100, 1)) as results:
        next(results)
        print("begun", flush=True)
        list(results)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
def test_impatient_interrupts_end_it_too(times: int) -> None:
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen([sys.executable, "-c", SCRIPT], start_new_session=True, **options) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        for _ in range(times):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.05)
        try:
            out, _ = process.communicate(timeout=30)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, out) == (0, "interrupted\n")
