"""The devices that can compute, and their names."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from benchmark.files.fields import shown_as

__all__ = ["get_device", "get_device_name"]


def get_device(name: str) -> torch.device:
    """Return the device `name`; `auto` takes CUDA, then Apple's MPS, then the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _cpu_name() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def get_device_name(device: torch.device) -> str:
    """Return the model of the GPU or CPU that `device` stands for."""
    return shown_as(torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name())
