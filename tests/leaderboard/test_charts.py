"""The curves: well-formed, described, and honest about gaps."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from benchmark.spec import Lock, Suite
from leaderboard.charts import render_curves, series_of, spread, styles_of
from leaderboard.entries import load_entries
from leaderboard.render import environment

SVG = "{http://www.w3.org/2000/svg}"


@given(st.lists(st.floats(0, 100), max_size=6))
def test_labels_never_overlap(heights: list[float]) -> None:
    placed = spread(heights, 13.0, 0.0, 100.0)
    ordered = sorted(placed)
    assert all(b - a >= 13.0 - 1e-9 for a, b in pairwise(ordered))
    assert all(-1e-9 <= y <= 100.0 + 1e-9 for y in placed)
    assert sorted(range(len(heights)), key=lambda i: (heights[i], i)) == sorted(
        range(len(placed)), key=lambda i: placed[i]
    )


def test_svg_is_well_formed_and_described(suite: Suite, lock: Lock, four: Path) -> None:
    entries = load_entries(suite, lock, [four])
    svg = ET.fromstring(render_curves(environment(), "one", "detail", suite.targets[0], entries))
    assert svg.get("role") == "img"
    title, desc = svg.find(f"{SVG}title"), svg.find(f"{SVG}desc")
    assert title is not None
    assert desc is not None
    assert svg.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
    assert "modular: 0.80 at backbone, 0.32 at prediction" in (desc.text or "")
    names = {text.text for text in svg.iter(f"{SVG}text")}
    assert {"copy", "mean", "ridge", "modular", "backbone", "prediction"} <= names


def test_a_gap_breaks_the_line(suite: Suite, lock: Lock, four: Path) -> None:
    entries = load_entries(suite, lock, [four])
    (ridge,) = (entry for entry in entries if entry.submission.id == "ridge")
    del ridge.record.targets["mini-detr"].taps["encoder.1"]
    (line,) = (line for line in series_of([ridge], suite.targets[0], "detail"))
    assert line.scores[2] is None
    svg = ET.fromstring(render_curves(environment(), "one", "detail", suite.targets[0], [ridge]))
    assert len([path for path in svg.iter(f"{SVG}path") if path.get("class") == "line"]) == 2


def test_no_entries(suite: Suite) -> None:
    svg = ET.fromstring(render_curves(environment(), "one", "detail", suite.targets[0], []))
    desc = svg.find(f"{SVG}desc")
    assert desc is not None
    assert desc.text == "No scores."


def test_references_take_no_color(suite: Suite, lock: Lock, four: Path) -> None:
    assert styles_of(load_entries(suite, lock, [four])) == {"copy": None, "mean": None, "modular": 0, "ridge": 1}
