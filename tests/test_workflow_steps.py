"""The shell steps of the workflows, really executed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from pullrequests import LINK, PLAIN, Forge, files_of
from workflows import ROOT, bash, text_of


@pytest.fixture
def pull(tmp_path: Path) -> dict[str, str]:
    """A pull request of one submission, as the variables of a step; the base branch is checked out in `base`."""
    forge = Forge(tmp_path)
    head = forge.pull((PLAIN, "submissions/mine/submission.toml", b"id = 'mine'\n"))
    return variables(forge, head)


def variables(forge: Forge, head: str) -> dict[str, str]:
    folder = forge.folder.parent
    (folder / "base").symlink_to(ROOT)
    (folder / "output").write_text("")
    server = {"GITHUB_SERVER_URL": f"file://{folder}", "GITHUB_REPOSITORY": "origin"}
    return server | {"BASE": forge.base, "HEAD": head, "GITHUB_OUTPUT": str(folder / "output")}


def stand_in(folder: Path, text: str) -> str:
    """Put a command `invbench` on the path that behaves as the text says; return the path."""
    command = folder / "bin" / "invbench"
    command.parent.mkdir(exist_ok=True)
    command.write_text(f"#!/usr/bin/env bash\n{text}\n", encoding="utf-8")
    command.chmod(0o755)
    return f"{command.parent}:{os.environ['PATH']}"


SCOPE = text_of("submission.yml", "scope", "Find the submission that changes")


def tool(folder: Path) -> str:
    """Put the tool of this checkout on the path; return the path."""
    return stand_in(folder, f'PYTHONPATH={ROOT} exec {sys.executable} -m cli "$@"')


@pytest.mark.parametrize(
    ("entry", "output"),
    [
        ((PLAIN, "submissions/mine/README.md", b"Mine.\n"), "id=mine\n"),
        ((LINK, "submissions/mine/README.md", b"/etc/passwd"), ""),
    ],
)
def test_the_scope_step_takes_one_submission_and_nothing_else(
    tmp_path: Path, entry: tuple[str, str, bytes], output: str
) -> None:
    """T1, T5: with the real scripts and the real tool."""
    forge = Forge(tmp_path)
    given = variables(forge, forge.pull((PLAIN, "submissions/mine/submission.toml", b"id = 'mine'\n"), entry))
    done = bash(SCOPE, tmp_path, PATH=tool(tmp_path), **given)
    assert (done.returncode, (tmp_path / "output").read_text()) == (0, output), done.stderr
    assert not (tmp_path / "head").exists()


@pytest.mark.parametrize(
    ("answer", "code", "output"),
    [
        ("echo one line >&2; exit 2", 0, ""),
        ("exit 1", 1, ""),
        ("printf 'mine\\nother=1\\n'", 1, ""),
        ("echo ../mine", 1, ""),
        ("echo", 1, ""),
    ],
)
def test_the_scope_step_names_no_submission_unless_there_is_one(
    tmp_path: Path, pull: dict[str, str], answer: str, code: int, output: str
) -> None:
    done = bash(SCOPE, tmp_path, PATH=stand_in(tmp_path, answer), **pull)
    assert (done.returncode, (tmp_path / "output").read_text()) == (code, output)


REVIEW = text_of("submission.yml", "review", "Validate, rescore, compare with the rerun")


@pytest.mark.parametrize("code", [0, 2, 3, 1])
@pytest.mark.parametrize("identifier", ["mine", ""])
@pytest.mark.parametrize("run", ["success", "failure"])
def test_the_review_is_written_whatever_it_finds(
    tmp_path: Path, pull: dict[str, str], code: int, identifier: str, run: str
) -> None:
    """T5, T6: it is told what became of the run."""
    if run == "success":
        (tmp_path / "rerun").mkdir()
    path = stand_in(tmp_path, f'[ "$2" = scope ] && echo why >&2 && exit 2; echo "$*"; exit {code}')
    done = bash(REVIEW, tmp_path, PATH=path, ID=identifier, NUMBER="17", AUTHOR="$(id) x", RUN=run, **pull)
    outcome = f"--run {run}" if identifier else "--scope-failed why"
    options = f"--base base/submissions --author $(id) x --out review/review.json {outcome}"
    said = f"ci review proposed/{identifier} {options}{' --rerun rerun' * (run == 'success')}\n"
    assert done.stdout == said, done.stderr
    assert (tmp_path / "review" / "number").read_text() == "17\n"
    assert (done.returncode, (tmp_path / "output").read_text()) == ((1, "") if code == 1 else (0, f"code={code}\n"))
    if identifier:
        assert files_of(tmp_path / "proposed") == {"mine/submission.toml": b"id = 'mine'\n"}
    else:
        assert (tmp_path / "why").read_text() == "why\n"
