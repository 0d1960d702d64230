"""How fast photographs are read, and how much of a training step waits for them."""

from __future__ import annotations

import time
from contextlib import closing
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from benchmark.datasets.base import ImageSet
from benchmark.inverses.recipes import InverseRecipe
from benchmark.suites.spec import TargetSpec
from benchmark.train.inverses import train_inverse
from benchmark.train.journal import read_journal
from benchmark.train.photographs import PREFETCH, Photographs

__all__ = ["LoaderPace", "TrainingPace", "make_photographs", "measure_loader", "measure_training"]

SEED, BATCH = 11, 32
WARM_UP_STEPS = 10
LARGE = (480, 640)


class LoaderPace(NamedTuple):
    """How many photographs are read in a second; `per_core` of them by each process that reads."""

    photographs: int
    size: str
    workers: int
    per_second: float
    per_core: float


class TrainingPace(NamedTuple):
    """Images that a training sees in a second, and the share of its time, in [0, 1], that waits for them."""

    target: str
    size: str
    batch_size: int
    workers: int
    per_second: float
    waiting: float


def make_photographs(folder: Path, count: int = 64) -> None:
    """Write JPEG files of 640x480 pixels and quality 90, as large as photographs of COCO: noise of all scales."""
    random = np.random.default_rng(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    height, width = LARGE
    for number in range(count):
        total = np.full((height, width, 3), 128.0, np.float32)
        for side in (4, 8, 16, 32, 64, 128, 256):
            cells = random.integers(0, 256, (side * 3 // 4, side, 3), np.uint8)
            layer = Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)
            total += (np.asarray(layer, np.float32) - 128) * 2.2 / side**0.3
        Image.fromarray(total.clip(0, 255).astype(np.uint8)).save(folder / f"{number:04d}.jpg", quality=90)


def measure_loader(images: ImageSet, size: tuple[int, int], workers: int, seconds: float = 5) -> LoaderPace:
    """Return how fast photographs are read at `size` (height, width) by so many processes, 0: by this one."""
    photographs = Photographs(images, size, "", SEED, torch.device("cpu"), workers)
    count = 0
    with closing(photographs.batches(BATCH, range(10**6))) as batches:
        # Those that were read ahead while the processes started are not counted.
        for _ in islice(batches, 1 + PREFETCH * workers):
            began = time.perf_counter()
        while (passed := time.perf_counter() - began) < seconds:
            count += len(next(batches))
    pace = count / passed
    return LoaderPace(len(images.ids), _named(size), workers, round(pace, 1), round(pace / max(1, workers), 1))


def measure_training(
    images: ImageSet, spec: TargetSpec, network: Path, device: torch.device, workers: int, recipe: InverseRecipe
) -> TrainingPace:
    """Return the pace of training `modular` on photographs for the steps of a recipe, and ten before that do not count.

    Args:
        network: folder of the target in Hub layout.
    """
    recipe = recipe.model_copy(update={"steps": WARM_UP_STEPS + recipe.steps, "validate_every": 0})
    data = Photographs(images, spec.input_size, "", SEED, device, workers)
    with TemporaryDirectory() as folder:
        train_inverse("modular", spec, network, data, Path(folder) / "out", Path(folder), device, recipe)
        entries = read_journal(Path(folder) / "out" / "train.jsonl")
    first, last = entries[0], entries[-1]
    passed = last.seconds - first.seconds
    waited = last.waiting * last.seconds - first.waiting * first.seconds
    return TrainingPace(
        target=spec.id,
        size=_named(spec.input_size),
        batch_size=recipe.batch_size,
        workers=workers,
        per_second=round(recipe.batch_size * (last.step - first.step) / passed, 1),
        waiting=round(max(0.0, waited / passed), 4),
    )


def _named(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
