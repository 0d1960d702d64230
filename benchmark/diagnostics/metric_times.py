"""How fast the metrics are: in batches, cold and with the reference side cached, beside their references."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import skimage.data
import torch
import torch.nn.functional as F
from skimage.transform import resize
from torch import Tensor

from benchmark.content.content import Content
from benchmark.content.lpips import perceptual_path
from benchmark.diagnostics.references import REFERENCES, images_of, load_lpips
from benchmark.engine.networks import load_metric_networks
from benchmark.engine.precision import float32
from benchmark.engine.scorer import TILE, load_metric
from benchmark.metrics.case import Case, FocalMask, Networks, Prototypes, View
from benchmark.metrics.perceptual import load_perceptual
from benchmark.metrics.spec import METRICS, Metric, Need
from benchmark.perturbations import perturb
from benchmark.suites.lock import load_lock
from benchmark.suites.spec import Perturbation, Suite

__all__ = ["Row", "Size", "measure_metrics"]

Row = dict[str, str | float | None]
Size = tuple[int, int]

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
SEED = 0
USUAL = Prototypes((torch.arange(8.0) * 45 + 20).expand(TILE, -1), torch.arange(TILE))
NETWORKS: tuple[Need, ...] = ("judge", "perceptual")


def _photos(size: Size) -> Tensor:
    """Return eight photographs, (8, 3, H, W): those of scikit-image and their mirror images."""
    small = [resize(getattr(skimage.data, name)(), size, anti_aliasing=True) for name in PHOTOS]
    images = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float()
    return View(torch.cat((images, images.flip(3)))).rgb


def _blobs(size: Size, generator: torch.Generator) -> Tensor:
    """Return smooth random masks, bool (8, H, W), that cover about a third of the frame."""
    coarse = torch.randn(TILE, 1, 5, 5, generator=generator)
    fine = F.interpolate(coarse, size=size, mode="bicubic", align_corners=True)[:, 0]
    return fine > fine.flatten(1).quantile(0.67, dim=1)[:, None, None]


def _softened(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return something like a recon: blurred and noisy."""
    return F.avg_pool2d(images, 3, 1, 1) + 0.05 * torch.randn(images.shape, generator=generator)


def _networks(suite: Suite, size: Size, perceptual: Path | None) -> Networks:
    """Return the networks there are for a size: the judge of the suite is asked at the input size of its targets."""
    cpu = torch.device("cpu")
    if all(target.input_size == size for target in suite.targets):
        return load_metric_networks(Content(suite, load_lock(suite)), cpu, perceptual)
    return Networks(perceptual=load_perceptual(perceptual, cpu) if perceptual else None)


def _milliseconds(compute: Callable[[], object]) -> float:
    """Return how long a computation on a tile takes per image."""
    start = time.perf_counter()
    compute()
    return (time.perf_counter() - start) * 1e3 / TILE


def _time_metric(metric: Metric, case: Case, lpips: Path | None, repeats: int) -> Row:
    """Return the times of a metric and its reference; in each repeat all three are measured in turn."""
    function, reference = load_metric(metric.id), REFERENCES[metric.id]
    images = images_of(case, load_lpips(lpips) if lpips and "perceptual" in metric.needs else None)

    def fresh() -> Case:
        original, baseline = View(case.original.rgb), View(case.baseline.rgb) if case.baseline else None
        seen = original if case.seen is case.original else View(case.seen.rgb)
        recon, mask = View(case.recon.rgb), FocalMask(case.mask.pixels)
        return Case(original, seen, recon, mask, case.networks, baseline, case.prototypes)

    def cached() -> Case:
        return replace(case, recon=View(case.recon.rgb))

    function(case)
    reference(images[0])
    times: list[tuple[float, float, float]] = []
    for _ in range(repeats):
        times.append(
            (
                _milliseconds(partial(function, fresh())),
                _milliseconds(partial(function, cached())),
                _milliseconds(lambda: [reference(image) for image in images]),
            )
        )
    cold_ms, cached_ms, reference_ms = map(statistics.median, zip(*times, strict=True))
    return {
        "cold_ms": cold_ms,
        "cached_ms": cached_ms,
        "reference_ms": reference_ms,
        "reference/cached": reference_ms / cached_ms,
        "cold/cached": cold_ms / cached_ms,
        "skipped": None,
    }


def _skipped(reason: str) -> Row:
    numbers = ("cold_ms", "cached_ms", "reference_ms", "reference/cached", "cold/cached")
    return dict.fromkeys(numbers) | {"skipped": reason}


@float32()
@torch.inference_mode()
def measure_metrics(suite: Suite, sizes: Sequence[Size], repeats: int, perceptual: Path | None = None) -> list[Row]:
    """Return a row for every metric and size: milliseconds per image on the CPU, medians over the repeats.

    `cold_ms`: everything computed anew, tiles of eight. `cached_ms`: as in an evaluation, what depends on original,
    seen image, mask and baseline is known, and the recon is new. `reference_ms`: the reference implementation, image
    by image.

    Args:
        suite: whose judge is asked at the input size of the targets; elsewhere the metrics that need it are skipped.
        sizes: heights and widths.
        repeats: how often each is measured, in turn.
        perceptual: weights for `lpips_alex`; None: the installed ones, if there are any.
    """
    if perceptual is None and perceptual_path().is_file():
        perceptual = perceptual_path()
    rows: list[Row] = []
    for size in sizes:
        generator = torch.Generator().manual_seed(SEED)
        original, mask = View(_photos(size)), FocalMask(_blobs(size, generator))
        baseline, networks = View(_softened(original.rgb, generator)), _networks(suite, size, perceptual)
        missing = {need for need in NETWORKS if getattr(networks, need) is None}
        for metric in METRICS.values():
            name: Row = {"metric": metric.id, "size": f"{size[0]}x{size[1]}"}
            lacks = missing & set(metric.needs)
            if lacks:
                reason = "no weights" if "perceptual" in lacks else f"no {lacks.pop()} of this size"
                rows.append(name | _skipped(reason))
                continue
            seen, recon = original, baseline
            if metric.recolored or metric.perturbations == "gray":
                kind: Perturbation = "gray" if metric.perturbations == "gray" else "hue_shift_120"
                seen = View(perturb(kind, original.rgb, mask.pixels))
                recon = View(_softened(seen.rgb, generator))
            case = Case(original, seen, recon, mask, networks, baseline, USUAL)
            rows.append(name | _time_metric(metric, case, perceptual, repeats))
    return rows
