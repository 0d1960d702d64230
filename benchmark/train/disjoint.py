"""Photographs to train on that no suite evaluates: what shows the same as an evaluated image is left out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from benchmark.datasets.base import ImageSet
from benchmark.datasets.folders import ChosenPhotographs
from benchmark.errors import SpecError
from benchmark.files.canonical import sha256_file
from benchmark.train.ahead import make_ahead
from benchmark.train.known import open_known
from benchmark.train.traits import PATTERN_BITS, Traits, examine, find_pattern, hash_pixels

__all__ = ["NEAR_BITS", "Remaining", "hold_out", "keep_disjoint"]

A_TASK = 64
NAMED = 3
NEAR_BITS = 32
"""Of 196 photographs of COCO and ImageNet, 99 in 100 that were saved as JPEG of quality 30 turn fewer bits of their
pattern, and no two different ones fewer than 46."""
SALT = b"held out:"


class Remaining(NamedTuple):
    """What is left to train on, and what is not.

    Attributes:
        images: the photographs that are left.
        shown: uint64 (N,), equal for those of them that show the same pixels.
        same: id of each photograph that is left out, and of the evaluated image that it shows.
        alike: the same, for those whose pixels differ a little.
        unreadable: id of each photograph that cannot be read, and why.
    """

    images: ImageSet
    shown: npt.NDArray[np.uint64]
    same: list[tuple[str, str]]
    alike: list[tuple[str, str]]
    unreadable: list[tuple[str, str]]

    def lines(self, suite: str) -> list[str]:
        """What a user should know, a line for each kind of photograph that was left out."""
        kinds = (
            (self.same, f"show an image that {suite} evaluates", " = "),
            (self.alike, f"look like an image that {suite} evaluates", " ~ "),
            (self.unreadable, "cannot be read", ": "),
        )
        return [
            f"{len(found):,} of the photographs {what} and {'is' if len(found) == 1 else 'are'} left out: "
            + ", ".join(sign.join(pair) for pair in found[:NAMED])
            + (", ..." if len(found) > NAMED else "")
            for found, what, sign in kinds
            if found
        ]


def _iter_views(pixels: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.uint8]]:
    """An image (H, W, 3) as it is, turned by each quarter, and all of these mirrored."""
    for quarters in range(4):
        turned = np.rot90(pixels, quarters)
        yield np.ascontiguousarray(turned)
        yield np.ascontiguousarray(turned[:, ::-1])


class _Evaluated:
    """What is known of the images that a suite evaluates, at one size; they may be mirrored or turned elsewhere."""

    def __init__(self, images: ImageSet, size: tuple[int, int]) -> None:
        self.ids = images.ids
        self._exact: dict[bytes, int] = {}
        patterns, owners = [], []
        for index in range(len(images.ids)):
            pixels = images.load(index, size).image
            self._exact[hash_pixels(pixels)] = index
            if source := images.source(index):
                self._exact[bytes.fromhex(sha256_file(source))] = index
            views = [find_pattern(view) for view in _iter_views(pixels)]
            patterns += views
            owners += [index] * len(views)
        self._patterns, self._owners = _as_words(patterns), np.array(owners)
        rising = np.bitwise_count(self._patterns).sum(1, dtype=np.int64)
        # Whatever is flat is alike.
        self._telling = (rising >= NEAR_BITS) & (rising <= PATTERN_BITS - NEAR_BITS)

    def find_same(self, traits: Traits) -> int | None:
        """Position of the image with the same file or the same pixels."""
        return self._exact.get(traits.file, self._exact.get(traits.pixels))

    def find_alike(self, traits: Sequence[Traits]) -> list[int | None]:
        """For each photograph the position of the image that looks most like it, if one does."""
        words = _as_words([item.pattern or bytes(PATTERN_BITS // 8) for item in traits])
        differing = np.bitwise_count(words[:, None] ^ self._patterns).sum(2, dtype=np.int64)
        differing[:, ~self._telling] = PATTERN_BITS
        nearest = differing.argmin(1)
        return [
            int(self._owners[k]) if row[k] <= NEAR_BITS else None for row, k in zip(differing, nearest, strict=True)
        ]


def _as_words(patterns: Sequence[bytes]) -> npt.NDArray[np.uint64]:
    return np.frombuffer(b"".join(patterns), np.uint64).reshape(len(patterns), PATTERN_BITS // 64)


class _Sorter:
    """Sorts photographs into those that are kept and those that are not."""

    def __init__(self, images: ImageSet, evaluated: _Evaluated) -> None:
        self._images, self._evaluated = images, evaluated
        self.kept, self.shown = np.zeros(len(images.ids), np.bool_), np.zeros(len(images.ids), np.uint64)
        self.same, self.alike, self.unreadable = (dict[int, str]() for _ in range(3))

    def add(self, indices: Sequence[int], traits: Sequence[Traits]) -> None:
        ids = self._evaluated.ids
        for index, item, alike in zip(indices, traits, self._evaluated.find_alike(traits), strict=True):
            if item.problem:
                self.unreadable[index] = item.problem
            elif (same := self._evaluated.find_same(item)) is not None:
                self.same[index] = ids[same]
            elif alike is not None:
                self.alike[index] = ids[alike]
            else:
                self.kept[index] = True
                self.shown[index] = int.from_bytes(item.pixels[:8])

    def named(self, found: dict[int, str]) -> list[tuple[str, str]]:
        return [(self._images.ids[index], what) for index, what in sorted(found.items())]


def _examine_all(size: tuple[int, int], paths: Sequence[Path]) -> list[Traits]:
    return [examine(path, size) for path in paths]


def _sources(images: ImageSet, indices: Sequence[int]) -> list[Path]:
    return [path for index in indices if (path := images.source(index))]


def _in_tasks(indices: Sequence[int]) -> Iterator[Sequence[int]]:
    return (indices[first : first + A_TASK] for first in range(0, len(indices), A_TASK))


def keep_disjoint(
    images: ImageSet, evaluated: ImageSet, size: tuple[int, int], workers: int, *, quiet: bool = False
) -> Remaining:
    """Compare every photograph with every image that a suite evaluates, and leave out what it must not train on.

    Compared are the SHA-256 of the file, that of the pixels at `size`, and a coarse pattern of lightness (a difference
    hash). It finds copies that were saved again, scaled, recolored, mirrored or turned by quarters, but none that were
    cropped.
    What was found is kept in the cache by path, size and time of change, so that no file is read twice.

    Args:
        images: photographs with files of their own.
        size: height and width at which they are trained on.
        workers: processes that read; 0: this one.
        quiet: shows no progress.

    Raises:
        SpecError: none is left.
        UserError: the cache cannot be used.
    """
    sorter, unknown = _Sorter(images, _Evaluated(evaluated, size)), list[int]()
    title, count = "compare photographs with the suite", len(images.ids)
    bar = tqdm(total=count, desc=title, unit="image", mininterval=1, disable=quiet)
    with open_known(size) as known, bar:
        for indices in _in_tasks(range(count)):
            found = dict(zip(indices, known.find(_sources(images, indices)), strict=True))
            there = {index: traits for index, traits in found.items() if traits}
            sorter.add(list(there), list(there.values()))
            unknown += sorted(found.keys() - there.keys())
            bar.update(len(there))
        tasks = (_sources(images, indices) for indices in _in_tasks(unknown))
        with closing(make_ahead(partial(_examine_all, size), tasks, workers)) as examined:
            for indices, traits in zip(_in_tasks(unknown), examined, strict=True):
                known.add(_sources(images, indices), traits)
                sorter.add(indices, traits)
                bar.update(len(indices))
    lost = [sorter.named(found) for found in (sorter.same, sorter.alike, sorter.unreadable)]
    if not sorter.kept.any():
        name, why = next(iter(lost[2] or lost[0] or lost[1]))
        raise SpecError(f"none of {count:,} photographs can be trained on, such as {name}: {why}")
    return Remaining(ChosenPhotographs(images, np.flatnonzero(sorter.kept)), sorter.shown[sorter.kept], *lost)


def hold_out(images: ImageSet, shown: npt.NDArray[np.uint64], count: int) -> tuple[ImageSet, ImageSet]:
    """Split photographs into those to train on and `count` to validate on, at most a tenth; by their ids.

    Copies of those to validate on are in neither part; where nothing else is left, none are held out.

    Args:
        shown: see `Remaining`.
    """
    count = min(count, len(images.ids) // 10)
    rank = [hashlib.sha256(SALT + os.fsencode(image_id)).digest() for image_id in images.ids]
    order = np.array(sorted(range(len(rank)), key=rank.__getitem__), np.int64)
    held, others = order[:count], order[count:]
    training = others[~np.isin(shown[others], shown[held])]
    if not training.size:
        held, training = order[:0], order
    return ChosenPhotographs(images, np.sort(training)), ChosenPhotographs(images, np.sort(held))
