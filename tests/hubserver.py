"""A small Hub on 127.0.0.1 that speaks enough of the real protocol for the real client, down and up.

Small text files are answered in place, with their git blob id as ETag. Large ones and weights are "LFS": the answer
is a redirect to `/lfs/SHA256` under another host name of the same server, as the Hub redirects to its content
network, so that the client must not send its token there. Uploads go the LFS way too; a client that has `hf_xet`
needs HF_HUB_DISABLE_XET=1, which `HubServer.environment` sets.

    with HubServer(tokens={"hf_owner": "me"}) as hub:
        commit = hub.add_repo("me/net", {"config.json": b"{}", "model.safetensors": Path("model.safetensors")})
        hub.fail("config.json", "GET", times=2, status=503)
        subprocess.run([...], env=os.environ | hub.environment(tmp_path))
        hub.log  # every request: method, path, range, token
"""

from __future__ import annotations

import base64
import collections
import hashlib
import json
import os
import re
import shutil
import socket
import struct
import sys
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from hubrepos import ATTRIBUTES, CHUNK, Blob, Fault, Refusal, Repo, Request, is_lfs

__all__ = ["HubServer", "Request"]
RESOLVE = re.compile(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/([a-z-]+)(?:/([^/]+)(?:/(.+))?)?)?")
LFS_API = re.compile(r"/(?:(datasets)/)?([^/]+/[^/]+)\.git/info/lfs/objects/(batch|verify)")


class HubServer:
    """The server and what it holds.

    Args:
        tokens: by token, the user that it belongs to: may read everything, and write under the user's own name.

    Attributes:
        url: what HF_ENDPOINT must be.
        log: every request so far, in order; clear it at will.
    """

    def __init__(self, tokens: Mapping[str, str] = {}) -> None:
        self.tokens = dict(tokens)
        self.log: list[Request] = []
        self.repos: dict[tuple[str, str], Repo] = {}
        self.objects: dict[str, Blob] = {}
        self.faults: list[Fault] = []
        self.lock, self.closing = threading.Lock(), threading.Event()
        self.folder = Path(tempfile.mkdtemp(prefix="hubserver-"))
        self.server = Server(("127.0.0.1", 0), type("Handler", (Handler,), {"hub": self}))
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> HubServer:
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self, home: Path, token: str | None = None, **more: str) -> dict[str, str]:
        """Return the variables of a client process that talks to this server only and keeps its cache in `home`."""
        quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1,localhost"}
        login = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_TOKEN": token or "", "HF_HUB_OFFLINE": "0"}
        return quiet | login | more

    def add_repo(
        self,
        repo_id: str,
        files: Mapping[str, bytes | Path],
        repo_type: str = "model",
        *,
        private: bool = False,
        gated: bool = False,
        tokens: Collection[str] = (),
        branch: str = "main",
    ) -> str:
        """Add a commit that holds exactly `files`, move `branch` to it, and return its id (40 hex digits).

        A repository that is `private` or `gated` lets those in that hold one of `tokens`, or one of the server's.
        """
        repo = self.repos.setdefault((f"{repo_type}s", repo_id), Repo(f"{repo_type}s", repo_id))
        repo.private, repo.gated = private, gated
        repo.readers |= set(tokens)
        blobs = {path: Blob.of(path, source) for path, source in files.items()}
        self.objects |= {blob.oid: blob for blob in blobs.values() if blob.lfs}
        return repo.commit(blobs, branch)

    def files(self, repo_id: str, revision: str = "main", repo_type: str = "model") -> dict[str, bytes]:
        """Return the content of every file at a branch or commit: what an upload left here."""
        repo = self.repos[f"{repo_type}s", repo_id]
        blobs = repo.commits[repo.branches.get(revision, revision)]
        return {path: b"".join(blob.read(0, blob.size)) for path, blob in blobs.items()}

    def fail(self, path: str = "", method: str | None = None, *, times: int = 1, **what: Any) -> None:
        """Spoil the next `times` requests whose path contains `path`, of `method` if one is named.

        `status` answers with that error; `stall` waits so many seconds first; `reset` breaks the connection off with
        RST; `cut` ends the body after so many bytes (with `reset` by RST); `body` sends other bytes; `drip` waits so
        many seconds before each byte of the body, `slow_headers` before each of a hundred headers; `endless` sends
        zeros until the client has enough; `headers` adds headers or overrides them, or leaves those out that are None.
        Faults are used up in the order in which they were set.
        """
        self.faults.append(Fault(path, method, times, **what))

    def take_fault(self, method: str, path: str) -> Fault:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.path in path and fault.method in (None, method):
                    fault.times -= 1
                    return fault
        return Fault("", None, 0)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a client that went away is no error of the server
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        path, _, self.query = self.path.partition("?")
        self.token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        self.hub.log.append(Request(self.command, unquote(path), self.headers.get("Range"), self.token))
        self.fault = self.hub.take_fault(self.command, unquote(path))
        self.hub.closing.wait(self.fault.stall)
        if self.fault.reset and self.fault.cut is None:
            return self.break_off()
        try:
            if self.fault.status:
                raise Refusal(self.fault.status, self.responses[self.fault.status][0])
            self.route(path)
        except Refusal as refusal:
            collections.deque(self.body(), maxlen=0)  # an answer before the body is read can get lost
            self.reply({"error": str(refusal)}, refusal.status, refusal.headers)

    do_HEAD = do_POST = do_PUT = do_GET

    def route(self, path: str) -> None:
        if path.startswith("/lfs/"):
            return self.put_object(path[5:]) if self.command == "PUT" else self.reply(self.object(path[5:]))
        known = set(self.hub.tokens).union(*(repo.readers for repo in self.hub.repos.values()))
        if self.token and self.token not in known:
            raise Refusal(401, "Invalid credentials in Authorization header")
        if match := RESOLVE.fullmatch(path):
            kind, repo_id, revision, name = match.groups()
            repo = self.repo(kind or "models", repo_id)
            return self.resolve(repo, self.revision(repo, revision), unquote(name))
        if match := LFS_API.fullmatch(path):
            self.writer(match[2])
            return self.reply(self.batch() if match[3] == "batch" else {})
        if match := API.fullmatch(path):
            kind, repo_id, verb, revision, rest = match.groups()
            repo = self.repo(kind, repo_id)
            if verb == "preupload":
                return self.reply(self.preupload(repo, self.revision(repo, revision)))
            if verb == "commit":
                return self.reply(self.commit(repo, unquote(revision)))
            return self.reply(self.tell(repo, verb, self.revision(repo, revision or "main"), unquote(rest or "")))
        if path == "/api/repos/create":
            return self.create()
        if path == "/api/validate-yaml":
            return self.reply({"errors": [], "warnings": []})
        if path == "/api/whoami-v2" and self.token:
            return self.reply({"type": "user", "name": self.hub.tokens.get(self.token, "reader"), "orgs": []})
        raise Refusal(401 if path == "/api/whoami-v2" else 404, "Invalid username or password.")

    def repo(self, kind: str, repo_id: str) -> Repo:
        repo = self.hub.repos.get((kind, repo_id))
        known = repo is not None and (self.token in self.hub.tokens or self.token in repo.readers)
        if repo is None or (repo.private and not known):  # the Hub hides what is private: both look alike
            raise Refusal(404 if self.token else 401, "Repository not found", "RepoNotFound")
        if repo.gated and not known and "/resolve/" in self.path:
            raise Refusal(403 if self.token else 401, f"Access to {repo.id} is restricted.", "GatedRepo")
        return repo

    def revision(self, repo: Repo, revision: str) -> str:
        commit = repo.branches.get(unquote(revision), revision)
        if commit not in repo.commits:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def resolve(self, repo: Repo, commit: str, name: str) -> None:
        headers = {"X-Repo-Commit": commit}
        blob = repo.commits[commit].get(name)
        if blob is None:
            self.fault.headers = headers | dict(self.fault.headers)
            raise Refusal(404, "Entry not found", "EntryNotFound")
        if not blob.lfs:
            return self.reply(blob, headers=headers | {"ETag": f'"{blob.oid}"'})
        headers |= {"X-Linked-Size": str(blob.size), "X-Linked-ETag": f'"{blob.oid}"'}
        headers["Location"] = f"http://localhost:{self.hub.port}/lfs/{blob.oid}?signed=1"
        self.reply("Found", 302, headers)

    def object(self, oid: str) -> Blob:
        if oid not in self.hub.objects:
            raise Refusal(404, "no such object")
        return self.hub.objects[oid]

    def tell(self, repo: Repo, verb: str | None, commit: str, folder: str) -> Any:
        files = repo.commits[commit]
        if verb in (None, "revision"):
            siblings = [{"rfilename": path, "size": blob.size, "blobId": blob.oid[:40]} for path, blob in files.items()]
            names = {"_id": repo.id, "id": repo.id, "modelId": repo.id, "author": repo.id.split("/")[0]}
            state = {"private": repo.private, "gated": "manual" if repo.gated else False, "disabled": False, "tags": []}
            return names | state | {"sha": commit, "siblings": siblings, "downloads": 0, "likes": 0}
        folders = {"/".join(path.split("/")[:depth]) for path in files for depth in range(1, path.count("/") + 1)}
        entries = [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in sorted(folders)]
        entries += [blob.entry(path) for path, blob in sorted(files.items())]
        if verb == "paths-info":
            asked = parse_qs(b"".join(self.body()).decode())["paths"]
            return [entry for entry in entries if entry["path"] in asked]
        if verb == "tree":
            deep = parse_qs(self.query).get("recursive", [""])[0].lower() in ("1", "true")
            inside = [entry for entry in entries if entry["path"].startswith(f"{folder}/" if folder else "")]
            return [entry for entry in inside if deep or str(Path(entry["path"]).parent) == (folder or ".")]
        raise Refusal(404, f"no such address: {verb}")

    def writer(self, repo_id: str) -> None:
        if self.token not in self.hub.tokens:
            raise Refusal(401, "Invalid username or password.")
        if repo_id.split("/")[0] != self.hub.tokens[self.token]:
            raise Refusal(403, f"Forbidden: you don't have the rights to write to {repo_id}")

    def create(self) -> None:
        asked = json.loads(b"".join(self.body()))
        repo_id = f"{asked.get('organization') or self.hub.tokens.get(self.token or '')}/{asked['name']}"
        self.writer(repo_id)
        kind, private = asked.get("type") or "model", asked.get("private") or asked.get("visibility") == "private"
        url = {"url": f"{self.hub.url}/{'datasets/' if kind == 'dataset' else ''}{repo_id}", "name": repo_id}
        if (f"{kind}s", repo_id) in self.hub.repos:
            return self.reply(url | {"error": "You already created this repo"}, 409)
        self.hub.add_repo(repo_id, {".gitattributes": ATTRIBUTES}, kind, private=bool(private))
        self.reply(url)

    def preupload(self, repo: Repo, commit: str) -> Any:
        self.writer(repo.id)
        old = repo.commits[commit]
        return {"files": [
            {"path": file["path"], "uploadMode": "lfs" if is_lfs(file["path"], file["size"]) else "regular",
             "shouldIgnore": False, "oid": old[file["path"]].oid if file["path"] in old else None}
            for file in json.loads(b"".join(self.body()))["files"]
        ]}  # fmt: skip

    def batch(self) -> Any:
        base = self.path.removesuffix("batch")
        objects = json.loads(b"".join(self.body()))["objects"]
        for item in objects:
            if item["oid"] not in self.hub.objects:
                verify = {"href": f"{self.hub.url}{base}verify"}
                item["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{item['oid']}"}, "verify": verify}
        return {"transfer": "basic", "objects": objects}

    def put_object(self, oid: str) -> None:
        place, digest = self.hub.folder / f"{oid}.{threading.get_ident()}", hashlib.sha256()
        with place.open("wb") as file:
            for part in self.body():
                digest.update(part)
                file.write(part)
        if digest.hexdigest() != oid:
            raise Refusal(400, "the content is not what its name says")
        self.hub.objects[oid] = Blob(place, lfs=True)
        self.reply({})

    def commit(self, repo: Repo, branch: str) -> Any:
        self.writer(repo.id)
        lines = [json.loads(line) for line in b"".join(self.body()).splitlines()]
        if branch not in repo.branches:
            raise Refusal(404, f"Invalid rev id: {branch}", "RevisionNotFound")
        with self.hub.lock:
            files = dict(repo.commits[repo.branches[branch]])
            for key, value in ((line["key"], line["value"]) for line in lines):
                if key == "header" and value.get("parentCommit", repo.branches[branch]) != repo.branches[branch]:
                    raise Refusal(412, "A commit has happened since. Please refresh and try again.")
                if key == "file":
                    files[value["path"]] = Blob(base64.b64decode(value["content"]), lfs=False)
                elif key == "lfsFile":
                    files[value["path"]] = self.object(value["oid"])
                elif key == "deletedFile":
                    files.pop(value["path"], None)
                elif key == "deletedFolder":
                    files = {path: blob for path, blob in files.items() if not path.startswith(value["path"])}
            oid = repo.commit(files, branch)
        return {"success": True, "commitOid": oid, "commitUrl": f"{self.hub.url}/{repo.id}/commit/{oid}"}

    def body(self) -> Iterator[bytes]:
        chunked, left = self.headers.get("Transfer-Encoding") == "chunked", int(self.headers.get("Content-Length", 0))
        del self.headers["Transfer-Encoding"], self.headers["Content-Length"]  # it can be read once
        while chunked and (size := int(self.rfile.readline().split(b";")[0], 16)):
            yield self.rfile.read(size)
            self.rfile.readline()
        if chunked:
            self.rfile.readline()
        while left and (part := self.rfile.read(min(CHUNK, left))):
            left -= len(part)
            yield part

    def reply(self, content: Any, status: int = 200, headers: Mapping[str, str] = {}) -> None:
        blob = content if isinstance(content, Blob) else Blob(json.dumps(content).encode(), lfs=False)
        if self.fault.body is not None and self.command == "GET":
            blob = Blob(self.fault.body, lfs=False)
        start, stop, headers = 0, blob.size, dict(headers)
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range") or "")
        if wanted and status == 200 and isinstance(content, Blob):
            first, last = wanted.groups()
            start = int(first) if first else max(blob.size - int(last), 0)
            stop = min(int(last) + 1, blob.size) if first and last else blob.size
            status, headers["Content-Range"] = 206, f"bytes {start}-{stop - 1}/{blob.size}"
            if start >= blob.size:
                status, start, stop, headers["Content-Range"] = 416, 0, 0, f"bytes */{blob.size}"
        headers = {"Accept-Ranges": "bytes", "Content-Length": str(stop - start), "Connection": "close"} | headers
        self.send_response(status)
        for name, value in (headers | dict(self.fault.headers)).items():
            if value is not None:
                self.send_header(name, value)
        for number in range(100 if self.fault.slow_headers else 0):
            self.send_header(f"X-{number}", "slow")
            self.flush_headers()
            self.hub.closing.wait(self.fault.slow_headers)
        self.end_headers()
        if self.command != "HEAD":
            cut = stop if self.fault.cut is None else min(stop, start + self.fault.cut)
            for part in blob.read(start, cut):
                for piece in (bytes([byte]) for byte in part) if self.fault.drip else (part,):
                    self.hub.closing.wait(self.fault.drip)
                    self.wfile.write(piece)
            while self.fault.endless and not self.hub.closing.is_set():
                self.wfile.write(bytes(CHUNK))
            if cut < stop and self.fault.reset:
                self.break_off()
        self.close_connection = True

    def break_off(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())  # a plain close would wait for the streams, and send FIN first
        self.close_connection = True
