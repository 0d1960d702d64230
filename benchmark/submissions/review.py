"""What the checks of a pull request found, as a file that another process reads without trusting it. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from benchmark.errors import SpecError, first_line
from benchmark.files.declarations import Frozen
from benchmark.files.fields import Sha256, SubmissionId, SuiteId
from benchmark.records.record import Record
from benchmark.submissions.findings import Finding, Severity
from benchmark.suites.spec import Axis

__all__ = ["MAX_FINDINGS", "MAX_REVIEW_BYTES", "Outcome", "Review", "ReviewFinding", "SuiteReview", "find_scope"]

MAX_REVIEW_BYTES = 200_000
MAX_FINDINGS = 100
Text = Annotated[str, Field(max_length=1000)]


def _cut(text: str) -> str:
    """Return a text that fits; names of files may hold bytes that are no text."""
    return text.encode(errors="replace").decode()[:1000]


Outcome = Literal["agrees", "differs", "not run"]


class ReviewFinding(Frozen):
    """A finding of `validate`, cut to a length that fits into a comment."""

    severity: Severity
    message: Text
    where: Text
    cure: Text | None = None

    @classmethod
    def of(cls, finding: Finding, folder: Path) -> ReviewFinding:
        """Return a finding with paths told from the submission's folder."""
        where = finding.where.replace(f"{folder}/", "").replace(str(folder), folder.name)
        cure = _cut(finding.cure) if finding.cure else None
        return cls(severity=finding.severity, message=_cut(finding.message), where=_cut(where), cure=cure)


class SuiteReview(Frozen):
    """The record of one suite, and what became of computing it again; `axes` only where it is complete everywhere."""

    suite: SuiteId
    digest: Sha256
    status: Literal["complete", "partial"]
    draft: bool
    axes: dict[Axis, float | None]
    rescored: Outcome
    """the audit images scored again."""
    rerun: Outcome
    """the whole evaluation run again."""

    @classmethod
    def of(cls, record: Record, rescored: Outcome, rerun: Outcome) -> SuiteReview:
        """Return the review of a record."""
        whole = record.overall if record.status == "complete" else {}
        axes = {axis: score.value for axis, score in whole.items()}
        return cls(
            suite=record.suite,
            digest=record.digest,
            status=record.status,
            draft=record.draft,
            axes=axes,
            rescored=rescored,
            rerun=rerun,
        )


class Review(Frozen):
    """The outcome of all checks; `submission` is None where the change is not of one submission alone."""

    schema_version: Literal[1] = 1
    submission: SubmissionId | None
    findings: tuple[ReviewFinding, ...] = Field(default=(), max_length=MAX_FINDINGS)
    suites: tuple[SuiteReview, ...] = Field(default=(), max_length=16)

    @classmethod
    def refused(cls, said: str) -> Review:
        """Return the review of a change that is not of one submission alone; `said` is why, for readers."""
        why = first_line(said, 1000).removeprefix("Error: ") or "it is not the change of one submission alone"
        return cls(submission=None, findings=(ReviewFinding(severity="error", message=why, where="pull request"),))

    @property
    def sound(self) -> bool:
        """Whether nothing keeps the submission out but what a maintainer has to confirm."""
        checked = all("differs" not in (suite.rescored, suite.rerun) for suite in self.suites)
        return self.submission is not None and checked and all(f.severity != "error" for f in self.findings)

    @property
    def passed(self) -> bool:
        """Whether nothing keeps the submission out, and nothing is left to confirm."""
        return self.sound and all(finding.severity == "note" for finding in self.findings)


def find_scope(changed: Iterable[str]) -> str:
    """Return the id of the one submission that all changed paths belong to.

    Args:
        changed: paths from the root of the repository, with slashes.

    Raises:
        SpecError: there are none, or one lies elsewhere.
    """
    ids = set()
    for path in changed:
        parts = path.split("/")
        try:
            if len(parts) < 3 or parts[0] != "submissions" or ".." in parts:
                raise ValueError
            ids.add(TypeAdapter(SubmissionId).validate_python(parts[1]))
        except (ValidationError, ValueError):
            raise SpecError(f"{path!r:.200} is not part of a submission", cure="a maintainer looks at it") from None
    if len(ids) != 1:
        message = "several submissions change at once" if ids else "nothing changes"
        raise SpecError(message, cure="open one pull request for each")
    return ids.pop()
