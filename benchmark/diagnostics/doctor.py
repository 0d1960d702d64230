"""What this installation can do."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.engine.confinement import available
from benchmark.errors import UserError
from benchmark.files.cache import cache_root
from benchmark.suites.catalog import list_suites, load_suite
from benchmark.suites.lock import Lock, load_lock
from benchmark.suites.spec import Suite

if TYPE_CHECKING:
    from benchmark.diagnostics.costs import Speeds

__all__ = ["examine", "examine_costs"]

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


def _megabytes(number: int | None) -> str:
    return "of unknown size" if number is None else f"{number / 1000:.1f} GB" if number >= 1000 else f"{number} MB"


def _embedded_state(suite: Suite, lock: Lock) -> str:
    from benchmark.content.content import Content

    try:
        content = Content(suite, lock)
        for source in suite.networks:
            content.network(source)
        content.images  # noqa: B018
    except (UserError, OSError) as error:
        return f"cannot run: {error}"
    return "complete, runs offline"


def _suite_report(suite_id: str) -> dict[str, str]:
    """Parts of a suite that are present or missing, and the memory that it takes."""
    from benchmark.diagnostics.needs import find_needs
    from benchmark.engine.memory import predict_peak_bytes

    suite = load_suite(suite_id)
    try:
        lock = load_lock(suite)
    except UserError as error:
        return {"state": f"cannot run: {error}"}
    report, missing, unpacked, unknown = {}, 0, 0, False
    for need in find_needs(suite, lock):
        absent = "" if need.present else f"missing, {_megabytes(need.megabytes)}; "
        report[need.name] = f"{absent}{need.note}"
        if not need.present:
            missing += need.megabytes or 0
            unpacked += need.unpacked_mb
            unknown = unknown or need.megabytes is None
    peak = max(predict_peak_bytes(suite, target) for target in suite.targets)
    report["memory"] = f"about {peak / 10**9:.1f} GB for each process on a CPU, beside the inverse"
    if lock.draft:
        report["lock"] = f"draft, {len(lock.gaps)} items not pinned (invbench suite show {suite.id})"
    if all(source.path for source in (target.source for target in suite.targets)):
        return {"state": _embedded_state(suite, lock), **report}
    more = " and more" if unknown else ""
    report["to download"] = f"{_megabytes(missing)}{more}; takes up to {_megabytes(missing + unpacked)}{more} of disk"
    return report


def _measure_devices() -> list[Speeds]:
    """The speeds of one core here and of every GPU, in about a second, and those assumed of others."""
    import torch

    from benchmark.diagnostics.costs import ASSUMED
    from benchmark.diagnostics.speeds import measure_speeds

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = [measure_speeds(torch.device("cpu"), "one core here")]
    torch.set_num_threads(threads)
    for index in range(torch.cuda.device_count()):
        found.append(measure_speeds(torch.device("cuda", index), f"cuda:{index}"))
    return [*found, *ASSUMED.values()]


def examine_costs() -> dict[str, Any]:
    """Return what an evaluation with `modular` inverses costs: `speeds` by device, and for each suite a row a target.

    A row is one of `describe_prices`, with `hours` that all images take each device.
    """
    from benchmark.diagnostics.costs import describe_prices, price_suite

    devices = _measure_devices()
    suites = {}
    for suite_id in list_suites():
        prices = price_suite(load_suite(suite_id))
        rows: list[dict[str, Any]] = [dict(row) for row in describe_prices(prices, devices[0], ())]
        for row, item in zip(rows, prices, strict=True):
            row["hours"] = {speeds.device: item.hours(speeds) for speeds in devices}
        suites[suite_id] = rows
    return {"speeds": [asdict(speeds) for speeds in devices], "suites": suites}


def examine() -> dict[str, dict[str, str]]:
    """Return sections of name and finding: devices, versions, caches, networks, and one for each suite."""
    from benchmark.content.lpips import describe_perceptual

    cache = cache_root()
    runs = cache / "runs"
    nearest = next(path for path in (cache, *cache.parents) if path.exists())
    return {
        "devices": _devices(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "caches": {
            "invbench": f"{cache} ({shutil.disk_usage(nearest).free / 10**9:.0f} GB free)",
            "unfinished runs": str(len(list(runs.iterdir())) if runs.is_dir() else 0),
            "Hugging Face": os.environ.get("HF_HOME", str(Path.home() / ".cache" / "huggingface")),
            "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "not set"),
        },
        "networks": {"perceptual": describe_perceptual()},
        "workers": {"protection": ", ".join(available()) or "none but a process of their own"},
    } | {f"suite {suite_id}": _suite_report(suite_id) for suite_id in list_suites()}
