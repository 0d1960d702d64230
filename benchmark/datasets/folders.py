"""Photographs in a folder of any layout, to train on: COCO's train2017, ImageNet's class folders, your own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.datasets.base import ImageSet, Sample, resize, stamp
from benchmark.datasets.decoding import read_image
from benchmark.errors import SpecError, first_line

__all__ = ["ChosenPhotographs", "open_folder"]

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp")
REPLACE = "replace or remove it"


def _stamp_all(images: ImageSet) -> str:
    """SHA-256 over id, size in bytes and time of change of each photograph, in their order."""
    digest = hashlib.sha256()
    for index, image_id in enumerate(images.ids):
        path = images.source(index)
        state = stamp([path])[0][1:] if path else ()
        digest.update(os.fsencode(image_id) + f"\n{state}\n".encode())
    return digest.hexdigest()


class _Folder(ImageSet):
    """The photographs below a folder; their ids are their paths in it."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder, self.ids = folder, tuple(names)

    def source(self, index: int) -> Path:
        return self.folder / self.ids[index]

    def load(self, index: int, size: tuple[int, int]) -> Sample:
        path = self.source(index)
        image = read_image(path, cure=REPLACE)
        pixels, mask = resize(image, np.ones(image.shape[:2], np.bool_), size)
        return Sample(self.ids[index], pixels, mask)

    def files(self) -> dict[str, Path]:
        return {}

    def fingerprint(self) -> str:
        return _stamp_all(self)


class ChosenPhotographs(ImageSet):
    """Some photographs of a set, each of which has a file of its own.

    Args:
        indices: positions in `images`, int64 (N,).
    """

    def __init__(self, images: ImageSet, indices: npt.NDArray[np.int64]) -> None:
        self._images, self._indices = images, indices
        self.ids = tuple(images.ids[index] for index in indices)

    def source(self, index: int) -> Path | None:
        """See ImageSet."""
        return self._images.source(int(self._indices[index]))

    def load(self, index: int, size: tuple[int, int]) -> Sample:
        """See ImageSet."""
        return self._images.load(int(self._indices[index]), size)

    def files(self) -> dict[str, Path]:
        """See ImageSet."""
        return {}

    def fingerprint(self) -> str:
        """See ImageSet."""
        return _stamp_all(self)


def _scan(folder: Path) -> tuple[tuple[int, int], list[os.DirEntry[str]]]:
    """What tells a folder from all others, and what it holds, hidden files aside."""
    try:
        state = folder.stat()
        with os.scandir(folder) as entries:
            shown = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise SpecError(f"cannot be listed: {first_line(error)}", where=str(folder)) from None
    return (state.st_dev, state.st_ino), sorted(shown, key=lambda entry: entry.name)


def _list_names(folder: Path) -> list[str]:
    """Paths of the photographs below a folder, relative to it; a folder that links lead to twice counts once."""
    names, seen, waiting = [], set[tuple[int, int]](), [folder]
    while waiting:
        current = waiting.pop()
        identity, entries = _scan(current)
        if identity in seen:
            continue
        seen.add(identity)
        for entry in entries:
            path = current / entry.name
            if entry.is_dir():
                waiting.append(path)
            elif path.suffix.lower() in EXTENSIONS and (entry.is_file() or not path.exists()):
                names.append(str(path.relative_to(folder)))  # a link that leads nowhere is found out when it is read
    return sorted(names)


def open_folder(folder: Path) -> ImageSet:
    """Return the photographs below a folder, in the order of their paths; the focal masks are the whole frame.

    Files that end in .jpg, .jpeg, .png or .webp, in capitals or not, at any depth; links are followed. Hidden files and
    folders are left out. Nothing is opened: whether a file can be read is found out by `load`.

    Raises:
        SpecError: the folder, or one below it, cannot be listed, or holds no photographs.
    """
    names = _list_names(folder)
    if not names:
        raise SpecError("holds no photographs", where=str(folder), cure=f"known extensions: {', '.join(EXTENSIONS)}")
    return _Folder(folder, names)
