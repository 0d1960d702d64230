"""Heat maps: panels of numbers on a scale of color that is even to the eye and readable in gray."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib import colormaps

from leaderboard.figures.chart import Chart, clean, known, number, shorten, tell, text_width, title_lines
from leaderboard.figures.palette import INK, RULE, SOFT, contrast_color
from leaderboard.figures.sheet import XY, Sheet, sheet

__all__ = ["COLORS", "Panel", "heat_chart"]

COLORS = "cividis"
"""Colormap of matplotlib: perceptually uniform, and the same to the common kinds of color vision."""
_SIZE, _MOST = 10.5, 16
_ROW, _GAP, _TURN = 17.0, 14.0, 50.0
_CELL_MOST, _CELL_ROOMY, _CELL_LEAST = 44.0, 30.0, 18.0
_STEPS = 48


@dataclass(frozen=True)
class Panel:
    """A heat map: `values[row][column]`; None is a cell without a number."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class _Layout:
    """Sizes that all panels of a figure share, in pixels."""

    across: int
    label: float
    cell: float
    turned: bool
    heading: float
    panel_width: float
    panel_height: float

    def corner(self, i: int) -> XY:
        """Return the top left corner of the cells of panel `i`, below the top of the panels."""
        x = i % self.across * (self.panel_width + _GAP) + self.label
        return x, i // self.across * (self.panel_height + _GAP) + self.heading


def _layout(panels: Sequence[Panel], width: float, row_label: str) -> _Layout:
    """Return the layout: as many panels side by side as have room for their numbers."""
    rows = [shorten(name, _MOST) for panel in panels for name in panel.rows]
    columns = [shorten(name, _MOST) for panel in panels for name in panel.columns]
    count = max((len(panel.columns) for panel in panels), default=1) or 1
    tall = max((len(panel.rows) for panel in panels), default=1)
    label = max((text_width(name, _SIZE) for name in [*rows, shorten(row_label, _MOST)]), default=0.0) + 8
    lengths = [text_width(name, _SIZE) for name in columns]
    # Turned names reach to the left of their columns.
    reach = [length * math.cos(math.radians(_TURN)) for length in lengths]
    label = max([label, *(far + 4 - _CELL_LEAST * (i % count + 0.5) for i, far in enumerate(reach))])
    fit = max(1, int((width + _GAP) // (label + count * _CELL_ROOMY + _GAP)))
    across = math.ceil(len(panels) / math.ceil(len(panels) / fit)) if panels else 1
    room = (width - (across - 1) * _GAP) / across - label
    # Whole tenths of a pixel: short coordinates make small files.
    cell = math.floor(10 * min(_CELL_MOST, max(_CELL_LEAST, room / count))) / 10
    longest = max(lengths, default=0.0)
    turned = longest > cell - 4
    below = longest * math.sin(math.radians(_TURN)) + 14 if turned else 18.0
    heading = 30.0 if row_label else 20.0
    return _Layout(across, label, cell, turned, heading, label + count * cell, heading + tall * _ROW + below)


def _signed(value: float, digits: int) -> str:
    """Return a number as it is drawn: with a true minus sign."""
    return number(value, digits).replace("-", "−")


def _cell_texts(values: Sequence[float], digits: int, cell: float) -> tuple[dict[float, str], float]:
    """Return the text of every number and the font size at which all fit a cell; narrow cells have no leading zero."""
    texts = {value: _signed(value, digits) for value in values}
    if max((text_width(text, 10.0) for text in texts.values()), default=0.0) > cell - 3:
        for value, text in texts.items():
            bare = text.replace("0.", ".", 1) if abs(value) < 1 and text.lstrip("−").startswith("0.") else text
            texts[value] = _signed(value, digits - 1) if bare == text and digits > 0 else bare
    widest = max((text_width(text, 1.0) for text in texts.values()), default=1.0)
    return texts, min(10.0, (cell - 2) / widest)


def _legend(page: Sheet, y: float, low: float, high: float, digits: int, width: float) -> None:
    """Draw the scale of color with its ends."""
    start, length = text_width(_signed(low, digits), _SIZE) + 8, min(160.0, width / 2)
    colors = colormaps[COLORS]
    step = length / _STEPS
    # Each box reaches under the next one: no seams.
    polygons = [
        [(start + i * step, y - 4), (start + length, y - 4), (start + length, y + 4), (start + i * step, y + 4)]
        for i in range(_STEPS)
    ]
    page.areas(polygons, [colors(i / (_STEPS - 1)) for i in range(_STEPS)])
    page.text(start - 5, y, _signed(low, digits), size=_SIZE, color=SOFT, anchor="end")
    page.text(start + length + 5, y, _signed(high, digits), size=_SIZE, color=SOFT)


def _render_alt(title: str, panels: Sequence[Panel], row_label: str, column_label: str) -> str:
    cells = [
        (value, panel.title, row, column)
        for panel in panels
        for row, line in zip(panel.rows, panel.values, strict=True)
        for column, cell in zip(panel.columns, line, strict=True)
        if (value := known(cell)) is not None
    ]
    axes = f" of {shorten(row_label, 30)} by {shorten(column_label, 30)}" if row_label and column_label else ""
    start = f"{shorten(title, 120)}. {len(panels)} heat map{'' if len(panels) == 1 else 's'}{axes}"
    if not cells:
        return f"{start}; no numbers."

    def where(cell: tuple[float, str, str, str]) -> str:
        named = f"{shorten(cell[1], 30)}: " if len(panels) > 1 else ""
        return f"{number(cell[0])} ({named}{shorten(cell[2], 24)}, {shorten(cell[3], 24)})"

    first = [f"{start}. Highest {where(max(cells))};", f"lowest {where(min(cells))}."]
    said = []
    for panel in panels:
        values = [value for line in panel.values for cell in line if (value := known(cell)) is not None]
        if values and len(panels) > 1:
            said.append(f"{shorten(panel.title, 30)} {number(math.fsum(values) / len(values))}")
    return tell([*first, "Means:"] if said else first, said)


def _draw_panel(page: Sheet, panel: Panel, corner: XY, layout: _Layout) -> list[XY]:
    """Draw the title and the names of a panel; return the corners of its cells, row by row."""
    x, y = corner
    page.text(x - layout.label + 2, y - layout.heading + 9, shorten(panel.title, 40), size=11.5, bold=True)
    middle = [(y + (i + 0.5) * _ROW, shorten(name, _MOST)) for i, name in enumerate(panel.rows)]
    page.texts([(x - 5, at, name) for at, name in middle], size=_SIZE, color=SOFT, anchor="end")
    bottom = y + len(panel.rows) * _ROW
    names = [(x + (i + 0.5) * layout.cell, bottom + 9, shorten(name, _MOST)) for i, name in enumerate(panel.columns)]
    if layout.turned:
        turned = [(at + 3, down, name) for at, down, name in names]
        page.texts(turned, size=_SIZE, color=SOFT, anchor="end", turn=-_TURN)
    else:
        page.texts(names, size=_SIZE, color=SOFT, anchor="middle")
    return [(x + j * layout.cell, y + i * _ROW) for i in range(len(panel.rows)) for j in range(len(panel.columns))]


def _draw_cells(
    page: Sheet,
    corners: Sequence[XY],
    values: Sequence[float | None],
    size: XY,
    ends: tuple[float, float],
    texts: dict[float, str],
    font: float,
) -> None:
    """Draw the cells of all panels at once: color and number, or a hatch and a dash."""
    w, h = size
    (low, high), colors = ends, colormaps[COLORS]
    empty = [(x, y) for (x, y), value in zip(corners, values, strict=True) if value is None]
    full = [(x, y, value) for (x, y), value in zip(corners, values, strict=True) if value is not None]
    faces = [colors((min(max(value, low), high) - low) / (high - low)) for *_, value in full]
    page.boxes([(x, y) for x, y, _ in full], (w - 1, h - 1), faces)
    inks = [contrast_color(face[:3]) for face in faces]
    for ink in sorted(set(inks)):
        numbers = [
            (x + (w - 1) / 2, y + (h - 1) / 2, texts[value])
            for (x, y, value), used in zip(full, inks, strict=True)
            if used == ink
        ]
        page.texts(numbers, size=font, color=ink, anchor="middle")
    reach = h - 1
    starts = [(x, y, shift) for x, y in empty for shift in range(0, math.ceil(w - 1 + reach), 9)]
    page.lines(
        [
            # From the lower left to the upper right, cut at the sides of the cell.
            [
                (x + max(shift - reach, 0), y + min(shift, reach)),
                (x + min(shift, w - 1), y + max(shift - (w - 1), 0)),
            ]
            for x, y, shift in starts
        ],
        RULE,
        0.9,
    )
    page.texts(
        [(x + (w - 1) / 2, y + (h - 1) / 2, "–") for x, y in empty], size=10, color=INK, anchor="middle", halo=True
    )


def heat_chart(
    title: str,
    panels: Sequence[Panel],
    low: float,
    high: float,
    digits: int = 2,
    row_label: str = "",
    column_label: str = "",
    width: int = 360,
) -> Chart:
    """Return heat maps on one scale of color, the number in every cell; a hatched cell with a dash has none.

    Args:
        title: what is shown.
        panels: the maps; as many stand side by side as leave their numbers legible.
        low, high: the values at the ends of the scale; values beyond take the color of the end.
        digits: decimals of the numbers.
        row_label, column_label: what the rows and the columns are.
        width: how wide the figure may be, in CSS pixels; cells too narrow for a number make it wider.

    Raises:
        ValueError: `low` is not below `high`, or `values` have not the shape of rows x columns.
    """
    if not low < high:
        raise ValueError(f"low must be below high, not {low} and {high}")
    head = ("panel", clean(row_label) or "row", clean(column_label) or "column", "value")
    rows = tuple(
        (clean(panel.title), clean(row), clean(column), known(value))
        for panel in panels
        for row, line in zip(panel.rows, panel.values, strict=True)
        for column, value in zip(panel.columns, line, strict=True)
    )
    layout = _layout(panels, width, row_label)
    wide = math.ceil(max(width, layout.across * (layout.panel_width + _GAP) - _GAP))
    heading = title_lines(title, wide)
    top = 17.0 * len(heading) + 10
    lines = math.ceil(len(panels) / layout.across)
    bottom = top + lines * (layout.panel_height + _GAP)
    height = math.ceil(bottom + 18)
    alt = _render_alt(title, panels, row_label, column_label)
    values = [known(value) for panel in panels for line in panel.values for value in line]
    texts, size = _cell_texts([value for value in values if value is not None], digits, layout.cell)

    with sheet(wide, height) as page:
        page.title(heading)
        corners: list[XY] = []
        for i, panel in enumerate(panels):
            x, y = layout.corner(i)
            corners += _draw_panel(page, panel, (x, top + y), layout)
            if row_label:
                page.text(x - 5, top + y - 8, shorten(row_label, _MOST) + " ↓", size=10, color=SOFT, anchor="end")
        _draw_cells(page, corners, values, (layout.cell, _ROW), (low, high), texts, size)
        _legend(page, bottom + 6, low, high, digits, wide)
        if column_label:
            page.text(wide - 2, bottom + 6, f"{shorten(column_label, 24)} →", size=10, color=SOFT, anchor="end")
        return Chart(page.svg(title, alt), alt, wide, height, head, rows)
