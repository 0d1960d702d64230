"""Publishing an inverse on the Hub: what is checked, shown and uploaded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmark.content import hub
from benchmark.content.hub_errors import one_line
from benchmark.errors import IntegrityError, SpecError
from benchmark.files.canonical import sha256_file
from benchmark.inverses.base import load_inverse
from benchmark.inverses.code import load_code
from benchmark.submissions.matching import Matches, find_matches
from benchmark.submissions.model_card import BENCHMARKS, render_card, render_results
from benchmark.submissions.submission import NO_LICENSE

__all__ = ["Publication", "Upload", "prepare", "upload"]

FILES = ("config.json", "model.safetensors")
CARD = "README.md"
RESULTS = f".eval_results/{BENCHMARKS}-"
"""How the paths of results begin that publishing wrote; other files there are their authors'."""


@dataclass(frozen=True)
class Publication:
    """What is uploaded: the checked files of an inverse by name with their SHA-256, and the texts made for the Hub."""

    repo_id: str
    folder: Path
    files: Mapping[str, str]
    texts: Mapping[str, str]
    matches: Matches
    notes: tuple[str, ...]

    @property
    def card(self) -> str:
        """The model card."""
        return self.texts[CARD]

    def rows(self) -> list[dict[str, Any]]:
        """Return name, size in bytes and SHA-256 (hex) of every file that is uploaded."""
        stored = [
            {"file": name, "bytes": (self.folder / name).stat().st_size, "sha256": sha256}
            for name, sha256 in self.files.items()
        ]
        made = ((name, text.encode()) for name, text in self.texts.items())
        return stored + [
            {"file": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in made
        ]


@dataclass(frozen=True)
class Upload:
    """What an upload came to: the commit (40 hex digits) that holds the files, and whether it is a new one."""

    commit: str
    changed: bool


def _find_license(matches: Matches) -> str | None:
    """The license that the submissions of the matching records state, if it is one."""
    stated = {match.submission.license for match in matches.found if match.submission} - {NO_LICENSE}
    return stated.pop() if len(stated) == 1 else None


def prepare(
    folder: Path, repo_id: str, roots: Sequence[Path], license_id: str | None = None, code: Path | None = None
) -> Publication:
    """Check an inverse and write its model card, without any network.

    Args:
        folder: holds `config.json` and `model.safetensors`; other files are left out.
        repo_id: `owner/name` on the Hub.
        roots: where records of this very inverse are looked for, see `find_matches`.
        license_id: of the weights, by SPDX id or the Hub's own; by default that of the submission whose record matches.
        code: the file with the inverse's architecture, if it is not the package's own; it is imported.

    Raises:
        SpecError: a file is absent, a link or malformed, or the id is none.
        IntegrityError: the tensors are not what the configuration says.
    """
    hub.check_repo(repo_id, repo_id)
    for name in FILES:
        if (folder / name).is_symlink():
            raise SpecError("is a link; a file is uploaded as it lies", where=str(folder / name), cure="copy the file")
        if not (folder / name).is_file():
            raise SpecError("no such file", where=str(folder / name), cure="give the folder of a stored inverse")
    if code is not None:
        load_code(code, trained=True)
    files = {name: sha256_file(folder / name) for name in FILES}
    config = load_inverse(folder, torch.device("cpu")).config
    matches = find_matches(config.target, files, roots)
    notes = list(matches.notes)
    notes += [
        f"no results for {match.record.suite}: {match.folder / 'record.json'} is not ranked there: {match.unranked}"
        for match in matches.found
        if match.unranked
    ]
    license_id = license_id or _find_license(matches)
    if license_id is None:
        notes.append("the card names no license: give one with --license")
    texts = {CARD: render_card(repo_id, config, matches.found, license_id), **render_results(config, matches.found)}
    return Publication(repo_id, folder, files, texts, matches, tuple(notes))


def upload(publication: Publication, *, private: bool) -> Upload:
    """Create the repository if there is none, and upload the files as one commit, unless it holds them already.

    Results that an earlier upload wrote, and this one does not, are deleted in the same commit.

    Raises:
        IntegrityError: a file was changed since it was checked.
        UserError: the Hub cannot be reached, or does not allow it.
    """
    with one_line(f"{hub.endpoint()}/{publication.repo_id}"):
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

        api, operations = HfApi(), []
        for name, sha256 in publication.files.items():
            operation = CommitOperationAdd(name, str(publication.folder / name))
            if operation.upload_info.sha256.hex() != sha256:
                raise IntegrityError("was changed since it was checked", where=str(publication.folder / name))
            operations.append(operation)
        operations += [CommitOperationAdd(name, text.encode()) for name, text in publication.texts.items()]
        api.create_repo(publication.repo_id, private=private, exist_ok=True)
        before = api.model_info(publication.repo_id)
        present = {sibling.rfilename for sibling in before.siblings or ()}
        stale = sorted(name for name in present - publication.texts.keys() if name.startswith(RESULTS))
        info = api.create_commit(
            publication.repo_id,
            [*operations, *map(CommitOperationDelete, stale)],
            commit_message="Upload inverse",
            parent_commit=before.sha,
        )
    return Upload(info.oid, info.oid != before.sha)
