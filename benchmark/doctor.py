"""What this installation can do."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata
from pathlib import Path

from benchmark.errors import UserError
from benchmark.runs import cache_root
from benchmark.spec import list_suites, load_lock, load_suite

__all__ = ["examine"]

PACKAGES = (
    "invbench", "torch", "torchvision", "transformers", "datasets", "huggingface-hub", "lpips", "scikit-image",
    "numpy", "pyarrow",
)  # fmt: skip


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _devices() -> dict[str, str]:
    import torch

    devices = {"cpu": f"{platform.machine()}, {torch.get_num_threads()} threads"}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        devices[f"cuda:{index}"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    if torch.backends.mps.is_available():
        devices["mps"] = "Apple GPU"
    return devices


def _suite_state(suite_id: str) -> str:
    from benchmark.lock import hash_files

    suite = load_suite(suite_id)
    if any(target.source.path is None for target in suite.targets):
        return "needs the Hub"
    try:
        lock = load_lock(suite)
        differing = sorted(set(hash_files(suite).items()) ^ set(lock.files.items()))
    except (UserError, OSError) as error:
        return f"cannot run: {error}"
    return f"file differs from the lock: {differing[0][0]}" if differing else "complete, runs offline"


def examine() -> dict[str, dict[str, str]]:
    """Return sections of name and finding: devices, versions, caches, networks and suites."""
    from benchmark.perceptual import describe_perceptual

    cache = cache_root()
    runs = cache / "runs"
    nearest = next(path for path in (cache, *cache.parents) if path.exists())
    return {
        "devices": _devices(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "caches": {
            "invbench": f"{cache} ({shutil.disk_usage(nearest).free / 2**30:.0f} GiB free)",
            "unfinished runs": str(len(list(runs.iterdir())) if runs.is_dir() else 0),
            "Hugging Face": os.environ.get("HF_HOME", str(Path.home() / ".cache" / "huggingface")),
            "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "not set"),
        },
        "networks": {"perceptual": describe_perceptual()},
        "suites": {suite_id: _suite_state(suite_id) for suite_id in list_suites()},
    }
