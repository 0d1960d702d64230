"""The picture of the rooms, from the imports themselves: `python tests/rooms.py docs/rooms.svg` writes it."""

from __future__ import annotations

import sys
from pathlib import Path

from test_structure import GRAPH, ORDER, room_of

__all__ = ["render_rooms"]

WIDTH, ROW, MARGIN = 760, 74, 20
BOX_WIDTH, BOX_HEIGHT, GAP = 124, 34, 26
BESIDE = "leaderboard"
"""The room that stands beside the rows: it imports what is declared and stored, and never what computes."""

HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" \
role="img" font-family="system-ui, sans-serif" font-size="15" text-anchor="middle">
<title>The rooms of invbench and their imports</title>
<desc>{said}</desc>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">\
<path d="M0 0 8 4 0 8z" fill="#52606d"/></marker></defs>
<rect width="{width}" height="{height}" fill="#fff"/>
"""


def find_edges() -> dict[str, set[str]]:
    """Rooms that each room imports, without those that follow from others."""
    edges: dict[str, set[str]] = {}
    for module, others in GRAPH.items():
        if module != f"{BESIDE}.commands":  # a command group, like those of `commands`
            room = room_of(module)
            edges.setdefault(room, set()).update(map(room_of, others))
            edges[room].discard(room)

    def reach(rooms: set[str]) -> set[str]:
        return rooms | {far for room in rooms for far in reach(edges.get(room, set()))}

    return {room: {one for one in near if one not in reach(near - {one})} for room, near in edges.items()}


def place(edges: dict[str, set[str]]) -> dict[str, tuple[float, float]]:
    """The middle of every room's box: rows from the bottom up, each room above those that it imports."""
    rows = [*ORDER, ("cli",)]
    places: dict[str, tuple[float, float]] = {}
    for number, row in enumerate(rows):

        def mean(room: str) -> float:
            below = [places[other][0] for other in edges.get(room, ()) if other in places]
            return sum(below) / len(below) if below else 0

        ordered = sorted(row, key=mean) if number else row
        left = (WIDTH - len(row) * BOX_WIDTH - (len(row) - 1) * GAP) / 2
        for index, room in enumerate(ordered):
            x = left + index * (BOX_WIDTH + GAP) + BOX_WIDTH / 2
            places[room] = (x, MARGIN + BOX_HEIGHT / 2 + (len(rows) - 1 - number) * ROW)
    places[BESIDE] = (WIDTH - MARGIN - BOX_WIDTH / 2, places["commands"][1])
    return places


def render_rooms() -> str:
    """The picture as SVG: an arrow leads from a room to one that it imports."""
    edges = find_edges()
    places = place(edges)
    lines, boxes = [], []
    for room, near in sorted(edges.items()):
        for other in sorted(near):
            (x1, y1), (x2, y2) = places[room], places[other]
            lean = max(-40.0, min(40.0, (x1 - x2) / 4))
            lines.append(
                f'<path d="M{x1 - lean / 2:g} {y1 + BOX_HEIGHT / 2:g} {x2 + lean:g} {y2 - BOX_HEIGHT / 2 - 1:g}" '
                'stroke="#52606d" fill="none" marker-end="url(#tip)"/>'
            )
    for room, (x, y) in sorted(places.items()):
        color = "#fdf1d8" if room in {"cli", BESIDE} else "#e3edf7"
        boxes.append(
            f'<rect x="{x - BOX_WIDTH / 2:g}" y="{y - BOX_HEIGHT / 2:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" '
            f'rx="6" fill="{color}" stroke="#52606d"/><text x="{x:g}" y="{y + 5:g}" fill="#1f2933">{room}</text>'
        )
    said = "; ".join(f"{room} imports {', '.join(sorted(near))}" for room, near in sorted(edges.items()) if near)
    height = round(max(y for _, y in places.values()) + BOX_HEIGHT / 2 + MARGIN)
    return HEAD.format(width=WIDTH, height=height, said=said) + "\n".join([*lines, *boxes]) + "\n</svg>\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render_rooms(), encoding="utf-8")
