"""Rows of pictures: one recon per tap, each with its text alternative and its own scores."""

from __future__ import annotations

import re

import numpy as np

from benchmark.suites.spec import Suite
from leaderboard.data.entries import Entry
from leaderboard.data.pictures import Gallery, kind_words, pictured
from leaderboard.data.rankings import render_number

__all__ = ["Shot", "own_scores", "shots"]

Shot = tuple[str | None, str, str]
"""A picture: its file (None: not recorded), its text alternative, its scores in words."""


def own_scores(suite: Suite, gallery: Gallery, entry: Entry, image: str, tap: int, kind: str) -> str:
    """Return the scores of one picture, axis by axis, to two digits; empty where there are none."""
    if entry.views is None or gallery.target.id not in entry.views.images or image not in entry.images:
        return ""
    column = entry.images.index(image)
    scores = pictured(suite, entry.views.images[gallery.target.id][:, :, tap : tap + 1, column : column + 1])
    own = scores[:, suite.perturbations.index(kind), 0, 0]
    texts = (render_number(None if np.isnan(value) else float(value), 2) for value in own)
    return " ".join(re.sub(r"^(\D?)0\.", r"\1.", text) for text in texts)


def shots(suite: Suite, gallery: Gallery, entry: Entry, image: str, kind: str) -> list[Shot]:
    """Return the recons of one image by one submission at every tap."""
    name, row = entry.submission.id, []
    for index, tap in enumerate(gallery.target.tap_names):
        file = gallery.files.get((name, image, tap, kind))
        scores = own_scores(suite, gallery, entry, image, index, kind) if file else ""
        row.append((file, f"{image}, {kind_words(kind)}: recon of {name} at {tap}", scores))
    return row
