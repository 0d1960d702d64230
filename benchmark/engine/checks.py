"""The checks of a pull request, one after the other: validate, rescore, compare with a rerun."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from benchmark.content.content import Content
from benchmark.engine.rescore import compare_reruns, load_rerun, rescore
from benchmark.errors import UserError
from benchmark.records.consistency import check_record
from benchmark.records.field_checks import compare_fields
from benchmark.records.receipts import Difference
from benchmark.records.record import Record, load_record
from benchmark.records.store import record_folder
from benchmark.submissions.findings import Finding
from benchmark.submissions.ownership import check_change
from benchmark.submissions.review import MAX_FINDINGS, Outcome, Review, ReviewFinding, SuiteReview
from benchmark.submissions.submission import load_submission_folder
from benchmark.submissions.validate import validate
from benchmark.suites.audit import stored_images
from benchmark.suites.catalog import list_suites, load_suite
from benchmark.suites.lock import load_lock

__all__ = ["review_submission"]

EMBEDDED = "mini@1"
"""The suite that pull requests are run on."""
MAX_FIELDS = 5
"""So many fields that differ from a rerun are named."""


def _outcome(differences: dict[str, Difference]) -> Outcome:
    return "agrees" if all(difference.agrees for difference in differences.values()) else "differs"


def _finding(error: UserError, folder: Path) -> Finding:
    return Finding("error", error.message, error.where or str(folder), error.cure, error.exit_code)


def _review_record(
    folder: Path, record: Record, rerun: Path | None, device: torch.device, findings: list[Finding]
) -> SuiteReview:
    """Rescore a valid record, and compare it with its rerun if there is one."""
    suite = load_suite(record.suite)
    content = Content(suite, load_lock(suite))
    checked = check_record(suite, content.lock, record.submission.id, folder, record)
    rescored: Outcome = "not run"
    compared: Outcome = "not run"
    try:
        rescored = _outcome(rescore(content, checked, device))
        if rescored == "differs":
            message = "the audit images do not give the scores that the record states"
            findings.append(Finding("error", message, str(folder / "record.json"), "evaluate again", 3))
    except UserError as error:
        # The networks or photographs of the suite are not here.
        findings.append(Finding("note", f"not rescored: {error.message}", str(folder / "record.json")))
    again = record_folder(rerun, record.submission.id, suite.id) if rerun else None
    there = again is not None and (again / "record.json").is_file()
    if there and not stored_images(suite, content.lock, checked[0][0].images):
        # Without pictures nothing shows that the scores of a rerun, which the submission's code may write, are its own.
        findings.append(Finding("note", "the rerun was not compared: it stores no pictures", str(again)))
    elif again is not None and there:
        try:
            other, scores = load_rerun(content, record, again, device)
            compared = _outcome(compare_reruns(suite, checked[0], scores))
            found = compare_fields(record, other)[:MAX_FIELDS]
        except UserError as error:
            compared, found = "differs", []
            findings.append(_finding(error, again))
        if compared == "differs":
            found.append("running it again gave other scores, beyond the tolerances of the metrics")
        findings += [Finding("error", words, str(folder / "record.json"), "evaluate again", 3) for words in found]
        compared = "differs" if found else compared
    return SuiteReview.of(record, rescored, compared)


def _check_run(folder: Path, outcome: str, rerun: Path | None) -> Iterator[Finding]:
    """Find that the job which runs a submission on `mini@1` failed, or handed on nothing to compare."""
    submission = load_submission_folder(folder)
    if EMBEDDED not in submission.suites:
        return
    where = str(folder / "submission.toml")
    if outcome != "success":
        cure = "see the log of the job 'run it on mini@1'"
        yield Finding("error", f"it could not be run on {EMBEDDED}: {outcome}", where, cure, 2)
    elif rerun is None or not (record_folder(rerun, submission.id, EMBEDDED) / "record.json").is_file():
        yield Finding("error", f"the run on {EMBEDDED} left no record to compare with", where, "push again", 2)


def review_submission(
    folder: Path, base: Path, rerun: Path | None, device: torch.device, author: str, outcome: str | None = None
) -> Review:
    """Run all checks of a submission and return their findings, the gravest first. Nothing of it is imported.

    Args:
        folder: the submission as proposed.
        base: the folder of the published submissions.
        author: the account that proposes it, as who hosts the repository states it; empty: nobody knows whose.
        rerun: a folder with records of reruns, which may have been written by the submission's own code.
        outcome: what became of the job that made the rerun; anything but `success` fails a submission that enters
            `mini@1`. None: there was no such job.
    """
    findings = validate(folder, base) + check_change(folder, base / folder.name, author)
    suites = []
    if outcome is not None and all(finding.severity != "error" for finding in findings):
        findings += _check_run(folder, outcome, rerun)
    if all(finding.severity != "error" for finding in findings):
        for suite_id in list_suites():
            records = folder / "records" / suite_id
            if (records / "record.json").is_file():
                suites.append(_review_record(records, load_record(records), rerun, device, findings))
    findings.sort(key=lambda finding: ("error", "confirm", "note").index(finding.severity))
    shown = tuple(ReviewFinding.of(finding, folder) for finding in findings[:MAX_FINDINGS])
    return Review(submission=folder.name, findings=shown, suites=tuple(suites))
