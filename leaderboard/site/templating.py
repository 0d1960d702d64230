"""Templates and the filters that they use: numbers, times and sizes in words."""

from __future__ import annotations

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from benchmark.files.paths import SITE
from benchmark.records.field_checks import STATED, is_stated
from benchmark.records.places import DIGITS
from leaderboard.data.pictures import kind_words
from leaderboard.data.rankings import DASH, MINUS, render_number
from leaderboard.data.wording import counting_words, counts_alike

__all__ = [
    "along",
    "breakable",
    "duration",
    "ends_beyond",
    "figure",
    "make_environment",
    "percent",
    "sided",
    "signed",
    "size",
    "stated",
]


def make_environment() -> Environment:
    """Return the template environment: everything escaped, nothing undefined."""
    env = Environment(
        loader=FileSystemLoader(SITE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters |= {
        "number": render_number, "along": along, "ends_beyond": ends_beyond, "percent": percent, "duration": duration,
        "short": lambda digest: digest[:12],
        "count": lambda value: f"{value:,}", "figure": figure, "signed": signed, "sided": sided, "bytes": size,
        "counting_words": counting_words,
        "counts_alike": counts_alike,
        "kind_words": kind_words,
        "breakable": breakable,
        "stated": stated,
    }  # fmt: skip
    return env


_BEYOND = 0.06
"""How far a score may lie beyond 0 and 1 on an axis whose rail goes from 0 to 1."""


def along(value: float) -> str:
    """Coordinate of a score along an axis from 0 to 1; what lies farther outside than a little is drawn at its end."""
    return f"{100 * min(max(value, -_BEYOND), 1 + _BEYOND):.1f}%"


def ends_beyond(low: float, high: float) -> tuple[str, ...]:
    """The coordinates at which an interval is cut off, since it goes on beyond what is drawn; see `along`."""
    return tuple(along(end) for end in (low, high) if not -_BEYOND <= end <= 1 + _BEYOND)


def percent(value: float | None) -> str:
    """Return a share as the length of a bar, 0 to 100 %."""
    return f"{100 * min(max(value or 0.0, 0.0), 1.0):.1f}%"


def duration(seconds: float) -> str:
    """Return a time in words, such as `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def figure(value: float) -> str:
    """Return a number of a chart's table: whole ones with separators, others with three digits."""
    return f"{value:,.0f}" if value == round(value) and abs(value) >= 10 else render_number(value)


def signed(value: float) -> str:
    """Return a difference with its sign."""
    text = render_number(abs(value))
    if float(text) == 0:
        return text
    return f"+{text}" if value > 0 else f"{MINUS}{text}"


def sided(value: float) -> str:
    """Return a difference with its sign, with as many digits as it takes to tell on which side of 0 it lies."""
    digits = next((count for count in range(3, DIGITS + 1) if round(abs(value), count)), 3)
    text = render_number(abs(value), digits)
    return text if float(text) == 0 else f"{'+' if value > 0 else MINUS}{text}"


def breakable(name: str) -> Markup:
    """Return a name that may break after an underscore."""
    return escape(name).replace("_", Markup("_<wbr>"))


def stated(field: str) -> Markup:
    """Return a mark for a field of a record that no check computes again; nothing for the others."""
    return Markup(f' <span class="stated">{STATED}</span>') if is_stated(field) else Markup()


def size(count: int) -> str:
    """Return a number of bytes in words; a dash for none."""
    if count < 1000:
        return f"{count} B" if count else DASH
    return f"{count / 1000:,.0f} kB" if count < 1_000_000 else f"{count / 1_000_000:,.1f} MB"
