"""Types of fields: names, hashes, numbers in a range, times, and text that is what it looks like. Import-light."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated

from pydantic import AfterValidator, Discriminator, Field, Tag

from benchmark.files.looks import find_mixed_word

__all__ = [
    "Account", "Amount", "Commit", "Cost", "Count", "Id", "Line", "Moment", "Paragraph", "RepoId", "Revision",
    "Seconds", "Sha256", "Share", "Size", "SubmissionId", "SuiteId", "Text", "Training", "refuse_twice", "shown_as",
]  # fmt: skip

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RepoId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$", max_length=96)]
Revision = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
Account = Annotated[str, Field(pattern=r"^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$", max_length=39)]
"""The name of an account where the repository is hosted. Case does not count."""
Size = tuple[Annotated[int, Field(gt=0, le=4096)], Annotated[int, Field(gt=0, le=4096)]]

_RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{digit}" for name in ("com", "lpt") for digit in range(10))}
_MAX_MARKS = 4
"""So many combining marks in a row are more than any script stacks on a letter."""
_BLANK = {
    0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0xFFFC, 0x13441, 0x13442, 0x16FE4, 0x1D159,
    *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0),
}  # fmt: skip
"""Characters without a look of their own, although their category says otherwise: fillers and variation selectors."""


def _check_id(value: str) -> str:
    if value.split(".")[0] in _RESERVED:
        raise ValueError("is the name of a device on some systems")
    return value


def _is_invisible(character: str) -> bool:
    """Whether a character shows up as nothing, or as something else than it is: control, formatting, private."""
    unseen = unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    return unseen or ord(character) in _BLANK


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) in {"Mn", "Me"}


def _check_characters(value: str) -> str:
    if value.isascii() and value.isprintable():
        return value
    for character in filter(_is_invisible, value):
        raise ValueError(f"holds the invisible character U+{ord(character):04X}")
    if any(marks and len(list(run)) > _MAX_MARKS for marks, run in groupby(value, _is_mark)):
        raise ValueError(f"stacks more than {_MAX_MARKS} combining marks")
    if 3 * sum(map(_is_mark, value)) > 2 * len(value):
        raise ValueError("holds more than two combining marks for every other character")
    if word := find_mixed_word(value):
        raise ValueError(f"mixes scripts in a word, with letters that look like others: {word!a}")
    return value


def refuse_twice(values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a list that names something twice, whatever its case."""
    folded = [value.casefold() for value in values]
    if twice := next((value for value, name in zip(values, folded, strict=True) if folded.count(name) > 1), None):
        raise ValueError(f"names '{twice}' twice")
    return values


def _check_ends(value: str) -> str:
    if value != value.strip():
        raise ValueError("begins or ends with a space")
    return value


def shown_as(text: str, limit: int = 120) -> str:
    """Return a text from outside as a `Line`: what may not stand in one becomes a space; empty if nothing is left."""
    spaced = "".join(" " if _is_invisible(character) or _is_mark(character) else character for character in text)
    return spaced[:limit].strip()


SubmissionId = Annotated[
    str, Field(pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*$", max_length=64), AfterValidator(_check_id)
]  # fmt: skip
Text = Annotated[str, Field(max_length=400), AfterValidator(_check_characters)]
Line = Annotated[
    str, Field(min_length=1, max_length=120), AfterValidator(_check_characters), AfterValidator(_check_ends)
]  # fmt: skip
Paragraph = Annotated[
    str, Field(min_length=1, max_length=2000), AfterValidator(_check_characters), AfterValidator(_check_ends)
]  # fmt: skip
SuiteId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}@[1-9][0-9]{0,5}$")]


def _check_moment(value: str) -> str:
    try:
        datetime.fromisoformat(value).astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside of the calendar") from None
    return value


Moment = Annotated[
    str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$"), AfterValidator(_check_moment)
]  # fmt: skip
"""A point in time as ISO 8601 has it, with its zone."""

_SMALLEST_COST = 1e-6


def _check_cost(value: float) -> float:
    if 0 < value < _SMALLEST_COST:
        raise ValueError(f"should be 0 or at least {_SMALLEST_COST:g}")
    return value


Count = Annotated[int, Field(ge=0, le=10**12)]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=-1e6, le=1e6)]
"""A mean over images in the unit of any metric, or an end of its interval."""
Seconds = Annotated[float, Field(ge=0, le=1e9)]
Cost = Annotated[float, Field(ge=0, le=1e9), AfterValidator(_check_cost)]
"""Time or memory that something took. What is next to nothing is 0, so that costs can be compared by their ratio."""

_MAX_HOURS = 1e7


def _kind_of(value: object) -> str:
    return "text" if isinstance(value, str) else "number"


def _check_size(value: float) -> float:
    if not abs(value) <= _MOST:
        raise ValueError(f"should be a number from -{_MOST:,} to {_MOST:,}")
    return value


_MOST = 10**12
_RANGE = Field(json_schema_extra={"minimum": -_MOST, "maximum": _MOST})
_Stated = Annotated[
    Annotated[Text, Tag("text")] | Annotated[int | float, AfterValidator(_check_size), _RANGE, Tag("number")],
    Discriminator(_kind_of),
]
"""What somebody states. The kind is told before the range is checked, so that only one thing is said of it."""


def _check_training(value: dict[str, str | int | float]) -> dict[str, str | int | float]:
    hours = value.get("device_hours", 0)
    if isinstance(hours, str) or not (hours == 0 or _SMALLEST_COST <= hours <= _MAX_HOURS):
        raise ValueError(f"'device_hours' is not a number of hours from 0 to {_MAX_HOURS:,.0f}")
    samples = value.get("samples", 0)
    if not isinstance(samples, int) or samples < 0:
        raise ValueError("'samples' is not a whole number of images")
    return value


Training = Annotated[dict[Line, _Stated], Field(max_length=64), AfterValidator(_check_training)]
"""How an inverse was trained, as its author states it; known: `data`, `device`, `device_hours` and `samples`."""
