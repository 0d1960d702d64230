"""Colors, markers and dashes of the charts; the colors are those of the style sheet of the pages."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DARK", "INK", "PAPER", "REFERENCE_DASHES", "RULE", "SERIES", "SOFT", "Look", "contrast_color", "look"]

INK, SOFT, RULE, PAPER = "#1b1d20", "#5c6066", "#dfdfd9", "#fcfcfa"
SERIES = ("#0a6db0", "#c8500a", "#008562", "#a4488c", "#8f6a00", "#6a5acd", "#b3304a", "#3f7d20")
_DARK_SERIES = ("#62b0f0", "#ff955c", "#38c79c", "#e296cf", "#e0b53c", "#a79cff", "#ff8296", "#97cf72")
DARK = {INK: "#e9e8e4", SOFT: "#a2a6ad", RULE: "#30343a", PAPER: "#131518"} | dict(
    zip(SERIES, _DARK_SERIES, strict=True)
)
"""The color in dark mode of every color that changes there; the others (cells of a heat map, hues) stay."""

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES: tuple[tuple[float, ...], ...] = (
    (),
    (7.0, 2.5),
    (2.5, 1.8),
    (8.0, 2.0, 2.0, 2.0),
    (4.5, 2.0),
    (9.0, 2.0, 2.0, 2.0, 2.0, 2.0),
    (12.0, 3.0),
    (5.0, 1.5, 1.5, 1.5),
)
REFERENCE_DASHES: tuple[tuple[float, ...], ...] = ((4.0, 3.5), (1.4, 2.6), (8.0, 3.0, 1.4, 3.0))


@dataclass(frozen=True)
class Look:
    """How a series is drawn: color (light), marker name of matplotlib, dash lengths in pixels (empty: solid)."""

    color: str
    marker: str
    dash: tuple[float, ...]


def look(style: int | None, reference: int = 0) -> Look:
    """Return the look of a style number; colors repeat after 8, then with other markers and dashes.

    Args:
        style: number of the series, 0 or more; None for a reference point (gray).
        reference: which reference point of the chart it is; gives it a dash of its own.
    """
    if style is None:
        return Look(SOFT, "o", REFERENCE_DASHES[reference % len(REFERENCE_DASHES)])
    turn = (style + style // len(SERIES)) % len(SERIES)
    return Look(SERIES[style % len(SERIES)], _MARKERS[turn], _DASHES[turn])


def contrast_color(rgb: tuple[float, float, float]) -> str:
    """Return black or white, whichever is easier to read on an sRGB color (0 to 1), by relative luminance."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    luminance = sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "#000000" if luminance > 0.179 else "#ffffff"
