"""Texts of CSV files that no spreadsheet takes for a formula, whatever it thinks divides cells. Import-light."""

from __future__ import annotations

import re

__all__ = ["FORMULA", "GUARDED", "guarded"]

FORMULA = "(^|[;\\t\\r\\n|])([\\s\"']*)([=+\\-@\uff1d\uff0b\uff0d\uff20])"
"""What begins a formula: at the start of a text, or after what a reader may take for the end of a cell.

Where the decimal sign is a comma, spreadsheets divide cells at semicolons, quotes or not. Python and RE2 read it alike.
"""
GUARDED = r"\1\2'\3"
"""What stands in its place: a quotation mark before it makes it text."""
_FORMULA = re.compile(FORMULA)


def guarded(text: str) -> str:
    """A text with `'` before whatever a spreadsheet would run."""
    return _FORMULA.sub(GUARDED, text)
