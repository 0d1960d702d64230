"""What every source of evaluation images offers: their ids, and each of them at a size, with its focal mask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmark.errors import SpecError
from benchmark.files.canonical import digest_of, sha256_file
from benchmark.suites.rights import Rights

__all__ = ["ImageSet", "Sample", "resize", "stamp"]


@dataclass(frozen=True, eq=False)
class Sample:
    """One evaluation image. What its source does not know keeps its default.

    Attributes:
        id: its id, unique in its source.
        image: uint8 RGB (H, W, 3).
        focal_mask: bool (H, W), the visible pixels of all instances of the focal category.
        focal_category: the name of that category.
        classes: ids of the categories of the visible instances.
        boxes: their boxes, (x0, y0, x1, y1) in pixels.
        group: what the image shares its source with; images of one group are not independent.
        canonical: True where all focal instances have their category's canonical hue, False where none has it.
        prototypes_deg: CIELAB hue angle of each category's canonical hue at the mean saturation and value of this
            image's focal object, in degrees, [0, 360).
        category: index of the focal category among them.
    """

    id: str
    image: npt.NDArray[np.uint8]
    focal_mask: npt.NDArray[np.bool_]
    focal_category: str = ""
    classes: tuple[int, ...] = ()
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    group: str = ""
    canonical: bool | None = None
    prototypes_deg: tuple[float, ...] = ()
    category: int = -1

    @property
    def labels(self) -> tuple[int, ...]:
        """The ids of the visible categories, ascending."""
        return tuple(sorted(set(self.classes)))


class ImageSet(ABC):
    """The evaluation images of a suite, in their order.

    Attributes:
        ids: the images' ids; unique.
        resized: whether images are resized to what is asked for; otherwise they have one size of their own.
    """

    ids: tuple[str, ...]
    resized: bool = True

    @abstractmethod
    def load(self, index: int, size: tuple[int, int]) -> Sample:
        """Return image `index` at `size` (height, width). May be called from several threads at once.

        Raises:
            SpecError, IntegrityError: the image is absent or damaged, or has no such size; names it.
        """

    @abstractmethod
    def files(self) -> dict[str, Path]:
        """Return the files that decide which images there are and what their masks are, by their name in a lock."""

    def source(self, index: int) -> Path | None:
        """The file that holds image `index` and nothing else; None where images share a file."""
        return None

    def rights(self, index: int) -> Rights | None:
        """What allows to show pictures of image `index`; None where its source states no known license for it."""
        return None

    def unused(self) -> ImageSet:
        """Return the photographs of the same source that are not among these, to train on; the masks are the frame.

        Raises:
            SpecError: the source has no others.
        """
        raise SpecError("this source of images has no others to train on", cure="train elsewhere")

    def fresh(self, seed: str, count: int) -> ImageSet:
        """Other images of the law that these follow, drawn by `seed`: the first `count` of an order of its own.

        Args:
            seed: 64 hex digits.

        Raises:
            SpecError: the source has no others, or not as many.
        """
        message = "fresh images cannot be drawn: this source has none beyond those of the suite"
        raise SpecError(message, cure="mini@1 and coco@1 can be challenged; elsewhere: invbench verify")

    def fingerprint(self) -> str:
        """Digest that changes when other images, or other masks, would be loaded.

        Files that can be very many are told by name, size and time of change, which takes no reading.
        """
        return digest_of([self.ids, {name: sha256_file(path) for name, path in self.files().items()}])

    def name(self, image_id: str, size: tuple[int, int]) -> str:
        """Name of an image at `size` in a lock."""
        return f"{image_id}@{size[0]}x{size[1]}" if self.resized else image_id


def stamp(paths: Iterable[Path]) -> list[tuple[str, int, int] | tuple[str]]:
    """Name of each file with its size in bytes and its time of change in ns; the name alone where it is absent."""
    found: list[tuple[str, int, int] | tuple[str]] = []
    for path in paths:
        try:
            state = path.stat()
        except OSError:
            found.append((path.name,))
        else:
            found.append((path.name, state.st_size, state.st_mtime_ns))
    return found


def resize(
    image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_], size: tuple[int, int]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Return a photograph and its mask at `size` (height, width), whatever their aspect.

    Pixels: Pillow's bilinear filter, which antialiases when it shrinks. The mask is true where at least half of a
    pixel is covered (Pillow's box filter).

    Args:
        image: uint8 RGB (H, W, 3).
        mask: bool (H, W).
    """
    height, width = size
    pixels = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    if mask.all():
        return np.array(pixels), np.ones(size, np.bool_)
    covered = Image.fromarray(mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BOX)
    return np.array(pixels), np.array(covered) >= 128
