"""One evaluation by as many processes as a machine has cores, each with one thread.

Many operations of an evaluation gain little from a second thread, and what they give depends on the number of threads
in the last bits. Processes share the chunks, and the record is the same for any number of them.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import torch

from benchmark.content.content import Content
from benchmark.engine.computing import compute
from benchmark.engine.evaluation import Evaluation, assemble
from benchmark.engine.jobs import WHOLE, Job, Options, Share, open_job
from benchmark.engine.memory import BASE_BYTES, available_bytes, predict_peak_bytes
from benchmark.engine.provenance import Meter
from benchmark.engine.run_lock import run_lock
from benchmark.submissions.candidates import Candidate
from benchmark.suites.spec import Suite

__all__ = ["count_processes", "evaluate_by_processes", "share_cores"]

_DIE_WITH_PARENT = 1


def count_processes(suite: Suite, *, isolated: bool = False) -> int:
    """Return how many processes this machine has cores and memory for; 1 where they cannot be forked.

    Args:
        isolated: whether each has a worker, which takes its libraries once more.
    """
    if sys.platform != "linux":
        return 1
    peak = max(predict_peak_bytes(suite, target) for target in suite.targets) + (BASE_BYTES if isolated else 0)
    fitting = available_bytes() // peak
    return max(1, min(len(os.sched_getaffinity(0)), fitting))


def share_cores(suite: Suite, device: torch.device, threads: int | None, *, isolated: bool = False) -> int:
    """Return how many processes to evaluate by; several get one thread each, a single one keeps all of them."""
    if threads is not None or device.type != "cpu":
        return 1
    count = count_processes(suite, isolated=isolated)
    if count > 1:
        torch.set_num_threads(1)
    return count


def _help(content: Content, job: Job, options: Options, title: str) -> None:
    """Compute a share in a process of its own; what goes wrong there, the process that waits meets itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    with suppress(Exception):
        compute(content, job, options, title, quiet=True)


@contextmanager
def _helpers(content: Content, job: Job, shares: Sequence[Options], title: str) -> Iterator[None]:
    """Have each share computed by a process of its own, and wait for them."""
    context = multiprocessing.get_context("fork")
    helpers = [context.Process(target=_help, args=(content, job, options, title), daemon=True) for options in shares]
    with warnings.catch_warnings():
        # Python 3.12 warns of any other thread; those of this process hold no lock that a helper takes.
        warnings.simplefilter("ignore", DeprecationWarning)
        for helper in helpers:
            helper.start()
    try:
        yield
        for helper in helpers:
            helper.join()
    finally:
        for helper in helpers:
            helper.kill()


def evaluate_by_processes(content: Content, candidate: Candidate, options: Options, count: int) -> Evaluation:
    """Evaluate as `evaluate` does, by this process and others that are forked from it.

    The networks are loaded once. What a process that died has left, this one computes. Call it with one CPU thread,
    before anything has computed with more.

    Raises:
        UserError: see `evaluate`.
    """
    meter, job = Meter(options.device), open_job(content, candidate, options)
    own, *others = (
        replace(options, share=Share(index, count), trace=None if index else options.trace) for index in range(count)
    )
    with run_lock(job.stores.values(), WHOLE):
        paths = {str(store.path(chunk.name)) for store in job.stores.values() for chunk in job.chunks}
        known = {path for path in paths if Path(path).exists()}
        with _helpers(content, job, others, candidate.id):
            compute(content, job, own, candidate.id)
        again = compute(content, job, replace(options, trace=None), candidate.id, quiet=True)
        stores = {name: [store] for name, store in job.stores.items()}
        return assemble(content, candidate, job, stores, options, meter, (paths - known) | again)
