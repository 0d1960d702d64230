"""What the comment's workflow asks of GitHub and writes there, with a local server: the artifact may be forged.

Threats: T5.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from githubserver import BASE, HEAD, Pulls, serve
from workflows import ROOT, bash, text_of

from benchmark.errors import SpecError, UserError
from benchmark.submissions.github import MARK, GitHub, read_comment, read_number
from benchmark.submissions.review import Review, ReviewFinding
from leaderboard.comment import limit_to, render_comment

TEXT = f"{MARK}\n@file & **text**\n"
COMMENTS = "/repos/o/r/issues/17/comments"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pulls]:
    with serve() as pulls:
        monkeypatch.setenv("GITHUB_API_URL", pulls.url)
        monkeypatch.setenv("GH_TOKEN", "secret")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield pulls


def test_the_paths_are_those_of_the_very_commit(api: Pulls) -> None:
    """T5: of a renamed file both, and not those of whatever is pushed meanwhile."""
    api.files = [{"filename": "submissions/mine/a", "previous_filename": "docs/a"}]
    assert GitHub("o/r").list_changed(17, HEAD) == ["submissions/mine/a", "docs/a"]
    assert [path for _, path, _ in api.asked] == ["/repos/o/r/pulls/17", f"/repos/o/r/compare/{BASE}...{HEAD}"]
    assert {token for *_, token in api.asked} == {"Bearer secret"}


@pytest.mark.parametrize(
    "change",
    [
        {"head": {"sha": "c" * 40}},
        {"state": "closed"},
        {"base": {"ref": "old", "sha": BASE, "repo": {"default_branch": "main"}}},
        {"base": {"ref": "main", "sha": "../x", "repo": {"default_branch": "main"}}},
    ],
)
def test_a_number_that_the_run_does_not_belong_to_is_refused(api: Pulls, change: dict[str, Any]) -> None:
    """T5: a forged artifact names another pull request."""
    api.pull |= change
    for act in (lambda: GitHub("o/r").list_changed(17, HEAD), lambda: GitHub("o/r").post(17, HEAD, TEXT)):
        with pytest.raises(SpecError, match="nothing to comment"):
            act()
    assert api.written == []


@pytest.mark.parametrize(("listed", "stated"), [(299, 300), (300, 300), (300, 5000), (0, 1)])
def test_what_github_does_not_list_in_full_is_no_submission(api: Pulls, listed: int, stated: int) -> None:
    """T5: thousands of files hide the one of a workflow."""
    api.change(*(f"submissions/mine/{n}" for n in range(listed)))
    api.pull["changed_files"] = stated
    assert GitHub("o/r").list_changed(17, HEAD) == []


@pytest.mark.parametrize("number", ["", "x", "017", "17/../../x", "17\n18", "-1", "9" * 20, "$(id)", "17\n\n"])
def test_what_is_no_number_is_refused_before_anything_is_asked(tmp_path: Path, api: Pulls, number: str) -> None:
    """T5."""
    (tmp_path / "number").write_text(number)
    with pytest.raises(SpecError, match="which pull request"):
        read_number(tmp_path / "number")
    (tmp_path / "number").unlink()
    (tmp_path / "number").symlink_to("/etc/hostname")
    with pytest.raises(SpecError, match="cannot be read"):
        read_number(tmp_path / "number")
    assert api.asked == []


@pytest.mark.parametrize("text", ["text without the mark\n", TEXT + "x" * 65_000, f" {TEXT}", ""])
def test_a_text_that_the_tool_did_not_write_is_not_posted(tmp_path: Path, text: str) -> None:
    """T5."""
    (tmp_path / "comment").write_text(text)
    with pytest.raises(SpecError, match="not a comment of ours"):
        read_comment(tmp_path / "comment")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """T5."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SpecError):
        read_number(tmp_path / "pipe")


def test_the_first_review_creates_a_comment(api: Pulls) -> None:
    api.comments = [
        {"id": 4, "user": {"login": "mallory"}, "body": TEXT},
        {"id": 5, "user": {"login": "github-actions[bot]"}, "body": "another workflow's"},
        {"id": 6, "user": None, "body": TEXT},
    ]
    GitHub("o/r").post(17, HEAD, TEXT)
    assert api.written == [(f"POST {COMMENTS}", TEXT)]


def test_the_next_review_updates_that_comment_wherever_it_is(api: Pulls) -> None:
    api.comments = [{"id": n, "user": {"login": "x"}, "body": ""} for n in range(150)]
    api.comments += [{"id": n, "user": {"login": "github-actions[bot]"}, "body": TEXT} for n in (996, 997)]
    GitHub("o/r").post(17, HEAD, TEXT)
    assert api.written == [("PATCH /repos/o/r/issues/comments/996", TEXT)]


@pytest.mark.parametrize("answer", [403, 404, 500, 302, b"", b"[" * 10**5, b"{}", b"[]", b"null", b'{"files": [1]}'])
@pytest.mark.parametrize("path", ["/repos/o/r/pulls/17", f"/repos/o/r/compare/{BASE}...{HEAD}"])
def test_an_answer_that_is_none_is_one_line(api: Pulls, path: str, answer: Any) -> None:
    """T5: nothing is followed elsewhere with the token."""
    api.answers[path] = answer
    with pytest.raises(UserError) as caught:
        GitHub("o/r").list_changed(17, HEAD)
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)
    assert not any("elsewhere" in asked for _, asked, _ in api.asked)


@pytest.mark.parametrize("answer", [b'{"a": 1}', b"[1]", b'[{"user": {"login": "github-actions[bot]"}}]'])
def test_comments_that_are_none_are_one_line(api: Pulls, answer: bytes) -> None:
    """T5."""
    api.answers[COMMENTS] = answer
    with pytest.raises(UserError, match="describes comments in another way"):
        GitHub("o/r").post(17, HEAD, TEXT)
    assert api.written == []


@pytest.mark.parametrize("repository", ["o", "o/r/x", "../r", "o/..", "o/r?x", "o/r\n"])
def test_a_repository_that_is_none_is_refused(repository: str) -> None:
    with pytest.raises(SpecError, match="owner/name"):
        GitHub(repository)


FORGED = Review(submission="mine", findings=(), suites=())


def speak(tmp_path: Path, api: Pulls, review: str, head: str = HEAD) -> tuple[list[int], str]:
    """Run the three steps of the workflow; their exit codes, and what was posted."""
    (tmp_path / "review").mkdir()
    (tmp_path / "review" / "number").write_text("17\n")
    (tmp_path / "review" / "review.json").write_text(review)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "invbench").write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m cli "$@"\n')
    (tmp_path / "bin" / "invbench").chmod(0o755)
    environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "RUNNER_TEMP": str(tmp_path),
                   "GITHUB_REPOSITORY": "o/r", "HEAD_SHA": head}  # fmt: skip
    codes = []
    for name in ("Ask which files the pull request changes", "Render the comment", "Post the comment"):
        codes.append(bash(text_of("submission-comment.yml", "comment", name), tmp_path, **environment).returncode)
        if codes[-1]:
            break
    return codes, "".join(body for _, body in api.written)


@pytest.mark.slow
def test_a_forged_review_says_nothing_of_what_is_not_one_submission(tmp_path: Path, api: Pulls) -> None:
    """T5: the pull request edits a workflow, and uploads a review by which all checks passed."""
    api.change("submissions/mine/submission.toml", ".github/workflows/submission.yml")
    codes, text = speak(tmp_path, api, FORGED.model_dump_json())
    assert codes == [0, 0, 0]
    assert "A maintainer will look at this" in text and "passed" not in text and "`mine`" not in text


@pytest.mark.slow
def test_a_review_of_one_submission_is_posted_with_its_commit(tmp_path: Path, api: Pulls) -> None:
    """T5: so that what it says of one commit is not read as of the next; of another commit nothing is posted."""
    codes, text = speak(tmp_path, api, FORGED.model_dump_json())
    assert codes == [0, 0, 0] and "## Submission `mine`: all checks passed" in text and "Commit `aaaaaaaaaaaa`." in text
    (tmp_path / "again").mkdir()
    api.written.clear()
    assert speak(tmp_path / "again", api, FORGED.model_dump_json(), head="d" * 40) == ([2], "")


@pytest.mark.parametrize(
    "changed",
    [
        [".github/workflows/submission.yml"],
        ["submissions/mine/submission.toml", ".github/workflows/another.yml"],
        ["submissions/mine/submission.toml", "submissions/yours/submission.toml"],
        ["submissions/yours/submission.toml"],
        ["submissions/mine"],
        [],
    ],
)
def test_a_review_speaks_for_the_folder_of_its_submission_alone(changed: list[str]) -> None:
    """T5: neither of passed checks nor of findings that somebody made up."""
    findings = (ReviewFinding(severity="error", message="made up", where="x"),)
    for review in (FORGED, FORGED.model_copy(update={"submission": None, "findings": findings})):
        if changed == ["submissions/yours/submission.toml"] and review.submission is None:
            continue
        text = render_comment(limit_to(review, changed), HEAD)
        assert "It changes more than the folder of one submission" in text
        assert not any(word in text for word in ("passed", "mine", "made up"))
    assert limit_to(FORGED, ["submissions/mine/submission.toml"]) is FORGED
