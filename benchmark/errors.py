"""The exception tree. User errors say what is wrong, where, and how to cure it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

__all__ = [
    "IntegrityError", "InvbenchError", "NotFoundError", "SpecError", "UserError", "did_you_mean", "first_line",
    "located",
]  # fmt: skip


class InvbenchError(Exception):
    """Base of every error that invbench raises on purpose."""


class UserError(InvbenchError):
    """A mistake that the user can cure; the command line shows it as one line, exit code 2.

    Args:
        message: what is wrong.
        where: the file, field or option at fault.
        cure: what to do about it.
    """

    exit_code = 2

    def __init__(self, message: str, *, where: str | None = None, cure: str | None = None) -> None:
        self.message, self.where, self.cure = message, where, cure
        text = f"{where}: {message}" if where else message
        super().__init__(f"{text} ({cure})" if cure else text)

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep all parts on the way from another process."""
        return partial(type(self), where=self.where, cure=self.cure), (self.message,)


class SpecError(UserError):
    """A suite, lock, submission or record does not say what its schema asks for."""


class NotFoundError(UserError):
    """A name is not known."""


class IntegrityError(UserError):
    """Content differs from what was pinned: a file, an image or a record was changed."""

    exit_code = 3


@contextmanager
def located(where: object) -> Iterator[None]:
    """Say of an error inside the context, where it does not say so itself, which file or field is at fault."""
    try:
        yield
    except UserError as error:
        if error.where is not None:
            raise
        raise type(error)(error.message, where=str(where), cure=error.cure) from None


def first_line(said: object, limit: int = 200) -> str:
    """First line of what an exception or a text from outside says, printable, at most `limit` characters.

    An operating-system error is told without its path; an exception that says nothing, by its kind.
    """
    text = str(getattr(said, "strerror", None) or said).strip()
    line = (text.splitlines() or ["" if isinstance(said, str) else type(said).__name__])[0]
    return "".join(character for character in line if character.isprintable())[:limit]


def did_you_mean(kind: str, name: str, known: Iterable[str]) -> NotFoundError:
    """Return the error for an unknown `name`, with the nearest known name or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    cure = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names) or 'none'}"
    return NotFoundError(f"unknown {kind} '{name}'", cure=cure)
