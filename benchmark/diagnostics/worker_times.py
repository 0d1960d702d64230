"""What a worker costs: tiles by an inverse in this process and by the same in a worker, in turn, in one run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from benchmark.content.content import Content
from benchmark.engine.heap import keep_freed_memory
from benchmark.engine.jobs import Job, Options, open_job
from benchmark.engine.pipeline import Pipeline
from benchmark.engine.scorer import iter_tiles
from benchmark.engine.stopwatch import Stopwatch
from benchmark.engine.worker import launching, opened
from benchmark.submissions.candidates import Candidate
from benchmark.targets import load_target

__all__ = ["measure_worker"]

Row = dict[str, str | float]


def _time_tiles(content: Content, jobs: Sequence[Job], name: str, options: Options, rounds: int) -> tuple[float, float]:
    """Seconds of a tile by each of two jobs, in turn."""
    spec = content.suite.target(name)
    samples = [content.images.load(index, spec.input_size) for index in range(8)]
    (tile,) = iter_tiles(samples, options.device)
    target = load_target(spec, content.target(spec), options.device)
    here, there = (
        Pipeline(content.suite, target, job.loaded[name][0], job.networks, Stopwatch(options.device)) for job in jobs
    )
    spent = {here: 0.0, there: 0.0}
    for count in range(rounds + 1):
        for pipeline in (here, there) if count % 2 else (there, here):
            began = time.perf_counter()
            pipeline.run(tile)
            spent[pipeline] += (time.perf_counter() - began) * (count > 0)
    return spent[here] / rounds, spent[there] / rounds


def _row(name: str, spent: tuple[float, float], start: float, tiles: float) -> Row:
    """What two tiles took, without and with a worker, and what that means for all of them."""
    here, there = spent
    whole = (start + there * tiles) / (here * tiles)
    return {
        "target": name, "s a tile": here, "worker / process": there / here, "start s": start,
        "worker / process, suite": whole,
    }  # fmt: skip


def measure_worker(content: Content, candidate: Candidate, options: Options, rounds: int) -> list[Row]:
    """Return a row for each target of a suite, and one for all.

    `worker / process`: seconds of a tile of eight images, all perturbations, scores and layers included, with the
    inverse in a worker, over those with it in this process; the first tile of each is left out. `start s`: until a
    worker has its inverse, the first after its launcher. `worker / process, suite`: the same over all images of the
    suite, with the start.

    Args:
        options: of which device and targets are looked at.
        rounds: so many tiles are timed, each way.
    """
    if options.device.type == "cpu":
        keep_freed_memory()
    rows: list[Row] = []
    jobs = [open_job(content, replace(candidate, in_worker=in_worker), options) for in_worker in (False, True)]
    tiles = -(-len(content.images.ids) // 8)
    total, starts = [0.0, 0.0], 0.0
    began = time.perf_counter()
    with launching(inverse for inverse, _ in jobs[1].loaded.values()):
        for name in jobs[0].loaded:
            with opened(jobs[1].loaded[name][0]):
                start = time.perf_counter() - began
                spent = _time_tiles(content, jobs, name, options, rounds)
            rows.append(_row(name, spent, start, tiles))
            total, starts = [total[0] + spent[0], total[1] + spent[1]], starts + start
            began = time.perf_counter()
    return [*rows, _row("all", (total[0], total[1]), starts, tiles)]
