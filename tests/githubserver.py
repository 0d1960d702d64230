"""As much of GitHub's API as the comment on a pull request needs, on 127.0.0.1."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

HEAD, BASE = "a" * 40, "b" * 40


class Pulls:
    """What the server knows of pull request 17 of o/r, and what was written to it.

    Attributes:
        files: what the pull request changes, as GitHub lists it: dictionaries with `filename`.
        answers: by path, what to answer instead: a status, or bytes.
        asked: method, path and token of every request.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.pull: dict[str, Any] = {
            "state": "open", "head": {"sha": HEAD}, "changed_files": 1,
            "base": {"ref": "main", "sha": BASE, "repo": {"default_branch": "main"}},
        }  # fmt: skip
        self.files: list[Any] = [{"filename": "submissions/mine/submission.toml"}]
        self.comments: list[dict[str, Any]] = []
        self.written: list[tuple[str, str]] = []
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, str, str | None]] = []

    def change(self, *paths: str) -> None:
        """Let the pull request change these paths."""
        self.files, self.pull["changed_files"] = [{"filename": path} for path in paths], len(paths)


class Handler(BaseHTTPRequestHandler):
    pulls: Pulls

    def _reply(self, body: Any, status: int = 200) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if status in (301, 302, 307):
            self.send_header("Location", f"{self.pulls.url}/elsewhere")
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.pulls.asked.append((self.command, parts.path, self.headers.get("Authorization")))
        answer = self.pulls.answers.get(parts.path)
        if answer is not None:
            return self._reply(b"{}", answer) if isinstance(answer, int) else self._reply(answer)
        if self.command != "GET":
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
            self.pulls.written.append((f"{self.command} {parts.path}", body))
            return self._reply({"id": 1}, 201 if self.command == "POST" else 200)
        page = int(parse_qs(parts.query).get("page", ["1"])[0])
        known = {
            "/repos/o/r/pulls/17": self.pulls.pull,
            f"/repos/o/r/compare/{BASE}...{HEAD}": {"files": self.pulls.files},
            "/repos/o/r/issues/17/comments": self.pulls.comments[100 * (page - 1) : 100 * page],
        }
        return self._reply(known.get(parts.path, {}), 200 if parts.path in known else 404)

    do_POST = do_PATCH = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serve() -> Iterator[Pulls]:
    """Serve; `url` is what GITHUB_API_URL must be."""
    handler = type("Own", (Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        pulls = handler.pulls = Pulls(f"http://127.0.0.1:{server.server_address[1]}")  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield pulls
        server.shutdown()
        thread.join()
