"""The gallery of a target: the same images, method beside method."""

from __future__ import annotations

from typing import Any

from leaderboard.data.board import Board
from leaderboard.data.pictures import CHOICE_RULE, Gallery, kind_words
from leaderboard.data.views import axes_of
from leaderboard.site.pages.strips import shots

__all__ = ["gallery_context"]

KINDS = ("identity", "hue_set_120", "hue_set_240")
"""Perturbations that can be read without scripts."""


def gallery_context(board: Board, gallery: Gallery) -> dict[str, Any]:
    """Context of the template `gallery.html.j2`."""
    suite, entries = board.suite, {entry.submission.id: entry for entry in board.entries}
    full, images = gallery.methods[: gallery.full], []
    for role, image in gallery.choice.images:
        groups = []
        for kind in (kind for kind in KINDS if kind in suite.perturbations):
            rows = [(name, shots(suite, gallery, entries[name], image, kind)) for name in full]
            rows = [(name, row) for name, row in rows if any(file for file, _, _ in row)]
            if rows:
                groups.append({"words": kind_words(kind), "seen": gallery.seen(image, kind), "rows": rows})
        if groups:
            score, credits = gallery.choice.scores.get(image), gallery.credited({image})
            images.append({"id": image, "role": role, "score": score, "groups": groups, "credits": credits})
    return {
        "target": gallery.target,
        "axes": axes_of(suite),
        "choice": gallery.choice.images,
        "images": images,
        "credits": gallery.credited({image for _, image in gallery.choice.images}),
        "withheld": gallery.withheld,
        "rule": CHOICE_RULE,
        "full": gallery.full,
        "more": len(gallery.methods) - gallery.full,
        "elsewhere": [
            e.submission.id for e in board.entries if e.audit is None and gallery.target.id in e.record.targets
        ],
    }
