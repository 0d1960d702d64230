"""One process per run: who computes the chunks of a run is written beside them."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from benchmark.engine.chunks import ChunkStore
from benchmark.engine.jobs import Share
from benchmark.errors import UserError
from benchmark.files.storing import ANOTHER_CACHE, storing

__all__ = ["run_lock"]


def _who(path: Path) -> str:
    """Who wrote a file of this module, in words."""
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        return f"process {owner['pid']:d} on {owner['host']:.60}, since {owner['since']:.30}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


@contextmanager
def run_lock(stores: Iterable[ChunkStore], share: Share) -> Iterator[None]:
    """Keep other processes from computing the same share of the same runs; a process that dies gives it back.

    Raises:
        UserError: one does so already; says who.
    """
    owner = {
        "pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    with ExitStack() as stack:
        for store in stores:
            path = store.folder.with_name(f"{store.folder.name}.{share.index + 1}-of-{share.count}.lock")
            told = path.with_suffix(".owner")
            with storing(path, ANOTHER_CACHE):
                path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    lock = stack.enter_context(FileLock(path, blocking=False))
                except Timeout:
                    cure = "wait for it, or stop it; what it has computed is kept"
                    raise UserError(f"is being evaluated by {_who(told)}", where=str(store.folder), cure=cure) from None
                told.write_text(json.dumps(owner), encoding="utf-8")
            # Removed while the lock is held: whoever opens it later makes a new one.
            for used in (told, Path(lock.lock_file)):
                stack.callback(_remove, used)
        yield


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
