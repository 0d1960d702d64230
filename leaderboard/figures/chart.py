"""The result of every chart, and its words: clean names, short names, numbers, the text alternative."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = [
    "ALT_LIMIT",
    "TITLE_SIZE",
    "Chart",
    "clean",
    "known",
    "number",
    "shorten",
    "tell",
    "text_width",
    "title_lines",
]

ALT_LIMIT = 600
"""Most characters of a text alternative; the table beside the chart holds the rest."""
TITLE_SIZE = 13.0
_EM, _BOLD_EM = 0.6, 0.68
"""Mean width of a character in font sizes, in the wider sans serif fonts: those of the reader are not known here."""


@dataclass(frozen=True)
class Chart:
    """A chart: a standalone SVG file, the same in words and as a table.

    Attributes:
        svg: the file, UTF-8; it refers to nothing outside itself.
        alt: text alternative of at most `ALT_LIMIT` characters.
        width, height: natural size in CSS pixels.
        head: names of the columns of the data.
        rows: the data, one observation a row; None where there is no number.
    """

    svg: bytes
    alt: str
    width: int
    height: int
    head: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]


def clean(text: str) -> str:
    """Return `text` on one line, without the control and format characters that XML or a reader chokes on."""
    return " ".join("".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text).split())


def shorten(text: str, most: int) -> str:
    """Return `text`, cleaned, with its middle replaced by an ellipsis where it is longer than `most` characters."""
    text = clean(text)
    if len(text) <= most:
        return text
    head = most * 3 // 5
    return f"{text[:head]}…{text[len(text) - (most - head - 1) :]}"


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Return about how wide `text` is, in pixels, at a font size in pixels."""
    return size * sum(1.0 if unicodedata.east_asian_width(c) in "WF" else _BOLD_EM if bold else _EM for c in text)


def title_lines(title: str, width: float) -> list[str]:
    """Return the title in at most three lines that fit `width` pixels at `TITLE_SIZE`, set bold."""
    return textwrap.wrap(
        clean(title), int(width / (TITLE_SIZE * _BOLD_EM)), max_lines=3, placeholder=" …", break_on_hyphens=False
    )


def known(value: float | None) -> float | None:
    """Return a number, or None for what is absent or not finite."""
    return value if value is not None and math.isfinite(value) else None


def number(value: float, digits: int = 2) -> str:
    """Return a number with fixed digits, and never a negative zero."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def tell(first: Sequence[str], items: Iterable[str], rest: str = "more in the table") -> str:
    """Join sentences and a list to a text alternative of at most `ALT_LIMIT` characters.

    Args:
        first: sentences that are always told (cut if they alone are too long).
        items: told one after the other while they fit; then `rest` says how many are left out.
        rest: what to say of those, after their number.
    """
    text, items = " ".join(first), list(items)
    if len(text) > ALT_LIMIT:
        return f"{text[: ALT_LIMIT - 1]}…"
    for i, item in enumerate(items):
        lead = " " if i == 0 else "; "
        left = len(items) - i
        room = ALT_LIMIT - len(text) - (0 if left == 1 else len(f"; {left} {rest}."))
        if len(lead) + len(item) + 1 > room:
            note = f"{lead}{left} {rest}."
            return text + note if len(text) + len(note) <= ALT_LIMIT else text
        text += lead + item
    return text + "." if items else text
