"""`invbench score` in this process, and images to score."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from scoring import Run, write_set

from cli import main


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in this process, in an empty folder with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    return lambda *arguments: CliRunner().invoke(main, ["score", *map(str, arguments), "--device", "cpu"])


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """Folders of one image each, 96x96: original, recon, seen, recon_seen, gray, mask."""
    write_set(tmp_path / "one", 0, "a")
    return tmp_path / "one"


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Folders of five images each, of three sizes."""
    for index, size in enumerate((None, None, (128, 80), None, (70, 110))):
        write_set(tmp_path / "many", index, f"image-{index}", size, "tif" if index == 3 else "png")
    return tmp_path / "many"
