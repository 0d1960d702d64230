"""Pull requests in real git repositories, with whatever git can hold, and the workflows' scripts on them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from workflows import GITHUB

PLAIN, PROGRAM, LINK, SUBMODULE, NONE = "100644", "100755", "120000", "160000", "0"
Entry = tuple[str, str, bytes]
BASE: list[Entry] = [
    (PLAIN, "README.md", b"# Board\n"),
    (PLAIN, "cli.py", b"print()\n"),
    (PLAIN, ".github/workflows/submission.yml", b"name: submission\n"),
    (PLAIN, ".gitmodules", b'[submodule "x"]\n\tpath = x\n\turl = y\n\tignore = all\n'),
    (SUBMODULE, "x", b"1"),
    (PLAIN, "submissions/ours/submission.toml", b"id = 'ours'\n" * 20),
    (PLAIN, "submissions/ours/README.md", b"Ours.\n"),
]


def git(folder: Path, *arguments: str, data: bytes | None = None, **environment: str) -> str:
    """Run git without anybody's configuration; what it prints."""
    own = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    names = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True, check=True, input=data, env=os.environ | own | names | environment,
    )  # fmt: skip
    return done.stdout.decode(errors="surrogateescape").strip()


class Forge:
    """A repository that pull requests are made to; nothing of them ever lies in its working tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "origin"
        self.folder.mkdir()
        git(self.folder, "init", "-q", "-b", "main")
        for key in ("allowFilter", "allowAnySHA1InWant"):  # as GitHub serves
            git(self.folder, "config", f"uploadpack.{key}", "true")
        self.base = self.commit(None, BASE)

    def blob(self, content: bytes) -> str:
        return git(self.folder, "hash-object", "-w", "--stdin", data=content)

    def commit(self, parent: str | None, entries: Iterable[Entry]) -> str:
        """Return a commit that adds entries (mode, path, content) to its parent; those of mode NONE are removed."""
        index = {"GIT_INDEX_FILE": str(self.folder / ".git" / "scratch")}
        git(self.folder, "read-tree", *([parent] if parent else ["--empty"]), **index)
        lines, known = bytearray(), dict[bytes, str]()
        for mode, path, content in entries:
            if mode == SUBMODULE:
                oid = content.decode() * 40
            elif mode == NONE:
                oid = "0" * 40
            else:
                oid = known[content] = known.get(content) or self.blob(content)
            lines += f"{mode} {oid}\t".encode() + path.encode(errors="surrogateescape") + b"\0"
        git(self.folder, "update-index", "-z", "--index-info", data=bytes(lines), **index)
        return self.commit_tree(git(self.folder, "write-tree", **index), parent)

    def commit_tree(self, tree: str, parent: str | None) -> str:
        parents = ["-p", parent] if parent else []
        commit = git(self.folder, "commit-tree", "-m", "text", *parents, tree)
        git(self.folder, "update-ref", f"refs/pull/{commit}/head", commit)
        return commit

    def pull(self, *entries: Entry) -> str:
        """Return the head of a pull request that makes these changes."""
        return self.commit(self.base, entries)

    def merge(self, head: str, folder: Path, base: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run the workflows' script that lists what a pull request would merge."""
        command = [str(GITHUB / "scripts" / "merge"), f"file://{self.folder}", base or self.base, head, str(folder)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)


def extract(merged: Path, submission_id: str, destination: Path) -> subprocess.CompletedProcess[str]:
    """Run the workflows' script that writes a submission as it would be merged."""
    command = [str(GITHUB / "scripts" / "extract"), str(merged), submission_id, str(destination)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
