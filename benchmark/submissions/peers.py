"""A record beside those of other submissions: is it a copy of one, and does it score the same images? Torch-free."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.errors import IntegrityError, UserError, located
from benchmark.files.tables import read_table
from benchmark.inverses.spec import METHODS
from benchmark.metrics.spec import get_metric
from benchmark.records.audit import decode_png
from benchmark.records.columns import AUDIT_SCHEMA
from benchmark.records.consistency import ROUNDED
from benchmark.records.history import SUPERSEDED
from benchmark.records.record import Record, load_record, load_scores
from benchmark.records.scored import check_alike, find_scored
from benchmark.records.scores import ScoreArrays, scores_from_table
from benchmark.records.store import record_folder
from benchmark.submissions.submission import list_submissions
from benchmark.suites.spec import INPUT, Suite

__all__ = ["WEIGHTS", "check_compared_layers", "check_scored_images", "find_near_copies"]

Pictures = Mapping[tuple[str, str, str, str], bytes]
"""PNGs by image, target, tap and perturbation."""
WEIGHTS = "model.safetensors"
SAME_PICTURE, NEAR_PICTURE = 0.1, 2.0
"""Mean differences in gray levels below which two recons are one, and nearly one.

Rounding on two machines makes a tenth of the first. Two of the package's methods differ by more than the second in most
pictures of every target; noise of a hundredth of their spread on all weights makes about as much.
"""
COMPARED_PICTURES = 8
"""So many recons of a target are compared; which, follows from the record's own digest."""


def _iter_others(record: Record, root: Path) -> Iterator[tuple[str, Record]]:
    """Yield the records of other submissions on the suite of a record, those of the board's reference points first."""
    names = list_submissions(root)
    for name in sorted(names, key=lambda name: (name not in METHODS or METHODS[name].role == "entry", name)):
        folder = record_folder(root, name, record.suite)
        if name == record.submission.id or not (folder / "record.json").is_file():
            continue
        try:
            yield name, load_record(folder)
        except UserError:
            continue


def _find_gap(record: Record, other: Record, target: str) -> str | None:
    """Return in words where two records differ on a target by more than two machines do; None where nowhere."""
    theirs = {(c.target, c.tap, c.perturbation, c.metric): c for c in other.cells}
    gaps: dict[str, list[tuple[float, int]]] = {}
    for cell in (cell for cell in record.cells if cell.target == target):
        twin = theirs.get((cell.target, cell.tap, cell.perturbation, cell.metric))
        if twin is None or cell.value is None or twin.value is None:
            continue
        gap = cell.value - twin.value
        if abs(gap) > get_metric(cell.metric).tolerance:
            return f"'{cell.metric}' is {cell.value:g} at {cell.tap} under {cell.perturbation}, not {twin.value:g}"
        gaps.setdefault(cell.metric, []).append((gap, cell.scored))
    for name, found in gaps.items():
        metric, images = get_metric(name), sum(scored for _, scored in found)
        bias = sum(gap * scored for gap, scored in found) / max(images, 1)
        if metric.aggregate == "mean" and abs(bias) > metric.mean_tolerance + ROUNDED:
            return f"'{name}' is {bias:+.2g} higher in the mean"
    return None


def _find_same_weights(record: Record, other: Record) -> list[str]:
    """The targets that two records invert with the same weights, whatever is written into their configuration."""
    return [
        target
        for target in sorted(record.inverses.keys() & other.inverses.keys())
        if (own := record.inverses[target].files.get(WEIGHTS)) and own == other.inverses[target].files.get(WEIGHTS)
    ]


def _find_same_scores(record: Record, other: Record) -> list[str]:
    """The targets on which two records of the same images differ nowhere by more than two machines do."""
    alike = ("suite_digest", "lock_digest", "precision", "images")
    if any(getattr(record, field) != getattr(other, field) for field in alike):
        return []
    both = sorted(record.targets.keys() & other.targets.keys())
    return [target for target in both if _find_gap(record, other, target) is None]


def _read_pictures(folder: Path) -> Pictures:
    """The stored pictures of a record; none where a wheel leaves them out."""
    try:
        table = read_table(folder / "audit.parquet", AUDIT_SCHEMA)
    except UserError:
        return {}
    labels = zip(*(table.column(name).to_pylist() for name in AUDIT_SCHEMA.names[:4]), strict=True)
    return dict(zip(labels, table.column("png").to_pylist(), strict=True))


def _distance(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> float:
    return float(np.abs(first.astype(np.int16) - second).mean())


def _measure_recons(suite: Suite, record: Record, mine: Pictures, theirs: Pictures) -> dict[str, list[float]]:
    """By target, how far a few recons of two records are apart, in gray levels.

    Recons that are the input itself are left out, since whoever inverts well makes the same ones.
    """
    found: dict[str, list[float]] = {}
    for target in (target for target in suite.targets if target.id in record.targets):
        cells = [cell for cell in mine if cell[1] == target.id and cell[2] != INPUT and cell in theirs]
        cells.sort(key=lambda cell: hashlib.sha256(repr((record.digest, cell)).encode()).digest())
        measured = found.setdefault(target.id, [])
        for image, name, tap, kind in cells:
            if len(measured) == COMPARED_PICTURES:
                break
            own = decode_png(mine[image, name, tap, kind], target.input_size)
            shown = mine.get((image, name, INPUT, kind))
            if shown is None or _distance(own, decode_png(shown, target.input_size)) >= SAME_PICTURE:
                measured.append(_distance(own, decode_png(theirs[image, name, tap, kind], target.input_size)))
    return found


def _find_near(distances: Mapping[str, Sequence[float]], below: float) -> list[str]:
    """The targets of which most recons are nearer than that."""
    return [target for target, found in distances.items() if 2 * sum(d < below for d in found) > len(found)]


def _refuse_copy(record: Record, name: str, other: Record, pictures: bool) -> None:
    """Refuse weights and scores of another record; raises IntegrityError."""
    cure = "enter an inverse of your own: invbench train inverse --help"
    if same := _find_same_weights(record, other):
        raise IntegrityError(f"its weights for {', '.join(same)} are those of '{name}'", cure=cure)
    if other.suite != record.suite:
        return
    if record.scores_sha256 == other.scores_sha256 or (pictures and record.audit_sha256 == other.audit_sha256):
        raise IntegrityError(f"its scores are those of '{name}'", cure=cure)
    if same := _find_same_scores(record, other):
        raise IntegrityError(f"its scores on {', '.join(same)} are those of '{name}'", cure=cure)


def find_near_copies(suite: Suite, record: Record, folder: Path, root: Path, where: str) -> list[str]:
    """Check that a record is not one of another submission under a new id, superseded ones among them.

    Compared are weights (their hash, over all suites), scores (equal, or as near as those of two machines) and recons
    (their pixels).

    Args:
        folder: that of the record, which is known to be whole.
        root: the folder of the submissions.

    Returns:
        In words, which recons are nearly those of another.

    Raises:
        IntegrityError: it shares weights, scores or recons with another; names it.
    """
    mine, near = _read_pictures(folder), []
    for name in list_submissions(root):
        depths = ("*/record.json", f"*/{SUPERSEDED}/*/record.json") if name != record.submission.id else ()
        for place in sorted(path.parent for depth in depths for path in (root / name / "records").glob(depth)):
            try:
                other = load_record(place)
            except UserError:
                continue  # a check of that submission says so
            with located(where):
                _refuse_copy(record, name, other, bool(mine))
                if other.suite != record.suite:
                    continue
                distances = _measure_recons(suite, record, mine, _read_pictures(place))
                if same := _find_near(distances, SAME_PICTURE):
                    message = f"its recons of {', '.join(same)} are those of '{name}'"
                    raise IntegrityError(message, cure="enter an inverse of your own: invbench train inverse --help")
            if alike := _find_near(distances, NEAR_PICTURE):
                near.append(f"its recons of {', '.join(alike)} are nearly those of '{name}'")
    return near


def _same_lock(record: Record, other: Record) -> bool:
    return (other.suite_digest, other.lock_digest) == (record.suite_digest, record.lock_digest)


def check_compared_layers(record: Record, root: Path, where: str) -> None:
    """Check that a record compares the layers that a published record under the same lock compares.

    Which taps have one shape depends on the target alone; only inverses that are stored say so.

    Raises:
        IntegrityError: it compares others; names the target.
    """
    for name, other in _iter_others(record, root):
        if not (_same_lock(record, other) and other.layers):
            continue
        for target in sorted(other.layers.keys() & record.inverses.keys()):
            mine, theirs = ({(s.stage, s.taps) for s in r.layers.get(target, ())} for r in (record, other))
            if WEIGHTS in record.inverses[target].files and mine != theirs:
                message = f"field 'layers.{target}': compares other taps than the record of '{name}'"
                raise IntegrityError(message, where=where, cure="evaluate again")
        return


def check_scored_images(suite: Suite, record: Record, scores: Sequence[ScoreArrays], root: Path, where: str) -> None:
    """Check that a record scores the images that a published record under the same lock scores.

    Raises:
        IntegrityError: it does not; names metric and image.
    """
    own = find_scored(suite, scores)
    for name, other in _iter_others(record, root):
        if not _same_lock(record, other) or other.images < record.images:
            continue
        try:
            table = load_scores(record_folder(root, name, suite.id), other)
            published = find_scored(suite, scores_from_table(suite, table, other.targets.keys(), other.images))
        except UserError:
            continue
        check_alike(suite, own, published, name, where)
        return
