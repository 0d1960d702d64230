"""Data for the scripts of the pages, as script files: pages opened from a disk may read no others."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.records.bootstrap import widening
from benchmark.records.equivalent import FLAT_COLOR
from benchmark.records.statistics import masked_mean
from benchmark.suites.spec import Suite, TargetSpec
from leaderboard.data.board import Board
from leaderboard.data.entries import Entry
from leaderboard.data.equivalents import yardsticks_of
from leaderboard.data.views import WHOLE, axes_of, columns_of, kinds_of, scopes_of
from leaderboard.site.marks import NOTHING

__all__ = ["PACK_SCALE", "compare_script", "iter_packs", "pack_script", "script", "views_script"]

PACK_SCALE = 1e-4
"""Resolution of the packed scores of images, kept within +-3.2; intervals come from these, means are exact."""

ABSENT = -32768


def script(name: str, value: Any) -> str:
    """Return a script that sets `invbench.<name>`."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
    # What others wrote must neither end the script nor a line of it.
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f"(window.invbench=window.invbench||{{}}).{name}={text};\n"


def _thousandths(values: npt.NDArray[np.float64]) -> list[int | None]:
    return [None if np.isnan(v) else round(1000 * v) for v in values.astype(np.float64).ravel().tolist()]


def views_script(board: Board, target: TargetSpec | None) -> str:
    """Return the views of all records on a target, or on all targets: value, low, high in thousandths, null for none.

    Beside them by axis the rows and scores of thumbnails, the yardstick of the scores as the axes are defined.
    """
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
        "measured": [entry.submission.id for entry in board.entries if entry.views is not None],
        "yardsticks": {
            axis: list(own.items())
            for axis, own in yardsticks_of(suite, board.lock, target.id if target else None).items()
            if own
        },
        "flat": FLAT_COLOR,
        "nothing": NOTHING,
    }
    return script("views", data)


def pack_script(suite: Suite, entry: Entry, target: TargetSpec) -> str:
    """Return the scores of every image of a record on a target: int16 (columns, taps, images), in base64.

    Beside them their means over images (columns x taps), not rounded, so that the difference of two is exact.
    """
    axes, kinds = axes_of(suite), kinds_of(suite)
    views = entry.views
    images = views.images[target.id]  # type: ignore[union-attr]
    scores = np.stack([images[axes.index(axis), kinds.index(kind)] for axis, kind in columns_of(suite)])
    means = [None if np.isnan(mean) else mean for mean in _means(scores).ravel().tolist()]
    scaled = np.round(np.clip(scores.astype(np.float64), -3.2, 3.2) / PACK_SCALE)
    packed = np.where(np.isnan(scaled), ABSENT, scaled).astype("<i2").tobytes()
    key = json.dumps(f"{entry.submission.id}/{target.id}")
    text = json.dumps(means, separators=(",", ":"))
    return f'window.invbench.packs[{key}]={{"scores":"{base64.b64encode(packed).decode()}","means":{text}}};\n'


def _means(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the mean over images, (columns, taps); NaN where none is scored."""
    columns, taps, images = scores.shape
    return masked_mean(scores.reshape(-1, images).T.astype(np.float64)).reshape(columns, taps)


def compare_script(board: Board) -> str:
    """First script of the comparison: targets with their taps, columns, and the submissions with scores.

    `members` gives the group of every image, `widening` by the number of groups what an interval is widened by.
    """
    suite = board.suite
    names = next((entry.groups for entry in board.entries if entry.views is not None), ())
    members = np.unique(np.array(names, dtype=np.str_), return_inverse=True)[1]
    factors = widening(np.arange(len(set(names)) + 1, dtype=np.int64)).tolist()
    data = {
        "axes": list(axes_of(suite)), "columns": columns_of(suite), "kinds": list(suite.perturbations),
        "targets": {target.id: list(target.tap_names) for target in suite.targets},
        "names": [entry.submission.id for entry in board.entries if entry.views is not None],
        "scale": PACK_SCALE, "absent": ABSENT,
        "resamples": 1000, "seed": suite.bootstrap_seed, "members": members.tolist(),
        "widening": [None if np.isnan(factor) else round(factor, 6) for factor in factors],
    }  # fmt: skip
    return script("compare", data) + "window.invbench.packs={};\n"


def iter_packs(board: Board) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of every pack."""
    for entry in board.entries:
        for target in board.suite.targets:
            if entry.views is not None and target.id in entry.views.images:
                yield f"images-{entry.submission.id}-{target.id}.js", pack_script(board.suite, entry, target)
