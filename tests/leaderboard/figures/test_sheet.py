"""The surface that charts are drawn on: one whole file, text as text, whatever the user's settings are."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import matplotlib
from figures import SVG

from leaderboard.figures.palette import DARK, INK
from leaderboard.figures.sheet import sheet


def draw() -> bytes:
    with sheet(200, 100) as drawing:
        drawing.lines([[(0, 0), (200.004, 100)]], INK, dashes=[(4, 2)])
        drawing.lines([], INK)
        drawing.boxes([(10, 20)], (30, 40), ["#ff0000"])
        drawing.marks([(50, 50)], "o", INK, hollow=True)
        drawing.rings([(50, 50)], 8, INK, 1)
        drawing.text(5, 90, "a <b> & $c$", turn=90, halo=True)
        return drawing.svg("A <title>", "What & why")


def test_a_sheet_is_a_file_with_its_size_title_and_texts() -> None:
    root = ElementTree.fromstring(draw())
    assert (root.get("width"), root.get("height"), root.get("viewBox")) == ("200", "100", "0 0 200 100")
    assert [root.findtext(f"{SVG}{name}") for name in ("title", "desc")] == ["A <title>", "What & why"]
    (text,) = root.iter(f"{SVG}text")
    assert text.text == "a <b> & $c$" and "rotate(90 5.0 90.0)" in str(text.get("transform"))


def test_places_count_from_the_top_left_and_colors_have_their_dark_ones() -> None:
    source = draw().decode()
    assert "M 10 20L 40 20L 40 60L 10 60" in source.replace("\n", "")
    assert f'[fill="{INK}"]{{fill:{DARK[INK]}}}' in source


def test_the_settings_of_the_user_change_nothing() -> None:
    before = draw()
    with matplotlib.rc_context({"lines.linewidth": 9, "path.simplify": False, "svg.fonttype": "path"}):
        assert draw() == before
