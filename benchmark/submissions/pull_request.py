"""The last steps of a submission: its branch, its commit and the text of its pull request."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import SpecError, first_line
from benchmark.records.record import load_record
from benchmark.submissions.markdown import code, plain
from benchmark.submissions.submission import load_submission_folder
from benchmark.suites.spec import AXES

__all__ = ["Steps", "commit", "open_published", "plan_steps"]


@dataclass(frozen=True)
class Steps:
    """What remains to be done; `folder` and `files` as seen from the root of the repository."""

    branch: str
    folder: str
    files: tuple[str, ...]
    title: str
    body: str

    def render(self, *, done: bool) -> str:
        """Return the steps as text; `done`: branch and commit are made."""
        parts: list[str] = []
        if not done:
            parts += ["Files", *(f"  {name}" for name in self.files), "", "Steps", f"  git switch -c {self.branch}"]
            parts += [f"  git add {shlex.quote(self.folder)}", f"  git commit -m {shlex.quote(self.title)}"]
        parts += [f"  git push -u origin {self.branch}", "  and open a pull request:", "", self.title, "", self.body]
        return "\n".join(parts)


def _run(folder: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SpecError(f"git cannot be run: {first_line(error)}", where=str(folder)) from None
    if done.returncode:
        said = first_line(done.stderr.decode(errors="replace")) or "failed"
        raise SpecError(f"git {arguments[0]}: {said}", where=str(folder), cure="work in a clone of the repository")
    return done.stdout


def _git(folder: Path, *arguments: str) -> str:
    return _run(folder, *arguments).decode(errors="replace").strip()


@contextmanager
def open_published(base: str, folder: Path) -> Iterator[Path]:
    """Give the folder of the submission in `folder` as it is published; it may be absent.

    Args:
        base: a folder of submissions, or a commit, branch or tag of the clone that `folder` lies in.

    Raises:
        SpecError: neither.
    """
    if Path(base).is_dir():
        yield Path(base) / folder.name
        return
    commit_id = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}")
    prefix = _git(folder, "rev-parse", "--show-prefix")
    names = _git(folder, "ls-tree", "-r", "-z", "--name-only", commit_id, "--", ".").split("\0")
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary) / folder.name
        for name in filter(None, names):
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_run(folder, "cat-file", "blob", f"{commit_id}:{prefix}{name}"))
        yield target


def plan_steps(folder: Path) -> Steps:
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
            trust = " --trust-code" if submission.trust_code else ""
            cure = f"run: invbench eval --submission {folder} --suite {suite}{trust}"
            raise SpecError(f"there is no record on {suite} yet", where=str(folder), cure=cure)
        record = load_record(folder / "records" / suite)
        scores = [(axis, record.overall[axis].value) for axis in AXES if axis in record.overall]
        axes = ", ".join(f"{axis} {'–' if value is None else format(value, '.3f')}" for axis, value in scores)
        state = [record.status, *(["draft"] if record.draft else [])]
        lines.append(f"- {suite}: {axes} ({', '.join(state)}, digest {code(record.digest[:16])})")
    top = folder.parent.parent
    files = tuple(path.relative_to(top).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())
    relative = folder.relative_to(top).as_posix()
    return Steps(f"submit/{submission.id}", relative, files, f"Submit {submission.id}", "\n".join(lines))


def commit(folder: Path, steps: Steps) -> str:
    """Make the branch and one commit of the submission's folder alone; return the branch.

    Raises:
        SpecError: no clone, the branch is there already, or nothing to commit.
    """
    _git(folder, "switch", "-c", steps.branch)
    _git(folder, "add", "--", str(folder))
    _git(folder, "commit", "-m", steps.title, "--", str(folder))
    return steps.branch
