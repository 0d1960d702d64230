"""The circumstances of a run: device, versions, commit, time and memory."""

from __future__ import annotations

import platform
import resource
import subprocess
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import torch

from benchmark.engine.devices import get_device_name
from benchmark.files.paths import checkout
from benchmark.records.receipts import Environment
from benchmark.records.record import Run

__all__ = ["Meter", "read_environment"]

PACKAGES = ("torch", "transformers", "datasets", "huggingface-hub", "numpy", "scikit-image", "pillow", "pyarrow")


def _git(*arguments: str) -> str | None:
    root = checkout()
    if root is None:  # a repository around an installed package would be somebody else's
        return None
    command = ["git", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def read_environment(device: torch.device) -> Environment:
    """Return device and versions of this process, as receipts state them."""
    return Environment(
        device=device.type,
        device_name=get_device_name(device),
        python=platform.python_version(),
        packages=_versions(),
    )


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in PACKAGES}


class Meter:
    """Measures a run from its creation to `finish`."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.device_name = get_device_name(device)
        self.version = metadata.version("invbench")
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._clock = time.perf_counter()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def _peak_mib(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        try:
            # Unlike ru_maxrss, this knows nothing of the process that started this one.
            with Path("/proc/self/status").open(encoding="ascii") as lines:
                return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10
        except (OSError, StopIteration):
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

    def finish(self, *, batch_size: int, ms_per_recon: dict[str, float], keys: dict[str, str]) -> Run:
        """Return the run section of a record; `ms_per_recon` is target and inverse time, by target.

        Changed records alone do not make a checkout dirty: no score depends on them.
        """
        dirty = _git("status", "--porcelain", "--", ".", ":(exclude)submissions/*/records")
        return Run(
            code_version=self.version,
            device=self.device.type,
            device_name=self.device_name,
            threads=torch.get_num_threads(),
            batch_size=batch_size,
            started=self._started,
            wall_s=round(time.perf_counter() - self._clock, 1),
            peak_memory_mib=round(self._peak_mib(), 1),
            ms_per_recon=ms_per_recon,
            keys=keys,
            python=platform.python_version(),
            packages=_versions(),
            git_commit=_git("rev-parse", "HEAD"),
            git_dirty=None if dirty is None else bool(dirty),
        )
