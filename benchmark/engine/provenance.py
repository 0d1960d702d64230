"""The circumstances of a run: device, versions, commit, time and memory."""

from __future__ import annotations

import platform
import resource
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import torch

from benchmark.engine.devices import get_device_name
from benchmark.engine.stopwatch import STAGES, Stage
from benchmark.files.paths import checkout
from benchmark.records.receipts import Environment
from benchmark.records.record import Run

__all__ = ["Meter", "Times", "read_environment"]

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


class Times(NamedTuple):
    """How long the evaluation of a target took.

    Attributes:
        started: when its first chunk was begun, in seconds since the epoch.
        earlier_s: spent on chunks before this process was started.
        stages: seconds by stage, all processes together.
    """

    started: float
    earlier_s: float
    stages: Mapping[Stage, float]


class Meter:
    """Measures a run from its creation to `finish`.

    Attributes:
        device_type: of the device that computes, with `device_name` and the number of CPU `threads`.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.device_type, self.device_name = device.type, get_device_name(device)
        self.threads = torch.get_num_threads()
        self.version = metadata.version("invbench")
        self._started = time.time()
        self._clock = time.perf_counter()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def _peak_mib(self) -> float:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 2**20
        try:
            # Unlike ru_maxrss, this knows nothing of the process that started this one.
            with Path("/proc/self/status").open(encoding="ascii") as lines:
                return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10
        except (OSError, StopIteration):
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

    def finish(
        self,
        *,
        batch_size: int,
        micro_batch: dict[str, int],
        times: Mapping[str, Times],
        recons: Mapping[str, int],
        keys: dict[str, str],
        isolation: tuple[str, ...] | None = None,
    ) -> Run:
        """Return the run section of a record.

        What other processes spent on the evaluation before it was interrupted counts, too, but for what they spent on
        a chunk that they did not finish. Changed records alone do not make a checkout dirty: no score depends on them.
        """
        started = min([self._started, *(spent.started for spent in times.values())])
        dirty = _git("status", "--porcelain", "--", ".", ":(exclude)submissions/*/records/*")
        return Run(
            code_version=self.version,
            device=self.device_type,
            device_name=self.device_name,
            threads=self.threads,
            batch_size=batch_size,
            micro_batch=micro_batch,
            started=datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
            wall_s=round(time.perf_counter() - self._clock + sum(spent.earlier_s for spent in times.values()), 1),
            stages_s={name: round(sum(spent.stages[name] for spent in times.values()), 2) for name in STAGES},
            peak_memory_mib=round(self._peak_mib(), 1),
            ms_per_recon={
                name: round((spent.stages["target"] + spent.stages["inverse"]) / recons[name] * 1e3, 4)
                for name, spent in times.items()
            },
            keys=keys,
            isolation=isolation,
            python=platform.python_version(),
            packages=_versions(),
            git_commit=_git("rev-parse", "HEAD"),
            git_dirty=None if dirty is None else bool(dirty),
        )
