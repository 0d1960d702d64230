"""Pointers of Git LFS are told from what they stand for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmark.errors import SpecError
from benchmark.files.pointers import is_pointer, refuse_pointer

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a1' * 32}\nsize 295536\n".encode()


@pytest.mark.parametrize("content", [POINTER, POINTER.replace(b"\n", b"\r\n")])
def test_a_pointer_is_refused_with_what_fetches_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    assert is_pointer(content)
    for source, where in ((tmp_path / "model.safetensors", None), (content, "row 3")):
        with pytest.raises(SpecError, match=r"(safetensors|row 3): is a pointer of Git LFS, .* \(fetch it: git lfs pu"):
            refuse_pointer(source, where)


@pytest.mark.parametrize("content", [b"", b"version 1\n", b"\x89PNG", POINTER[1:], POINTER[:20]])
def test_other_files_are_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    refuse_pointer(tmp_path / "file")
    refuse_pointer(content)


def test_what_cannot_be_read_is_left_to_its_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refuse_pointer(tmp_path / "pipe")
    refuse_pointer(tmp_path)
    refuse_pointer(tmp_path / "absent")
