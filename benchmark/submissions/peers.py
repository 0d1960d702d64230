"""A record beside those of other submissions: is it a copy of one, and does it score the same images? Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.errors import IntegrityError, UserError, located
from benchmark.inverses.spec import METHODS
from benchmark.metrics.spec import get_metric
from benchmark.records.consistency import ROUNDED
from benchmark.records.record import Record, load_record, load_scores
from benchmark.records.scored import check_alike, find_scored
from benchmark.records.scores import ScoreArrays, scores_from_table
from benchmark.records.store import record_folder
from benchmark.submissions.submission import list_submissions
from benchmark.suites.spec import Suite

__all__ = ["WEIGHTS", "check_compared_layers", "check_scored_images", "iter_shared"]

WEIGHTS = "model.safetensors"


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


def _check_copy(record: Record, name: str, other: Record) -> str | None:
    """Compare a record with that of another submission; return what they share without a fault, in words.

    Raises:
        IntegrityError: scores or audit images are the other's, or the same weights have other scores.
    """
    pairs = {target: (record.inverses[target].files, other.inverses[target].files)
             for target in sorted(record.inverses.keys() & other.inverses.keys())}  # fmt: skip
    same = [target for target, (mine, theirs) in pairs.items() if mine and mine == theirs]
    whole = len(same) == len(record.inverses) == len(other.inverses)
    scores, audit = record.scores_sha256 == other.scores_sha256, record.audit_sha256 == other.audit_sha256
    if scores and audit and whole:
        return f"same weights and scores as '{name}'"
    if audit and whole:
        message = f"same weights and audit images as '{name}', but other scores"
        raise IntegrityError(message, cure="evaluate again")
    if scores or audit:
        raise IntegrityError(f"its scores are those of '{name}'", cure="evaluate your own inverse")
    alike = ("suite_digest", "lock_digest", "precision", "images")
    comparable = all(getattr(record, field) == getattr(other, field) for field in alike)
    for target in same if comparable else ():
        if gap := _find_gap(record, other, target):
            message = f"same weights for '{target}' as '{name}', but other scores: {gap}"
            raise IntegrityError(message, cure="evaluate again")
    return f"same weights for {', '.join(same)} as '{name}'" if same else None


def iter_shared(record: Record, root: Path, where: str) -> Iterator[str]:
    """Yield in words what a record shares with those of other submissions: weights, and all scores with them.

    Raises:
        IntegrityError: scores or audit images are those of another, or the same weights have other scores.
    """
    for name, other in _iter_others(record, root):
        with located(where):
            shared = _check_copy(record, name, other)
        if shared:
            yield shared


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
