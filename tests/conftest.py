"""Fixtures shared by all tests: the embedded suite, its samples, one torch thread, a cache of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmark.datasets.frozen import Sample
from benchmark.evaluate import load_suite_samples
from benchmark.spec import Suite, load_suite

torch.set_num_threads(1)

Invbench = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def cpu() -> torch.device:
    """The CPU."""
    return torch.device("cpu")


@pytest.fixture(scope="session")
def mini() -> Suite:
    """The suite mini@1."""
    return load_suite("mini@1")


@pytest.fixture(scope="session")
def samples(mini: Suite) -> list[Sample]:
    """The frozen images of mini@1."""
    return load_suite_samples(mini)


@pytest.fixture
def images(samples: list[Sample]) -> torch.Tensor:
    """The first four frozen images, float32 RGB (4, 3, 96, 96) in [0, 1]."""
    return torch.stack([torch.from_numpy(s.image).permute(2, 0, 1).float() / 255 for s in samples[:4]])


@pytest.fixture
def invbench(tmp_path: Path) -> Invbench:
    """Run the installed command in an empty folder with a cache of its own."""

    def run(*arguments: str, timeout: float = 300, **environment: str) -> subprocess.CompletedProcess[str]:
        command = Path(sys.executable).parent / "invbench"
        env = os.environ | {"INVBENCH_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"} | environment
        return subprocess.run(
            [str(command), *arguments], capture_output=True, text=True, cwd=tmp_path, env=env, timeout=timeout
        )

    return run
