"""Where invbench keeps what it can make or fetch again. Import-light."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_root", "coco_folder"]


def cache_root() -> Path:
    """Return the cache folder: `$INVBENCH_CACHE`, else `invbench` below `$XDG_CACHE_HOME` or `~/.cache`."""
    if own := os.environ.get("INVBENCH_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "invbench"


def coco_folder() -> Path:
    """Return where COCO lies once `invbench data fetch coco` has fetched it."""
    return cache_root() / "data" / "coco"
