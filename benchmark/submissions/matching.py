"""The records that were made with the very files of an inverse, and why others were not. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import UserError
from benchmark.records.history import find_withdrawal, load_history
from benchmark.records.record import Record, check_origin, load_record, load_scores
from benchmark.records.scores import is_complete, scores_from_table
from benchmark.submissions.submission import Submission, load_submission_folder
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import load_lock

__all__ = ["Match", "Matches", "find_matches"]

DEPTHS = ("record.json", "*/record.json", "records/*/record.json", "*/records/*/record.json")
"""Below a folder of submissions, a submission, its records, or one record."""


@dataclass(frozen=True)
class Match:
    """A record of an inverse; `unranked` says why its scores on the inverse's target take no place on a board."""

    record: Record
    folder: Path
    submission: Submission | None
    unranked: str | None


@dataclass(frozen=True)
class Matches:
    """The records of an inverse, one per suite, and a line for each record that was looked at and is none of them."""

    found: tuple[Match, ...]
    notes: tuple[str, ...]


def _find_difference(target: str, files: Mapping[str, str], record: Record) -> str | None:
    """Say in words why a record is not of these files, if it is not."""
    if target not in record.targets or target not in record.inverses:
        return f"it has no inverse of {target}"
    for name, sha256 in files.items():
        recorded = record.inverses[target].files.get(name)
        if recorded != sha256:
            made = f"SHA-256 {recorded[:12]}" if recorded else "none"
            return f"it was made with another {name} ({made}, this one has {sha256[:12]})"
    return None


def _explain_unranked(target: str, record: Record, folder: Path) -> str | None:
    """Say in words why a target's scores in a record are not ranked, if they are not.

    Raises:
        UserError: the suite is unknown, the record was made for another text or lock of it, or is damaged.
    """
    suite = load_suite(record.suite)
    check_origin(suite, load_lock(suite), record.submission.id, record, str(folder / "record.json"))
    if record.draft or record.exploratory:
        return "a draft" if record.draft else "in an arithmetic to explore"
    if record.status == "complete":
        return None
    scores = scores_from_table(suite, load_scores(folder, record), record.targets.keys(), record.images)
    complete = any(item.target.id == target and is_complete(suite, item) for item in scores)
    return None if complete else f"not complete on {target}"


def _open(target: str, record: Record, folder: Path) -> Match | str:
    """Return the match of a record that is of these files, or in words why it does not count."""
    home = folder.resolve().parent.parent
    if withdrawal := find_withdrawal(load_history(home), record.digest):
        return f"it was withdrawn on {withdrawal.date}"
    unranked = _explain_unranked(target, record, folder)
    submission = load_submission_folder(home) if (home / "submission.toml").is_file() else None
    return Match(record, folder, submission, unranked)


def find_matches(target: str, files: Mapping[str, str], roots: Sequence[Path]) -> Matches:
    """Find the records below `roots` that were made with these very files.

    Where a suite has several, one that is ranked on the target counts before others, then the one of most images.

    Args:
        target: the inverse's target.
        files: by name, the SHA-256 (hex) of the inverse's files.
        roots: folders of submissions, a submission, its records, or one record.
    """
    found: dict[str, Match] = {}
    different, refused = [], []
    paths = {path.resolve(): path for root in roots for depth in DEPTHS for path in sorted(root.glob(depth))}
    for path in paths.values():
        try:
            record = load_record(path.parent)
            if difference := _find_difference(target, files, record):
                different.append(f"no scores from {path}: {difference}")
                continue
            match = _open(target, record, path.parent)
        except UserError as error:
            reason = str(error).removeprefix(f"{path}: ")
            refused.append(f"no scores from {path}: {reason}")
            continue
        if isinstance(match, str):
            refused.append(f"no scores from {path}: {match}")
        elif record.suite not in found or _rank(match) > _rank(found[record.suite]):
            found[record.suite] = match
    notes = refused if found else refused + different
    return Matches(tuple(found[suite] for suite in sorted(found)), tuple(notes))


def _rank(match: Match) -> tuple[bool, int]:
    return match.unranked is None, match.record.images
