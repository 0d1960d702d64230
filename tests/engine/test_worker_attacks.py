"""What submitted code can reach without a worker, and that it cannot from one. (T9)"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import hostile
import pytest
import torch
from working import make_task

from benchmark.content.content import Content
from benchmark.engine import scorer
from benchmark.engine.confinement import FILES, SYSTEM_CALLS, available
from benchmark.engine.worker import WorkerInverse
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import load_lock
from benchmark.targets.taps import Features

NAMES = [attack.__name__ for attack in hostile.ATTACKS]
IN_PROCESS = {"stack_frames", "garbage_collector", "modules"}
"""What a process of its own is enough against."""
assert scorer, "what an attack looks for"


class Precious:
    """An object of the evaluation."""


@pytest.fixture(scope="module")
def content() -> Content:
    suite = load_suite("mini@1")
    return Content(suite, load_lock(suite))


@pytest.fixture(scope="module")
def traceable() -> Iterator[None]:
    """Let processes of one's own trace this one, as where no worker hides it."""
    libc = ctypes.CDLL(None)
    libc.prctl(0x59616D61, ctypes.c_long(-1), 0, 0, 0)
    yield
    libc.prctl(0x59616D61, 0, 0, 0, 0)


def attack(inverse: WorkerInverse | hostile.HostileInverse, fd: int) -> dict[str, bool]:
    """Which attacks succeed."""
    secret, precious = bytes(bytearray(hostile.SECRET)), Precious()
    address = id(secret) + bytes.__basicsize__ - 1
    seeds = (os.getpid(), address, fd, id(precious))
    with torch.no_grad():
        image = inverse.invert({"embeddings": Features(torch.zeros(1, 4, 4), seeds=seeds)})["embeddings"]
    return dict(zip(NAMES, image[0, 0, 0].bool().tolist(), strict=False))


@pytest.fixture(scope="module")
def reached(content: Content, tmp_path_factory: pytest.TempPathFactory, traceable: None) -> dict[str, dict[str, bool]]:
    """Which attacks succeed in this process, in a worker that is not confined, and in one that is."""
    found = {}
    with Path(os.devnull).open() as file, pytest.MonkeyPatch.context() as patch:
        for kind in ("here", "unconfined", "worker"):
            task = make_task(content, tmp_path_factory.mktemp(kind), confined=kind == "worker")
            if kind == "here":
                patch.setattr(hostile, "__file__", str(task.code))
                found[kind] = attack(hostile.HostileInverse(task.config), file.fileno())
                continue
            with WorkerInverse(task) as worker:
                if kind == "unconfined":
                    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
                found[kind] = attack(worker, file.fileno())
                assert worker.held == (available() if kind == "worker" else ())
    return found


@pytest.mark.slow
def test_this_machine_offers_every_protection() -> None:
    assert available() == (FILES, SYSTEM_CALLS)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_attack_succeeds_without_a_worker_and_fails_in_one(reached: dict[str, dict[str, bool]], name: str) -> None:
    assert reached["here" if name in IN_PROCESS else "unconfined"][name]
    assert not reached["worker"][name]
