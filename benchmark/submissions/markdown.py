"""Text of others inside Markdown: stays text, whatever it says. Torch-free."""

from __future__ import annotations

import re

__all__ = ["code", "plain"]


def plain(text: object) -> str:
    """Return a text as one line of Markdown that stays text."""
    line = " ".join(str(text).split())
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>()#+!|&~$" else c for c in line)


def code(text: object) -> str:
    """Return a text as one line of Markdown code, also inside a table: no links, no mentions, no markup."""
    line = "".join(c if c.isprintable() else " " for c in " ".join(str(text).split())).replace("|", "\N{DIVIDES}")
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", line)), default=0))
    return f"{fence} {line} {fence}" if "`" in line else f"{fence}{line or ' '}{fence}"
