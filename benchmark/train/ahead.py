"""Items made ahead of their use by other processes, in order. Free of torch, so that these start fast."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from benchmark.errors import UserError

__all__ = ["get_default_workers", "make_ahead"]

AHEAD = 4
MOST_WORKERS = 16
S = TypeVar("S")
T = TypeVar("T")


def get_default_workers() -> int:
    """One process for each core that this one may use, less one for itself; at most 16.

    Processes that torchrun started on one machine share its cores.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processes = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return max(0, min(MOST_WORKERS, cores // max(1, int(processes) if processes.isdecimal() else 1) - 1))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _prepare_worker() -> None:
    """Leave Ctrl-C to the parent, end when it ends, however it does, and let it go first where cores are short."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(5)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def make_ahead(make: Callable[[S], T], steps: Iterable[S], workers: int) -> Generator[T, None, None]:
    """Yield `make(step)` for each step, in their order; `workers` processes make up to four items each ahead.

    The items do not depend on the number of processes; with 0 they are made here when they are asked for. Closing
    the generator ends the processes.

    Args:
        make: picklable, as the steps and its results; it depends on the step alone.

    Raises:
        UserError: a process died. What `make` raises is passed on.
    """
    if workers == 0:
        yield from map(make, steps)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare_worker)
    waiting: deque[Future[T]] = deque()
    try:
        for step in steps:
            waiting.append(pool.submit(make, step))
            if len(waiting) >= AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        message = "a process that prepares training images died"
        raise UserError(message, cure="run the command again, with fewer --workers if memory was short") from None
    finally:
        pool.shutdown(cancel_futures=True)
