"""Data for the scripts of the pages, as script files: pages opened from a disk may read no others."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.suites.spec import Suite, TargetSpec
from leaderboard.data.board import Board
from leaderboard.data.entries import Entry
from leaderboard.data.views import WHOLE, axes_of, columns_of, kinds_of, scopes_of

__all__ = ["PACK_SCALE", "compare_script", "iter_packs", "pack_script", "script", "views_script"]

PACK_SCALE = 1e-4
"""Resolution of the packed scores of images; they are kept within +-3.2."""

ABSENT = -32768


def script(name: str, value: Any) -> str:
    """Return a script that sets `invbench.<name>`."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
    # What others wrote must neither end the script nor a line of it.
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f"(window.invbench=window.invbench||{{}}).{name}={text};\n"


def _thousandths(values: npt.NDArray[np.float32]) -> list[int]:
    return [int(v) for v in np.where(np.isnan(values), -1, np.round(1000 * values.astype(np.float64))).ravel()]


def views_script(board: Board, target: TargetSpec | None) -> str:
    """Return the views of all records on a target, or on all targets: value, low, high in thousandths, -1 for none."""
    suite, rows = board.suite, {}
    for entry in board.entries:
        scores = entry.shown.get(target.id if target else None)
        if scores is not None:
            rows[entry.submission.id] = _thousandths(scores)
    scopes = [WHOLE] if target is None else list(scopes_of(target))
    stages = {} if target is None else {tap.name: tap.stage for tap in target.taps}
    data = {
        "scopes": scopes,
        "stages": stages,
        "kinds": list(kinds_of(suite)),
        "axes": list(axes_of(suite)),
        "rows": rows,
    }
    return script("views", data)


def pack_script(suite: Suite, entry: Entry, target: TargetSpec) -> str:
    """Return the scores of every image of a record on a target: int16 (columns, taps, images), in base64."""
    axes, kinds = axes_of(suite), kinds_of(suite)
    views = entry.views
    images = views.images[target.id]  # type: ignore[union-attr]
    scores = np.stack([images[axes.index(axis), kinds.index(kind)] for axis, kind in columns_of(suite)])
    scaled = np.round(np.clip(scores.astype(np.float64), -3.2, 3.2) / PACK_SCALE)
    packed = np.where(np.isnan(scaled), ABSENT, scaled).astype("<i2").tobytes()
    key = json.dumps(f"{entry.submission.id}/{target.id}")
    return f'window.invbench.packs[{key}]="{base64.b64encode(packed).decode()}";\n'


def compare_script(board: Board) -> str:
    """First script of the comparison: targets with their taps, columns, and the submissions with scores."""
    suite = board.suite
    data = {
        "axes": list(axes_of(suite)), "columns": columns_of(suite), "kinds": list(suite.perturbations),
        "targets": {target.id: list(target.tap_names) for target in suite.targets},
        "names": [entry.submission.id for entry in board.entries if entry.views is not None],
        "scale": PACK_SCALE, "absent": ABSENT,
        "resamples": 1000, "seed": suite.bootstrap_seed,
    }  # fmt: skip
    return script("compare", data) + "window.invbench.packs={};\n"


def iter_packs(board: Board) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of every pack."""
    for entry in board.entries:
        for target in board.suite.targets:
            if entry.views is not None and target.id in entry.views.images:
                yield f"images-{entry.submission.id}-{target.id}.js", pack_script(board.suite, entry, target)
