"""Everything that can be said of a submission without a network and without running anything of it. Torch-free."""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from benchmark.errors import NotFoundError, SpecError
from benchmark.files.clock import check_date
from benchmark.files.declarations import MAX_TEXT_BYTES, refuse_twin_keys
from benchmark.files.tables import MAX_FILE_BYTES
from benchmark.inverses.spec import METHODS
from benchmark.records.audit import MAX_AUDIT_BYTES
from benchmark.records.consistency import check_predecessor, check_record
from benchmark.records.history import HISTORY, SUPERSEDED, check_history, superseded_folders
from benchmark.records.plain import check_plain
from benchmark.records.receipts import RECEIPTS, load_receipts
from benchmark.records.record import MAX_RECORD_BYTES, Record, load_record
from benchmark.records.scores import ScoreArrays, is_complete
from benchmark.submissions.findings import Finding, Findings
from benchmark.submissions.origins import WEIGHT_FILES, check_origins
from benchmark.submissions.peers import WEIGHTS, check_compared_layers, check_scored_images, find_near_copies
from benchmark.submissions.resemblance import check_resemblance
from benchmark.submissions.stored_weights import MAX_CONFIG_BYTES, MAX_STORED_BYTES, STORED, check_stored_weights
from benchmark.submissions.submission import CODE, PLACEHOLDERS, Submission, load_submission_folder
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import load_lock
from benchmark.suites.spec import Suite

__all__ = ["MAX_FILES", "validate"]

MAX_FILES = 2000
_RECORD = r"records/[a-z0-9][a-z0-9._-]*@[0-9]+/"
_OLD = rf"{_RECORD}{SUPERSEDED}/[0-9a-f]{{16}}/"
_ALLOWED: tuple[tuple[str, int], ...] = (
    (r"submission\.toml", MAX_TEXT_BYTES),
    (re.escape(HISTORY), MAX_TEXT_BYTES),
    (re.escape(CODE), 200_000),
    (r"README\.md", 200_000),
    (rf"{STORED}/[a-z0-9][a-z0-9._-]{{0,63}}/config\.json", MAX_CONFIG_BYTES),
    (rf"{STORED}/[a-z0-9][a-z0-9._-]{{0,63}}/{re.escape(WEIGHTS)}", MAX_STORED_BYTES),
    *((rf"({_RECORD}|{_OLD}){re.escape(name)}", size) for name, size in (
        ("record.json", MAX_RECORD_BYTES), ("scores.parquet", MAX_FILE_BYTES), ("audit.parquet", MAX_AUDIT_BYTES))),
    (rf"({_RECORD}|{_OLD})receipts/(rescored|reproduced|challenged)-[0-9a-f]{{12}}\.json", MAX_TEXT_BYTES),
)  # fmt: skip
"""What a submission's folder may hold: patterns of paths, and the largest size of such a file in bytes."""


def _check_files(folder: Path) -> None:
    """Check names, kinds and sizes of all files below a submission's folder, without opening any."""
    if folder.is_symlink():
        raise SpecError("is a link", where=str(folder), cure="put the folder itself there")
    waiting, count = [folder], 0
    while waiting:
        # No more than there may be: a folder can hold more names than memory does.
        for path in sorted(islice(waiting.pop().iterdir(), MAX_FILES + 1)):
            name, status = path.relative_to(folder).as_posix(), path.lstat()
            count += 1
            if count > MAX_FILES:
                raise SpecError(f"holds more than {MAX_FILES:,} files", where=str(folder))
            if stat.S_ISDIR(status.st_mode):
                waiting.append(path)
                continue
            if not stat.S_ISREG(status.st_mode):
                raise SpecError("is a link or no regular file", where=str(path), cure="put the file itself there")
            limit = next((size for pattern, size in _ALLOWED if re.fullmatch(pattern, name)), None)
            if limit is None:
                cure = (
                    "allowed: submission.toml, inverse.py, README.md, history.toml, records/, and of each target "
                    f"{STORED}/TARGET/config.json and {WEIGHTS}"
                )
                if re.search(r"(^|/)\.[^/]*\.tmp$|(^|/)\.new-", name):
                    cure = "left by an interrupted run: delete it"
                raise SpecError("is not allowed in a submission", where=str(path), cure=cure)
            if status.st_size > limit:
                elsewhere = "put them on the Hub: invbench publish --help" if path.name == WEIGHTS else None
                message = f"takes {status.st_size:,} bytes, more than the {limit:,} allowed"
                raise SpecError(message, where=str(path), cure=elsewhere)


def _check_method(submission: Submission, folder: Path) -> None:
    where, method = str(folder / "submission.toml"), METHODS.get(submission.method)
    has_code = (folder / CODE).exists()
    if submission.trust_code != has_code:
        state = "there" if has_code else "not there"
        message = f"field 'trust_code': is {str(submission.trust_code).lower()}, but {CODE} is {state}"
        raise SpecError(message, where=where, cure="a submission with an architecture of its own has both, others none")
    if submission.trust_code and method is not None:
        message = f"field 'method': '{submission.method}' is the package's own"
        raise SpecError(message, where=where, cure=f"give the method in {CODE} another id")
    if method is None and not submission.trust_code:
        cure = f"known: {', '.join(METHODS)}; or add {CODE} and trust_code = true"
        raise SpecError(f"field 'method': unknown method '{submission.method}'", where=where, cure=cure)
    if method is not None and method.role != "entry" and submission.id != submission.method:
        message = f"field 'method': '{method.id}' is the {method.role} of the board, not a way to invert features"
        raise SpecError(message, where=where, cure="enter another method")
    if method is not None and not method.trained and submission.weights:
        raise SpecError(f"field 'weights': method '{method.id}' has none", where=where, cure="leave them out")


def _check_weights(submission: Submission, folder: Path, suites: list[Suite], findings: Findings) -> None:
    path, method = folder / "submission.toml", METHODS.get(submission.method)
    targets = {target.id: suite for suite in suites for target in suite.targets}
    for name, weights in submission.weights.items():
        if name not in targets:
            known = ", ".join(targets)
            raise SpecError(
                f"field 'weights.{name}': not a target of the suites", where=str(path), cure=f"known: {known}"
            )
        if weights.path is not None and not weights.beside:
            here = weights.directory(folder)
            if not all((here / file).is_file() for file in WEIGHT_FILES):
                raise SpecError(f"field 'weights.{name}.path': no such inverse in the package", where=str(path))
    if submission.weights or (method is not None and method.trained):
        for suite in suites:
            missing = [target.id for target in suite.targets if target.id not in submission.weights]
            if len(missing) == len(suite.targets):
                cure = "add [weights.TARGET] with repo_id and revision"
                raise SpecError(f"field 'weights': none for a target of {suite.id}", where=str(path), cure=cure)
            if missing:
                message = f"no weights for {', '.join(missing)} of {suite.id}: its record will be partial"
                findings.note(f"{message}, and not ranked over all targets", path)
    check_stored_weights(submission, folder)
    embedded = [name for name, weights in submission.weights.items() if weights.path and not weights.beside]
    if embedded and submission.id != submission.method:
        message = f"the weights for {', '.join(embedded)} are the package's own '{submission.method}'"
        findings.note(message, path, "train your own before you evaluate: invbench train inverse --help")


def _check_receipts(folder: Path, record: Record) -> None:
    for receipt in load_receipts(folder, record):
        check_date(receipt.date, "date", folder / RECEIPTS)


def _say_where_ranked(suite: Suite, record: Record, scores: Sequence[ScoreArrays]) -> str:
    """Return in words what of a record that is not ranked everywhere is ranked."""
    if record.draft or record.exploratory:
        return f"the record is {'a draft' if record.draft else 'in an arithmetic to explore'} and will not be ranked"
    if whole := [item.target.id for item in scores if is_complete(suite, item)]:
        return f"the record is partial: it will be ranked on {', '.join(whole)}, and not over all targets"
    return "the record is partial: it is complete on no target and will not be ranked"


def _check_records(submission: Submission, folder: Path, root: Path, findings: Findings) -> None:
    folders = sorted(path for path in (folder / "records").glob("*") if path.is_dir())
    for records in folders:
        with findings.collect(records):
            if records.name not in submission.suites:
                message = f"field 'suites': does not name {records.name}, of which there are records"
                raise SpecError(message, where=str(folder / "submission.toml"), cure="add it")
            suite = load_suite(records.name)
            record = load_record(records)
            where = records / "record.json"
            refuse_twin_keys(where)
            scores, _ = check_record(suite, load_lock(suite), submission.id, records, record)
            check_plain(suite, records, record)
            check_scored_images(suite, record, scores, root, str(records / "scores.parquet"))
            check_compared_layers(record, root, str(where))
            check_origins(submission, folder, record, str(where))
            _check_receipts(records, record)
            for old in superseded_folders(records):
                predecessor = load_record(old)
                check_predecessor(suite, load_lock(suite), submission.id, old, predecessor)
                check_plain(suite, old, predecessor)
                _check_receipts(old, predecessor)
            for near in find_near_copies(suite, record, records, root, str(where)):
                findings.confirm(near, where)
            if not record.rankable:
                findings.note(_say_where_ranked(suite, record, scores), where)
    for suite_id in submission.suites:
        if suite_id not in {records.name for records in folders}:
            trust = " --trust-code" if submission.trust_code else ""
            cure = f"run: invbench eval --submission {folder} --suite {suite_id}{trust}"
            findings.note(f"no record on {suite_id} yet", folder, cure)


def validate(folder: Path, root: Path | None = None) -> list[Finding]:
    """Check a submission: its files, what it says, its records, receipts and history.

    Args:
        folder: that of the submission.
        root: the folder of the other submissions, which it must not collide with; None: the one around `folder`.
    """
    findings, root = Findings(), root or folder.resolve().parent
    if not (folder / "submission.toml").is_file():
        cure = "make one: invbench init ID"
        return [Finding("error", "no such submission", str(folder / "submission.toml"), cure, SpecError.exit_code)]
    with findings.collect(folder):
        _check_files(folder)
    if findings.failed:
        return findings.items
    with findings.collect(folder):
        submission = load_submission_folder(folder)
        check_resemblance(submission, folder, root)
        suites = []
        for suite_id in submission.suites:
            try:
                suites.append(load_suite(suite_id))
            except NotFoundError as error:
                message, where = f"field 'suites': {error.message}", str(folder / "submission.toml")
                raise NotFoundError(message, where=where, cure=error.cure) from None
        if untouched := [name for name, text in PLACEHOLDERS.items() if getattr(submission, name) == text]:
            message = f"{' and '.join(untouched)} still say what the template says"
            findings.note(message, folder / "submission.toml", "say it in your own words")
        with findings.collect(folder):
            _check_method(submission, folder)
            _check_weights(submission, folder, suites, findings)
        with findings.collect(folder):
            _check_records(submission, folder, root, findings)
        with findings.collect(folder):
            check_history(folder)
    return findings.items
