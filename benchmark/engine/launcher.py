"""A clean process that starts workers: the libraries are imported once, and what is submitted never in it.

It is started afresh, never forked from the evaluation, and so knows nothing of it. Each worker is forked from it before
any submitted code is there, and ends with it.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import IO, Any
from uuid import uuid4

import torch
from tqdm import tqdm

from benchmark.engine import worker_main
from benchmark.engine.confinement import hide_memory
from benchmark.engine.wire import DONE, Message, Wire, WireError
from benchmark.errors import SpecError
from benchmark.files.paths import PACKAGE

__all__ = ["Launcher", "printable", "scratch_folder"]

START_SECONDS = 300.0
MAX_OUTPUT_LINES, MAX_LINE = 200, 300
KEPT_VARIABLES = ("HOME", "LANG", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "SYSTEMROOT")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def _environment(scratch: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    counts = dict.fromkeys(THREAD_VARIABLES, str(torch.get_num_threads()))
    return kept | counts | {"TMPDIR": str(scratch), "HF_HUB_OFFLINE": "1"}


def printable(text: str) -> str:
    """Return a text from outside in one line of bounded length, without what moves a cursor."""
    return re.sub(r"[^\x20-\x7e\u00a0-\ud7ff]", "?", text)[:MAX_LINE]


def _tell(output: IO[bytes]) -> None:
    """Pass on what a worker prints, a bounded number of lines of bounded length, with nothing that moves a cursor."""
    for count in range(MAX_OUTPUT_LINES + 1):
        if not (line := output.readline(4 * MAX_LINE)):
            return
        told = printable(line.decode(errors="replace").rstrip()) if count < MAX_OUTPUT_LINES else "(more is left out)"
        tqdm.write(f"worker: {told}", file=sys.stderr)
    while output.read(2**16):
        pass


def _remove(folder: Path) -> None:
    """Remove a folder and what lies in it, however deep: what lies in a folder of it is moved up before it is removed.

    Raises:
        OSError: something cannot be removed.
    """
    while found := list(folder.iterdir()):
        for path in found:
            if path.is_dir() and not path.is_symlink():
                for inner in list(path.iterdir()):
                    inner.rename(folder / uuid4().hex)
                path.rmdir()
            else:
                path.unlink()
    folder.rmdir()


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """A folder that is removed with whatever lies in it; no mode of it is changed.

    Raises:
        SpecError: something in it cannot be removed, and would be there for the next worker.
    """
    folder = Path(tempfile.mkdtemp(prefix="invbench-worker-", dir=parent))
    try:
        yield folder
    finally:
        with suppress(OSError):
            _remove(folder)
    if folder.exists():
        message = "a worker left what cannot be removed"
        raise SpecError(message, where=str(folder), cure="remove it; the inverse is to make no such folders")


class Launcher:
    """Starts workers. `close` ends it, and all of them.

    Attributes:
        scratch: a folder of its own, for those that each worker may write to.
    """

    def __init__(self) -> None:
        with ExitStack() as stack:
            self.scratch = stack.enter_context(scratch_folder())
            ours, theirs = socket.socketpair()
            stack.callback(ours.close)
            hide_memory()
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-E", "-P", worker_main.__file__, str(PACKAGE.parent), str(theirs.fileno())],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    pass_fds=[theirs.fileno()], cwd=self.scratch, env=_environment(self.scratch),
                    start_new_session=True,
                )  # fmt: skip
            assert process.stdout
            teller = Thread(target=_tell, args=(process.stdout,), daemon=True)
            teller.start()
            stack.callback(process.stdout.close)
            stack.callback(teller.join)
            stack.callback(process.wait)
            stack.callback(process.kill)
            self._control, self._line = ours, Wire(ours, START_SECONDS)
            self._search: tuple[Path, ...] | None = None
            self._stack = stack.pop_all()

    def __enter__(self) -> Launcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def search(self) -> tuple[Path, ...]:
        """Folders that modules are looked for in, but for this package's.

        Raises:
            WireError: the launcher does not start or has ended.
        """
        if self._search is None:
            self._search = tuple(Path(path) for path in self._line.receive().said["search"] if Path(path).is_dir())
        return self._search

    def start(self, task: Mapping[str, Any], deadline: float) -> tuple[int, Wire]:
        """Start a worker; return its process and the line to it.

        Args:
            task: what it is to do, see `worker_main`.
            deadline: of the line, in seconds.

        Raises:
            WireError: the launcher does not start or has ended.
        """
        assert self.search, "what a launcher says first is read before it is asked"
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._line.restart()
                self._line.send(Message(DONE, 0, {"task": dict(task)}))
                socket.send_fds(self._control, [b"f"], [theirs.fileno()])
                return int(self._line.receive().said["pid"]), Wire(ours, deadline)
            except (OSError, WireError) as error:
                ours.close()
                raise WireError(f"could not be started: {error}") from None

    def end(self, pid: int, grace: float = 0.0) -> int | None:
        """End a worker that was started and has not been ended.

        Args:
            grace: seconds that it is given to end by itself.

        Returns:
            Its exit code, minus the signal that killed it; None if it did not end by itself.
        """
        with suppress(WireError):
            self._line.restart()
            self._line.send(Message(DONE, 0, {"pid": pid, "grace": grace}))
            code = self._line.receive().said["code"]
            return None if code is None else int(code)
        return None

    def close(self) -> None:
        """End it with all its workers."""
        self._stack.close()
