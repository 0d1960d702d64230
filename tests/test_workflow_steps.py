"""The shell steps of the workflows, really executed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from workflows import bash, steps, text_of


def git(folder: Path, *arguments: str, **environment: str) -> str:
    own = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    names = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True, text=True, check=True, env=os.environ | own | names | environment,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def pull(tmp_path: Path) -> dict[str, str]:
    """A pull request whose base moved on; its head is checked out in `head`. Returns what the step is given."""
    origin = tmp_path / "origin"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    (origin / "submissions" / "ours").mkdir(parents=True)
    (origin / "submissions" / "ours" / "submission.toml").write_text("id = 'ours'\n" * 20)
    (origin / "cli.py").write_text("print()\n")
    (origin / ".gitmodules").write_text('[submodule "x"]\n\tpath = x\n\turl = y\n\tignore = all\n')
    git(origin, "add", ".")
    git(origin, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},x")
    git(origin, "commit", "-q", "-m", "base")
    git(origin, "checkout", "-q", "-b", "change")
    mine = origin / "submissions" / "mine"
    mine.mkdir()
    (mine / "submission.toml").write_text("id = 'mine'\n")
    (mine / "a\nb").write_text("")
    git(origin, "mv", "submissions/ours/submission.toml", "submissions/mine/copied.toml")
    (mine / "link").symlink_to("/etc/passwd")
    git(origin, "add", "submissions")
    git(origin, "update-index", "--cacheinfo", f"160000,{'2' * 40},x")
    git(origin, "commit", "-q", "-m", "head")
    head = git(origin, "rev-parse", "HEAD")
    git(origin, "checkout", "-q", "-f", "main")
    (origin / "README.md").write_text("main moved on\n")
    git(origin, "add", "README.md")
    git(origin, "commit", "-q", "-m", "later")
    (config,) = [step["env"] for f, j, step in steps() if (f, j) == ("submission.yml", "scope") and links(step)]
    variables = {name: str(value) for name, value in config.items()}
    git(tmp_path, "clone", "-q", "--no-checkout", str(origin), "head")
    git(tmp_path / "head", "checkout", "-q", head, **variables)
    return {"BASE": git(origin, "rev-parse", "main"), "HEAD": head, "GITHUB_OUTPUT": str(tmp_path / "output")}


def links(step: dict[str, Any]) -> bool:
    return "GIT_CONFIG_COUNT" in step.get("env", {})


def stand_in(folder: Path, text: str) -> str:
    """Put a command `invbench` on the path that behaves as the text says; return the path."""
    command = folder / "bin" / "invbench"
    command.parent.mkdir(exist_ok=True)
    command.write_text(f"#!/usr/bin/env bash\n{text}\n", encoding="utf-8")
    command.chmod(0o755)
    return f"{command.parent}:{os.environ['PATH']}"


SCOPE = text_of("submission.yml", "scope", "Find the submission that changes")


def test_the_scope_step_sees_every_path_that_the_pull_request_changes(tmp_path: Path, pull: dict[str, str]) -> None:
    path = stand_in(tmp_path, '[ "$*" = "ci scope changed" ] && echo mine')
    done = bash(SCOPE, tmp_path, PATH=path, **pull)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "output").read_text() == "id=mine\n"
    # A rename is both its paths, a line break is no separator, what main changed since is not theirs, and a submodule
    # that .gitmodules hides is there.
    assert (tmp_path / "changed").read_bytes().split(b"\0")[:-1] == [
        b"submissions/mine/a\nb",
        b"submissions/mine/copied.toml",
        b"submissions/mine/link",
        b"submissions/mine/submission.toml",
        b"submissions/ours/submission.toml",
        b"x",
    ]
    assert (tmp_path / "head" / "submissions" / "mine" / "link").read_text() == "/etc/passwd"
    assert not (tmp_path / "head" / "submissions" / "mine" / "link").is_symlink()


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
    (tmp_path / "output").write_text("")
    done = bash(SCOPE, tmp_path, PATH=stand_in(tmp_path, answer), **pull)
    assert (done.returncode, (tmp_path / "output").read_text()) == (code, output)


@pytest.mark.parametrize("code", [0, 2, 3, 1])
@pytest.mark.parametrize("identifier", ["mine", ""])
@pytest.mark.parametrize("rerun", [True, False])
def test_the_review_is_written_whatever_it_finds(tmp_path: Path, code: int, identifier: str, rerun: bool) -> None:
    text = text_of("submission.yml", "review", "Validate, rescore, compare with the rerun")
    (tmp_path / "output").write_text("")
    if rerun:
        (tmp_path / "rerun").mkdir()
    path = stand_in(tmp_path, f'echo "$*"; exit {code}')
    given = {"ID": identifier, "NUMBER": "17", "AUTHOR": "$(id) x", "GITHUB_OUTPUT": str(tmp_path / "output")}
    done = bash(text, tmp_path, PATH=path, **given)
    folder, flag = ("head/submissions/mine", "") if identifier else ("head/submissions", " --scope-failed")
    options = f"--base base/submissions --author $(id) x --out review/review.json{flag}{' --rerun rerun' * rerun}"
    assert done.stdout == f"ci review {folder} {options}\n"
    assert (tmp_path / "review" / "number").read_text() == "17\n"
    assert (done.returncode, (tmp_path / "output").read_text()) == ((1, "") if code == 1 else (0, f"code={code}\n"))
