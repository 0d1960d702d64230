"""Whether a record is of the title, method and weights that its submission states. Torch-free."""

from __future__ import annotations

from pathlib import Path

from benchmark.errors import IntegrityError
from benchmark.files.canonical import sha256_file
from benchmark.inverses.spec import METHODS
from benchmark.records.record import Record
from benchmark.submissions.peers import WEIGHTS
from benchmark.submissions.submission import CODE, Submission

__all__ = ["WEIGHT_FILES", "check_origins"]

WEIGHT_FILES = ("config.json", WEIGHTS)


def check_origins(submission: Submission, folder: Path, record: Record, where: str) -> None:
    """Check that a record was made with the title, method and weights that the submission states.

    Raises:
        IntegrityError: it was not; names the field.
    """
    for name in ("title", "method"):
        stated, own = getattr(record.submission, name), getattr(submission, name)
        if stated != own:
            message = f"field 'submission.{name}': is {stated!r}, not {own!r} as submission.toml says"
            raise IntegrityError(message, where=where, cure="evaluate again")
    code = sha256_file(folder / CODE) if submission.trust_code else None
    trained = submission.weights or (submission.method in METHODS and METHODS[submission.method].trained)
    for target, inverse in record.inverses.items():
        field, weights, cure = f"field 'inverses.{target}'", submission.weights.get(target), "evaluate again"
        if inverse.files.get(CODE) != code:
            raise IntegrityError(f"{field}: made with another {CODE}", where=where, cure=cure)
        files = {name: digest for name, digest in inverse.files.items() if name != CODE}
        if weights is None:
            if files or inverse.repo_id:
                message = f"{field}: made with weights that submission.toml does not name"
                raise IntegrityError(message, where=where, cure="name them under [weights], or evaluate again")
            if trained:
                message = f"{field}: has no weights, but the method is trained"
                raise IntegrityError(message, where=where, cure="name them under [weights] and evaluate again")
            continue
        if (inverse.repo_id, inverse.revision) != (weights.repo_id, weights.revision):
            made = f"{inverse.repo_id}@{inverse.revision}" if inverse.repo_id else "other files"
            raise IntegrityError(
                f"{field}: made with {made}, not the weights of submission.toml", where=where, cure=cure
            )
        if files.keys() != set(WEIGHT_FILES):
            raise IntegrityError(f"{field}: is not of {' and '.join(WEIGHT_FILES)}", where=where, cure=cure)
        if weights.path is not None:
            here = weights.directory(folder)
            if files != {name: sha256_file(here / name) for name in WEIGHT_FILES}:
                raise IntegrityError(f"{field}: not the files in {weights.path}", where=where, cure=cure)
