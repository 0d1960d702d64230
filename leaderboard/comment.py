"""The comment on a pull request: what the checks found, beside the reference methods. All text of others stays text."""

from __future__ import annotations

from collections.abc import Iterator

from tabulate import tabulate

from benchmark.files.paths import submissions_root
from benchmark.submissions.markdown import code
from benchmark.submissions.review import Review, SuiteReview
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import load_lock
from benchmark.suites.spec import AXES
from leaderboard.data.entries import load_entries
from leaderboard.data.rankings import reference_of, render_number
from leaderboard.data.views import overall_of

__all__ = ["render_comment"]

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


def render_comment(review: Review) -> str:
    """Return the comment as Markdown: findings, a table against the reference methods, and the next step."""
    lines = ["<!-- invbench review -->"]
    if review.submission is None:
        lines += [
            "## A maintainer will look at this",
            "It changes more than the folder of one submission, so nothing was run. If it was meant to be a "
            "submission, keep the change inside `submissions/<id>/`.",
        ]
        return "\n".join(lines) + "\n"
    state = (
        "not yet" if not review.sound else "all checks passed" if review.passed else "a maintainer has to confirm it"
    )
    lines.append(f"## Submission {code(review.submission)}: {state}")
    for finding in review.findings:
        cure = f" ({code(finding.cure)})" if finding.cure else ""
        lines.append(f"- {_MARKS[finding.severity]} in {code(finding.where)}: {code(finding.message)}{cure}")
    lines.append("")
    for item in review.suites:
        lines += _iter_table(item, review.submission)
    if not review.sound:
        step = f"fix what is listed, then {code(f'invbench validate submissions/{review.submission}')}, and push again."
    elif review.passed:
        step = "a maintainer reads the submission and merges it; a label may ask for a rerun on a GPU."
    else:
        step = "a maintainer asks those whom the published entry names whether they want this, and only then merges it."
    lines.append(f"Next: {step}")
    return "\n".join(lines) + "\n"
