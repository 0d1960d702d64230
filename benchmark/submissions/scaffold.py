"""New submissions from templates."""

from __future__ import annotations

from pathlib import Path

import tomli_w
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import TypeAdapter, ValidationError

from benchmark.errors import SpecError
from benchmark.files.declarations import explain
from benchmark.files.fields import Account, Line, SubmissionId
from benchmark.files.paths import SCAFFOLD
from benchmark.files.storing import write_text
from benchmark.inverses.spec import METHODS, get_method
from benchmark.submissions.stored_weights import MAX_STORED_BYTES, MAX_STORED_TOTAL
from benchmark.submissions.submission import ANYBODY, CODE, PLACEHOLDERS
from benchmark.suites.catalog import load_suite

__all__ = ["write_scaffold"]


def write_scaffold(
    root: Path, submission_id: str, method: str | None, author: str, *, code: bool, account: str = ANYBODY
) -> list[Path]:
    """Write a new submission below `root` that is valid and runs on mini@1 as it is; return its files.

    Args:
        method: a method of the package, whose embedded weights stand in for those to come; with `code`, the id of
            the new method in `inverse.py` [the submission's own].
        account: the account that may change the entry.

    Raises:
        SpecError: the id is none or taken, or the method has no embedded weights.
    """
    cures = {"ID": "such as my-method", "--author": "give a name on one line", "--account": "as pull requests name it"}
    given = (("ID", submission_id, SubmissionId), ("--author", author, Line), ("--account", account, Account))
    for name, value, kind in given:
        try:
            TypeAdapter(kind).validate_python(value)
        except ValidationError as error:
            raise SpecError(explain(error, name).message, where=name, cure=cures[name]) from None
    folder = root / submission_id
    if folder.exists():
        raise SpecError("is there already", where=str(folder), cure="take another id, or edit what is there")
    method = method or (submission_id if code else "modular")
    if code and method in METHODS:
        raise SpecError(f"'{method}' is the package's own method", where="--method", cure="name a new one")
    if not code and (get_method(method).role != "entry"):
        raise SpecError(f"'{method}' only bounds the board", where="--method", cure="take modular or ridge, or --code")
    env = Environment(
        loader=FileSystemLoader(SCAFFOLD), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    env.filters["toml"] = lambda value: tomli_w.dumps({"_": value}).removeprefix("_ = ").rstrip("\n")
    values = {
        "id": submission_id,
        "folder": folder,
        "method": method,
        "author": author,
        "account": account,
        "limit": f"{MAX_STORED_BYTES // 10**6} MB",
        "total": f"{MAX_STORED_TOTAL // 10**6} MB",
        "code": code,
        "placeholders": PLACEHOLDERS,
        "title": f"{submission_id}: {'a new architecture' if code else get_method(method).title}"[:120],
        "trained_on": "nothing" if code else "scenes of the generator of mini@1",
        "targets": [target.id for target in load_suite("mini@1").targets],
    }
    paths = []
    for name in ("submission.toml", *([CODE] if code else [])):
        path = folder / name
        write_text(path, env.get_template(f"{name}.j2").render(values))
        paths.append(path)
    return paths
