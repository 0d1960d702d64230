"""What a pull request would change, judged before any content of it is read. Torch-free.

The workflows' script `merge` lists it: `changed`, `tree` and `sizes` of a folder, as git writes them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import SpecError
from benchmark.submissions.review import find_scope
from benchmark.submissions.validate import MAX_FILES

__all__ = ["find_merged_scope"]

MAX_NAME_BYTES = 255
"""of one part of a path, on the file systems in use: nobody could clone a longer one."""
MAX_TOTAL_BYTES = 1_000_000_000
_KINDS = {"100755": "a program", "120000": "a link", "160000": "a submodule"}
_LOOK = "a maintainer looks at it"
_CHANGE = re.compile(r":[0-7]{6} ([0-7]{6}) [0-9a-f]{40} ([0-9a-f]{40}) [A-Z]")
_SIZE = re.compile(r"([0-9a-f]{40}) ([0-9]{1,15}|missing)")


@dataclass(frozen=True)
class Change:
    """One path that the merge changes; `mode` is git's, of six digits, and 000000 where the file goes."""

    path: str
    mode: str
    content: str
    """id of the new content, 40 hex digits."""

    @property
    def stays(self) -> bool:
        """Whether there is a file afterwards."""
        return self.mode != "000000"


def _read_parts(path: Path) -> list[str]:
    """The texts of a file, each ended by a NUL byte; bytes that are no text stay what they are, as surrogates."""
    return path.read_bytes().decode(errors="surrogateescape").split("\0")[:-1]


def _read_changes(path: Path) -> list[Change]:
    parts = _read_parts(path)
    found = [(_CHANGE.fullmatch(about), name) for about, name in zip(parts[::2], parts[1::2], strict=False)]
    changes = [Change(name, match[1], match[2]) for match, name in found if match]
    if len(changes) * 2 != len(parts):
        raise SpecError("not what git diff-tree -r -z writes", where=str(path), cure="make it by the script merge")
    return changes


def _read_sizes(path: Path) -> dict[str, int | None]:
    lines = [_SIZE.fullmatch(line) for line in path.read_text(encoding="ascii").splitlines()]
    return {line[1]: None if line[2] == "missing" else int(line[2]) for line in lines if line}


def _fold(path: str) -> str:
    """What file systems without case, with Unicode forms of their own, or deaf to invisible characters take for one."""
    seen = "".join(c for c in path if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())


def _prefixes(path: str) -> Iterable[str]:
    """A path and the folders above it."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _check_collisions(changes: Iterable[Change], tree: Iterable[str]) -> None:
    """Refuse paths that are one and the same, or a file and a folder, on some file systems."""
    spelled: dict[str, set[str]] = {}
    for path in tree:
        for prefix in _prefixes(path):
            spelled.setdefault(_fold(prefix), set()).add(prefix)
    for change in changes:
        for prefix in _prefixes(change.path):
            if change.stays and (others := spelled[_fold(prefix)] - {prefix}):
                message = f"{prefix!r:.200} and {min(others)!r:.200} are one file on some machines"
                raise SpecError(message, cure="give it another name")


def _check_files(changes: list[Change], sizes: dict[str, int | None]) -> None:
    """Refuse what is no plain file, cannot be written on some machines, or is too large."""
    for change in changes:
        if change.mode not in ("100644", "000000"):
            kind = _KINDS.get(change.mode, f"of mode {change.mode}")
            raise SpecError(f"{change.path!r:.200} is {kind}", cure="a submission holds plain files of mode 100644")
        if any(len(part.encode(errors="surrogateescape")) > MAX_NAME_BYTES for part in change.path.split("/")):
            raise SpecError(f"{change.path!r:.200} has a name of more than {MAX_NAME_BYTES} bytes", cure="shorten it")
        if change.stays and sizes.get(change.content) is None:
            raise SpecError(f"{change.path!r:.200} is larger than any file may be", cure="weights go on the Hub")
    if len(changes) > MAX_FILES:
        raise SpecError(f"changes {len(changes):,} files, at most {MAX_FILES:,} are read", cure=_LOOK)
    if (total := sum(sizes[change.content] or 0 for change in changes if change.stays)) > MAX_TOTAL_BYTES:
        message = f"changes {total:,} bytes, at most {MAX_TOTAL_BYTES:,} are read"
        raise SpecError(message, cure="weights go on the Hub")


def find_merged_scope(folder: Path) -> str:
    """Return the id of the one submission that a merge changes, with plain files alone.

    Args:
        folder: what the workflows' script `merge` made of a pull request; no content of a file is read.

    Raises:
        SpecError: it changes something else, or adds what is no plain file, collides with another path on some file
            systems, cannot be written on some, or is too large.
    """
    changes, sizes = _read_changes(folder / "changed"), _read_sizes(folder / "sizes")
    _check_files(changes, sizes)
    tree = [entry.partition("\t")[2] for entry in _read_parts(folder / "tree")]
    _check_collisions(changes, tree)
    return find_scope(change.path for change in changes)
