"""The package under the project's own name: cheap to import, typed, and above everything else."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import invbench

ROOT = Path(__file__).parents[2]
HEAVY = ("click", "jinja2", "numpy", "pyarrow", "pydantic", "torch")
SCRIPT = """
import invbench
reveal_type(invbench.main)
reveal_type(invbench.__version__)
print(invbench.mian)
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_import_loads_nothing_heavy() -> None:
    code = f"import sys, invbench\ninvbench.__version__\nprint(sorted(set(sys.modules) & {{*{HEAVY}}}))"
    assert run(code) == "[]\n"


def test_help_loads_click_alone() -> None:
    code = (
        "import atexit, sys\nfrom invbench import main\n"
        f"atexit.register(lambda: print(sorted(set(sys.modules) & {{*{HEAVY}}})))\nmain(['--help'])"
    )
    assert run(code).splitlines()[-1] == "['click']"


def test_it_exports_what_it_says() -> None:
    assert dir(invbench) == sorted(invbench.__all__)
    assert all(hasattr(invbench, name) for name in invbench.__all__)
    assert not hasattr(invbench, "mian")


def test_the_version_is_the_distribution_s() -> None:
    assert invbench.__version__ == metadata.version("invbench")
    done = subprocess.run([sys.executable, "-m", "invbench", "--version"], capture_output=True, text=True)
    assert done.stdout == f"invbench, version {invbench.__version__}\n"


def test_a_type_checker_sees_what_it_exports(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(script)],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    main, version, misspelled, _ = done.stdout.splitlines()
    assert 'Revealed type is "click.core.Group"' in main
    assert 'Revealed type is "' in version and 'str"' in version
    assert 'Module has no attribute "mian"' in misspelled


def test_nothing_imports_the_package() -> None:
    for path in [ROOT / "cli.py", *(ROOT / "benchmark").rglob("*.py"), *(ROOT / "leaderboard").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            assert not [name for name in names if name.split(".")[0] == "invbench"], path


def test_the_front_holds_the_stand_ins_and_nothing_else() -> None:
    folder = ROOT / "invbench" / "front"
    assert {path.name for path in folder.iterdir() if path.name != "__pycache__"} == {"benchmark.py", "leaderboard.py"}
