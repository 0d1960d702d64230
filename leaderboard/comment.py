"""The comment on a pull request: what the checks found, beside the reference methods. All text of others stays text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tabulate import tabulate

from benchmark.errors import SpecError
from benchmark.files.paths import submissions_root
from benchmark.submissions.github import MARK
from benchmark.submissions.markdown import code
from benchmark.submissions.review import Review, ReviewFinding, SuiteReview, find_scope
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import load_lock
from benchmark.suites.spec import AXES
from leaderboard.data.entries import load_entries
from leaderboard.data.rankings import reference_of, render_number
from leaderboard.data.views import overall_of

__all__ = ["limit_to", "render_comment"]

_MARKS = {"error": "**Error**", "confirm": "**To confirm**", "note": "Note"}
_WORDS = {"agrees": "agrees", "differs": "**differs**", "not run": "not run"}


def _iter_table(item: SuiteReview, submission_id: str) -> Iterator[str]:
    suite = load_suite(item.suite)
    state = [item.status, *(["draft"] if item.draft else [])]
    yield f"### {item.suite}"
    yield f"Record {code(item.digest[:16])} ({', '.join(state)}). Rescored from its audit images: "
    yield f"{_WORDS[item.rescored]}; run again: {_WORDS[item.rerun]}."
    yield ""
    own = [item.axes.get(axis) for axis in AXES]
    scored = [value for value in own if value is not None]
    score = sum(scored) / len(scored) if scored and len(scored) == len(item.axes) else None
    rows = [[f"**{code(submission_id)}**", *map(render_number, (score, *own))]]
    for entry in load_entries(suite, load_lock(suite), [submissions_root()], on_unusable=lambda error: None):
        if entry.submission.id != submission_id and entry.submission.method == entry.submission.id:
            role, stated = reference_of(entry), overall_of(suite, entry.record)
            scores = [stated[axis].value if axis in stated else None for axis in AXES]
            name = code(entry.submission.id) + (f" ({role})" if role else "")
            rows.append([name, *map(render_number, (entry.record.score.value if stated else None, *scores))])
    align = ("left", "right", *["right"] * len(AXES))
    yield tabulate(rows, headers=["submission", "score", *AXES], tablefmt="pipe", disable_numparse=True, colalign=align)
    yield ""


def _hint(finding: ReviewFinding) -> str:
    return f" ({code(finding.cure)})" if finding.cure else ""


def limit_to(review: Review, changed: Iterable[str]) -> Review:
    """Return a review as far as it may speak for a pull request that changes these paths.

    A review can have been written by a pull request that edits the workflow. So it speaks for the folder of one
    submission and for nothing else; where more changes, nothing of it is left.
    """
    try:
        scope = find_scope(changed)
    except SpecError:
        return Review(submission=None)
    return review if review.submission in (scope, None) else Review(submission=None)


def _next_step(review: Review, name: str) -> str:
    if not review.sound:
        return f"fix what is listed, then {code(f'invbench validate submissions/{name}')}, and push again."
    if review.passed:
        return "a maintainer reads the submission and merges it; a label may ask for a rerun on a GPU."
    return "a maintainer asks those whom the published entry names whether they want this, and only then merges it."


def render_comment(review: Review, commit: str) -> str:
    """Return the comment as Markdown: findings, a table against the reference methods, and the next step.

    Args:
        review: as far as it may speak, see `limit_to`.
        commit: the commit that it is of.
    """
    about = f"Commit {code(commit[:12])}."
    if review.submission is None:
        why = [f"Nothing was run: {code(finding.message)}{_hint(finding)}." for finding in review.findings]
        told = why or [
            "It changes more than the folder of one submission, so nothing was run. If it was meant to be a "
            "submission, keep the change inside `submissions/<id>/`."
        ]
        return "\n".join([MARK, "## A maintainer will look at this", *told, "", about]) + "\n"
    confirmed = "all checks passed" if review.passed else "a maintainer has to confirm it"
    lines = [MARK, f"## Submission {code(review.submission)}: {confirmed if review.sound else 'not yet'}"]
    for finding in review.findings:
        mark = _MARKS[finding.severity]
        lines.append(f"- {mark} in {code(finding.where)}: {code(finding.message)}{_hint(finding)}")
    lines.append("")
    for item in review.suites:
        lines += _iter_table(item, review.submission)
    lines += [f"Next: {_next_step(review, review.submission)}", "", about]
    return "\n".join(lines) + "\n"
