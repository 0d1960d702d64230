"""The surface that charts are drawn on: shapes by matplotlib, text as text, one standalone SVG file."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any

import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, IdentityTransform

from leaderboard.figures.chart import TITLE_SIZE, clean
from leaderboard.figures.palette import DARK, INK, PAPER, SOFT

__all__ = ["FONTS", "NOTE", "XY", "Sheet", "sheet"]

FONTS = 'system-ui, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif'
NOTE = 13.0
"""Height of a line of notes, in pixels."""
_SETTINGS = {"svg.fonttype": "none", "svg.hashsalt": "invbench", "lines.scale_dashes": False}
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
_LARGER = {"*": 1.7, "P": 1.3, "X": 1.3, "^": 1.1, "v": 1.1}
"""Markers that look smaller than others of their width, and by how much they are drawn larger."""

XY = tuple[float, float]
"""Pixels to the right and down from the top left corner."""


def _rounded(points: Sequence[XY]) -> list[XY]:
    """Points to a hundredth of a pixel: more digits only make the file larger."""
    return [(round(x, 2), round(y, 2)) for x, y in points]


def _render_texts(labels: Sequence[tuple[float, float, str]], size: float, turn: float) -> Iterator[str]:
    for x, y, text in labels:
        turned = f' transform="rotate({turn:g} {x:.1f} {y:.1f})"' if turn else ""
        # A third of the size below the middle is where the baseline of digits and letters lies in most fonts.
        yield f'<text x="{x:.1f}" y="{y + 0.35 * size:.1f}"{turned}>{escape(clean(text), quote=False)}</text>'


def _dark_rules(light: str, dark: str) -> str:
    """Return the rules of CSS that turn a color to its dark one, as texts and as matplotlib name it."""
    rules = ""
    for what in ("fill", "stroke"):
        rules += f'[{what}="{light}"]{{{what}:{dark}}}'
        rules += f'[style*="{what}: {light}"]{{{what}:{dark} !important}}'
    return rules


@dataclass
class Sheet:
    """A drawing of `width` x `height` CSS pixels; what is drawn later lies above, text above all."""

    width: int
    height: int
    _shapes: list[Artist] = field(default_factory=list)
    _words: list[str] = field(default_factory=list)

    @property
    def _flip(self) -> Affine2D:
        return Affine2D().scale(1, -1).translate(0, self.height)

    def lines(
        self,
        paths: Sequence[Sequence[XY]],
        colors: str | Sequence[str],
        widths: float | Sequence[float] = 1.0,
        dashes: Sequence[Sequence[float]] = (),
        alpha: float | None = None,
    ) -> None:
        """Draw polylines; `dashes` are lengths in pixels per line (empty: solid)."""
        if paths:
            styles: Any = [(0, tuple(dash)) if dash else "solid" for dash in dashes] or "solid"
            self._add(
                LineCollection(
                    [_rounded(path) for path in paths], colors=colors, linewidths=widths, linestyles=styles, alpha=alpha
                )
            )

    def areas(self, polygons: Sequence[Sequence[XY]], colors: Sequence[Any], alpha: float | None = None) -> None:
        """Fill polygons, one color each, without an outline."""
        if polygons:
            faces = [to_rgba(color, alpha) for color in colors]
            self._add(
                PolyCollection([_rounded(path) for path in polygons], facecolors=faces, edgecolors="none", linewidths=0)
            )

    def boxes(self, corners: Sequence[XY], size: XY, colors: Sequence[Any]) -> None:
        """Fill boxes of one `size` (width, height), whose top left corners are `corners`."""
        w, h = size
        self.areas([((x, y), (x + w, y), (x + w, y + h), (x, y + h)) for x, y in corners], colors)

    def marks(
        self,
        centers: Sequence[XY],
        marker: str,
        colors: str | Sequence[str],
        size: float = 6.0,
        hollow: bool = False,
    ) -> None:
        """Draw a marker of matplotlib, `size` pixels wide, at every center; `hollow` leaves it open."""
        if not centers:
            return
        shape = MarkerStyle(marker)
        faces, edges = (PAPER, colors) if hollow else (colors, PAPER)
        self._repeat(
            shape.get_path().transformed(shape.get_transform()),
            centers,
            size * _LARGER.get(marker, 1.0),
            facecolors=faces,
            edgecolors=edges,
            linewidths=1.4 if hollow else 0.8,
        )

    def rings(self, centers: Sequence[XY], radius: float, color: str, width: float) -> None:
        """Draw circles around `centers`."""
        if centers:
            self._repeat(Path.unit_circle(), centers, radius, facecolors="none", edgecolors=color, linewidths=width)

    def _repeat(self, path: Path, centers: Sequence[XY], size: float, **style: Any) -> None:
        """Draw one path, enlarged by `size`, at every center."""
        shapes = PathCollection(
            (path,), sizes=(size**2,), offsets=_rounded(centers), offset_transform=self._flip, **style
        )
        shapes.set_transform(IdentityTransform())
        self._shapes.append(shapes)

    def _add(self, artist: Artist) -> None:
        artist.set_transform(self._flip)
        self._shapes.append(artist)

    def texts(
        self,
        labels: Sequence[tuple[float, float, str]],
        size: float = 10.5,
        color: str = INK,
        anchor: str = "start",
        bold: bool = False,
        turn: float = 0.0,
        halo: bool = False,
    ) -> None:
        """Write texts (x, vertical middle, text) in one style.

        They are written here and not by matplotlib: as SVG needs no measuring, hundreds of numbers cost nothing, and
        the file does not depend on the fonts that the machine has.

        Args:
            labels: x, y and text of each.
            size: font size in pixels.
            color: fill, as hex.
            anchor: which end of the text x is: start, middle, end.
            bold: heavier.
            turn: degrees, clockwise, about (x, y).
            halo: a rim of the color of the page, for text over lines.
        """
        if not labels:
            return
        extra = ' font-weight="600"' if bold else ""
        if halo:
            extra += f' stroke="{PAPER}" stroke-width="3" paint-order="stroke"'
        inner = "".join(_render_texts(labels, size, turn))
        self._words.append(f'<g font-size="{size:g}" text-anchor="{anchor}" fill="{color}"{extra}>{inner}</g>')

    def text(self, x: float, y: float, text: str, **style: Any) -> None:
        """Write one text; see `texts`."""
        self.texts([(x, y, text)], **style)

    def title(self, lines: Sequence[str]) -> None:
        """Write the title at the top, one text a line."""
        self.texts([(2, 11 + 17 * i, line) for i, line in enumerate(lines)], size=TITLE_SIZE, bold=True)

    def notes(self, y: float, texts: Sequence[str]) -> None:
        """Write small lines that say how to read the chart, the first with its middle at `y`."""
        self.texts([(2, y + NOTE * i, text) for i, text in enumerate(texts)], size=10, color=SOFT)

    def _drawn(self) -> str:
        """Return the shapes as SVG elements."""
        figure = Figure(figsize=(self.width / 72, self.height / 72), dpi=72)
        figure.patch.set_visible(False)
        for i, shape in enumerate(self._shapes):
            shape.set_zorder(i)
            figure.add_artist(shape)
        file = io.BytesIO()
        FigureCanvasSVG(figure).print_svg(file, metadata=_NO_METADATA)
        # Without matplotlib's head: it names a document type at an outside address and sizes in points.
        body = file.getvalue().decode().partition("</defs>")[2].rpartition("</svg>")[0]
        # Path data on one line, without blanks that mean nothing: a heat map is a third smaller.
        return re.sub(r" ?\n *([LQCz\"])|\n *(?=<)", r"\1", body)

    def svg(self, title: str, description: str) -> bytes:
        """Return the drawing as a file; `title` and `description` are its own, for who cannot see it."""
        body = self._drawn() + "\n" + "\n".join(self._words)
        dark = "\n".join(_dark_rules(light, dark) for light, dark in DARK.items() if light in body)
        return (
            '<?xml version="1.0" encoding="utf-8"?>\n'
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}" '
            f'role="img" aria-labelledby="title desc" font-family="{escape(FONTS)}">\n'
            f'<title id="title">{escape(clean(title), quote=False)}</title>\n'
            f'<desc id="desc">{escape(clean(description), quote=False)}</desc>\n'
            "<style>:root{color-scheme:light dark}*{stroke-linejoin:round}\n"
            f"@media screen and (prefers-color-scheme:dark){{\n{dark}\n}}</style>\n"
            f"{body}\n</svg>\n"
        ).encode()


@contextmanager
def sheet(width: int, height: int) -> Iterator[Sheet]:
    """Give an empty sheet; while it is open, matplotlib has its own defaults, whatever the user has set."""
    with matplotlib.style.context(["default", _SETTINGS]):
        yield Sheet(width, height)
