"""JSON files too large to become objects at once: their members one by one, lists in slices. Import-light.

The readers among the dependencies (pydantic, PyArrow) take a document whole, or one in each line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

__all__ = ["Slice", "iter_slices"]

BLOCK = 1 << 22
ITEMS = 10_000
SPACE = " \t\n\r"
ENDS = tuple(SPACE + ",:]}")


class Slice(NamedTuple):
    """A member of the object in a file: `value`, or where that is a list, its items from `start` on."""

    key: str
    start: int
    value: Any


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")


class _Text:
    """The text of a file from a place on, of which blocks are held; the values are read by Python's own decoder."""

    def __init__(self, file: TextIO) -> None:
        self.file, self.text, self.at, self.before, self.ended = file, "", 0, 0, False
        self.decoder = json.JSONDecoder(parse_constant=_refuse)

    def fault(self, message: str, at: int) -> ValueError:
        return ValueError(f"not valid JSON: {message} at character {self.before + at:,}")

    def extend(self, characters: int) -> None:
        block = self.file.read(characters)
        self.before += self.at
        self.text, self.at, self.ended = self.text[self.at :] + block, 0, not block

    def peek(self) -> str:
        """The next character that is not white space; empty at the end."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in SPACE:
                self.at += 1
            if self.at < len(self.text) or self.ended:
                return self.text[self.at : self.at + 1]
            self.extend(BLOCK)

    def take(self, wanted: str) -> str:
        """Pass over the next character, which must be one of those wanted."""
        found = self.peek()
        if not found or found not in wanted:
            raise self.fault(f"no {' or '.join(wanted)}", self.at)
        self.at += 1
        return found

    def value(self) -> Any:
        """Pass over the next value, for which as much is read as it takes."""
        self.peek()
        block = BLOCK
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.at)
                # A number may go on after the block: 1 may be the beginning of 1.5.
                if self.ended or self.text[end : end + 1] in ENDS:
                    self.at = end
                    return value
            except json.JSONDecodeError as error:
                if self.ended:
                    raise self.fault(error.msg, error.pos) from None
            except RecursionError:
                raise self.fault("nested too deeply", self.at) from None
            self.extend(block)
            block *= 2


def iter_slices(path: Path, items: int = ITEMS) -> Iterator[Slice]:
    """Read the object in a JSON file of UTF-8, with or without a byte order mark, member by member.

    Args:
        items: the most that a slice of a list holds. A list without items is one slice.

    Raises:
        OSError: the file cannot be read.
        ValueError: not JSON, not an object, or a key stands twice; says where.
    """
    with path.open(encoding="utf-8-sig") as file:
        text, keys = _Text(file), set[str]()
        text.take("{")
        more = text.peek() != "}" or not text.take("}")
        while more:
            key = text.value()
            if not isinstance(key, str) or key in keys:
                raise text.fault(f"{key!r:.40} is not a key, or stands twice", text.at)
            keys.add(key)
            text.take(":")
            if text.peek() == "[":
                yield from _iter_list(text, key, items)
            else:
                yield Slice(key, 0, text.value())
            more = text.take(",}") == ","
        if text.peek():
            raise text.fault("more than one value", text.at)


def _iter_list(text: _Text, key: str, items: int) -> Iterator[Slice]:
    start, found = 0, list[Any]()
    text.take("[")
    more = text.peek() != "]" or not text.take("]")
    while more:
        found.append(text.value())
        more = text.take(",]") == ","
        if len(found) == items and more:
            yield Slice(key, start, found)
            start, found = start + items, []
    yield Slice(key, start, found)
