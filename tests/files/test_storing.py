"""Files are whole or absent, whatever fails, and a failing disk is one line."""

from __future__ import annotations

import os
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
    assert str(caught.value) == f"{tmp_path / 'file'}: cannot be written: No space left on device (make room)"
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
