"""Entries that a reader would take for another one: by id, title or author. Torch-free."""

from __future__ import annotations

from pathlib import Path

from benchmark.errors import SpecError, UserError, located
from benchmark.files.looks import skeleton
from benchmark.inverses.spec import METHODS
from benchmark.submissions.submission import Submission, list_submissions, load_submission_folder

__all__ = ["check_resemblance"]


def _check_names(submission: Submission, other: Submission) -> None:
    if skeleton(submission.title) == skeleton(other.title):
        message = f"field 'title': {submission.title!r} looks like that of '{other.id}'"
        raise SpecError(message, cure="say what is different")
    known = {skeleton(name): name for name in other.authors}
    for place, name in enumerate(submission.authors):
        if (same := known.get(skeleton(name), name)) != name:
            message = f"field 'authors.{place}': {name!r} looks like {same!r}, an author of '{other.id}'"
            raise SpecError(message, cure="write the same person's name the same way, and others so that they differ")


def check_resemblance(submission: Submission, folder: Path, root: Path) -> None:
    """Check that no other submission below `root` looks like one: by its id, its title or an author's name.

    A method of its own must not look like one of the package, either.

    Raises:
        SpecError: one has; names the field.
    """
    where = str(folder / "submission.toml")
    own = {skeleton(method): method for method in METHODS}
    if (method := own.get(skeleton(submission.method), submission.method)) != submission.method:
        message = f"field 'method': '{submission.method}' looks like '{method}', a method of the package"
        raise SpecError(message, where=where, cure="take another")
    others = [name for name in list_submissions(root) if name != submission.id]
    for name in others:
        if skeleton(name) == skeleton(submission.id):
            message = f"field 'id': '{submission.id}' looks like '{name}', which is taken"
            raise SpecError(message, where=where, cure="take another")
    for name in others:
        try:
            other = load_submission_folder(root / name)
        except UserError:
            continue
        with located(where):
            _check_names(submission, other)
