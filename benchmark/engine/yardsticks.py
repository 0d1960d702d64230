"""Yardsticks: what thumbnails of the image score, and what answers that invert nothing do; measured for the lock."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from benchmark.content.content import Content
from benchmark.content.pins import image_sizes
from benchmark.datasets.base import ImageSet, Sample
from benchmark.engine.chunks import ChunkStore
from benchmark.engine.devices import get_device_name
from benchmark.engine.networks import load_metric_networks
from benchmark.engine.scorer import TILE, Scorer, Tile, iter_tiles
from benchmark.files.canonical import digest_of
from benchmark.files.import_graph import code_digest, library_versions
from benchmark.files.paths import submissions_root
from benchmark.inverses.base import load_inverse
from benchmark.metrics.case import Networks
from benchmark.metrics.cielab import srgb_to_lab
from benchmark.metrics.spec import get_metric
from benchmark.records.aggregate import PULL, image_axes, image_scores
from benchmark.records.statistics import masked_mean, masked_median
from benchmark.submissions.submission import load_submission
from benchmark.suites.lock import Answer, Lock, Wear
from benchmark.suites.spec import Axis, Suite

__all__ = [
    "Measured", "blend_with_prototype", "count_answers", "load_training_mean", "measure_suite_yardsticks",
    "measure_yardsticks", "thumbnail", "thumbnail_rows",
]  # fmt: skip

SHOWN_ROWS = 8
BLEND = 0.3
Array = npt.NDArray[np.float32]


def thumbnail(images: Tensor, rows: int) -> Tensor:
    """Return images (N, 3, H, W) as thumbnails of `rows` rows show them.

    Averaged over areas to `rows` x round(rows W / H) pixels, enlarged bilinearly (pixel centers, no aligned corners).
    """
    height, width = images.shape[-2:]
    small = F.interpolate(images, size=(rows, max(1, round(rows * width / height))), mode="area")
    return F.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)


def thumbnail_rows(height: int) -> tuple[int, ...]:
    """Return the rows of the thumbnails of a yardstick: 2, 3, 4, 6, 8, 12, ... up to half the height in pixels."""
    steps = sorted(base * 2**power for base in (2, 3) for power in range(height.bit_length()))
    return tuple(rows for rows in steps if rows <= height // 2)


def count_answers(height: int) -> int:
    """Return how many answers are measured for each image of `height` pixels, where usual colors are not known."""
    return len(thumbnail_rows(height)) + 2


def blend_with_prototype(images: Tensor, tile: Tile) -> Tensor:
    """Return images whose focal objects are drawn by 30 % to the canonical hue of their category, in CIELAB."""
    from skimage.color import lab2rgb

    assert tile.prototypes is not None
    lab = srgb_to_lab(images)
    hues = tile.prototypes.hues_deg.gather(1, tile.prototypes.own.clamp(min=0)[:, None])[..., None].deg2rad()
    chroma = lab[:, 1:].square().sum(1).sqrt()
    usual = torch.stack((hues.cos() * chroma, hues.sin() * chroma), dim=1)
    drawn = torch.lerp(lab[:, 1:], usual, BLEND)
    lab[:, 1:] = torch.where(tile.masks[:, None] & usual.isfinite(), drawn, lab[:, 1:])
    return torch.from_numpy(lab2rgb(lab.cpu().double().numpy(), channel_axis=1)).to(images)


def _red(images: Tensor) -> Tensor:
    return images.new_tensor([1.0, 0.0, 0.0])[None, :, None, None].expand_as(images)


def _wear(sample: Sample) -> Wear | None:
    return None if sample.canonical is None else "canonical" if sample.canonical else "recolored"


class Measured(NamedTuple):
    """What thumbnails score by axis and rows, and what other answers do."""

    yardstick: dict[Axis, dict[int, float]]
    answers: dict[str, Answer]


def _summarize_answer(suite: Suite, values: Array, index: int, wear: Sequence[Wear | None]) -> Answer:
    own, metrics, pull = values[:, index : index + 1], {}, {}
    for name in suite.report:
        mean = masked_median if get_metric(name).aggregate == "median" else masked_mean
        value = float(mean(image_scores(suite, own, name))[0])
        if not np.isnan(value):
            metrics[name] = round(value, 6)
    if PULL in suite.metrics:
        scores = image_scores(suite, own, PULL)
        for kind in get_args(Wear):
            value = float(masked_mean(scores[[item == kind for item in wear]])[0])
            if not np.isnan(value):
                pull[kind] = round(value, 6)
    return Answer(metrics=metrics, pull=pull)


def measure_yardsticks(
    suite: Suite,
    samples: Sequence[Sample],
    size: tuple[int, int],
    training_mean: Tensor,
    networks: Networks,
    device: torch.device,
    store: ChunkStore | None = None,
) -> Measured:
    """Return what thumbnails and other answers score on samples of one size.

    Args:
        training_mean: float32 RGB in [0, 1], (3, H, W).
        store: where the scores of every eight images are kept, and found again; None: nowhere.
    """
    rows, mean = thumbnail_rows(size[0]), training_mean.to(device)
    current: Tile
    others: dict[str, Callable[[Tensor], Tensor]] = {"training_mean": mean.expand_as, "red": _red}
    if all(sample.prototypes_deg for sample in samples):
        others["prototype_30"] = lambda seen: blend_with_prototype(seen, current)

    def invert(seen: Tensor) -> dict[str, Tensor]:
        shown = {f"thumbnail_{count}": thumbnail(seen, count) for count in rows}
        return shown | {name: answer(seen) for name, answer in others.items()}

    names = [*(f"thumbnail_{count}" for count in rows), *others]
    scorer = Scorer(suite, names, invert, networks, as_defined=True)
    judged = frozenset(sample.id for sample in samples[: suite.judged_images])
    starts = range(0, len(samples), TILE)
    parts = {first: kept["values"] for first in starts if store and (kept := store.load(f"{first:06d}"))}
    where = f"yardsticks at {size[0]}x{size[1]}"
    if parts:
        tqdm.write(f"{where}: {len(parts)} of {len(starts)} tiles were computed before", file=sys.stderr)
    missing = [first for first in starts if first not in parts]
    for first in tqdm(missing, total=len(starts), initial=len(parts), unit="tile", desc=where):
        (current,) = iter_tiles(samples[first : first + TILE], device, judged=judged, first=first)
        parts[first] = scorer.run(current)["values"]
        if store:
            store.save(f"{first:06d}", {"values": parts[first]})
    values = np.concatenate([parts[first] for first in starts])
    axes = {axis: masked_mean(scores) for axis, scores in image_axes(suite, values).items()}
    wear = [_wear(sample) for sample in samples]
    shown = dict.fromkeys((f"thumbnail_{SHOWN_ROWS}", *others))
    return Measured(
        {axis: {count: round(float(v[i]), 6) for i, count in enumerate(rows)} for axis, v in axes.items()},
        {name: _summarize_answer(suite, values, names.index(name), wear) for name in shown},
    )


def load_training_mean(suite: Suite, size: tuple[int, int], images: ImageSet, device: torch.device) -> Tensor:
    """Return the mean training image at a size, float32 RGB in [0, 1], (3, H, W).

    The image of the `mean` submission where it has one for a target of that size, else the mean of the suite's own.
    """
    mean = load_submission(submissions_root(), "mean")
    for target in suite.targets:
        if target.input_size == size and target.id in mean.weights:
            folder = mean.weights[target.id].directory(submissions_root() / "mean")
            return load_inverse(folder, device).get_buffer("image")
    total = np.zeros((*size, 3))
    for index in range(len(images.ids)):
        total += images.load(index, size).image
    return torch.from_numpy(total / len(images.ids) / 255).permute(2, 0, 1).float().to(device)


def _open_store(
    content: Content, size: tuple[int, int], mean: Tensor, networks: Networks, device: torch.device
) -> ChunkStore:
    """Return where the scores of a size are kept, by all that could change them; see `ChunkStore`."""
    suite, lock = content.suite, content.lock
    names = [content.images.name(image_id, size) for image_id in content.images.ids]
    judge = suite.judge and (suite.judge.repo_id or suite.judge.path)
    return ChunkStore(
        {
            "yardsticks": suite.digest,
            "size": list(size),
            "images": digest_of([[name, lock.images.get(name)] for name in names]),
            "judge": {name: found for name, found in lock.files.items() if judge and name.startswith(f"{judge}/")},
            "perceptual": networks.perceptual is not None,
            "mean": hashlib.sha256(mean.cpu().numpy().tobytes()).hexdigest(),
            "code": code_digest(__name__),
            "libraries": library_versions(),
            "device": [device.type, get_device_name(device)],
            "threads": torch.get_num_threads(),
        }
    )


def measure_suite_yardsticks(content: Content, device: torch.device) -> tuple[Lock, tuple[ChunkStore, ...]]:
    """Return the lock of a suite with yardsticks and answers at every input size, groups and what objects wear.

    Beside it, where what was measured is kept until the lock is written. The lock of `content` must hold all images.
    """
    suite, images = content.suite, content.images
    networks = load_metric_networks(content, device)
    groups: dict[str, str] = {}
    wear: dict[str, Wear] = {}
    measured: dict[str, Measured] = {}
    stores = []
    for size in image_sizes(suite):
        samples = [images.load(index, size) for index in range(len(images.ids))]
        groups |= {sample.id: sample.group for sample in samples if sample.group not in ("", sample.id)}
        wear |= {sample.id: kind for sample in samples if (kind := _wear(sample))}
        mean = load_training_mean(suite, size, images, device)
        stores.append(_open_store(content, size, mean, networks, device))
        measured[f"{size[0]}x{size[1]}"] = measure_yardsticks(suite, samples, size, mean, networks, device, stores[-1])
    lock = content.lock.model_copy(
        update={
            "groups": groups,
            "wear": wear,
            "yardsticks": {name: item.yardstick for name, item in measured.items()},
            "answers": {name: item.answers for name, item in measured.items()},
        }
    )
    return lock, tuple(stores)
