"""Keeping freed memory changes nothing but the time."""

from __future__ import annotations

import ctypes

import pytest
import torch

from benchmark.engine.heap import keep_freed_memory


def test_tensors_are_made_as_before() -> None:
    keep_freed_memory()
    assert [float(torch.full((2**k,), 0.5).sum()) for k in (4, 16, 22)] == [2**3, 2**15, 2**21]


def test_a_library_without_the_option_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    keep_freed_memory()
