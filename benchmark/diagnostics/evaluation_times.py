"""What an evaluation costs beside the networks themselves, and beside a naive script. Ratios, measured in one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from benchmark.content.content import Content
from benchmark.content.lpips import perceptual_path
from benchmark.datasets.base import ImageSet, Sample
from benchmark.diagnostics.full_size import make_inverse, make_target
from benchmark.diagnostics.naive import score_naively
from benchmark.diagnostics.references import load_lpips
from benchmark.engine.heap import keep_freed_memory
from benchmark.engine.jobs import Options, open_job
from benchmark.engine.pipeline import Pipeline
from benchmark.engine.precision import float32
from benchmark.engine.reading import read_features
from benchmark.engine.scorer import TILE, Tile, iter_tiles
from benchmark.engine.stopwatch import Stopwatch
from benchmark.inverses.base import Inverse
from benchmark.inverses.spec import get_method
from benchmark.metrics.case import Networks
from benchmark.perturbations import perturb
from benchmark.submissions.candidates import Candidate
from benchmark.suites.spec import Suite
from benchmark.targets import load_target
from benchmark.targets.base import Target

__all__ = ["measure_evaluation", "measure_full_size"]

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

    def __init__(self, suite: Suite, images: ImageSet, target: Target, inverse: Inverse, networks: Networks) -> None:
        self.suite, self.images, self.target, self.inverse = suite, images, target, inverse
        self.networks, self.device = networks, target.device

    def _read(self, count: int) -> list[Sample]:
        return [self.images.load(index, self.target.spec.input_size) for index in range(count)]

    @float32()
    @torch.no_grad()
    def _forward(self, seen: Tensor, tile: Tile, size: int) -> None:
        """Run target and inverse on what is shown: what an evaluation cannot do without."""
        reads_input = get_method(self.inverse.config.method).needs_input
        for first in range(0, len(seen), size):
            part, ids = seen[first : first + size], tile.ids[first : first + size]
            self.inverse.invert(read_features(self.target, part, ids, reads_input=reads_input))

    def _run(self, pipeline: Pipeline, tile: Tile) -> tuple[float, float]:
        """Run a tile; return the seconds of its forward passes alone, and which of them were spent inside the run.

        On a CPU, where tiles may take minutes, each follows the evaluation's own at once, so that both meet the same
        load. Elsewhere that would make the evaluation wait for the device: they follow the tile.
        """
        forward = partial(self._forward, tile=tile, size=pipeline.micro_batch)
        if self.device.type != "cpu":
            pipeline.run(tile)
            shown = [perturb(kind, tile.images, tile.masks) for kind in self.suite.perturbations]
            return sum(_seconds(self.device, partial(forward, seen)) for seen in shown), 0.0
        spent: list[float] = []
        invert = pipeline.scorer.invert

        def in_turn(seen: Tensor) -> Mapping[str, Tensor]:
            recons = invert(seen)
            spent.append(_seconds(self.device, partial(forward, seen)))
            return recons

        pipeline.scorer.invert = in_turn
        pipeline.run(tile)
        pipeline.scorer.invert = invert
        return sum(spent), sum(spent)

    def _share(self, images: int) -> float:
        """Return which share of the suite's images the first `images` are."""
        return min(1.0, images / self.suite.dataset.images)

    def _measure_first_images(self, pipeline: Pipeline, samples: Sequence[Sample]) -> tuple[float, float]:
        """Return the seconds that the comparison of layers and the judge take for a tile.

        Only the first images of a suite are subject to them; they count by their share of all.
        """
        beyond, judged_s = self.suite.dataset.images, 0.0
        if self.networks.judge:
            ids = [sample.id for sample in samples]
            (plain,), (judged,) = (iter_tiles(samples, self.device, first=beyond, judged=some) for some in ((), ids))
            pipeline.run(plain)
            unlike = [_seconds(self.device, partial(pipeline.run, item)) for item in (judged, plain)]
            judged_s = max(0.0, unlike[0] - unlike[1])
        (tile,) = iter_tiles(samples, self.device)
        return _seconds(self.device, partial(pipeline.layers.run, tile)) if pipeline.layers else 0.0, judged_s

    def measure(self, count: int, naive_images: int) -> Row:
        """Return the row of `measure_evaluation`."""
        suite, watch = self.suite, Stopwatch(self.device)
        pipeline = Pipeline(suite, self.target, self.inverse, self.networks, watch)
        began = time.perf_counter()
        samples = self._read(count)
        read_s = time.perf_counter() - began
        tiles = list(iter_tiles(samples, self.device, first=suite.dataset.images))
        layers_s, judged_s = self._measure_first_images(pipeline, samples[:TILE])
        watch.take()
        pure_s, beside_s = (
            sum(seconds) for seconds in zip(*(self._run(pipeline, tile) for tile in tiles), strict=True)
        )
        parts = watch.take() | {"read": read_s}
        parts["scores"] -= beside_s
        parts["layers"] = layers_s * len(tiles) * self._share(suite.layer_images)
        parts["scores"] += judged_s * len(tiles) * self._share(suite.judged_images)
        total_s = sum(parts.values())
        recons = len(tiles) * TILE * len(self.target.spec.taps) * len(suite.perturbations)
        row: Row = {"target": self.target.spec.id, "total / pure": total_s / pure_s, "ms/recon": 1e3 * total_s / recons}
        row |= {f"{part} / total": seconds / total_s for part, seconds in parts.items()}
        if chosen := samples[:naive_images]:
            perceive = load_lpips(perceptual_path()) if self.networks.perceptual else None
            naive = partial(score_naively, suite, self.target, self.inverse, chosen, self.networks, perceive)
            row["naive / total"] = _seconds(self.device, naive) / len(chosen) / (total_s / count)
        return row


def measure_evaluation(content: Content, candidate: Candidate, options: Options, naive_images: int) -> list[Row]:
    """Return a row for each target of a suite.

    `total / pure`: reading, perturbing, inverting, scoring and comparing layers, over nothing but the forward passes of
    target and inverse on the same tensors, in turn. What only the first images of a suite are subject to,
    the comparison of layers and the judge, counts by their share. `read / total` ... `layers / total`: shares of the
    parts. `naive / total`: seconds an image of the naive script over ours.

    Args:
        options: of which device, targets and limit are looked at.
        naive_images: so many of the images are given to the naive script; 0: none.
    """
    if options.device.type == "cpu":
        keep_freed_memory()
    job, suite = open_job(content, candidate, options), content.suite
    return [
        _Bench(
            suite, content.images, load_target(spec, content.target(spec), options.device), inverse, job.networks
        ).measure(len(job.ids), naive_images)
        for spec, inverse in ((suite.target(name), inverse) for name, (inverse, _) in job.loaded.items())
        if isinstance(inverse, Inverse)
    ]  # fmt: skip


def measure_full_size(
    suite: Suite, names: Sequence[str], images: ImageSet, count: int, naive_images: int, device: torch.device
) -> list[Row]:
    """Return the rows of `measure_evaluation` for targets of published size and `modular` inverses of the paper's size.

    All have random weights, which take as long as any; the suite's judge and the network of LPIPS are left out.

    Raises:
        NotFoundError: a name is not among `FULL_SIZE`.
    """
    if device.type == "cpu":
        keep_freed_memory()
    rows = []
    for name in names:
        with TemporaryDirectory() as folder:
            target = make_target(suite.target(name), Path(folder), device)
        bench = _Bench(suite, images, target, make_inverse(target), Networks())
        rows.append(bench.measure(min(count, len(images.ids)), naive_images))
    return rows
