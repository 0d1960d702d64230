"""Puts together what several processes computed, each a share of one evaluation, on one machine or on many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.content.content import Content
from benchmark.engine.chunks import ChunkStore, find_stores
from benchmark.engine.evaluation import Evaluation, assemble
from benchmark.engine.jobs import Job, Options, open_job
from benchmark.engine.provenance import Meter
from benchmark.errors import SpecError
from benchmark.submissions.candidates import Candidate

__all__ = ["merge_shards"]

MACHINE = ("device", "threads")
"""Circumstances that the machine which merges need not share with those that computed."""


def _rest(known: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in known.items() if name not in MACHINE}


def _find_runs(job: Job, caches: Sequence[Path]) -> list[dict[str, list[ChunkStore]]]:
    """Stores of the job's chunks by target, apart for each kind of machine; most chunks first."""
    wanted = {target: _rest(known) for target, known in job.circumstances.items()}
    runs: dict[str, dict[str, list[ChunkStore]]] = defaultdict(lambda: {target: [] for target in wanted})
    for store in (store for cache in caches for store in find_stores(cache)):
        target = store.circumstances.get("target")
        if isinstance(target, str) and wanted.get(target) == _rest(store.circumstances):
            runs[str([store.circumstances.get(name) for name in MACHINE])][target].append(store)

    def count(run: dict[str, list[ChunkStore]]) -> int:
        return sum(any(store.has(chunk.name) for store in own) for own in run.values() for chunk in job.chunks)

    return sorted(runs.values(), key=count, reverse=True)


def merge_shards(content: Content, candidate: Candidate, options: Options, caches: Sequence[Path]) -> Evaluation:
    """Assemble the evaluation whose chunks lie in `caches`; nothing is computed but means and intervals.

    The record, its digest and its scores are those of a single process on such a machine. Shares that were computed on
    other kinds of machines do not mix.

    Raises:
        SpecError: chunks are missing, or were computed with other code, weights, data or libraries.
    """
    job = open_job(content, candidate, options)
    runs = _find_runs(job, caches)
    if not runs or not all(runs[0].values()):
        where = ", ".join(map(str, caches))
        cure = "evaluate the shards with this code, these libraries and the same options; see --from"
        raise SpecError(f"no shards of '{candidate.id}' on {content.suite.id} lie there", where=where, cure=cure)
    (known, *_) = (store.circumstances for own in runs[0].values() for store in own)
    meter = Meter(options.device)
    meter.device_type, meter.device_name = known["device"]
    meter.threads = known["threads"]
    return assemble(content, candidate, job, runs[0], options, meter)
