"""Small photographs for tests: smooth random colors, each unlike all others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 64, 48


def draw_photograph(seed: int) -> Image.Image:
    """An image of 64x48 pixels, the same for the same seed."""
    cells = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(cells).resize(SIZE, Image.Resampling.BICUBIC)


def write_photographs(folder: Path, count: int, first: int = 0) -> list[Path]:
    """Write so many JPEG files, those of the seeds from `first` on."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{first + number:04d}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        draw_photograph(first + number).save(path, quality=92)
    return paths
