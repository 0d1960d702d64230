"""What a change of a published submission does to it, and who may make it. Torch-free.

A change may only add. What it says anew of its authors, and what it withdraws, a maintainer has to confirm; and all of
it, if the account that asks for it is none that the published entry names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.errors import IntegrityError, UserError
from benchmark.files.canonical import sha256_file
from benchmark.files.looks import skeleton
from benchmark.records.history import HISTORY, RECORD_FILES, SUPERSEDED, load_history
from benchmark.records.record import load_record
from benchmark.submissions.findings import Finding, Findings
from benchmark.submissions.submission import Submission, list_submissions, load_submission_folder

__all__ = ["check_change"]

CONFIRMED = ("accounts", "authors", "title", "contact", "license", "trained_on")
"""The fields of which a change is confirmed by a maintainer."""


def _digest_files(folder: Path) -> dict[str, str]:
    return {name: sha256_file(folder / name) for name in RECORD_FILES if (folder / name).is_file()}


def _check_records(folder: Path, base: Path, findings: Findings) -> None:
    for record_path in sorted(base.glob("records/*/record.json")):
        proposed = folder / record_path.parent.relative_to(base)
        with findings.collect(proposed):
            digest = load_record(record_path.parent).digest
            kept = [proposed, proposed / SUPERSEDED / digest[:16]]
            if _digest_files(record_path.parent) not in [_digest_files(p) for p in kept]:
                cure = "restore it; a better one supersedes it: invbench eval --supersede REASON"
                raise IntegrityError(
                    f"the published record {digest[:16]} was edited or removed", where=str(proposed), cure=cure
                )
    for old in sorted(base.glob(f"records/*/{SUPERSEDED}/*")):
        proposed = folder / old.relative_to(base)
        with findings.collect(proposed):
            if _digest_files(old) != _digest_files(proposed):
                raise IntegrityError(
                    "a superseded record was edited or removed", where=str(proposed), cure="restore it"
                )


def _check_additions(folder: Path, base: Path, findings: Findings) -> None:
    """Check that a change only adds: no published record is edited or dropped, no receipt slipped in."""
    _check_records(folder, base, findings)
    with findings.collect(folder / HISTORY):
        before, after = (p.read_bytes() if p.is_file() else b"" for p in (base / HISTORY, folder / HISTORY))
        if not after.startswith(before):
            raise IntegrityError("published history was edited", where=str(folder / HISTORY), cure="only add to it")
    known = {sha256_file(path): path for path in sorted(base.glob("records/**/receipts/*.json"))}
    submitted = {path: sha256_file(path) for path in sorted(folder.glob("records/**/receipts/*.json"))}
    for digest, path in known.items():
        with findings.collect(folder):
            if digest not in submitted.values():
                message, where = "a published receipt was edited or removed", folder / path.relative_to(base)
                raise IntegrityError(message, where=str(where), cure="restore it")
    for path, digest in submitted.items():
        with findings.collect(path):
            if digest not in known:
                cure = "leave it out; a maintainer adds it after a check of their own"
                raise IntegrityError(
                    "a receipt cannot be submitted with the record that it is of", where=str(path), cure=cure
                )


def _differs(folder: Path, base: Path) -> bool:
    """Whether two folders hold other files, or files of other content."""
    mine, theirs = (
        {path.relative_to(top): path for path in top.rglob("*") if path.is_file()} for top in (folder, base)
    )
    return mine.keys() != theirs.keys() or any(sha256_file(mine[name]) != sha256_file(theirs[name]) for name in mine)


def _load(folder: Path) -> Submission | None:
    try:
        return load_submission_folder(folder)
    except UserError:
        return None


def _shown(value: Any) -> str:
    text = ", ".join(map(repr, value)) if isinstance(value, tuple) else repr(value)
    return text if len(text) <= 200 else f"{text[:196]}..."


def _check_owner(before: Submission | None, folder: Path, author: str, findings: Findings) -> None:
    if before is None:
        findings.confirm("the published entry does not say whose it is", folder)
    elif not before.is_owned_by(author):
        who = f"'{author}'" if author else "somebody unknown"
        message = f"changed by {who}; the published entry belongs to {_shown(before.accounts)}"
        findings.confirm(message, folder / "submission.toml")


def _check_statements(before: Submission, after: Submission, folder: Path, findings: Findings) -> None:
    for name in CONFIRMED:
        was, now = getattr(before, name), getattr(after, name)
        if was != now:
            findings.confirm(f"field '{name}': was {_shown(was)}, is {_shown(now)}", folder / "submission.toml")


def _check_withdrawals(folder: Path, base: Path, findings: Findings) -> None:
    with findings.collect(folder / HISTORY):
        known = load_history(base).events if (base / HISTORY).is_file() else ()
        for event in load_history(folder).events:
            if event.kind == "withdrawn" and event not in known:
                message = f"withdraws record {event.record[:16]} of {event.suite}: {event.reason!r:.200}"
                findings.confirm(message, folder / HISTORY)


def _check_newcomer(after: Submission, folder: Path, root: Path, author: str, findings: Findings) -> None:
    """Ask for a confirmation of a new entry that its author does not own, or of names that others enter under."""
    where = folder / "submission.toml"
    if not after.is_owned_by(author):
        who = f"'{author}'" if author else "somebody unknown"
        findings.confirm(f"field 'accounts': {_shown(after.accounts)} does not name {who}, who enters it", where)
    looks = {skeleton(name): name for name in after.authors}
    for other in (_load(root / name) for name in list_submissions(root) if name != after.id):
        if other is None or other.is_owned_by(author):
            continue
        if same := sorted(looks.keys() & set(map(skeleton, other.authors))):
            message = f"field 'authors': {looks[same[0]]!r} is an author of '{other.id}', which belongs to others"
            findings.confirm(message, where)
            return


def check_change(folder: Path, base: Path, author: str | None = None) -> list[Finding]:
    """Check a change of a submission: it only adds, and its owner makes it; else a maintainer has to confirm it.

    Args:
        folder: the submission as proposed.
        base: the same submission as published, beside the others; it may be absent.
        author: the account that asks for the change; empty: nobody knows whose; None: not asked here.
    """
    findings = Findings()
    _check_additions(folder, base, findings)
    after = _load(folder)
    if not base.is_dir():
        if after is not None and author is not None:
            _check_newcomer(after, folder, base.parent, author, findings)
        return findings.items
    before = _load(base)
    if author is not None and _differs(folder, base):
        _check_owner(before, folder, author, findings)
    if before is not None and after is not None:
        _check_statements(before, after, folder, findings)
    _check_withdrawals(folder, base, findings)
    return findings.items
