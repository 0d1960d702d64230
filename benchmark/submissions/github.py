"""What GitHub says of a pull request, and the one comment on it. Torch-free.

The file that names the pull request comes from an artifact which the pull request can have written. So its number is
used only where GitHub says that this pull request is open, into the default branch, and has the head that GitHub
itself says the run belongs to; and what it changes is asked of GitHub, for that very commit.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from benchmark.errors import SpecError, UserError, first_line

__all__ = ["MARK", "GitHub", "read_comment", "read_number"]

MARK = "<!-- invbench review -->"
"""The first line of the comment."""
MAX_COMMENT_BYTES = 65_000
MAX_ANSWER_BYTES = 50_000_000
MAX_LISTED = 300
"""Files that GitHub lists of a comparison, at most."""
MAX_PAGES = 50
TIMEOUT_S = 30
AUTHOR = "github-actions[bot]"


def read_number(path: Path) -> int:
    """Return the number of a pull request.

    Raises:
        SpecError: the file is a link or holds something else.
    """
    with _open_plain(path) as file:
        match = re.fullmatch(rb"([1-9][0-9]{0,9})\n?", file.read(16))
    if not match:
        raise SpecError("does not say which pull request it is about", where=str(path))
    return int(match[1])


def read_comment(path: Path) -> str:
    """Return the text of a comment that begins with the mark.

    Raises:
        SpecError: the file is a link, is longer than a comment may be, or does not begin with the mark.
    """
    with _open_plain(path) as file:
        text = file.read(MAX_COMMENT_BYTES + 1)
    if len(text) > MAX_COMMENT_BYTES or not text.startswith(f"{MARK}\n".encode()):
        raise SpecError("not a comment of ours, or longer than a comment may be", where=str(path))
    return text.decode(errors="replace")


def _open_plain(path: Path) -> Any:
    try:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    except OSError as error:
        raise SpecError(f"cannot be read: {first_line(error)}", where=str(path)) from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: the token would go along."""

    def redirect_request(self, *_: Any) -> None:
        return None


class GitHub:
    """The API for one repository, at $GITHUB_API_URL, with the token of $GH_TOKEN.

    Args:
        repository: `owner/name`.

    Raises:
        SpecError: the repository is malformed.
        UserError: by every method: GitHub refuses, cannot be reached, or answers something else than it documents.
    """

    def __init__(self, repository: str) -> None:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository, re.ASCII) or ".." in repository:
            raise SpecError("not a repository on GitHub", where="--repository", cure="write it as owner/name")
        self.url = f"{os.environ.get('GITHUB_API_URL', 'https://api.github.com')}/repos/{repository}"

    def _ask(self, path: str, method: str = "GET", body: Any = None) -> Any:
        where = f"{self.url}/{path}"
        headers = {"Accept": "application/vnd.github+json", "User-Agent": "invbench", "Connection": "close"}
        if token := os.environ.get("GH_TOKEN"):
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(where, data, headers | {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S) as answer:
                text = answer.read(MAX_ANSWER_BYTES + 1)
            if len(text) > MAX_ANSWER_BYTES:
                raise ValueError("the answer is too long")
            return json.loads(text)
        except urllib.error.HTTPError as error:
            error.close()
            raise UserError(f"GitHub answered with error {error.code}", where=where, cure="run the job again") from None
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            reason = getattr(error, "reason", error)
            message = f"no answer that can be read: {first_line(reason)}"
            raise UserError(message, where=where, cure="run the job again") from None

    def _read_pull(self, number: int, head: str) -> tuple[str, int]:
        """The base commit and the number of changed files of a pull request.

        Raises:
            SpecError: it is not open, not into the default branch, or has another head.
        """
        if not re.fullmatch(r"[0-9a-f]{40}", head):
            raise SpecError("not a full commit", where="--head")
        pull = self._ask(f"pulls/{number}")
        try:
            state, base, sha = pull["state"], pull["base"], pull["head"]["sha"]
            into, default, commit, changed = (
                base["ref"], base["repo"]["default_branch"], str(base["sha"]), int(pull["changed_files"]),
            )  # fmt: skip
        except (LookupError, TypeError, ValueError):
            message = "GitHub describes a pull request in another way"
            raise UserError(message, where=f"{self.url}/pulls/{number}") from None
        if (state, sha) != ("open", head) or into != default or not re.fullmatch(r"[0-9a-f]{40}", commit):
            message = f"pull request {number} is closed, goes into another branch, or has not this head"
            raise SpecError(message, where=f"{self.url}/pulls/{number}", cure="there is nothing to comment")
        return commit, changed

    def list_changed(self, number: int, head: str) -> list[str]:
        """Return the paths that a pull request changes at the commit `head`; of a renamed file, both.

        The paths are those of a comparison of two commits: what is pushed meanwhile cannot change them. There are none
        where GitHub does not list all of them.

        Raises:
            SpecError: it is not open, not into the default branch, or has another head.
        """
        base, count = self._read_pull(number, head)
        answer = self._ask(f"compare/{base}...{head}")
        try:
            files = [(str(file["filename"]), file.get("previous_filename")) for file in answer["files"]]
        except (LookupError, TypeError, AttributeError):
            raise UserError("GitHub describes a comparison in another way", where=self.url) from None
        if len(files) != count or len(files) >= MAX_LISTED:
            return []
        return [str(path) for names in files for path in names if path is not None]

    def post(self, number: int, head: str, text: str) -> None:
        """Create the comment on a pull request, or update it.

        Raises:
            SpecError: see `list_changed`.
        """
        self._read_pull(number, head)
        if (old := self._find_comment(number)) is None:
            self._ask(f"issues/{number}/comments", "POST", {"body": text})
        else:
            self._ask(f"issues/comments/{old}", "PATCH", {"body": text})

    def _find_comment(self, number: int) -> int | None:
        for page in range(1, MAX_PAGES + 1):
            comments = self._ask(f"issues/{number}/comments?per_page=100&page={page}")
            try:
                own = [item for item in comments if (item.get("user") or {}).get("login") == AUTHOR]
                found = [int(item["id"]) for item in own if str(item["body"]).startswith(MARK)]
            except (LookupError, TypeError, ValueError, AttributeError):
                raise UserError("GitHub describes comments in another way", where=self.url) from None
            if found or not comments:
                return found[0] if found else None
        return None
