"""Answers of known effect on the images of a file: the table by which two implementations of the metrics agree."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.datasets.base import Sample
from benchmark.datasets.decoding import read_image, read_mask
from benchmark.diagnostics.batteries_answers import ANSWERS, Prior, dominant_color, own_color, radius, scale_chroma
from benchmark.diagnostics.batteries_scores import Scored, score_answers
from benchmark.engine.scorer import TILE, Tile
from benchmark.engine.yardsticks import thumbnail
from benchmark.errors import SpecError
from benchmark.suites.spec import Suite

__all__ = ["TRIAL", "read_images", "score_trial"]

IMAGES = 64
NOISE = tuple(f"noise of scale {sigma} px, {where}" for sigma in (1, 2, 4) for where in ("whole", "in a disk"))
ANOTHER = "another image"
SEED = 7


def _blur(seen: Tensor, sigma_px: float) -> Tensor:
    from scipy.ndimage import gaussian_filter

    return torch.from_numpy(gaussian_filter(seen.cpu().numpy(), (0, 0, sigma_px, sigma_px))).to(seen)


def _own_blob(seen: Tensor) -> Tensor:
    return torch.lerp(torch.full_like(seen, 0.5), own_color(seen, 1), torch.exp(-((radius(seen) / 0.35) ** 2) / 2))


def _own_disk(seen: Tensor) -> Tensor:
    return torch.where(radius(seen) < 0.5, own_color(seen, 1), torch.full_like(seen, 0.5))


def _ghost(seen: Tensor, contrast: float) -> Tensor:
    return 0.5 + contrast * (seen - 0.5)


def _outer_half_gray(seen: Tensor) -> Tensor:
    """The middle half of the frame's area, the rest gray."""
    shown = torch.full_like(seen, 0.5)
    rows, columns = (slice(cut := round(side * (1 - 0.5**0.5) / 2), side - cut) for side in seen.shape[-2:])
    shown[..., rows, columns] = seen[..., rows, columns]
    return shown


TRIAL: dict[str, Callable[[Tensor], Tensor]] = {
    "copy": lambda seen: seen,
    **{f"thumbnail {rows}": partial(thumbnail, rows=rows) for rows in (2, 4, 8, 12, 24, 48)},
    **{f"blur sigma {sigma}": partial(_blur, sigma_px=sigma) for sigma in (1, 2, 4)},
    "half chroma": partial(scale_chroma, gain=0.5),
    "own mean color": lambda seen: own_color(seen, 1).expand_as(seen),
    "dominant color": lambda seen: dominant_color(seen, 4).expand_as(seen),
    "blob of own mean color": _own_blob,
    "disk of own mean color": _own_disk,
    **{f"ghost of contrast {contrast}": partial(_ghost, contrast=contrast) for contrast in (0.02, 0.1)},
    "outer half gray": _outer_half_gray,
}
"""The answers that nothing is drawn for; noise and another image (the mean of the seven others of a tile) follow."""


def read_images(path: Path, count: int = IMAGES) -> list[Sample]:
    """The first images of a Parquet file with `id`, `image` and `focal_mask` (PNG), whatever else it holds.

    Raises:
        SpecError: it is not such a file, or holds fewer images.
    """
    import pyarrow.parquet as pq

    def sample(row: dict[str, Any]) -> Sample:
        where = f"{path}: image '{row['id']}'"
        image = read_image(row["image"]["bytes"], where)
        return Sample(row["id"], image, read_mask(row["focal_mask"]["bytes"], f"{where}, its mask"))

    try:
        rows = pq.read_table(path, columns=["id", "image", "focal_mask"]).slice(0, count).to_pylist()
        samples = [sample(row) for row in rows]
    except (KeyError, OSError, TypeError, ValueError) as error:
        message = f"is not a Parquet file of images and focal masks: {error}".splitlines()[0]
        raise SpecError(message, where=str(path)) from None
    if len(samples) != count:
        raise SpecError(f"holds {len(samples)} images; {count} are needed", where=str(path))
    return samples


def score_trial(suite: Suite, samples: list[Sample], device: torch.device) -> Scored:
    """Scores of the answers by every ranked metric; of another image, the mean over the seven others of the tile."""
    height, width = samples[0].focal_mask.shape
    prior = Prior(torch.full((3, height, width), 0.5, device=device), torch.ones(height, width, device=device))
    others = [f"{ANOTHER} {by}" for by in range(1, TILE)]
    generator = torch.Generator().manual_seed(SEED)

    def reconstruct(tile: Tile, seen: Tensor) -> dict[str, Tensor]:
        shown = {name: answer(seen) for name, answer in TRIAL.items()}
        shown |= {name: ANSWERS[name](seen, prior, generator) for name in NOISE}
        return shown | {name: seen.roll(by, 0) for by, name in enumerate(others, 1)}

    scored = score_answers(suite, samples, (*TRIAL, *NOISE, *others), reconstruct, device, title="trial")
    kept = len(TRIAL) + len(NOISE)
    merged = {
        key: np.concatenate([values[:, :kept], values[:, kept:].mean(1, keepdims=True)], axis=1)
        for key, values in scored.scores.items()
    }
    return Scored((*TRIAL, *NOISE, ANOTHER), scored.groups, merged)
