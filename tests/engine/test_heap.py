"""Freed memory is kept for the next tensor, where the C library can."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from benchmark.engine.heap import keep_freed_memory

COUNT = """
import resource, sys
import torch
from benchmark.engine.heap import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
for lap in range(20):
    if lap == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    # glibc gives back what is larger than 32 MiB at once, whatever lies above it.
    tensors = [torch.ones(2**24) for _ in range(2)]
    del tensors
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone has the option")
def test_the_system_clears_no_page_twice() -> None:
    def count(what: str) -> int:
        done = subprocess.run([sys.executable, "-c", COUNT, what], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert count("keep") < count("give back") / 10


def test_a_library_without_the_option_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Library:
        def __getattr__(self, name: str) -> object:
            asked.append(name)
            raise AttributeError(name)

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library())
    monkeypatch.setattr(sys, "platform", "linux")
    keep_freed_memory()
    assert asked == ["mallopt"]
