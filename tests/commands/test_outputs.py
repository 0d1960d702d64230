"""Where a command cannot write, it says so in one line before it works, and a disk that fills up loses nothing."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOPE = "/proc/nope"
RIDGE = ["train", "inverse", "ridge", "--target", "mini-vit"]
WRITING = {
    "eval": ["eval", "--out", NOPE],
    "board": ["board", "build", "--out", NOPE],
    "init": ["init", "my-method", "--root", NOPE],
    "docs metrics": ["docs", "metrics", "--out", f"{NOPE}/metrics.md"],
    "docs schemas": ["docs", "schemas", "--out", NOPE],
    "bench board": ["bench", "board", "--keep", NOPE],
    "bench batteries": ["bench", "batteries", "--out", f"{NOPE}/page.md"],
    "train inverse": [*RIDGE, "--out", NOPE],
    "train inverse, checkpoints": [*RIDGE, "--out", "x", "--work-dir", NOPE],
    "train target": ["train", "target", "mini-vit", "--out", NOPE],
    "data freeze": ["data", "freeze", f"{NOPE}/test.parquet"],
    "suite export": ["suite", "export", "mini@1", "--size", "96x96", "--out", f"{NOPE}/images.parquet"],
    "score": ["score", "a.png", "b.png", "--csv", f"{NOPE}/scores.csv"],
    "ci review": ["ci", "review", "a", "--base", str(ROOT / "tests"), "--author", "a", "--out", f"{NOPE}/review.json"],
}  # fmt: skip

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="has no folder that nobody can write to")


def run(cwd: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys\nfor name in ('torch', 'transformers'): sys.modules[name] = None\nfrom invbench import main\nmain()"
    )
    env = os.environ | {"INVBENCH_CACHE": str(cwd / "cache")} | environment
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=cwd, env=env, timeout=120
    )


@pytest.mark.parametrize("command", WRITING)
def test_an_output_that_cannot_be_written_is_one_line_before_any_work(command: str, tmp_path: Path) -> None:
    # Nothing is computed: torch cannot even be imported.
    done = run(tmp_path, *WRITING[command])
    assert done.returncode == 2, done.stderr
    assert re.match(rf"Error: {NOPE}(/[a-z.]+)?: cannot be written: ", done.stderr)
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named_before_any_work(tmp_path: Path) -> None:
    done = run(tmp_path, "eval", "--limit", "8", INVBENCH_CACHE=NOPE)
    assert done.returncode == 2
    assert (
        done.stderr
        == f"Error: {NOPE}: cannot be written: No such file or directory (name another with INVBENCH_CACHE)\n"
    )


def test_an_empty_path_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "docs", "metrics", "--out", "")
    assert (done.returncode, done.stderr) == (2, "Error: Invalid value for '--out': is empty\n")


def test_a_submission_is_no_place_for_other_records(tmp_path: Path) -> None:
    done = run(tmp_path, "init", "my-method", "--root", ".")
    assert done.returncode == 0, done.stderr
    done = run(tmp_path, "eval", "--submission", "my-method", "--out", "my-method")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: my-method: is itself a submission (")
    done = run(tmp_path, "eval", "--supersede", "Better.")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--supersede goes with a submission whose record lies in it" in done.stderr


def test_what_the_system_refuses_is_one_line_too(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = (
        "import os, sys\nfrom invbench import main\n"
        f"os.chdir({str(gone)!r}); os.rmdir({str(gone)!r})\nmain(['init', 'my-method', '--root', '.'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))


@pytest.mark.slow
def test_a_disk_that_fills_up_is_one_line_and_loses_no_finished_chunk(tmp_path: Path) -> None:
    """The second chunk of eight images is the first that holds an audit image, and so larger than a file may be."""
    env = os.environ | {"INVBENCH_CACHE": str(tmp_path / "cache")}
    command = [str(Path(sys.executable).parent / "invbench"), "eval", "--submission", "copy", "--target", "mini-swin"]
    command += ["--limit", "16", "--batch-size", "8", "--threads", "1"]
    full = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env, preexec_fn=limit_files)
    assert full.returncode == 2, full.stderr
    last = full.stderr.splitlines()[-1]
    assert "cannot be written: File too large" in last
    assert "Traceback" not in full.stderr
    assert not (tmp_path / "invbench-results").exists()
    left = sorted(path.name for path in (tmp_path / "cache/runs").rglob("*") if path.is_file())
    assert left == ["000000-0008.npz", "circumstances.json"]
    again = subprocess.run([*command, "--json"], capture_output=True, text=True, cwd=tmp_path, env=env)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["images"] == 16
