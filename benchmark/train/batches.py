"""Batches of training scenes as the networks take them, and what they learn from them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from benchmark.datasets.scenes import SIZE
from benchmark.files.pixels import to_tensor
from benchmark.train.ahead import make_ahead
from benchmark.train.drawing import BACKGROUND, Copies, DrawnScenes, draw_scenes

__all__ = ["Batch", "get_batches", "get_boxes", "get_cells", "get_labels"]


@dataclass(frozen=True)
class Batch:
    """N training scenes on one device; object 0 is the background, see DrawnScenes.

    Attributes:
        images: float32 RGB in [0, 1], (N, 3, 96, 96).
        owners: uint8 (N, 96, 96), the object that each pixel shows.
        classes: int64 (N, 1 + K), class ids, 8 for the background.
        boxes: float32 (N, 1 + K, 4), centre-size in [0, 1]; zeros for the background.
        counts: objects of each scene.
    """

    images: Tensor
    owners: Tensor
    classes: Tensor
    boxes: Tensor
    counts: tuple[int, ...]


def _to_batch(drawn: DrawnScenes, device: torch.device) -> Batch:
    corners = torch.from_numpy(drawn.boxes) / SIZE
    boxes = torch.cat([(corners[..., :2] + corners[..., 2:]) / 2, corners[..., 2:] - corners[..., :2]], dim=-1)
    return Batch(
        images=to_tensor(drawn.images, device),
        owners=torch.from_numpy(drawn.owners).to(device),
        classes=torch.from_numpy(drawn.classes).to(device),
        boxes=boxes.to(device),
        counts=drawn.counts,
    )


def get_batches(
    seed: int, size: int, copies: Copies, device: torch.device, workers: int, steps: range
) -> Generator[Batch, None, None]:
    """Yield the scenes of each step, drawn ahead by `workers` processes; see `draw_scenes` and `make_ahead`."""
    with closing(make_ahead(partial(draw_scenes, seed, size, copies), steps, workers)) as scenes:
        for drawn in scenes:
            yield _to_batch(drawn, device)


def get_labels(batch: Batch) -> Tensor:
    """Return the visible categories as float32 (N, 8) of zeros and ones."""
    present = torch.zeros(len(batch.classes), BACKGROUND + 1, device=batch.classes.device)
    return present.scatter_(1, batch.classes, 1.0)[:, :BACKGROUND]


def get_boxes(batch: Batch) -> list[dict[str, Tensor]]:
    """Return each scene's objects in DETR's form: class ids (K,) and boxes (K, 4), centre-size in [0, 1]."""
    return [
        {"class_labels": batch.classes[i, 1 : 1 + count], "boxes": batch.boxes[i, 1 : 1 + count]}
        for i, count in enumerate(batch.counts)
    ]


def get_cells(batch: Batch, grid: int) -> tuple[Tensor, Tensor]:
    """Return, for the centre of each cell of a `grid`, the class id (N, grid^2) and object's box (N, grid^2, 4)."""
    step = SIZE // grid
    owner = batch.owners[:, step // 2 :: step, step // 2 :: step].flatten(1).long()
    return batch.classes.gather(1, owner), batch.boxes.gather(1, owner.unsqueeze(-1).expand(-1, -1, 4))
