"""Counting the work of an evaluation: networks on the meta device, which computes nothing; pixel operations really."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from benchmark.datasets.base import ImageSet
from benchmark.diagnostics.costs import Counts, Workload
from benchmark.diagnostics.counter import count_work, counting
from benchmark.diagnostics.full_size import make_inverse, make_judge, make_perceptual, open_target
from benchmark.engine.layer_transfer import find_groups
from benchmark.engine.reading import with_seeds
from benchmark.engine.scorer import TILE, Scorer, Tile, in_batches, iter_tiles, load_metric
from benchmark.inverses.base import Inverse
from benchmark.metrics.case import Case, FocalMask, Networks, View
from benchmark.metrics.layers import COMPARED, hsic
from benchmark.metrics.spec import get_metric
from benchmark.suites.spec import Suite, TargetSpec
from benchmark.targets.base import Target

__all__ = ["Scoring", "count_scoring", "count_suite", "count_target"]

META = torch.device("meta")


class _Asked:
    """Stands in for judge and perceptual network, and keeps how many images and pairs it was asked about."""

    exclusive_labels = True

    def __init__(self) -> None:
        self.images = self.pairs = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.images += len(images)
        return images.new_full((len(images), 2), 0.5)

    def features(self, images: Tensor) -> list[Tensor]:
        self.images += len(images)
        return [images.new_zeros(len(images), 1)]

    def distance(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        self.pairs += len(first[0])
        return first[0][:, 0]


@dataclass(frozen=True)
class Scoring:
    """Work of scoring an image's recons: see the fields of Counts."""

    pixels: Workload
    perceptual: Workload
    judge: Workload


def count_scoring(suite: Suite, spec: TargetSpec, tile: Tile) -> Scoring:
    """Return the work of perturbing and scoring an image at all taps of a target.

    Args:
        tile: eight images of the target's size on the CPU, on all of which the judge looks.

    Raises:
        NotFoundError: the suite's judge cannot be made here.
    """
    recons = dict.fromkeys(spec.tap_names, tile.images.flip(0).roll(3, dims=3))
    asked, perceived = _Asked(), _Asked()
    looks = any("perceptual" in get_metric(metric).needs for metric in suite.metrics)
    networks = Networks(asked if suite.judge else None, perceived if looks else None)
    scorer = Scorer(suite, spec.tap_names, lambda seen: recons, networks)
    pixels = count_work(partial(scorer.run, tile))
    judge = perceptual = Workload()
    images = torch.zeros(TILE, 3, *spec.input_size, device=META)
    if suite.judge:
        with counting(), TemporaryDirectory() as folder:
            network = make_judge(suite.judge, Path(folder), META)
        judge = count_work(partial(network, images)) * (asked.images / TILE)
    if perceived.images:
        lpips = make_perceptual(META)
        maps = lpips.features(images)
        perceptual = count_work(partial(lpips.features, images)) * (perceived.images / TILE)
        perceptual += count_work(partial(lpips.distance, maps, maps)) * (perceived.pairs / TILE)
    return Scoring(pixels * (1 / TILE), perceptual * (1 / TILE), judge * (1 / TILE))


def _count_layers(target: Target, inverse: Inverse, by_tap: Mapping[str, Workload], tile: Tile) -> Workload:
    """Return the work of comparing layers on a tile, without the target's pass: see `LayerScorer`."""
    groups = find_groups(target.spec, inverse.config.taps)
    pairs = [(i, j) for _, taps in groups for i in taps for j in taps if i != j]
    ways = {(source, inverse.route(through)): through for source, through in pairs}
    work = sum((by_tap[through] for through in ways.values()), Workload())
    metric, original, mask = load_metric(COMPARED), View(tile.images), FocalMask(tile.masks)
    recon = tile.images.flip(0).roll(3, dims=3)

    def compare() -> None:
        for batch in in_batches(list(ways), tile):
            seen = original.repeated(len(batch))
            metric(Case(seen, seen, View(torch.cat([recon] * len(batch))), mask.repeated(len(batch))))

    shapes = [torch.zeros(TILE, *shape, device=META) for shape in inverse.config.taps.values()]
    return work + count_work(compare) + count_work(partial(hsic, shapes))


def count_target(target: Target, inverse: Inverse, tile: Tile, scoring: Scoring) -> Counts:
    """Return the work of an image at a target with an inverse of it, both on the meta device.

    Args:
        tile: eight images of the target's size on the CPU.
    """
    images = torch.zeros(TILE, 3, *target.spec.input_size, device=META)
    with counting():
        features = {tap: with_seeds(item, tap, tile.ids) for tap, item in target.features(images).items()}
    seen, inverted = count_work(partial(target.features, images)), count_work(partial(inverse.invert, features))
    by_tap = {tap: count_work(partial(inverse.invert, {tap: item})) for tap, item in features.items()}
    layers = seen + _count_layers(target, inverse, by_tap, tile)
    training = seen + by_tap[target.spec.tap_names[-1]] * 3
    target_work, inverse_work, layers, training = (work * (1 / TILE) for work in (seen, inverted, layers, training))
    weights = sum(parameter.numel() for parameter in inverse.parameters())
    return Counts(
        weights, target_work, inverse_work, scoring.pixels, scoring.perceptual, scoring.judge, layers, training
    )


def count_suite(suite: Suite, names: Iterable[str], images: ImageSet) -> Iterator[tuple[str, Counts]]:
    """Yield targets of a suite with the work of an image, with `modular` inverses of the package's recipes.

    Networks of published size have random weights on the meta device.

    Args:
        images: at least eight, at any size.

    Raises:
        NotFoundError: the network of a target, or of the judge, cannot be made here.
    """
    known: dict[tuple[tuple[int, int], int], tuple[Tile, Scoring]] = {}
    for name in names:
        spec = suite.target(name)
        with counting(), TemporaryDirectory() as folder:
            target = open_target(spec, Path(folder), META)
            inverse = make_inverse(target)
        shape = (spec.input_size, len(spec.taps))
        if shape not in known:
            samples = [images.load(index, spec.input_size) for index in range(TILE)]
            (tile,) = iter_tiles(samples, torch.device("cpu"), judged=[sample.id for sample in samples])
            known[shape] = tile, count_scoring(suite, spec, tile)
        yield name, count_target(target, inverse, *known[shape])
