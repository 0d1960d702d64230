"""Submissions: `submissions/<id>/submission.toml`, and where the records below it lie. Torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from pydantic import AfterValidator, Field, StrictBool, model_validator

from benchmark.errors import SpecError, did_you_mean
from benchmark.files.declarations import Frozen, read_toml
from benchmark.files.fields import (
    Account,
    Id,
    Line,
    Paragraph,
    RepoId,
    Revision,
    SubmissionId,
    SuiteId,
    refuse_twice,
)
from benchmark.files.paths import checkout, is_bundled, resource, submissions_root
from benchmark.inverses.spec import METHODS

__all__ = [
    "ANYBODY",
    "CODE",
    "NO_ACCOUNTS",
    "NO_LICENSE",
    "PLACEHOLDERS",
    "Links",
    "Submission",
    "Weights",
    "find_submission",
    "list_submissions",
    "load_submission",
    "load_submission_folder",
    "render_candidate",
]  # fmt: skip

CODE = "inverse.py"
"""Name of the file in a submission's folder that holds an architecture of its own."""

NO_LICENSE = "LicenseRef-not-stated"
"""The license of an inverse that was evaluated without a submission."""

ANYBODY = "your-account"
"""The account of a new submission whose author named none."""

NO_ACCOUNTS = frozenset({ANYBODY, "invbench-maintainers"})
"""Placeholders: whoever has an account of such a name may change nothing by it."""

PLACEHOLDERS: dict[str, object] = {
    "description": "What the method does, in a few plain sentences.",
    "accounts": (ANYBODY,),
    "contact": "https://github.com/name",
}
"""What a new submission says until its author says better."""


def _check_license(value: str) -> str:
    try:
        canonicalize_license_expression(value)
    except InvalidLicenseExpression:
        raise ValueError("is no SPDX license expression") from None
    return value


_HOST = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+"
_URL = rf"https://{_HOST}(/[A-Za-z0-9._~:/?#@!$&+,;=%-]*)?"
Url = Annotated[str, Field(pattern=rf"^{_URL}$", max_length=300)]
Contact = Annotated[str, Field(pattern=rf"^({_URL}|[A-Za-z0-9._%+-]+@{_HOST})$", max_length=300)]
License = Annotated[str, Field(max_length=200), AfterValidator(_check_license)]


_INVERSES = resource("assets/mini/inverses")


class Weights(Frozen):
    """Where the inverse of one target lies: a commit of a Hub repository, or a folder.

    A `path` that begins with `./` is a folder beside `submission.toml`; any other is one of the package's own inverses.
    """

    path: str | None = Field(default=None, max_length=300, description="one of the package's inverses")
    repo_id: RepoId | None = Field(default=None, description="the Hub repository", examples=["name/ridge-mini-vit"])
    revision: Revision | None = Field(default=None, description="the full commit, 40 hex digits")

    @model_validator(mode="after")
    def _one_place(self) -> Weights:
        if (self.path is None) == (self.repo_id is None):
            raise ValueError("give either 'repo_id' and 'revision', or 'path'")
        if self.repo_id is not None and self.revision is None:
            raise ValueError("'repo_id' needs 'revision', the full commit of 40 hex digits")
        if self.path is not None and (self.path.startswith("/") or "\\" in self.path or ".." in self.path.split("/")):
            raise ValueError("'path' must not leave its folder")
        return self

    @property
    def beside(self) -> bool:
        """Whether it is a folder beside `submission.toml`."""
        return self.path is not None and self.path.startswith("./")

    def directory(self, folder: Path) -> Path:
        """Return the directory of an inverse that is not on the Hub; `folder` is the submission's.

        Raises:
            SpecError: it is on the Hub, or one that a wheel leaves out.
        """
        if self.path is None:
            raise SpecError(f"'{self.repo_id}' is not embedded", cure="load it through the Hub")
        if self.beside:
            if is_bundled(folder) and not (folder / self.path).exists():
                cure = "run this in a checkout of the repository"
                raise SpecError("these weights are left out of installed packages", where=str(folder), cure=cure)
            return folder / self.path
        here = resource(self.path)
        match here.relative_to(_INVERSES).parts if here.is_relative_to(_INVERSES) else ():
            case (method, target) if checkout() is None and method in METHODS and not here.exists():
                train = f"invbench train inverse {method} --target {target} --out DIR"
                if begun := METHODS[method].start:
                    first = f"invbench train inverse {begun} --target {target} --out START"
                    train = f"{first}; {train} --start START --seed 202"
                cure = f"run this in a checkout of the repository, or: {train}; invbench eval --inverse DIR"
                raise SpecError(f"the inverse of {target} is left out of installed packages", where=method, cure=cure)
        return here


class Links(Frozen):
    """Where readers find more; https only."""

    paper: Url | None = Field(default=None, description="a link", examples=["https://arxiv.org/abs/2412.06534"])
    code: Url | None = Field(default=None, description="a link", examples=["https://github.com/name/project"])
    project: Url | None = Field(default=None, description="a link", examples=["https://name.github.io/project"])


class Submission(Frozen):
    """One method's entry: who made it, what it is, what it enters, and where its weights lie for each target.

    `weights` is empty for methods that need none. `trust_code` says that the method's architecture is in
    `inverse.py` beside the file, which is only ever imported under `--trust-code`.
    """

    id: SubmissionId = Field(
        description="lower-case letters and digits, joined by '-', '_' or '.'; the name of the folder",
        examples=["my-method"],
    )
    method: Id = Field(
        description="a method of the package (invbench list methods), or a new one in inverse.py", examples=["ridge"]
    )
    title: Line = Field(description="one line for the board", examples=["Ridge (linear decoder per tap)"])
    description: Paragraph = Field(description="what the method does, in a few plain sentences")
    authors: tuple[Line, ...] = Field(min_length=1, max_length=100, description="names", examples=[["A. Author"]])
    accounts: Annotated[tuple[Account, ...], AfterValidator(refuse_twice)] = Field(
        min_length=1,
        max_length=16,
        description="the accounts that may change this entry, as pull requests name their authors",
        examples=[["name"]],
        json_schema_extra={"uniqueItems": True},
    )
    contact: Contact = Field(description="an address or a link", examples=["https://github.com/name"])
    license: License = Field(description="an SPDX expression, of weights and code", examples=["Apache-2.0"])
    trained_on: Paragraph = Field(description="the data that the inverse was fitted to", examples=["mini@1's scenes"])
    suites: Annotated[tuple[SuiteId, ...], AfterValidator(refuse_twice)] = Field(
        min_length=1,
        max_length=16,
        description="suites that it enters",
        examples=[["mini@1"]],
        json_schema_extra={"uniqueItems": True},
    )
    trust_code: StrictBool = Field(default=False, description="whether inverse.py must be imported")
    links: Links = Field(default=Links(), description="paper, code, project")
    weights: dict[Id, Weights] = Field(default={}, max_length=64, description="by target, where its inverse lies")

    def is_owned_by(self, account: str) -> bool:
        """Whether an account may change the entry; placeholders may not, whoever has them."""
        own = {name.casefold() for name in self.accounts} - NO_ACCOUNTS
        return account.casefold() in own


def list_submissions(root: Path) -> list[str]:
    """Return the ids of all submissions below `root`."""
    return sorted(path.parent.name for path in root.glob("*/submission.toml"))


def load_submission_folder(folder: Path) -> Submission:
    """Read the submission in a folder.

    Raises:
        SpecError: the file is not a submission, or its id differs from its folder; names the field.
    """
    path = folder / "submission.toml"
    submission = read_toml(path, Submission)
    if submission.id != folder.absolute().name:
        cure = "rename the one or the other"
        raise SpecError(f"field 'id': '{submission.id}' is not the folder's name", where=str(path), cure=cure)
    return submission


def load_submission(root: Path, submission_id: str) -> Submission:
    """Read one submission below `root`.

    Raises:
        NotFoundError: no such submission; names the nearest.
        SpecError: see `load_submission_folder`.
    """
    known = list_submissions(root)
    if submission_id not in known:
        raise did_you_mean("submission", submission_id, known)
    return load_submission_folder(root / submission_id)


def find_submission(reference: str) -> tuple[Path, bool]:
    """Return the folder of the submission that an id or a path names, and whether it was the path.

    Raises:
        NotFoundError: neither; names the nearest id.
        SpecError: the folder holds no submission.
    """
    known, path = list_submissions(submissions_root()), Path(reference)
    if reference in known:
        return submissions_root() / reference, False
    if (path / "submission.toml").is_file():
        return path.resolve(), True
    if path.is_dir() or len(path.parts) > 1:
        raise SpecError("no such submission", where=str(path / "submission.toml"), cure="make one: invbench init ID")
    raise did_you_mean("submission", reference, known)


def render_candidate(candidate_id: str, method: str, title: str, suite_id: str) -> str:
    """Return a `submission.toml` for an inverse that was evaluated without one."""
    import tomli_w  # checks, which write nothing, do without it

    fields = {
        "id": candidate_id,
        "method": method,
        "title": title,
        "description": "Evaluated with invbench eval --inverse; not submitted.",
        "authors": ["not stated"],
        "accounts": [ANYBODY],
        "contact": "https://example.org",
        "license": NO_LICENSE,
        "trained_on": "not stated",
        "suites": [suite_id],
    }
    return tomli_w.dumps(fields)
