"""The model of costs against the clock: an evaluation at published size, each part beside what the model says."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmark.datasets.base import ImageSet
from benchmark.diagnostics.costs import PARTS, Price, Speeds, price
from benchmark.diagnostics.counter import counting
from benchmark.diagnostics.counting import count_scoring, count_target
from benchmark.diagnostics.full_size import make_inverse, make_judge, make_perceptual, open_target
from benchmark.diagnostics.speeds import clock_of, measure_speeds
from benchmark.engine.heap import keep_freed_memory
from benchmark.engine.pipeline import Pipeline
from benchmark.engine.scorer import TILE, Tile, iter_tiles
from benchmark.engine.stopwatch import Stopwatch
from benchmark.inverses.modular import find_components
from benchmark.metrics.case import Networks
from benchmark.suites.spec import Suite, TargetSpec

__all__ = ["check_costs", "shorten"]

META = torch.device("meta")


def shorten(suite: Suite, kinds: Sequence[str], taps: int | None = None) -> Suite:
    """Return a copy of a suite over eight images, under identity and some perturbations, with about `taps` taps.

    All images are seen by the judge and compared. Of the taps of a target those at even distances are kept, the first
    and the last among them, and the last of each component, without which a `modular` inverse has no chain.
    """

    def chosen(spec: TargetSpec) -> TargetSpec:
        most = len(spec.taps) if taps is None else min(taps, len(spec.taps))
        places = {round(k * (len(spec.taps) - 1) / max(1, most - 1)) for k in range(most)}
        kept = {spec.tap_names[place] for place in places} | {link.tap for link in find_components(spec.tap_names)}
        return spec.model_copy(update={"taps": tuple(tap for tap in spec.taps if tap.name in kept)})

    few = ("identity", *(kind for kind in suite.perturbations[1:] if kind in kinds))
    dataset = suite.dataset.model_copy(update={"images": TILE})
    targets = tuple(chosen(spec) for spec in suite.targets)
    return suite.model_copy(update={"perturbations": few, "dataset": dataset, "targets": targets})


def _price(suite: Suite, spec: TargetSpec, tile: Tile) -> Price:
    with counting(), TemporaryDirectory() as folder:
        target = open_target(spec, Path(folder), META)
        inverse = make_inverse(target)
    counts = count_target(target, inverse, tile, count_scoring(suite, spec, tile))
    return price(suite, spec.id, counts)


def _measure(suite: Suite, spec: TargetSpec, tile: Tile, device: torch.device) -> dict[str, float]:
    """Return the seconds of an image by part, by the device's own clock, and `share`: how much of the time it had."""
    with TemporaryDirectory() as folder:
        target = open_target(spec, Path(folder), device)
        inverse = make_inverse(target)
    with TemporaryDirectory() as folder:
        judge = make_judge(suite.judge, Path(folder), device) if suite.judge else None
    networks, watch = Networks(judge, make_perceptual(device)), Stopwatch(device, clock_of(device))
    pipeline = Pipeline(suite, target, inverse, networks, watch)
    watch.take()
    clock, wall, own = clock_of(device), time.perf_counter(), time.process_time()
    began = clock()
    pipeline.run(tile)
    total, share = clock() - began, (time.process_time() - own) / (time.perf_counter() - wall)
    stages = watch.take()
    parts = {"target": stages["target"], "inverse": stages["inverse"], "metrics": stages["scores"]}
    parts |= {"layers": stages["layers"], "total": total}
    return {part: seconds / TILE for part, seconds in parts.items()} | {"share": share}


def _between(before: Speeds, after: Speeds) -> Speeds:
    """Return speeds at which work takes the mean of the times that it takes at two others."""
    teraflops = 2 / (1 / before.teraflops + 1 / after.teraflops)
    return replace(before, teraflops=teraflops, gigabytes=2 / (1 / before.gigabytes + 1 / after.gigabytes))


def check_costs(
    suite: Suite, names: Sequence[str], images: ImageSet, device: torch.device
) -> list[dict[str, str | float]]:
    """Return a row for each target: seconds of an image by part, measured and by the model, and the ratio of both.

    The speeds are measured in the same process, right before and right after the evaluation of eight images. Everything
    is measured by the time that the process computes (`clock_of`), so that other processes hardly matter. LPIPS and
    judge are there, networks have random weights.

    Args:
        suite: over eight images, see `shorten`.
        images: at least eight.

    Raises:
        NotFoundError: a network cannot be made here.
    """
    if device.type == "cpu":
        keep_freed_memory()
    rows = []
    for spec in [suite.target(name) for name in names]:
        samples = [images.load(index, spec.input_size) for index in range(TILE)]
        judged = [sample.id for sample in samples]
        (counted,) = iter_tiles(samples, torch.device("cpu"), judged=judged)
        modelled = _price(suite, spec, counted)
        (tile,) = iter_tiles(samples, device, judged=judged)
        before = measure_speeds(device, str(device))
        measured = _measure(suite, spec, tile, device)
        speeds = _between(before, measure_speeds(device, str(device)))
        row: dict[str, str | float] = {"target": spec.id, "taps": len(spec.taps), "kinds": len(suite.perturbations)}
        for part, work in (*((part, modelled.parts[part]) for part in PARTS), ("total", modelled.total)):
            row |= {f"{part}_s": measured[part], f"{part}_model_s": speeds.seconds(work)}
            row[f"{part}_ratio"] = measured[part] / speeds.seconds(work)
        row |= {"teraflops": speeds.teraflops, "gigabytes": speeds.gigabytes, "share": measured["share"]}
        rows.append(row)
    return rows
