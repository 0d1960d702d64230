"""What tells whether two photographs show the same: hashes of file and pixels, and a coarse pattern of lightness.

Free of torch, so that the processes that read photographs start fast.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmark.datasets.base import resize
from benchmark.datasets.decoding import read_image
from benchmark.errors import UserError, first_line

__all__ = ["PATTERN_BITS", "Traits", "examine", "find_pattern", "hash_pixels"]

GRID = 16
PATTERN_BITS = GRID * GRID


class Traits(NamedTuple):
    """What is known of a photograph.

    Attributes:
        file: SHA-256 of the file, 32 bytes; empty if the system gives no access to it.
        pixels: SHA-256 of the pixels at the size that was asked for; empty if it cannot be read.
        pattern: see `find_pattern`; empty likewise.
        problem: why it cannot be read, in a few words; empty if it can.
    """

    file: bytes
    pixels: bytes
    pattern: bytes
    problem: str = ""


def hash_pixels(pixels: npt.NDArray[np.uint8]) -> bytes:
    """SHA-256 of uint8 RGB (H, W, 3) and its shape, 32 bytes."""
    return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).digest()


def find_pattern(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Where lightness rises from left to right on a grid of 16x16 cells, 256 bits: a *difference hash*.

    Saving again, scaling and a change of contrast or color turn few bits of it.

    Args:
        pixels: uint8 RGB (H, W, 3).
    """
    small = Image.fromarray(pixels).convert("L").resize((GRID + 1, GRID), Image.Resampling.BOX)
    cells = np.asarray(small, np.int16)
    return np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes()


def examine(path: Path, size: tuple[int, int]) -> Traits:
    """Read a photograph as training does, at `size` (height, width); never raises what the file is to blame for."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return Traits(b"", b"", b"", first_line(error))
    try:
        image = read_image(content, str(path))
    except UserError as error:
        return Traits(hashlib.sha256(content).digest(), b"", b"", error.message)
    pixels, _ = resize(image, np.ones(image.shape[:2], np.bool_), size)
    return Traits(hashlib.sha256(content).digest(), hash_pixels(pixels), find_pattern(pixels))
