"""Devices: which one a name stands for, and what the record calls it."""

from __future__ import annotations

import pytest
import torch

from benchmark.engine.devices import get_device, get_device_name


def test_a_name_stands_for_its_device() -> None:
    assert get_device("cpu") == torch.device("cpu")
    assert get_device("cuda:1") == torch.device("cuda", 1)


@pytest.mark.parametrize(("cuda", "mps", "chosen"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_auto_takes_the_fastest_available(monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, chosen: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert get_device("auto").type == chosen


def test_a_device_is_called_by_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    assert get_device_name(torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    assert get_device_name(torch.device("cuda", 1)) == "GPU 1"
