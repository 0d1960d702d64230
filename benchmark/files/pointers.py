"""Pointers of Git LFS: the few lines that lie in the place of a large file that was not fetched."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from benchmark.errors import SpecError

__all__ = ["is_pointer", "refuse_pointer"]

MARK = b"version https://git-lfs.github.com/spec/"
MESSAGE = "is a pointer of Git LFS, not the file itself"
CURE = "fetch it: git lfs pull; or, from the Hub: hf download"


def is_pointer(beginning: bytes) -> bool:
    """Whether the first bytes of a file, 40 or more, are those of a pointer."""
    return beginning.startswith(MARK)


def refuse_pointer(source: Path | bytes, where: str | None = None) -> None:
    """Refuse a pointer; a file that cannot be read is left to whoever reads it.

    Args:
        source: the file, or its content.
        where: what the message calls it, if not by its path.

    Raises:
        SpecError: it is one.
    """
    beginning = source if isinstance(source, bytes) else b""
    if isinstance(source, Path) and source.is_file():
        with suppress(OSError), source.open("rb") as file:
            beginning = file.read(len(MARK))
    if is_pointer(beginning):
        raise SpecError(MESSAGE, where=where or str(source), cure=CURE)
