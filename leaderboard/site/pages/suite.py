"""The page of a suite: its protocol in full."""

from __future__ import annotations

import re
from typing import Any

from benchmark.metrics.spec import METRICS
from benchmark.records.aggregate import PULL
from benchmark.suites.catalog import diff_suites, list_suites, load_suite
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Axis, CocoData, FrozenData, ImagenetData, Source, Suite
from leaderboard.data.board import Board
from leaderboard.data.pictures import Gallery
from leaderboard.data.rankings import RANK_RULE
from leaderboard.data.views import axes_of
from leaderboard.data.wording import join_words
from leaderboard.site.marks import units_words
from leaderboard.site.pages.pulls import WEARS, answer_words

__all__ = ["suite_context"]


def _selection(suite: Suite) -> str:
    """Return in words how the images were chosen and prepared."""
    data = suite.dataset
    resized = "Resized to every target's input size by Pillow's bilinear filter, which antialiases."
    if isinstance(data, FrozenData):
        return f"All {data.images} images and masks lie frozen in {data.path} of the package; used at their own size."
    if isinstance(data, CocoData):
        low, high = data.share
        return (
            f"From the annotations of COCO {data.split} alone: no crowd annotation, the focal category covers "
            f"{low:.0%} to {high:.0%} of the image; of these the first {data.images} in the order of the SHA-256 of "
            f"“{data.salt}” and the image id. {resized}"
        )
    if isinstance(data, ImagenetData):
        return (
            f"The first photograph of every class, of these the first {data.images}, both in the order of the SHA-256 "
            f"of “{data.salt}” and the file's name. The focal mask is the whole frame. {resized}"
        )
    revision = f" at revision {data.revision}" if data.revision else ""
    return f"The files {', '.join(data.files)} of {data.repo_id}{revision}, in their order. {resized}"


def _address(lock: Lock) -> Any:
    def address(source: Source) -> str:
        if source.repo_id is None:
            return f"in the package: {source.path}"
        return f"{source.repo_id} at {source.revision or lock.revisions.get(source.repo_id, 'no revision yet')}"

    return address


def _version_changes(suite: Suite) -> tuple[str | None, list[tuple[str, str, str]] | None]:
    """Return the version before this one, and the fields in which they differ; None for a first version."""
    known = [name for name in list_suites() if re.fullmatch(rf"{re.escape(suite.name)}@\d+", name)]
    before = max((v for name in known if (v := int(name.split("@")[1])) < suite.version), default=None)
    if before is None:
        return None, None
    old = load_suite(f"{suite.name}@{before}")
    rows = [row for row in diff_suites(old, suite) if row["field"] != "version"]
    return old.id, [(row["field"], row[old.id], row[suite.id]) for row in rows]


def _yardsticks(suite: Suite, lock: Lock) -> list[tuple[str, list[tuple[int, list[float | None]]]]]:
    """Return by input size and rows what thumbnails score, axis by axis."""
    found = []
    for size, by_axis in lock.yardsticks.items():
        every = sorted({count for one in by_axis.values() for count in one})
        found.append((size, [(count, [by_axis.get(a, {}).get(count) for a in axes_of(suite)]) for count in every]))
    return found


def _answers(suite: Suite, lock: Lock) -> list[tuple[str, list[str], list[tuple[str, list[float | None]]]]]:
    """Return by input size the answers that invert nothing, and by metric what each scores."""
    found = []
    for size, answers in lock.answers.items():
        rows = [(metric, [a.metrics.get(metric) for a in answers.values()]) for metric in suite.report]
        rows = [row for row in rows if row[0] != PULL]
        words = {"recolored": "unusual color", "canonical": "usual color"}
        rows += [(f"{PULL}, {words[wear]}", [a.pull.get(wear) for a in answers.values()]) for wear in WEARS]
        held = [(metric, values) for metric, values in rows if any(value is not None for value in values)]
        found.append((size, [answer_words(name) for name in answers], held))
    return found


def _limits(board: Board) -> list[str]:
    """Limits of the scores of a suite, from what the suite is made of."""
    suite, limits = board.suite, []
    if isinstance(suite.dataset, FrozenData):
        limits.append(
            "Its images are composed scenes and its targets small networks: what holds here need not hold for "
            "photographs and large networks."
        )
    if isinstance(suite.dataset, ImagenetData):
        limits.append(
            "There are no object masks: hue changes recolor the whole frame, and shape is judged without one."
        )
    limits.append(
        f"{units_words(board)}: the 95 % intervals of the scores over all targets reach, in the mean over the ranked "
        f"submissions, {_reach(board)} to either side; single ones may reach farther."
        if board.tables[None].ranked
        else f"{units_words(board)} decide how small a difference can be significant."
    )
    if not any("lpips" in metric for metric in suite.metrics):
        limits.append("No perceptual distance is reported: no perceptual network is small enough to embed.")
    limits += [
        "Hue kinds change hue alone, in HSV; perceived lightness changes with it.",
        "Places come from the images of this suite; their intervals hold for such images, not for others.",
        "DETAIL is strict about position: a recon shifted by a pixel or two loses much of it. It does not "
        "measure looks; PSNR and SSIM are reported beside it.",
        "COLOR describes the layer and the inverse together: a low value at a deep tap may be a finding.",
        "Records store no pictures: all scores are confirmed only by a rerun, for which “reproduced” stands."
        if suite.dataset.pictures == "none"
        else "Anyone can rescore the recons of the stored images; all other scores are confirmed only by a rerun, "
        "for which “reproduced” stands.",
        "Milliseconds per recon were measured on the device named beside them and cannot be compared across devices.",
    ]
    if board.lock.draft or suite.draft:
        limits.insert(0, "The suite is a draft: its lock does not pin everything, and its records are never ranked.")
    return limits


def _reach(board: Board) -> str:
    """Return in words the mean half-width of the intervals of each axis over all targets."""
    halves: dict[Axis, list[float]] = {}
    for cell in (cell for row in board.tables[None].ranked for cell in row.cells):
        if cell.score is not None and cell.score.low is not None and cell.score.high is not None:
            halves.setdefault(cell.axis, []).append((cell.score.high - cell.score.low) / 2)
    words = [f"{axis.upper()} {sum(found) / len(found):.3f}" for axis, found in halves.items()]
    return join_words(words or ["nothing known"])


def _architectures(suite: Suite) -> str:
    """Return in words which targets are averaged first; empty where each stands for itself."""
    members: dict[str, list[str]] = {}
    for target in suite.targets:
        members.setdefault(target.architecture or target.id, []).append(target.id)
    if len(members) == len(suite.targets):
        return ""
    return "; ".join(f"{name} ({', '.join(ids)})" if ids != [name] else name for name, ids in members.items())


def suite_context(board: Board, gallery: Gallery | None) -> dict[str, Any]:
    """Context of the template `suite.html.j2`; `gallery` gives the samples of the perturbations."""
    suite, lock = board.suite, board.lock
    image = gallery.choice.images[0][1] if gallery and gallery.choice.images else None
    samples = [(kind, gallery.seen(image, kind)) for kind in suite.perturbations] if gallery and image else []
    before, changes = _version_changes(suite)
    return {
        "lock": lock,
        "taps": sum(len(target.taps) for target in suite.targets),
        "submissions": len(board.entries),
        "selection": _selection(suite),
        "samples": [(kind, file) for kind, file in samples if file],
        "sample_image": image,
        "sample_credits": gallery.credited({image}) if gallery and image else (),
        "sample_size": gallery.target.input_size if gallery else None,
        "address": _address(lock),
        "metrics": [METRICS[m] for m in suite.metrics if m in METRICS],
        "axes": axes_of(suite),
        "units": units_words(board),
        "rank_rule": RANK_RULE,
        "architectures": _architectures(suite),
        "yardsticks": _yardsticks(suite, lock),
        "answers": _answers(suite, lock),
        "before": before,
        "changes": changes,
        "limits": _limits(board),
    }  # fmt: skip
