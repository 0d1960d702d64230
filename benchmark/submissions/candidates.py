"""What is evaluated: one method's inverses by target, of a submission, from the Hub or from a folder."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmark.content import hub
from benchmark.errors import NotFoundError, SpecError, did_you_mean, first_line
from benchmark.files.canonical import sha256_file
from benchmark.files.fields import shown_as
from benchmark.files.pointers import refuse_pointer
from benchmark.inverses.base import (
    MAX_BYTES,
    Inverse,
    count_bytes,
    count_parameters,
    load_inverse,
    read_config,
    rebuild_inverse,
)
from benchmark.inverses.folding import fold_batch_norms
from benchmark.inverses.spec import METHODS, TRUSTED, InverseConfig, Method, get_method
from benchmark.inverses.weights import count_numbers
from benchmark.records.record import InverseInfo
from benchmark.submissions.submission import CODE, Submission, load_submission_folder
from benchmark.suites.spec import Suite, TargetSpec

__all__ = [
    "Candidate", "StoredInverse", "describe_candidate", "fetch_weights", "from_references", "from_submission",
    "load_candidate", "open_submission",
]  # fmt: skip

MAX_CONFIG_BYTES = 1_000_000
MAX_HEADER_BYTES = 1_000_000


@dataclass(frozen=True)
class StoredInverse:
    """Where `config.json` and `model.safetensors` lie; the repository and commit that they came from, if any."""

    folder: Path
    repo_id: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Candidate:
    """One method under an id, with its inverses by target; `inverses` is empty for methods without weights.

    Attributes:
        code: the file that holds the method's architecture, if it is not the package's own.
        in_worker: whether its inverses run in a worker; with `code` they always do.
    """

    id: str
    method: str
    title: str
    inverses: Mapping[str, StoredInverse]
    code: Path | None = None
    in_worker: bool = False

    @property
    def isolated(self) -> bool:
        """Whether its inverses run in a worker."""
        return self.in_worker or self.code is not None


def _fetch(repo_id: str, revision: str) -> StoredInverse:
    """Fetch an inverse; its weights are asked for only once the configuration says how large they may be.

    Of a submission's own architecture nobody knows that without running it.
    """
    config = read_config(hub.fetch_file(repo_id, revision, "config.json", max_bytes=MAX_CONFIG_BYTES))
    size = count_bytes(config) if config.method in METHODS else MAX_BYTES
    path = hub.fetch_file(repo_id, revision, "model.safetensors", max_bytes=size + MAX_HEADER_BYTES)
    return StoredInverse(path.parent, repo_id, revision)


def from_submission(submission: Submission, folder: Path, targets: Sequence[TargetSpec]) -> Candidate:
    """Return a submission's inverses of `targets`, fetched from the Hub where they lie there.

    Args:
        folder: that of the submission.

    Raises:
        SpecError: there are no weights for a target, or they cannot be fetched.
    """
    inverses = {}
    if get_method(submission.method).trained:
        for target in targets:
            if target.id not in submission.weights:
                cure = "add it under [weights], or name the targets to evaluate with --target"
                where = str(folder / "submission.toml")
                raise SpecError(f"no weights for target '{target.id}'", where=where, cure=cure)
            weights = submission.weights[target.id]
            if weights.repo_id is not None and weights.revision is not None:
                inverses[target.id] = _fetch(weights.repo_id, weights.revision)
            else:
                inverses[target.id] = StoredInverse(weights.directory(folder))
    code = folder / CODE if submission.trust_code else None
    return Candidate(submission.id, submission.method, submission.title, inverses, code)


def _check_syntax(code: Path) -> None:
    """Read a file as Python, without running it; raises SpecError."""
    try:
        ast.parse(code.read_bytes(), str(code))
    except SyntaxError as error:
        raise SpecError(
            f"line {error.lineno}: SyntaxError: {first_line(error)}", where=str(code), cure="fix it"
        ) from None
    except (MemoryError, RecursionError, ValueError) as error:
        raise SpecError(f"cannot be read as Python: {first_line(error)}", where=str(code), cure="fix it") from None


def open_submission(folder: Path, targets: Sequence[TargetSpec], *, trust_code: bool) -> Candidate:
    """The candidate that the submission in `folder` enters. Nothing of it is imported here.

    Args:
        trust_code: whether its `inverse.py` may be run, where it has one.

    Raises:
        SpecError: it needs code that is not trusted or not there, or see `from_submission`.
    """
    submission, code = load_submission_folder(folder), folder / CODE
    if submission.trust_code:
        if not trust_code:
            cure = "read that file, then give --trust-code"
            raise SpecError(f"needs its own {CODE} to be run", where=str(folder / "submission.toml"), cure=cure)
        if not code.is_file():
            raise SpecError("no such file", where=str(code), cure="see invbench init --help")
        _check_syntax(code)
        if submission.method in METHODS:
            message = f"field 'method': '{submission.method}' is the package's own"
            raise SpecError(message, where=str(folder / "submission.toml"), cure="give it an id of its own")
        TRUSTED[submission.method] = Method(
            id=submission.method, title=submission.title, role="entry", source=CODE, implementation="",
            trained=bool(submission.weights),
        )  # fmt: skip
    return from_submission(submission, folder, targets)


def fetch_weights(submission: Submission, targets: Sequence[TargetSpec]) -> None:
    """Download a submission's inverses of `targets`, without looking into them or importing anything of it.

    Raises:
        SpecError: they cannot be fetched, or are larger than any inverse may be.
    """
    for target in targets:
        weights = submission.weights.get(target.id)
        if weights is not None and weights.repo_id is not None and weights.revision is not None:
            for name, limit in (("config.json", MAX_CONFIG_BYTES), ("model.safetensors", MAX_BYTES)):
                hub.fetch_file(weights.repo_id, weights.revision, name, max_bytes=limit)


def _slug(name: str) -> str:
    """Return a name as an id: lower case, and nothing but letters, digits, dots, hyphens and underscores."""
    return re.sub(r"[^a-z0-9._]+|[._-]{2,}", "-", name.lower()).strip("-._")[:64].rstrip("-._") or "inverse"


def _resolve(reference: str) -> tuple[str, StoredInverse]:
    """Return the name of a reference and where its inverse lies."""
    repo_id, at, revision = reference.rpartition("@")
    if at and not Path(reference).is_dir():
        return repo_id.replace("/", "-"), _fetch(repo_id, revision)
    folder = Path(reference)
    if not folder.is_dir():
        cure = "give a folder, or ORG/NAME@REVISION with the full commit, 40 hex digits"
        raise SpecError(f"'{reference}' is no folder and names no revision", where="--inverse", cure=cure)
    return folder.resolve().name, StoredInverse(folder)


def from_references(references: Sequence[str], suite: Suite) -> Candidate:
    """Return the inverses that `references` name: folders, or `ORG/NAME@REVISION` on the Hub; one a target.

    Raises:
        SpecError: a reference is malformed, two are for one target or of different methods, or a target is not
            one of the suite.
    """
    inverses: dict[str, StoredInverse] = {}
    names, methods = [], set()
    for reference in references:
        name, stored = _resolve(reference)
        config = read_config(stored.folder / "config.json")
        known = [target.id for target in suite.targets]
        where = str(stored.folder / "config.json")
        if config.target not in known:
            error = did_you_mean(f"target of {suite.id}", config.target, known)
            raise NotFoundError(error.message, where=where, cure=error.cure)
        if config.target in inverses:
            raise SpecError(f"target '{config.target}' is given twice", where="--inverse", cure="keep one of them")
        inverses[config.target] = stored
        names.append(name)
        methods.add(config.method)
    if len(methods) > 1:
        raise SpecError(
            f"methods differ: {', '.join(sorted(methods))}", where="--inverse", cure="evaluate each by itself"
        )
    method = methods.pop()
    title = shown_as(f"{get_method(method).title} ({', '.join(names)})")
    return Candidate(_slug(names[0]), method, title, inverses)


def describe_candidate(candidate: Candidate, spec: TargetSpec, target_sha256: str) -> tuple[InverseConfig, InverseInfo]:
    """Return the configuration of a candidate's inverse of a target, and where it came from; nothing is imported.

    The parameters of a submission's own architecture are all numbers of its file: which of them are buffers only its
    code knows.

    Args:
        target_sha256: of the weights of the target.

    Raises:
        SpecError: it is for another method, target, input size or other taps, or for other weights of the target.
        IntegrityError: its weights are no safetensors file.
    """
    code = {candidate.code.name: sha256_file(candidate.code)} if candidate.code else {}
    if not get_method(candidate.method).trained:
        config = InverseConfig(
            method=candidate.method, target=spec.id, target_sha256="0" * 64, input_size=spec.input_size, taps={}
        )
        return config, InverseInfo(files=code, parameters=0)
    stored = candidate.inverses[spec.id]
    config, where = read_config(stored.folder / "config.json"), str(stored.folder / "config.json")
    if config.method != candidate.method or config.target != spec.id:
        raise SpecError(f"is for method '{config.method}' on '{config.target}'", where=where)
    if config.target_sha256 != target_sha256:
        raise SpecError(f"was made for other weights of '{spec.id}'", where=where, cure="train it again")
    if config.input_size != spec.input_size:
        raise SpecError(f"field 'input_size': {config.input_size} is not the target's {spec.input_size}", where=where)
    if differing := sorted(config.taps.keys() ^ set(spec.tap_names)):
        state = "unknown" if differing[0] in config.taps else "missing"
        raise SpecError(f"field 'taps': '{differing[0]}' is {state}", where=where)
    weights = stored.folder / "model.safetensors"
    try:
        refuse_pointer(weights)
    except FileNotFoundError:
        raise SpecError("no such file", where=str(weights), cure="train it: invbench train inverse --help") from None
    parameters = count_numbers(weights) if candidate.code else count_parameters(config)
    return config, InverseInfo(
        files={path.name: sha256_file(path) for path in (stored.folder / "config.json", weights)} | code,
        parameters=parameters,
        repo_id=stored.repo_id,
        revision=stored.revision,
        training=config.training,
    )


def load_candidate(candidate: Candidate, config: InverseConfig, device: torch.device) -> Inverse:
    """Return a candidate's inverse with a configuration that `describe_candidate` gave, as fast as it can be.

    Raises:
        IntegrityError: its tensors are not what its configuration says.
    """
    if not get_method(candidate.method).trained:
        return rebuild_inverse(config).eval().to(device)
    inverse = load_inverse(candidate.inverses[config.target].folder, device)
    fold_batch_norms(inverse)
    return inverse
