"""Where the images of a training come from, and which of them are set aside to validate on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from benchmark.content.content import Content
from benchmark.datasets.folders import open_folder
from benchmark.files.fields import shown_as
from benchmark.suites.spec import FrozenData, TargetSpec
from benchmark.train.disjoint import hold_out, keep_disjoint
from benchmark.train.images import Scenes, TrainingImages
from benchmark.train.photographs import Photographs
from benchmark.train.processes import Processes
from benchmark.train.validation import VALIDATION_IMAGES, Aside, draw_aside, read_aside

__all__ = ["Sources", "open_sources"]


@dataclass(frozen=True)
class Sources:
    """What a training sees.

    Attributes:
        training: images to train on, at the target's input size; none of them is evaluated by the suite.
        set_aside: gives those to validate on, which are neither.
    """

    training: TrainingImages
    set_aside: Callable[[], Aside]


def open_sources(
    content: Content,
    target: TargetSpec,
    device: torch.device,
    *,
    seed: int,
    workers: int,
    folder: Path | None,
    processes: Processes,
) -> Sources:
    """Return the photographs in a folder; without one the scenes of an embedded suite, else what the suite leaves out.

    Photographs are compared with all that the suite evaluates; those that show the same, and those that cannot be read,
    are left out with a line on stderr. A few are held out to validate on, whether a training does or not; a training on
    an embedded suite is validated on scenes.

    Args:
        workers: processes that draw scenes or read photographs ahead.

    Raises:
        SpecError: there are no photographs, or the suite's own are not at hand to compare with.
    """
    suite, size = content.suite, target.input_size
    embedded = isinstance(suite.dataset, FrozenData)
    if embedded and folder is None:
        return Sources(Scenes(seed, device, workers), lambda: draw_aside(suite))
    images = open_folder(folder) if folder else content.images.unused()
    with processes.first_goes_ahead():
        remaining = keep_disjoint(images, content.images, size, workers, quiet=not processes.first)
    for line in remaining.lines(suite.id) if processes.first else ():
        tqdm.write(line, file=sys.stderr)
    training, held = hold_out(remaining.images, remaining.shown, VALIDATION_IMAGES)
    count = f"{len(training.ids):,} photographs"
    # Two levels: ImageNet's folder is called train.
    name = "/".join(folder.resolve().parts[-2:]).strip("/") if folder else None
    description = shown_as(f"{name}: {count}") if name else f"{count} that {suite.id} does not evaluate"
    photographs = Photographs(training, size, description, seed, device, workers)
    return Sources(photographs, lambda: draw_aside(suite) if embedded else read_aside(suite, held, size))
