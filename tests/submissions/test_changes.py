"""What a pull request would merge, by the workflows' scripts on real repositories: only plain files of one submission.

Threats: T1, T2, T3, T4.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from pathlib import Path

import pytest
from pullrequests import LINK, NONE, PLAIN, PROGRAM, SUBMODULE, Entry, Forge, extract, files_of, git

from benchmark.errors import SpecError
from benchmark.submissions.changes import find_merged_scope

TOML: Entry = (PLAIN, "submissions/mine/submission.toml", b"id = 'mine'\n")


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Forge:
    return Forge(tmp_path_factory.mktemp("forge"))


def scope(forge: Forge, head: str, folder: Path, base: str | None = None) -> str:
    done = forge.merge(head, folder, base)
    assert done.returncode == 0, done.stderr
    return find_merged_scope(folder)


def test_a_submission_is_found_and_written_byte_by_byte(forge: Forge, tmp_path: Path) -> None:
    """T1: neither attributes nor line ends change what is read."""
    content = {
        "submission.toml": b"id = 'mine'\r\n", "a\nb": b"$Id$\n", "records/mini@1/record.json": bytes(range(256)),
        ".gitattributes": b"* text eol=lf ident working-tree-encoding=UTF-16 export-subst\n", b"deep/er/\xff": b"",
    }  # fmt: skip
    names = {os.fsdecode(name): data for name, data in content.items()}
    head = forge.pull(*((PLAIN, f"submissions/mine/{name}", data) for name, data in names.items()))
    assert scope(forge, head, tmp_path / "merged") == "mine"
    done = extract(tmp_path / "merged", "mine", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert files_of(tmp_path / "out" / "mine") == names
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert modes == {0o644}


ATTACKS: dict[str, tuple[list[Entry], str]] = {
    "link": ([TOML, (LINK, "submissions/mine/README.md", b"/etc/passwd")], "is a link"),
    "long link": ([TOML, (LINK, "submissions/mine/README.md", b"x" * 10_000)], "is a link"),
    "link in place of a file": ([(LINK, "submissions/ours/README.md", b"../../cli.py")], "is a link"),
    "link for a folder": ([(LINK, "submissions/mine/records", b"../ours/records"), TOML], "is a link"),
    "link for the submission": ([(LINK, "submissions/mine", b"ours")], "is a link"),
    "link elsewhere": ([TOML, (LINK, "benchmark", b"/tmp")], "is a link"),
    "submodule": ([TOML, (SUBMODULE, "submissions/mine/more", b"2")], "is a submodule"),
    "submodule that .gitmodules hides": ([TOML, (SUBMODULE, "x", b"2")], "is a submodule"),
    "program": ([TOML, (PROGRAM, "submissions/mine/inverse.py", b"#!/bin/sh\n")], "is a program"),
    "only a mode": ([(PROGRAM, "submissions/ours/README.md", b"Ours.\n")], "is a program"),
    "case": ([TOML, (PLAIN, "submissions/mine/SUBMISSION.toml", b"")], "one file on some machines"),
    "case of a base file": ([(PLAIN, "submissions/ours/readme.md", b"")], "'submissions/ours/README.md' are one file"),
    "case of a base folder": ([(PLAIN, "Submissions/ours/README.md", b"")], "one file on some machines"),
    "case of another's folder": ([(PLAIN, "submissions/Ours/submission.toml", b"")], "one file on some machines"),
    "composed": (
        [(PLAIN, f"submissions/mine/{unicodedata.normalize(form, 'é')}", b"") for form in ("NFC", "NFD")],
        "one file on some machines",
    ),
    "wide letters": ([TOML, (PLAIN, "submissions/mine/\uff53ubmission.toml", b"")], "one file on some machines"),
    "sharp s": ([(PLAIN, f"submissions/mine/{name}", b"") for name in ("ß", "SS")], "one file on some machines"),
    "invisible": ([TOML, (PLAIN, "submissions/mine/submission\u200d.toml", b"")], "one file on some machines"),
    "long name": ([TOML, (PLAIN, f"submissions/mine/{'é' * 130}", b"")], "more than 255 bytes"),
    "thousands of files": ([(PLAIN, f"submissions/mine/{n}", b"") for n in range(2001)], "changes 2,001 files"),
    "workflow": ([TOML, (PLAIN, ".github/workflows/submission.yml", b"name: x\n")], "'.github/workflows/submission"),
    "new workflow": ([TOML, (PLAIN, ".github/workflows/mine.yml", b"name: submission\n")], "not part of a submission"),
    "code": ([TOML, (PLAIN, "cli.py", b"")], "'cli.py' is not part"),
    "deletion elsewhere": ([TOML, (NONE, "cli.py", b"")], "'cli.py' is not part"),
    "rename out of the folder": (
        [(NONE, "submissions/ours/submission.toml", b""), (PLAIN, "docs/mine.toml", b"id = 'ours'\n" * 20)],
        "'docs/mine.toml' is not part",
    ),
    "rename from elsewhere": ([TOML, (NONE, "README.md", b""), (PLAIN, "submissions/mine/README.md", b"# Board\n")],
                              "'README.md' is not part"),
    "two submissions": ([TOML, (PLAIN, "submissions/yours/submission.toml", b"")], "several submissions"),
    "the folder becomes a file": ([(PLAIN, "submissions/mine", b"")], "not part of a submission"),
    "device": ([(PLAIN, "submissions/nul/submission.toml", b"")], "not part of a submission"),
    "nothing": ([], "nothing changes"),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_more_than_plain_files_of_one_submission_is_refused(forge: Forge, tmp_path: Path, attack: str) -> None:
    """T1, T2, T3: by modes, names and paths, before any content is read."""
    entries, told = ATTACKS[attack]
    with pytest.raises(SpecError) as caught:
        scope(forge, forge.pull(*entries), tmp_path / "merged")
    assert told in str(caught.value) and "\n" not in str(caught.value) and caught.value.cure


@pytest.mark.nightly
def test_a_huge_file_is_refused_and_not_even_fetched(forge: Forge, tmp_path: Path) -> None:
    """T4: sizes come before content."""
    head = forge.pull(TOML, (PLAIN, "submissions/mine/scores.bin", bytes((100 << 20) + 1)))
    with pytest.raises(SpecError, match=r"scores.bin' is larger than any file may be"):
        scope(forge, head, tmp_path / "merged")
    assert sum(path.stat().st_size for path in (tmp_path / "merged").rglob("*") if path.is_file()) < 100_000


def test_many_large_files_are_refused_by_their_sizes(forge: Forge, tmp_path: Path) -> None:
    """T4: all together."""
    assert scope(forge, forge.pull(TOML), tmp_path / "merged") == "mine"
    line = f"{forge.blob(TOML[2])} "
    assert line in (tmp_path / "merged" / "sizes").read_text()
    for size, told in (("1000000001", "changes 1,000,000,001 bytes"), ("missing", "larger than any file may be")):
        (tmp_path / "merged" / "sizes").write_text(f"{line}{size}\n")
        with pytest.raises(SpecError, match=told):
            find_merged_scope(tmp_path / "merged")


def test_what_is_read_is_what_would_be_merged_and_not_the_head(forge: Forge, tmp_path: Path) -> None:
    """T3: the base moved on since the pull request began; its changes are not theirs, and they are there."""
    head = forge.pull((PLAIN, "submissions/ours/README.md", b"Mine now.\n"))
    later = forge.commit(
        forge.base,
        [(PLAIN, "README.md", b"moved\n"), (PLAIN, "submissions/ours/history.toml", b"events\n")],
    )
    assert scope(forge, head, tmp_path / "merged", later) == "ours"
    assert extract(tmp_path / "merged", "ours", tmp_path / "out").returncode == 0
    merged = files_of(tmp_path / "out" / "ours")
    assert merged["history.toml"] == b"events\n" and merged["README.md"] == b"Mine now.\n"


def test_a_folder_that_moved_in_the_base_takes_the_change_along(forge: Forge, tmp_path: Path) -> None:
    """T3: git merges a new file into the folder's new place, so that is where it is judged."""
    head = forge.pull((PLAIN, "submissions/ours/notes.md", b"new\n"))
    moved: list[Entry] = []
    for name, content in (("submission.toml", b"id = 'ours'\n" * 20), ("README.md", b"Ours.\n")):
        moved += [(NONE, f"submissions/ours/{name}", b""), (PLAIN, f"benchmark/ours/{name}", content)]
    base = forge.commit(forge.base, moved)
    done = forge.merge(head, tmp_path / "merged", base)
    if done.returncode:  # git takes a folder that moved for a conflict
        assert "does not merge" in done.stderr
        return
    with pytest.raises(SpecError, match=r"benchmark/ours/notes\.md"):
        find_merged_scope(tmp_path / "merged")


def test_a_conflict_is_no_merge(forge: Forge, tmp_path: Path) -> None:
    """T3."""
    head = forge.pull((PLAIN, "submissions/ours/README.md", b"Mine now.\n"))
    base = forge.commit(forge.base, [(PLAIN, "submissions/ours/README.md", b"Another's.\n")])
    done = forge.merge(head, tmp_path / "merged", base)
    assert done.returncode == 1 and "does not merge" in done.stderr


@pytest.mark.parametrize("name", [b".git", b"..", b"."])
def test_a_tree_that_no_git_makes_is_not_fetched(forge: Forge, tmp_path: Path, name: bytes) -> None:
    """T1: names that lead out of a folder, written by hand."""
    blob = bytes.fromhex(forge.blob(b"x"))
    tree = git(forge.folder, "hash-object", "-t", "tree", "-w", "--stdin", "--literally",
               data=b"100644 " + name + b"\0" + blob)  # fmt: skip
    done = forge.merge(forge.commit_tree(tree, forge.base), tmp_path / "merged")
    assert done.returncode != 0 and "fsck" in done.stderr
    assert not (tmp_path / "merged" / "changed").exists()


@pytest.mark.parametrize("commit", ["main", "HEAD", "--upload-pack=touch x", "a" * 39, "A" * 40, ""])
def test_only_full_commits_are_merged(forge: Forge, tmp_path: Path, commit: str) -> None:
    """T3: a branch could move between two jobs."""
    done = forge.merge(commit, tmp_path / "merged")
    assert done.returncode == 1 and done.stderr == "Not a full commit.\n" and not (tmp_path / "merged").exists()


def test_a_submission_that_is_deleted_is_one_and_leaves_an_empty_folder(forge: Forge, tmp_path: Path) -> None:
    """T3."""
    head = forge.pull(*((NONE, f"submissions/ours/{name}", b"") for name in ("submission.toml", "README.md")))
    assert scope(forge, head, tmp_path / "merged") == "ours"
    assert extract(tmp_path / "merged", "ours", tmp_path / "out").returncode == 0
    assert list((tmp_path / "out" / "ours").iterdir()) == []


def test_nothing_but_plain_files_is_written_even_of_what_the_base_holds(tmp_path: Path) -> None:
    """T1: a link that is there already is not this pull request's, and is not followed either."""
    forge = Forge(tmp_path)
    forge.base = forge.commit(forge.base, [(LINK, "submissions/ours/link", b"/etc/passwd")])
    assert scope(forge, forge.pull((PLAIN, "submissions/ours/README.md", b"")), tmp_path / "merged") == "ours"
    done = extract(tmp_path / "merged", "ours", tmp_path / "out")
    assert done.returncode == 1 and "plain files" in done.stderr
    for name in ("../ours", "", "Ours", "ours/.."):
        assert extract(tmp_path / "merged", name, tmp_path / "other").returncode == 1


@pytest.mark.parametrize("text", [b"x\0", b"\0\0", b":100644 100644 a b M\0x\0", b":100644\0x\0", bytes(range(256))])
def test_a_list_that_git_did_not_write_is_refused(tmp_path: Path, text: bytes) -> None:
    """T3."""
    for name, content in (("changed", text), ("tree", b""), ("sizes", b"")):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SpecError, match=r"not what git diff-tree|nothing changes"):
        find_merged_scope(tmp_path)
