"""Submissions: `submissions/<id>/submission.toml`, and the records below it. Torch-free."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from pydantic import ValidationError

from benchmark.errors import SpecError, did_you_mean
from benchmark.spec import PACKAGE, Frozen, Id, Source, explain

__all__ = [
    "Submission", "describe_candidate", "list_submissions", "load_submission", "record_folder", "submissions_root",
]  # fmt: skip


class Submission(Frozen):
    """One method's entry: who made it, what it is, and where its weights lie for each target.

    `weights` is empty for methods that need none.
    """

    id: Id
    method: Id
    title: str
    description: str
    authors: tuple[str, ...]
    license: str
    weights: dict[Id, Source] = {}


def submissions_root() -> Path:
    """Return the folder of the committed submissions: the checkout's own, or the copy inside a wheel."""
    checkout = PACKAGE.parent
    return checkout / "submissions" if (checkout / "pyproject.toml").is_file() else PACKAGE / "assets" / "submissions"


def list_submissions(root: Path) -> list[str]:
    """Return the ids of all submissions below `root`."""
    return sorted(path.parent.name for path in root.glob("*/submission.toml"))


def load_submission(root: Path, submission_id: str) -> Submission:
    """Read one submission.

    Raises:
        NotFoundError: no such submission; names the nearest.
        SpecError: the file is not a submission, or its id differs from its folder; names the field.
    """
    known = list_submissions(root)
    if submission_id not in known:
        raise did_you_mean("submission", submission_id, known)
    path = root / submission_id / "submission.toml"
    try:
        submission = Submission.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise explain(error, str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"not valid TOML: {error}", where=str(path)) from None
    if submission.id != submission_id:
        raise SpecError(f"field 'id': '{submission.id}' is not the folder's name", where=str(path))
    return submission


def describe_candidate(candidate_id: str, method: str, title: str) -> str:
    """Return a `submission.toml` for an inverse that was evaluated without one."""
    fields = {
        "id": candidate_id,
        "method": method,
        "title": title,
        "description": "Evaluated with invbench eval --inverse; not submitted.",
        "license": "not stated",
    }
    # A JSON string is a TOML string.
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    return "\n".join([*lines, "authors = []"]) + "\n"


def record_folder(root: Path, submission_id: str, suite_id: str) -> Path:
    """Return where the record of a submission on a suite lies below `root`."""
    return root / submission_id / "records" / suite_id
