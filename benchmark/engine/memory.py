"""How much memory an evaluation takes on a CPU at its peak, and how much there is."""

from __future__ import annotations

from pathlib import Path

from benchmark.suites.spec import Suite, TargetSpec

__all__ = ["BASE_BYTES", "available_bytes", "predict_peak_bytes"]

BASE_BYTES, BYTES_PER_PX, BYTES_PER_PX_AND_TAP = 1000 * 2**20, 5900, 490
"""Code with its libraries; for each pixel of an image what a tile takes, and what its recons at a tap do. Fitted to
DETR-R50 and ViT-B at their published size, with few taps and with all; docs/performance.md shows what others take."""


def available_bytes() -> int:
    """Return how much memory Linux could give to new processes: free, or in use only as a cache of files."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) * 2**10


def predict_peak_bytes(suite: Suite, target: TargetSpec) -> int:
    """Return about what a process takes at its peak while it evaluates a target on a CPU, beside the inverse itself.

    Networks count with the sizes that the suite states.
    """
    height, width = target.input_size
    networks = (target.source.megabytes or 0) + ((suite.judge.megabytes or 0) if suite.judge else 0)
    pixels = height * width * (BYTES_PER_PX + BYTES_PER_PX_AND_TAP * len(target.taps))
    return BASE_BYTES + networks * 10**6 + pixels
