"""Files that are whole or absent: written under a temporary name, moved into place; a failing disk is one line.

Import-light.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmark.errors import UserError, first_line

__all__ = ["ANOTHER_CACHE", "NO_SPACE", "check_writable", "replacing", "storing", "write_bytes", "write_text"]

ANOTHER_FOLDER = "name another folder"
ANOTHER_CACHE = "set INVBENCH_CACHE to another folder; then rerun the command to resume"
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Errors of the system that more space would cure."""


@contextmanager
def storing(path: Path, fix: str = ANOTHER_FOLDER) -> Iterator[None]:
    """Turn a failure of the disk or of its rights into one line.

    Args:
        path: what is being written; named unless the failure names a path that lies elsewhere.
        fix: what to do about it, beside making room where that is what lacks.

    Raises:
        UserError: cannot be written; says why.
    """
    try:
        yield
    except OSError as error:
        named = error.filename if isinstance(error.filename, str) else ""
        where = path if not named or Path(named).parent in (path.parent, path.resolve().parent) else named
        cure = f"free some space, or {fix}" if error.errno in NO_SPACE else fix
        raise UserError(f"cannot be written: {first_line(error)}", where=str(where), cure=cure) from None


@contextmanager
def replacing(path: Path, fix: str = ANOTHER_FOLDER) -> Iterator[Path]:
    """Give a temporary path beside `path`, which takes its place when the block ends well, and is removed otherwise.

    The folder is made. Several processes may write the same file: the last one wins, and the file is always whole. A
    link keeps leading where it does, a file keeps its rights. What cannot be replaced is written to as it is: what is
    no regular file (`/dev/stdout`), a file in a folder without rights, and one that is mounted.

    Raises:
        UserError: cannot be written; says why.
    """
    with storing(path, fix):
        exists = path.exists()
        if exists and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if exists and not (path.is_file() and os.access(path.resolve().parent, os.W_OK)):
            yield path
            return
        path = path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
        try:
            yield temporary
            temporary.chmod(stat.S_IMODE(path.stat().st_mode) if exists else 0o666 & ~_umask())
            _put(temporary, path)
        finally:
            with suppress(OSError):
                temporary.unlink()


def _umask() -> int:
    """Rights that new files do not get; there is no way to ask without setting."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _put(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.EXDEV):
            raise
        shutil.copyfile(temporary, path)  # a mounted file


def write_bytes(path: Path, *parts: bytes | memoryview, fix: str = ANOTHER_FOLDER) -> None:
    """Write a file whose content is `parts`, one after the other; see `replacing`."""
    with replacing(path, fix) as temporary, temporary.open("wb") as file:
        for part in parts:
            file.write(part)


def write_text(path: Path, text: str, fix: str = ANOTHER_FOLDER) -> None:
    """Write a UTF-8 file with `\\n` at the end of lines on every system; see `replacing`."""
    write_bytes(path, text.encode(), fix=fix)


def check_writable(path: Path, option: str | None = None, *, file: bool = False) -> None:
    """Try to write to a folder, or to where a file belongs, before work begins; nothing is left there.

    Args:
        option: that named the path, for the message.
        file: whether the path is that of a file.

    Raises:
        UserError: it, or the nearest folder above it that exists, cannot be written to.
    """
    fix = f"name another with {option}" if option else ANOTHER_FOLDER
    try:
        target = path.resolve()
        if file and target.exists():
            if target.is_dir():
                raise UserError("is a folder", where=str(path), cure=fix)
            if not os.access(target, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return
        nearest = next(parent for parent in ((target.parent if file else target), *target.parents) if parent.exists())
        if not nearest.is_dir():
            raise UserError("is not a folder", where=str(nearest), cure=fix)
        with tempfile.TemporaryFile(dir=nearest):
            pass
        if file and len(os.fsencode(target.name)) > 255:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    except OSError as error:
        raise UserError(f"cannot be written: {first_line(error)}", where=str(path), cure=fix) from None
