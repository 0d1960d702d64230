"""Files are whole or absent, whatever fails, and a failing disk is one line."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.files.storing import check_writable, replacing, storing, write_bytes, write_text

NO_SPACE = OSError(28, "No space left on device")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_with_its_folders_and_nothing_beside_it(tmp_path: Path) -> None:
    write_text(tmp_path / "a/b/c.txt", "one\ntwo\n")
    write_bytes(tmp_path / "a/b/d.bin", b"12", memoryview(b"34"))
    assert (tmp_path / "a/b/c.txt").read_bytes() == b"one\ntwo\n"
    assert (tmp_path / "a/b/d.bin").read_bytes() == b"1234"
    assert files(tmp_path / "a/b") == ["c.txt", "d.bin"]


@pytest.mark.parametrize("error", [NO_SPACE, ValueError("ours"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(UserError if isinstance(error, OSError) else type(error)):
        write()
    assert path.read_text() == "old"
    assert files(tmp_path) == ["file"]


def test_a_failure_names_the_path_the_reason_and_a_fix(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught, storing(tmp_path / "file", "make room"):
        raise NO_SPACE
    text = f"{tmp_path / 'file'}: cannot be written: No space left on device (free some space, or make room)"
    assert str(caught.value) == text
    assert caught.value.exit_code == 2


def test_a_link_keeps_leading_where_it_did(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
def test_a_device_is_written_to_and_stays_one() -> None:
    with pytest.raises(UserError, match="/dev/full: cannot be written: No space left on device"):
        write_text(Path("/dev/full"), "text")
    assert Path("/dev/full").is_char_device()
    write_text(Path(os.devnull), "text")
    assert Path(os.devnull).is_char_device()


def test_a_folder_is_tried_without_a_trace(tmp_path: Path) -> None:
    check_writable(tmp_path / "new/newer")
    check_writable(tmp_path)
    assert files(tmp_path) == []


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught:
        check_writable(tmp_path / "file/below", "--out")
    assert str(caught.value) == f"{tmp_path / 'file'}: is not a folder (name another with --out)"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="has no /proc")
def test_a_folder_that_takes_no_files_is_named() -> None:
    with pytest.raises(UserError, match=r"^/proc/nope: cannot be written: .+ \(name another with --out\)$"):
        check_writable(Path("/proc/nope"), "--out")


def test_a_file_keeps_its_rights_and_new_ones_have_those_of_the_user(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.write_text("old")
    private.chmod(0o600)
    write_text(private, "new")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "new", "text")
        with replacing(tmp_path / "other") as temporary:
            temporary.touch(0o600)  # as some writers do
    finally:
        os.umask(before)
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "other")} == {0o640}


def test_a_file_that_cannot_be_replaced_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mounted"
    path.write_text("old")

    def busy(self: Path, target: Path) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(Path, "replace", busy)
    write_text(path, "new")
    assert path.read_text() == "new"
    assert files(tmp_path) == ["mounted"]


def test_writers_of_one_file_never_share_a_temporary_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)  # as in two containers
    path = tmp_path / "file"
    with replacing(path) as first:
        first.write_text("first")
        write_text(path, "second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"


def test_where_a_file_belongs_is_tried_too(tmp_path: Path) -> None:
    check_writable(tmp_path / "file", file=True)
    assert files(tmp_path) == []
    with pytest.raises(UserError, match="is a folder"):
        check_writable(tmp_path, "--out", file=True)
    with pytest.raises(UserError, match="File name too long"):
        check_writable(tmp_path / ("x" * 300), file=True)
    if Path("/proc/self").exists():
        (tmp_path / "link").symlink_to("/proc/nothere")
        with pytest.raises(UserError, match=f"^{tmp_path / 'link'}: cannot be written: "):
            check_writable(tmp_path / "link", file=True)
