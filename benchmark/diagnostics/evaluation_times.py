"""What an evaluation costs beside the networks themselves, and beside a naive script. Ratios, measured in one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from benchmark.content.content import Content
from benchmark.content.lpips import perceptual_path
from benchmark.datasets.base import Sample
from benchmark.diagnostics.naive import score_naively
from benchmark.diagnostics.references import load_lpips
from benchmark.engine.heap import keep_freed_memory
from benchmark.engine.jobs import Options, open_job
from benchmark.engine.pipeline import Pipeline
from benchmark.engine.precision import float32
from benchmark.engine.reading import read_features
from benchmark.engine.scorer import Tile, iter_tiles
from benchmark.engine.stopwatch import Stopwatch
from benchmark.inverses.base import Inverse
from benchmark.inverses.spec import get_method
from benchmark.metrics.case import Networks
from benchmark.perturbations import perturb
from benchmark.submissions.candidates import Candidate
from benchmark.suites.spec import TargetSpec
from benchmark.targets import load_target

__all__ = ["measure_evaluation"]

Row = dict[str, str | float]


def _seconds(device: torch.device, compute: Callable[[], object]) -> float:
    """Return how long a computation takes until the device has done it."""
    start = time.perf_counter()
    compute()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


class _Bench:
    """One target and its inverse, measured on the same images."""

    def __init__(self, content: Content, spec: TargetSpec, inverse: Inverse, networks: Networks, device: torch.device):
        self.content, self.spec, self.inverse, self.networks, self.device = content, spec, inverse, networks, device
        self.target = load_target(spec, content.target(spec), device)
        self.samples: list[Sample] = []

    def _read(self, count: int) -> None:
        self.samples = [self.content.images.load(index, self.spec.input_size) for index in range(count)]

    def _tiles(self) -> list[Tile]:
        judged = frozenset(self.content.images.ids[: self.content.suite.judged_images])
        return list(iter_tiles(self.samples, self.device, judged=judged))

    @float32()
    @torch.no_grad()
    def _forward(self, shown: Sequence[Tensor], tile: Tile) -> None:
        """Run target and inverse on what is shown: what an evaluation cannot do without."""
        reads_input = get_method(self.inverse.config.method).needs_input
        for seen in shown:
            self.inverse.invert(read_features(self.target, seen, tile.ids, reads_input=reads_input))

    def measure(self, count: int, naive_images: int) -> Row:
        """Return the row of `measure_evaluation`."""
        suite, watch = self.content.suite, Stopwatch(self.device)
        pipeline = Pipeline(suite, self.target, self.inverse, self.networks, watch)
        read_s = _seconds(self.device, partial(self._read, count))
        tiles, total_s, pure_s = self._tiles(), read_s, 0.0
        pipeline.run(tiles[0])
        watch.take()
        for tile in tiles:
            shown = [perturb(kind, tile.images, tile.masks) for kind in suite.perturbations]
            total_s += _seconds(self.device, partial(pipeline.run, tile))
            pure_s += _seconds(self.device, partial(self._forward, shown, tile))
        recons = count * len(self.spec.taps) * len(suite.perturbations)
        row: Row = {"target": self.spec.id, "total / pure": total_s / pure_s, "ms/recon": 1e3 * total_s / recons}
        row |= {f"{part} / total": seconds / total_s for part, seconds in (watch.take() | {"read": read_s}).items()}
        if chosen := self.samples[:naive_images]:
            perceive = load_lpips(perceptual_path()) if self.networks.perceptual else None
            naive = partial(score_naively, suite, self.target, self.inverse, chosen, self.networks, perceive)
            row["naive / total"] = _seconds(self.device, naive) / len(chosen) / (total_s / count)
        return row


def measure_evaluation(content: Content, candidate: Candidate, options: Options, naive_images: int) -> list[Row]:
    """Return a row for each target.

    `total / pure`: reading, perturbing, inverting, scoring and comparing layers, over nothing but the forward passes of
    target and inverse on the same tensors; tile by tile in turn. `read / total` ... `layers / total`: shares of the
    parts. `naive / total`: seconds an image of the naive script over ours.

    Args:
        options: of which device, targets and limit are looked at.
        naive_images: so many of the images are given to the naive script; 0: none.
    """
    if options.device.type == "cpu":
        keep_freed_memory()
    job = open_job(content, candidate, options)
    return [
        _Bench(content, content.suite.target(name), inverse, job.networks, options.device).measure(
            len(job.ids), naive_images
        )
        for name, (inverse, _) in job.loaded.items()
    ]
