"""What can be watched of an evaluation while it runs: a log for programs, and a trace of what PyTorch does."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import torch

from benchmark.errors import UserError
from benchmark.files.storing import replacing, storing

__all__ = ["Tracer", "log_line"]

Item = TypeVar("Item")
Result = TypeVar("Result")
TRACED = 2


def log_line(path: Path | None, **values: Any) -> None:
    """Append values, and the time, as one line of JSON; processes may write to one file. Without a path do nothing.

    Raises:
        UserError: the file cannot be written to; says why.
    """
    if path is None:
        return
    line = json.dumps({"time": round(time.time(), 3), **values})
    with storing(path, "name another file with --log-json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(line + "\n")


class Tracer:
    """Lets things be done, and writes a trace of the second of them: the first also sets things up.

    A path that ends in .gz gets a compressed one.

    Attributes:
        waiting: whether a trace is wanted and not written yet.
    """

    def __init__(self, path: Path | None, device: torch.device) -> None:
        self._path, self._device, self._done = path, device, 0
        self.waiting = path is not None

    def __call__(self, function: Callable[[Item], Result], item: Item) -> Result:
        """Return `function(item)`.

        Raises:
            UserError: the trace cannot be written; says why.
        """
        self._done += 1
        if not self.waiting or self._path is None or self._done < TRACED:
            return function(item)
        kinds = [torch.profiler.ProfilerActivity.CPU]
        if self._device.type == "cuda":
            kinds.append(torch.profiler.ProfilerActivity.CUDA)
        with torch.profiler.profile(activities=kinds) as trace:
            result = function(item)
        self._write(trace)
        self.waiting = False
        return result

    def _write(self, trace: torch.profiler.profile) -> None:
        assert self._path is not None
        with TemporaryDirectory() as folder:
            file = Path(folder) / "trace.json"
            trace.export_chrome_trace(str(file))
            text = file.read_bytes() if file.exists() else b""
        # PyTorch says nothing of a full disk.
        if not text.rstrip().endswith(b"}"):
            raise UserError("cannot be written", where=str(self._path), cure="free some space, or leave --profile out")
        with replacing(self._path, "name another file with --profile") as temporary:
            temporary.write_bytes(gzip.compress(text) if self._path.suffix == ".gz" else text)
