"""Several processes for much work: results in the order of the jobs, errors as they were raised.

The standard library's pool, not joblib: the processes of joblib outlive the work by minutes unless parts of it that are
not public end them, its interrupts print the traceback of a thread, and reading many records with it takes longer.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

__all__ = ["iter_results"]

Job = TypeVar("Job")
Result = TypeVar("Result")


def _prepare_process(prepare: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    """Set a process up; an interrupt is the business of the one that waits for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    threadpool_limits(1)
    if prepare is not None:
        prepare(*arguments)


def iter_results(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    alone: int,
    prepare: Callable[..., None] | None = None,
    arguments: tuple[Any, ...] = (),
    at_once: int = 1,
) -> Generator[Result, None, None]:
    """Return the results of jobs, in their order; processes set to work at once, whenever results are asked for.

    Args:
        function: of a module, as processes find it by its name.
        alone: up to so many jobs are done in this process, since others take a second to start.
        prepare: called with `arguments` once in every process that does jobs.
        at_once: how many jobs a process gets at a time.
    """
    processes = min(os.cpu_count() or 1, len(jobs))
    if len(jobs) <= alone or processes == 1:
        if prepare is not None:
            prepare(*arguments)
        return (function(job) for job in jobs)
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(processes, context, _prepare_process, (prepare, arguments))
    return _collect(executor, executor.map(function, jobs, chunksize=at_once))


def _collect(executor: ProcessPoolExecutor, results: Iterator[Result]) -> Generator[Result, None, None]:
    # Results hold no cycles, and searching them for some takes longer than receiving them: not now, nor later (freeze).
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield from results
    finally:
        # An interrupt during this wait would make Python, up to 3.12, wait for the processes forever when it exits.
        ours = threading.current_thread() is threading.main_thread()
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if ours else None
        executor.shutdown(cancel_futures=True)
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
        gc.freeze()
        if collecting:
            gc.enable()
