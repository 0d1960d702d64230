"""The last steps of a submission: its branch, its commit and the text of its pull request."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import SpecError
from benchmark.markdown import code, plain
from benchmark.records import load_record
from benchmark.submissions import load_submission_folder

__all__ = ["Steps", "commit", "plan"]


@dataclass(frozen=True)
class Steps:
    """What remains to be done."""

    branch: str
    files: tuple[str, ...]
    title: str
    body: str

    def render(self, *, done: bool) -> str:
        """Return the steps as text; `done`: branch and commit are made."""
        parts = [] if done else ["Files", *(f"  {name}" for name in self.files), "", "Steps"]
        if not done:
            paths = self.files[0].rsplit("/", 1)[0]
            parts += [f"  git switch -c {self.branch}", f"  git add {paths}", f"  git commit -m '{self.title}'"]
        parts += [f"  git push -u origin {self.branch}", "  and open a pull request:", "", self.title, "", self.body]
        return "\n".join(parts)


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SpecError(f"git cannot be run: {error}", where=str(folder)) from None
    if done.returncode:
        line = next(iter(done.stderr.strip().splitlines()), "failed")
        raise SpecError(f"git {arguments[0]}: {line}", where=str(folder), cure="work in a clone of the repository")
    return done.stdout.strip()


def plan(folder: Path) -> Steps:
    """Return the steps from a valid submission to its pull request.

    Raises:
        SpecError: a suite that it enters has no record yet.
    """
    submission = load_submission_folder(folder)
    lines = [f"Submission {code(submission.id)}: {plain(submission.title)}", "", plain(submission.description), ""]
    lines += [f"- method {code(submission.method)}, license {code(submission.license)}"]
    lines += [f"- trained on: {plain(submission.trained_on)}"]
    if submission.trust_code:
        lines.append("- brings `inverse.py`, to be read before it is run with `--trust-code`")
    for suite in submission.suites:
        if not (folder / "records" / suite / "record.json").is_file():
            cure = f"run: invbench eval --submission {folder} --suite {suite}"
            raise SpecError(f"there is no record on {suite} yet", where=str(folder), cure=cure)
        record = load_record(folder / "records" / suite)
        axes = ", ".join(f"{a} {'–' if s.value is None else format(s.value, '.3f')}" for a, s in record.overall.items())
        state = [record.status, *(["draft"] if record.draft else [])]
        lines.append(f"- {suite}: {axes} ({', '.join(state)}, digest {code(record.digest[:16])})")
    files = [path.relative_to(folder.parent.parent).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    return Steps(f"submit/{submission.id}", tuple(files), f"Submit {submission.id}", "\n".join(lines))


def commit(folder: Path, steps: Steps) -> str:
    """Make the branch and one commit of the submission's folder alone; return the branch.

    Raises:
        SpecError: no clone, the branch is there already, or nothing to commit.
    """
    _git(folder, "switch", "-c", steps.branch)
    _git(folder, "add", "--", str(folder))
    _git(folder, "commit", "-m", steps.title, "--", str(folder))
    return steps.branch
