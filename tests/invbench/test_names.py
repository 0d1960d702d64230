"""Neither the command nor the package takes a foreign `cli.py`, `benchmark` or `leaderboard` for its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = sys.executable
INVBENCH = {
    "script": [str(Path(PYTHON).parent / "invbench")],
    "module": [PYTHON, "-m", "invbench"],
    "import": [PYTHON, "-W", "ignore", "-c", "import invbench; invbench.main()"],
}
# Imported by every Python process that has its folder on PYTHONPATH; two CPUs even where there is one.
WATCH = """
import os, sys
os.cpu_count = lambda: 2
with open({log!r}, "a") as file:
    print(*sys.orig_argv, file=file)
"""
POOL = """
import invbench, multiprocessing
from benchmark.errors import SpecError
from concurrent.futures import ProcessPoolExecutor
with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
    print(*pool.map(SpecError, "ab"))
"""
LOKY = """
import invbench, joblib
from benchmark.errors import SpecError
print(*joblib.Parallel(2)(joblib.delayed(SpecError)(name) for name in "ab"))
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder with modules of all three names, which say so when they are imported."""
    folder = tmp_path / "foreign"
    for name in ("cli.py", "benchmark/__init__.py", "leaderboard/__init__.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("print('foreign', __name__)\n")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command in a folder, with folders on PYTHONPATH and a cache of its own."""

    def execute(command: list[str], cwd: Path, *path: Path, text: str = "") -> subprocess.CompletedProcess[str]:
        own = {"INVBENCH_CACHE": str(tmp_path / "cache"), "PYTHONPATH": os.pathsep.join(map(str, path))}
        return subprocess.run(
            command, cwd=cwd, env=os.environ | own, input=text, capture_output=True, text=True, timeout=300
        )

    return execute


@pytest.mark.parametrize("where", ["folder", "path"])
@pytest.mark.parametrize("way", INVBENCH)
def test_the_command_works(way: str, where: str, foreign: Path, tmp_path: Path, run: Run) -> None:
    command = [*INVBENCH[way], "list", "targets", "--json"]
    done = run(command, foreign) if where == "folder" else run(command, tmp_path, foreign)
    assert done.returncode == 0, done.stderr
    assert "mini-vit" in [row["target"] for row in json.loads(done.stdout)]
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["script", "module"])
def test_processes_of_the_command_work(way: str, foreign: Path, tmp_path: Path, run: Run) -> None:
    log, watch = tmp_path / "log", tmp_path / "watch"
    watch.mkdir()
    (watch / "sitecustomize.py").write_text(WATCH.format(log=str(log)))
    arguments = ["bench", "board", "--entries", "12", "--targets", "1", "--taps", "2", "--images", "4", "--json"]
    done = run([*INVBENCH[way], *arguments], foreign, watch, foreign)
    assert done.returncode == 0, done.stderr
    assert "foreign" not in done.stdout + done.stderr
    started = log.read_text().splitlines()
    assert sum("spawn_main" in line or "loky" in line for line in started) >= 2, started


@pytest.mark.slow
@pytest.mark.parametrize("code", [POOL, LOKY], ids=["spawn", "loky"])
def test_processes_of_a_program_work(code: str, foreign: Path, run: Run) -> None:
    done = run([PYTHON, "-c", code], foreign, foreign)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "a b\n"


@pytest.mark.parametrize("cell", ["import invbench", "from invbench import __version__"])
def test_a_notebook_beside_a_foreign_package_is_told_so_in_one_line(cell: str, foreign: Path, run: Run) -> None:
    done = run([PYTHON], foreign, text=f"{cell}\nimport benchmark.errors\n")
    assert done.returncode == 0 and done.stdout == "", done
    (line,) = done.stderr.splitlines()
    assert line.startswith("<stdin>:1: UserWarning: invbench hides ")
    assert f"{foreign / 'benchmark'} and {foreign / 'leaderboard'}" in line


def test_a_foreign_package_that_was_imported_before_is_an_error_of_one_line(foreign: Path, run: Run) -> None:
    done = run([PYTHON], foreign, text="import benchmark\nimport invbench\n")
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"ImportError: invbench needs its own package 'benchmark', but {foreign / 'benchmark'} ")
    assert "rename" in line


def test_what_is_in_nobody_s_way_is_left_alone(tmp_path: Path, run: Run) -> None:
    # The package needs no name `cli`, and a folder without __init__.py never hides a package.
    (tmp_path / "cli.py").write_text("mine = True\n")
    (tmp_path / "benchmark").mkdir()
    cells = "import cli, sys\nimport invbench\nimport benchmark.errors\nassert cli.mine and invbench.main\n"
    cells += "assert sys.modules['cli'] is cli\n"
    done = run([PYTHON], tmp_path, text=cells)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_folder_of_the_project_s_name_is_not_the_package(tmp_path: Path, run: Run) -> None:
    # As in the parent of a clone, which has the package's name but is none.
    (tmp_path / "invbench").symlink_to(ROOT, target_is_directory=True)
    (tmp_path / "invbench-results").mkdir()
    done = run([PYTHON, "-m", "invbench", "--version"], tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("invbench, version "), done.stderr
    done = run([PYTHON], tmp_path, text="import invbench\nprint(invbench.__file__, invbench.main.name)\n")
    assert done.stdout == f"{ROOT / 'invbench' / '__init__.py'} main\n", done.stderr
