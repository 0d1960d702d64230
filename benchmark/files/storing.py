"""Files that are whole or absent: written under a temporary name, moved into place; a failing disk is one line.

Import-light.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmark.errors import UserError, first_line

__all__ = ["CACHE_ROOM", "check_writable", "replacing", "storing", "write_bytes", "write_text"]

ROOM = "free some space there, or name another folder"
CACHE_ROOM = "free some space, or set INVBENCH_CACHE to another folder; then rerun the command to resume"


@contextmanager
def storing(path: Path, fix: str = ROOM) -> Iterator[None]:
    """Turn a failure of the disk or of its rights into one line.

    Args:
        path: what is being written; named unless the failure names another.
        fix: what to do about it.

    Raises:
        UserError: cannot be written; says why.
    """
    try:
        yield
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else path
        raise UserError(f"cannot be written: {first_line(error)}", where=str(where), cure=fix) from None


@contextmanager
def replacing(path: Path, fix: str = ROOM) -> Iterator[Path]:
    """Give a temporary path beside `path`, which takes its place when the block ends well, and is removed otherwise.

    The folder is made. Two processes may write the same file: the last one wins, and the file is always whole. A link
    keeps leading where it does, and what is no regular file (`/dev/stdout`) is written to as it is.

    Raises:
        UserError: cannot be written; says why.
    """
    with storing(path, fix):
        if path.exists() and not path.is_file():
            yield path
            return
        path = path.resolve()
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink()


def write_bytes(path: Path, *parts: bytes | memoryview, fix: str = ROOM) -> None:
    """Write a file whose content is `parts`, one after the other; see `replacing`."""
    with replacing(path, fix) as temporary, temporary.open("wb") as file:
        for part in parts:
            file.write(part)


def write_text(path: Path, text: str, fix: str = ROOM) -> None:
    """Write a UTF-8 file with `\\n` at the end of lines on every system; see `replacing`."""
    write_bytes(path, text.encode(), fix=fix)


def check_writable(folder: Path, option: str | None = None) -> None:
    """Try to write to a folder before work begins; what had to be made for that is removed.

    Args:
        option: that named the folder, for the message.

    Raises:
        UserError: it, or the nearest folder above it that exists, cannot be written to.
    """
    fix = f"name another with {option}" if option else ROOM
    try:
        nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        if not nearest.is_dir():
            raise UserError("is not a folder", where=str(nearest), cure=fix)
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise UserError(f"cannot be written: {first_line(error)}", where=str(folder), cure=fix) from None
