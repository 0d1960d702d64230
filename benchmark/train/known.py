"""Photographs that were examined before: a table in the cache, so that a million files are read once."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import PIL

from benchmark.errors import UserError, first_line
from benchmark.files.cache import cache_root
from benchmark.files.storing import ANOTHER_CACHE, storing
from benchmark.train.traits import Traits

__all__ = ["KnownPhotographs", "open_known"]

FORMAT = 2
PATIENCE_S = 120
TABLE = """CREATE TABLE IF NOT EXISTS photographs (
    path BLOB, height INTEGER, width INTEGER, bytes INTEGER, changed_ns INTEGER,
    file BLOB, pixels BLOB, pattern BLOB, problem TEXT, PRIMARY KEY (path, height, width)
) WITHOUT ROWID"""

QUERY = """SELECT bytes, changed_ns, file, pixels, pattern, problem FROM photographs
    WHERE path = ? AND height = ? AND width = ?"""


class KnownPhotographs:
    """Traits by path, size in bytes, time of change and the size at which the pixels were looked at."""

    def __init__(self, connection: sqlite3.Connection, size: tuple[int, int]) -> None:
        self._connection, self._size = connection, size

    def find(self, paths: Sequence[Path]) -> list[Traits | None]:
        """The traits of each file as it is now; None where they are not known."""
        found: list[Traits | None] = []
        for path in paths:
            row = self._connection.execute(QUERY, (_name(path), *self._size)).fetchone()
            found.append(Traits(*row[2:]) if row and row[:2] == _state(path) else None)
        return found

    def add(self, paths: Sequence[Path], traits: Sequence[Traits]) -> None:
        """Remember the traits of files; those that could not be opened may be readable another time."""
        rows = [
            (_name(path), *self._size, *state, *item)
            for path, item in zip(paths, traits, strict=True)
            if item.file and (state := _state(path))
        ]
        with self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO photographs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _name(path: Path) -> bytes:
    return os.fsencode(path.absolute())


def _state(path: Path) -> tuple[int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


@contextmanager
def open_known(size: tuple[int, int]) -> Iterator[KnownPhotographs]:
    """Give the table for photographs at a size (height, width). Another version of the decoder begins another table.

    Raises:
        UserError: the cache cannot be written to, or the table is damaged.
    """
    path = cache_root() / f"photographs-{FORMAT}-pillow-{PIL.__version__}.sqlite"
    with storing(path, ANOTHER_CACHE):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(path, timeout=PATIENCE_S)) as connection:
            connection.execute(TABLE)
            yield KnownPhotographs(connection, size)
    except sqlite3.Error as error:
        cure = "delete it; photographs are then hashed again; or set INVBENCH_CACHE to another folder"
        raise UserError(f"cannot be used: {first_line(error)}", where=str(path), cure=cure) from None
