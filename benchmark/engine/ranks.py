"""One evaluation by several processes that torchrun started, on one machine or on several with one cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta

from benchmark.content.content import Content
from benchmark.engine.computing import compute
from benchmark.engine.evaluation import Evaluation, assemble
from benchmark.engine.jobs import WHOLE, Options, Share, open_job
from benchmark.engine.provenance import Meter
from benchmark.engine.run_lock import run_lock
from benchmark.engine.torchrun import Rank
from benchmark.submissions.candidates import Candidate

__all__ = ["evaluate_rank"]

PATIENCE = timedelta(days=14)
"""How long processes wait for the slowest; torchrun ends them at once if one dies."""


@contextmanager
def _joined() -> Iterator[None]:
    from torch import distributed

    distributed.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def evaluate_rank(content: Content, candidate: Candidate, options: Options, rank: Rank) -> Evaluation | None:
    """Compute this process's share of the chunks, wait for the others', and put all together in the first process.

    The record, its digest and its scores are those of a single process with as many threads. All must see the same
    cache folder. If one dies, what all have stored is kept, and the same command goes on with it.

    Returns:
        The evaluation in the process of rank 0, None in the others.

    Raises:
        UserError: see `evaluate`.
    """
    from torch import distributed

    options = replace(options, share=Share(rank.rank, rank.world))
    meter, job = Meter(options.device), open_job(content, candidate, options)
    first = rank.rank == 0
    with _joined(), run_lock(job.stores.values(), WHOLE) if first else nullcontext():
        title = f"{candidate.id} {options.share}"
        computed = compute(content, job, options, title, quiet=not first)
        distributed.barrier()
        if not first:
            return None
        return assemble(content, candidate, job, {n: [s] for n, s in job.stores.items()}, options, meter, computed)
