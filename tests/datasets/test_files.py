"""Files that pair by name, however their names are written."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.datasets.files import list_images, pair_files
from benchmark.errors import SpecError

NAMES = ["café", "Ångström", "한글", "が", "plain"]


def write(folder: Path, form: str, suffix: str) -> Path:
    folder.mkdir()
    for name in NAMES:
        Image.fromarray(np.zeros((9, 9), np.uint8)).save(folder / f"{unicodedata.normalize(form, name)}{suffix}")  # type: ignore[arg-type]
    return folder


def test_names_pair_whichever_unicode_form_an_archive_gave_them(tmp_path: Path) -> None:
    sources = {
        "original": write(tmp_path / "a", "NFC", ".png"),
        "recon": write(tmp_path / "b", "NFD", ".bmp"),
        "mask": write(tmp_path / "c", "NFD", ".PNG"),
    }
    pairs = pair_files(sources)
    assert list(pairs) == sorted(unicodedata.normalize("NFC", name) for name in NAMES)
    assert pairs == {name: pairs[name] for name in pair_files(dict(reversed(sources.items())))}
    for files in pairs.values():
        assert files.keys() == sources.keys() and all(path.is_file() for path in files.values())


def test_two_files_that_show_one_name_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", "NFC", ".png")
    (folder / unicodedata.normalize("NFD", "café.png")).write_bytes(b"")
    with pytest.raises(SpecError, match=r"both .* and .* are named 'café' \(keep one of them\)"):
        list_images(folder)
