"""Files of the Hugging Face Hub at a full commit: found, fetched once, compared with what was pinned.

Files lie where the Hub's own client caches them, so HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, HF_TOKEN and HF_ENDPOINT
mean what they mean everywhere. Only files that are named are ever asked for, and nothing that is fetched is run.
Import-light: the client is imported when the first file is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from benchmark.content.hub_errors import AbsentError, OfflineError, absent, one_line
from benchmark.content.hub_guard import guarded
from benchmark.errors import IntegrityError, SpecError, UserError, first_line
from benchmark.files.canonical import sha256_file

__all__ = [
    "RepoType",
    "cached_path",
    "check_repo",
    "endpoint",
    "fetch_file",
    "fetch_files",
    "find_commit",
    "get_size",
    "is_cached",
    "list_sizes",
    "one_line",
    "prefix",
]

RepoType = Literal["model", "dataset"]
REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
BRANCH = re.compile(r"\w[\w./-]*", re.ASCII)


def fetch_file(
    repo_id: str,
    revision: str,
    name: str,
    *,
    repo_type: RepoType = "model",
    sha256: str | None = None,
    max_bytes: int | None = None,
) -> Path:
    """Return the path of a file of the Hub in the client's cache; it is downloaded unless it lies there.

    A commit never changes, so what lies in the cache is not asked for again.

    Args:
        repo_id: `owner/name`.
        revision: the full commit, 40 lower-case hex digits.
        name: path of the file in the repository, with slashes.
        repo_type: kind of the repository.
        sha256: what the content must hash to (hex), if that is pinned; hashed at every call.
        max_bytes: refuse a larger file; its size is asked before anything is downloaded.

    Raises:
        SpecError: an argument is malformed, or the file is larger than `max_bytes`.
        NotFoundError: there is no such repository, commit or file, or it is private.
        IntegrityError: the content is not what `sha256` says, or not of this commit.
        UserError: it may not be read, cannot be reached or cannot be stored; tells which and what to do.
    """
    where = check_address(repo_id, revision, name, repo_type)
    with one_line(where), guarded(max_bytes):
        path = find_cached(repo_id, revision, name, repo_type, where)
        if path is None:
            if max_bytes is not None:
                check_size(ask_size(repo_id, revision, name, repo_type), max_bytes, where)
            path = download_to_cache(repo_id, revision, name, repo_type)
        check_cached(path, revision, name, where)
        if max_bytes is not None:
            check_size(path.stat().st_size, max_bytes, where)
        if sha256 is not None and (digest := sha256_file(path)) != sha256:
            raise IntegrityError(
                f"its SHA-256 is {digest[:12]}, pinned is {sha256[:12]}",
                where=where,
                cure=f"delete the cached copy, then the same command fetches it again: {path.resolve()}",
            )
    return path


def fetch_files(
    repo_id: str,
    revision: str,
    names: Iterable[str],
    *,
    repo_type: RepoType = "model",
    sha256: Mapping[str, str] = {},
    optional: Iterable[str] = (),
) -> Path:
    """Return the folder of the client's cache that holds the files `names` at `revision`, and maybe others.

    Args:
        repo_id: `owner/name`.
        revision: the full commit, 40 lower-case hex digits.
        names: paths of the files in the repository; at least one.
        repo_type: kind of the repository.
        sha256: by name, what the content must hash to (hex).
        optional: further files, left out where the commit has none; offline, also where none is cached. A file that
            `sha256` names is never left out.

    Raises:
        SpecError, NotFoundError, IntegrityError, UserError: as `fetch_file`.
    """

    def fetch(name: str) -> Path:
        path = fetch_file(repo_id, revision, name, repo_type=repo_type, sha256=sha256.get(name))
        return path.parents[name.count("/")]

    (folder,) = {fetch(name) for name in names}
    for name in optional:
        try:
            fetch(name)
        except (AbsentError, OfflineError):
            if name in sha256:
                raise
    return folder


def find_commit(repo_id: str, revision: str = "main", repo_type: RepoType = "model") -> str:
    """Return the full commit (40 hex digits) that a branch, tag or short id names now.

    Raises:
        SpecError, NotFoundError, UserError: as `fetch_file`.
    """
    where = f"{repo_id}@{revision}"
    check_repo(repo_id, where)
    if not BRANCH.fullmatch(revision) or ".." in revision:
        raise SpecError("not the name of a branch, tag or commit", where=where)
    where = f"{endpoint()}/{prefix(repo_type)}{where}"
    with one_line(where), guarded():
        from huggingface_hub import HfApi
        from huggingface_hub.constants import HF_HUB_DOWNLOAD_TIMEOUT

        only: Any = ["sha"]  # not the list of files
        info = HfApi().repo_info(
            repo_id, revision=revision, repo_type=repo_type, expand=only, timeout=HF_HUB_DOWNLOAD_TIMEOUT
        )
        if not COMMIT.fullmatch(info.sha or ""):
            raise UserError("the Hub does not say which commit this is", where=where, cure="check HF_ENDPOINT")
    return str(info.sha)


def get_size(repo_id: str, revision: str, name: str, repo_type: RepoType = "model") -> int | None:
    """Return how large a file of the Hub is, in bytes, without downloading it; None if the Hub does not say.

    Raises:
        SpecError, NotFoundError, UserError: as `fetch_file`.
    """
    with one_line(check_address(repo_id, revision, name, repo_type)), guarded():
        return ask_size(repo_id, revision, name, repo_type)


def list_sizes(repo_id: str, revision: str, repo_type: RepoType = "model") -> dict[str, int]:
    """Return the size in bytes of every file of a commit, by its path in the repository; nothing is downloaded.

    Raises:
        SpecError, NotFoundError, UserError: as `fetch_file`.
    """
    with one_line(check_address(repo_id, revision, "x", repo_type).removesuffix("/x")), guarded():
        from huggingface_hub import HfApi
        from huggingface_hub.hf_api import RepoFile

        entries = HfApi().list_repo_tree(repo_id, revision=revision, repo_type=repo_type, recursive=True)
        return {entry.path: entry.size for entry in entries if isinstance(entry, RepoFile)}


def is_cached(repo_id: str, revision: str, name: str, repo_type: RepoType = "model") -> bool:
    """Return whether a file of a commit lies in the client's cache; nothing is asked from the Hub."""
    return cached_path(repo_id, revision, name, repo_type) is not None


def cached_path(repo_id: str, revision: str, name: str, repo_type: RepoType = "model") -> Path | None:
    """Return where a file of a commit lies in the client's cache, if it does; nothing is asked from the Hub."""
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(repo_id, name, revision=revision, repo_type=repo_type)
    return Path(cached) if isinstance(cached, str) else None


def check_repo(repo_id: str, where: str) -> None:
    """Refuse what is not `owner/name`."""
    if not REPO_ID.fullmatch(repo_id):
        raise SpecError("not the id of a repository on the Hub", where=where, cure="write it as owner/name")


def check_address(repo_id: str, revision: str, name: str, repo_type: RepoType) -> str:
    """Check the parts of a file's address and return it in full, for messages."""
    where = f"{repo_id}@{revision}/{name}"
    check_repo(repo_id, where)
    if not COMMIT.fullmatch(revision):
        raise SpecError(
            "the revision is not a full commit, 40 hex digits; anything else may mean other content tomorrow",
            where=where,
            cure=f"find the commit with: git ls-remote https://huggingface.co/{prefix(repo_type)}{repo_id}",
        )
    if not name.isprintable() or re.search(r"[\\:]", name) or {"", ".", ".."} & set(name.split("/")):
        raise SpecError("not the path of a file inside a repository", where=repr(where))
    return f"{endpoint()}/{prefix(repo_type)}{where}"


def prefix(repo_type: RepoType) -> str:
    """Prefix of the id of a repository in its address."""
    return "datasets/" if repo_type == "dataset" else ""


def endpoint() -> str:
    """Return the address of the Hub, without a login that it may hold."""
    try:
        from huggingface_hub.constants import ENDPOINT
    except ValueError as error:
        raise UserError(first_line(error), where="huggingface_hub", cure="check the variables HF_...") from error

    return re.sub(r"//[^/]*@", "//", ENDPOINT)


def find_cached(repo_id: str, revision: str, name: str, repo_type: RepoType, where: str) -> Path | None:
    """Return the path of a file in the cache, None if it is not there; raises AbsentError if the commit has none."""
    from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache

    cached = try_to_load_from_cache(repo_id, name, revision=revision, repo_type=repo_type)
    if cached is _CACHED_NO_EXIST:
        raise absent(where)
    return None if cached is None else Path(str(cached))


def download_to_cache(repo_id: str, revision: str, name: str, repo_type: RepoType) -> Path:
    """Let the client put a file into its cache and return the path."""
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(repo_id, name, revision=revision, repo_type=repo_type))


def ask_size(repo_id: str, revision: str, name: str, repo_type: RepoType) -> int | None:
    """Ask the Hub for the size of a file in bytes."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.constants import HF_HUB_ETAG_TIMEOUT

    url = hf_hub_url(repo_id, name, revision=revision, repo_type=repo_type)
    return get_hf_file_metadata(url, timeout=HF_HUB_ETAG_TIMEOUT).size


def check_size(size: int | None, max_bytes: int, where: str) -> None:
    """Refuse a file that is larger than it may be, or of unknown size."""
    if size is None:
        raise SpecError("the Hub does not say how large it is", where=where)
    if size > max_bytes:
        raise SpecError(f"{size:,} bytes, at most {max_bytes:,} are read", where=where)


def check_cached(path: Path, revision: str, name: str, where: str) -> None:
    """Refuse a path under another commit, or a link that is not the client's own: the Hub's answers choose both.

    The client stores contents in `blobs` of the repository's folder, by their hash, and links to them from `snapshots`.
    What the user has put elsewhere, behind links of their own, is followed: the cache, the folder of a repository,
    its `blobs`, or a single one of them.
    """
    depth = name.count("/")
    snapshot = path.parents[depth]
    if snapshot.name != revision:
        raise IntegrityError("the Hub answered with another commit", where=where, cure="check HF_ENDPOINT")
    if not path.is_symlink():
        return  # a file of its own: so the client stores it where links cannot be made
    blob = path.parent / path.readlink()
    folders = {root / "blobs" for root in (path.parents[depth + 2], snapshot.resolve().parents[1])}
    if blob.name in ("", ".", "..") or blob.parent.resolve() not in {folder.resolve() for folder in folders}:
        raise IntegrityError(
            f"the cached file leads out of {path.parents[depth + 2]}",
            where=where,
            cure=f"delete it, then it is fetched again: {path}",
        )
