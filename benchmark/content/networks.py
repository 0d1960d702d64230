"""The files of a network on the Hub: those that are read, whatever layout its authors chose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmark.content import hub
from benchmark.content.hub_errors import AbsentError, OfflineError
from benchmark.errors import UserError
from benchmark.targets.config import CONFIG
from benchmark.targets.files import INDEX, PREPROCESSOR, PROCESSOR, WEIGHTS, read_index

__all__ = ["choose_files", "fetch_network", "is_network_cached"]


def choose_files(available: Iterable[str]) -> tuple[str, ...]:
    """Return which files of a repository's top folder are read, as `fetch_network` chooses.

    Of weights with an index, every shard that lies beside it.
    """
    names = frozenset(name for name in available if "/" not in name)
    chosen = [name for name in (CONFIG, PREPROCESSOR if PREPROCESSOR in names else PROCESSOR) if name in names]
    if WEIGHTS in names:
        return (*chosen, WEIGHTS)
    shards = sorted(name for name in names if name.endswith(".safetensors"))
    return (*chosen, INDEX, *shards) if INDEX in names else tuple(chosen)


def fetch_network(repo_id: str, revision: str, sha256: Mapping[str, str] = {}) -> Path:
    """Return the folder of the client's cache that holds the files of a network at `revision`; see `find_files`.

    Asked for are the configuration, `preprocessor_config.json` or else `processor_config.json` if the commit has one,
    and `model.safetensors`, or else the index of shards and what it names.

    Args:
        repo_id: `owner/name`.
        revision: the full commit, 40 lower-case hex digits.
        sha256: by name, what the content must hash to (hex).

    Raises:
        SpecError, NotFoundError, IntegrityError, UserError: as `hub.fetch_file`; or the index is malformed.
    """
    folder = hub.fetch_files(repo_id, revision, [CONFIG], optional=[PREPROCESSOR], sha256=sha256)
    if not (folder / PREPROCESSOR).is_file():
        hub.fetch_files(repo_id, revision, [CONFIG], optional=[PROCESSOR], sha256=sha256)
    try:
        hub.fetch_files(repo_id, revision, [WEIGHTS], sha256=sha256)
    except (AbsentError, OfflineError) as whole:
        if WEIGHTS in sha256:
            raise
        try:
            hub.fetch_files(repo_id, revision, [INDEX], sha256=sha256)
        except (AbsentError, OfflineError):
            raise whole from None
        hub.fetch_files(repo_id, revision, read_index(folder / INDEX), sha256=sha256)
    return folder


def is_network_cached(repo_id: str, revision: str) -> bool:
    """Return whether configuration and weights of a network lie in the client's cache; nothing is asked of the Hub."""
    if not hub.is_cached(repo_id, revision, CONFIG):
        return False
    if hub.is_cached(repo_id, revision, WEIGHTS):
        return True
    try:
        index = hub.cached_path(repo_id, revision, INDEX)
        return index is not None and all(hub.is_cached(repo_id, revision, name) for name in read_index(index))
    except UserError:
        return False
