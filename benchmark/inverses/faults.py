"""Faults of inverses: of code that is not in the package, as one line that names its file; and lack of memory."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmark.errors import SpecError, UserError

__all__ = ["blame", "lacks_memory"]


def lacks_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on whatever device."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@contextmanager
def blame(path: Path | None) -> Iterator[None]:
    """Turn what the code at `path` raises into one line that names file and line; None: there is no such code.

    Raises:
        SpecError: instead of an exception that came through a line of `path`, or of a syntax error in it; not of one
            that says that memory ran out.
    """
    path = path and path.absolute()
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if lacks_memory(error):
            raise
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if path and Path(frame.filename) == path]
        if isinstance(error, SyntaxError) and path and error.filename == str(path):
            lines.append(error.lineno)
        if not lines:
            raise
        message = f"line {lines[-1]}: {type(error).__name__}: {' '.join(str(error).split()):.300}"
        raise SpecError(message, where=str(path), cure="fix it") from None
