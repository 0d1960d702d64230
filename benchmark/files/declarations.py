"""Declarations in TOML and JSON files: their frozen models, their reading, and errors that say what to write instead.

Import-light.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from benchmark.errors import SpecError, first_line

__all__ = ["MAX_TEXT_BYTES", "Frozen", "explain", "read_json", "read_toml", "unset"]

Model = TypeVar("Model", bound=BaseModel)
MAX_TEXT_BYTES = 1_000_000
MAX_ITEMS = 150_000
_LONG_KEY = re.compile(rb"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){24}""")
"""A dotted key whose parsing would take time and memory with the square of its length."""


_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
"""What some editors put before a text: of UTF-8 and of both kinds of UTF-16."""


class Frozen(BaseModel):
    """Base of every declaration: immutable, no unknown fields; the text below a field is its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def unset(value: Any) -> bool:
    """Leave an optional field out of the dump while it is not set: a field added later changes no older digest."""
    return value in (None, False, {}, ())


def _cure(kind: str, loc: tuple[int | str, ...], model: type[BaseModel] | None) -> str | None:
    """What to write instead, from the declaration of the field that `loc` leads to."""
    if model is None or not loc:
        return None
    field: FieldInfo | None = None
    for part in loc:
        if model is None:
            break
        if kind == "extra_forbidden" and part == loc[-1]:
            near = difflib.get_close_matches(str(part), model.model_fields, n=1, cutoff=0.5)
            return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(model.model_fields)}"
        if part in model.model_fields:
            field = model.model_fields[str(part)]
            inner = [t for t in (field.annotation, *get_args(field.annotation)) if isinstance(t, type)]
            model = next((t for t in inner if issubclass(t, BaseModel)), None)
    if field is None or not field.description:
        return None
    told = " ".join(field.description.split()).removesuffix(".")
    return f"{told}, such as {field.examples[0]!r}" if field.examples else told


def _show(value: Any) -> str:
    """Return a value as a message shows it; integers too long to be written are not."""
    huge = isinstance(value, int) and value.bit_length() > 256
    return "a number of more than 77 digits" if huge else _short(repr(value))


def explain(error: ValidationError, where: str, model: type[BaseModel] | None = None) -> SpecError:
    """Return a one-line error that names file, field, value, fault and (from the declarations of `model`) the cure."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "(whole file)"
    value = first.get("input")
    shown = isinstance(value, str | int | float) and first["type"] != "missing"
    got = f", not {_show(value)}" if shown else ""
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    message = first["msg"].removeprefix("Value error, ")
    cure = _cure(first["type"], first["loc"], model)
    return SpecError(f"field {_short(repr(field))}: {message}{got}{more}", where=where, cure=cure)


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:96]}...{text[-1]}"


def _read_bytes(path: Path, max_bytes: int) -> bytes:
    """Return the content of a regular file of at most `max_bytes` and MAX_ITEMS: every one may become an error."""
    try:
        if not path.is_file() and path.exists():
            raise SpecError("is no regular file", where=str(path))
        if path.stat().st_size > max_bytes:
            raise SpecError(f"is larger than the {max_bytes:,} bytes allowed", where=str(path))
        data = path.read_bytes()
        if max(data.count(b","), data.count(b"\n")) > MAX_ITEMS:
            raise SpecError(f"holds more than the {MAX_ITEMS:,} items allowed", where=str(path))
        if data.startswith(_MARKS):
            raise SpecError("begins with a byte order mark", where=str(path), cure="save it as UTF-8 without one")
        return data
    except FileNotFoundError:
        raise SpecError("no such file", where=str(path)) from None
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}", where=str(path)) from None


def read_toml(path: Path, model: type[Model], max_bytes: int = MAX_TEXT_BYTES) -> Model:
    """Read a declaration from a TOML file.

    Raises:
        SpecError: absent, too large, not TOML or not what `model` asks for; names file, field, value and cure.
    """
    data = _read_bytes(path, max_bytes)
    if _LONG_KEY.search(data):
        raise SpecError("not valid TOML: a key has too many parts", where=str(path))
    try:
        return model.model_validate(tomllib.loads(data.decode()))
    except ValidationError as error:
        raise explain(error, str(path), model) from None
    except (ValueError, RecursionError) as error:
        raise SpecError(f"not valid TOML: {first_line(error)}", where=str(path)) from None


def read_json(path: Path, model: type[Model], max_bytes: int = MAX_TEXT_BYTES) -> Model:
    """Read a declaration from a JSON file; see `read_toml`."""
    data = _read_bytes(path, max_bytes)
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise explain(error, str(path), model) from None
