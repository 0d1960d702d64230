"""Photographs to train on, read ahead by the workers of a DataLoader."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from benchmark.datasets.base import ImageSet
from benchmark.errors import UserError
from benchmark.files.pixels import to_tensor
from benchmark.train.images import TrainingImages

__all__ = ["PREFETCH", "Photographs", "watching_workers"]

PREFETCH = 3
SUBSTITUTES = 8


class _Read(NamedTuple):
    """Pixels uint8 (N, H, W, 3), a line for each photograph that another one replaces, and why there are no pixels.

    They come as an array through a pipe: tensors would take shared memory, of which containers have little.
    """

    pixels: npt.NDArray[np.uint8]
    notes: tuple[str, ...] = ()
    lost: str = ""


class _Reader(Dataset[_Read]):
    """Reads photographs at one size. Pickled once for each worker."""

    def __init__(self, images: ImageSet, size: tuple[int, int]) -> None:
        self._images, self._size = images, size

    def __getitems__(self, indices: Sequence[int]) -> _Read:
        """Read a batch. For one that is unreadable by now the next one that is not stands in."""
        pixels, notes = [], []
        count = len(self._images.ids)
        for index in indices:
            failures = []
            for place in range(index, index + min(SUBSTITUTES, count)):
                try:
                    pixels.append(self._images.load(place % count, self._size).image)
                    break
                except UserError as error:
                    failures.append(str(error))
            else:
                lost = f"{len(failures)} photographs in a row cannot be read any more, the first: {failures[0]}"
                return _Read(np.empty(0, np.uint8), lost=lost)
            notes += [f"{failure}; another photograph stands in" for failure in failures]
        return _Read(np.stack(pixels), tuple(notes))


def _as_read(read: Any) -> Any:
    return read


def _prepare_worker(number: int) -> None:
    """Let the parent go first where cores are short."""
    if hasattr(os, "nice"):
        os.nice(5)


class _Order:
    """Positions of the photographs of each step: shuffled anew for each time through, by seed and its number alone."""

    def __init__(self, count: int, seed: int, size: int, steps: range) -> None:
        self._count, self._seed, self._size, self._steps = count, seed, size, steps
        self._epoch, self._shuffled = -1, np.empty(0, np.int64)

    def _at(self, position: int) -> int:
        epoch, place = divmod(position, self._count)
        if epoch != self._epoch:
            self._epoch = epoch
            self._shuffled = np.random.default_rng([self._seed, epoch]).permutation(self._count)
        return int(self._shuffled[place])

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[list[int]]:
        for step in self._steps:
            yield [self._at(position) for position in range(step * self._size, (step + 1) * self._size)]


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C; processes that are started meanwhile ignore it for good, and so leave it to their parent."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def watching_workers() -> Iterator[None]:
    """Turn the death of a worker, which PyTorch reports wherever the training is at that moment, into one line."""
    try:
        yield
        return
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        # Its frames keep the loader alive, and PyTorch reports a dead worker again as long as its loader lives.
        error.__traceback__ = None
    cure = "rerun the command to resume, with fewer --workers if memory was short"
    raise UserError("a process that reads photographs died", cure=cure)


class Photographs(TrainingImages):
    """Photographs at one size, drawn in an order that is shuffled anew for each time through.

    A batch depends on seed and step alone, not on how many processes read. For a photograph that becomes unreadable
    while a training runs the next one stands in, with a line on stderr; where eight in a row are lost, training ends.
    """

    def __init__(
        self,
        images: ImageSet,
        size: tuple[int, int],
        description: str,
        seed: int,
        device: torch.device,
        workers: int = 0,
    ) -> None:
        self.images, self.size, self.description = images, size, description
        self.seed, self.device, self.workers, self.count = seed, device, workers, len(images.ids)
        self._said: set[str] = set()

    def batch(self, step: int, size: int) -> Tensor:
        """See TrainingImages."""
        (indices,) = _Order(len(self.images.ids), self.seed, size, range(step, step + 1))
        return self._to_tensor(_Reader(self.images, self.size).__getitems__(indices))

    def batches(self, size: int, steps: range) -> Generator[Tensor, None, None]:
        """See TrainingImages."""
        settings: dict[str, Any] = {}
        if self.workers:
            # Spawned: a fork of a process with threads can hang, and one with a GPU in use cannot go on.
            settings = {
                "num_workers": min(self.workers, max(1, len(steps))),
                "prefetch_factor": PREFETCH,
                "multiprocessing_context": "spawn",
                "worker_init_fn": _prepare_worker,
            }
        loader = DataLoader(
            _Reader(self.images, self.size),
            batch_sampler=_Order(len(self.images.ids), self.seed, size, steps),
            collate_fn=_as_read,
            generator=torch.Generator(),  # its own: what networks draw does not depend on how their images are read
            **settings,
        )
        with _without_interrupts():
            reading = iter(loader)
        for read in reading:
            yield self._to_tensor(read)

    def _to_tensor(self, read: _Read) -> Tensor:
        if read.lost:
            raise UserError(read.lost, cure="rerun the command to resume when they can be read again")
        for note in read.notes:
            if note not in self._said:
                self._said.add(note)
                tqdm.write(note, file=sys.stderr)
        return to_tensor(read.pixels, self.device)

    def key(self) -> dict[str, Any]:
        """See TrainingImages."""
        return {"photographs": self.images.fingerprint(), "size": list(self.size), "seed": self.seed}
