"""What a worker costs: tiles by an inverse in this process and by the same in a worker, in turn, in one run."""

from __future__ import annotations

import time
from dataclasses import replace

from benchmark.content.content import Content
from benchmark.engine.heap import keep_freed_memory
from benchmark.engine.jobs import Options, open_job
from benchmark.engine.pipeline import Pipeline
from benchmark.engine.scorer import iter_tiles
from benchmark.engine.stopwatch import Stopwatch
from benchmark.engine.worker import opened
from benchmark.submissions.candidates import Candidate
from benchmark.targets import load_target

__all__ = ["measure_worker"]

Row = dict[str, str | float]


def measure_worker(content: Content, candidate: Candidate, options: Options, rounds: int) -> list[Row]:
    """Return a row for each target of a suite.

    `worker / process`: seconds of a tile of eight images, all perturbations, scores and layers included, with the
    inverse in a worker, over those with it in this process; the first tile of each is left out. `start s`: until a
    worker has its inverse. `worker / process, suite`: the same over all images of the suite, with the start.

    Args:
        options: of which device and targets are looked at.
        rounds: so many tiles are timed, each way.
    """
    if options.device.type == "cpu":
        keep_freed_memory()
    suite = content.suite
    rows: list[Row] = []
    jobs = [open_job(content, replace(candidate, in_worker=in_worker), options) for in_worker in (False, True)]
    for name in jobs[0].loaded:
        spec = suite.target(name)
        samples = [content.images.load(index, spec.input_size) for index in range(8)]
        (tile,) = iter_tiles(samples, options.device)
        target = load_target(spec, content.target(spec), options.device)
        here, there = (
            Pipeline(suite, target, job.loaded[name][0], job.networks, Stopwatch(options.device)) for job in jobs
        )
        spent = {here: 0.0, there: 0.0}
        began = time.perf_counter()
        with opened(jobs[1].loaded[name][0]):
            start = time.perf_counter() - began
            for count in range(rounds + 1):
                for pipeline in (here, there) if count % 2 else (there, here):
                    began = time.perf_counter()
                    pipeline.run(tile)
                    spent[pipeline] += (time.perf_counter() - began) * (count > 0)
        tiles = -(-len(content.images.ids) // 8)
        whole = (start + spent[there] / rounds * tiles) / (spent[here] / rounds * tiles)
        row: Row = {"target": name, "s a tile": spent[here] / rounds, "worker / process": spent[there] / spent[here]}
        rows.append(row | {"start s": start, "worker / process, suite": whole})
    return rows
