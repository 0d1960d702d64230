"""Datasets: the evaluation images of suites, one file a source."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.suites.spec import DatasetSpec

if TYPE_CHECKING:
    from benchmark.datasets.base import ImageSet

__all__ = ["SOURCES", "open_images"]

SOURCES = {
    "frozen": "benchmark.datasets.frozen:open_frozen",
    "coco": "benchmark.datasets.coco:open_coco",
    "imagenet": "benchmark.datasets.imagenet:open_imagenet",
    "hub": "benchmark.datasets.parquet:open_parquet",
}


def open_images(spec: DatasetSpec, folder: Path) -> ImageSet:
    """Return the images that `spec` names, read from the files below `folder`.

    Raises:
        SpecError, IntegrityError: the files are absent, or are not what the spec says.
    """
    module, name = SOURCES[spec.source].split(":")
    opener: Callable[[DatasetSpec, Path], ImageSet] = getattr(import_module(module), name)
    return opener(spec, folder)
