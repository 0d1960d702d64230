"""The picture of the rooms in docs/ is that of the imports."""

from __future__ import annotations

from rooms import BESIDE, find_edges, render_rooms
from test_structure import ORDER, ROOT


def test_the_picture_in_the_docs_shows_the_imports() -> None:
    committed = (ROOT / "docs" / "rooms.svg").read_text(encoding="utf-8")
    assert committed == render_rooms(), "run: python tests/rooms.py docs/rooms.svg"


def test_every_room_is_in_the_picture_and_arrows_lead_down() -> None:
    rows = {room: number for number, row in enumerate(ORDER) for room in row} | {"cli": len(ORDER), BESIDE: len(ORDER)}
    picture, edges = render_rooms(), find_edges()
    assert all(f">{room}</text>" in picture for room in rows)
    assert all(rows[other] < rows[room] or (room, other) == ("cli", BESIDE) for room in edges for other in edges[room])
    assert picture.count("<path d=") - 1 == sum(map(len, edges.values()))
