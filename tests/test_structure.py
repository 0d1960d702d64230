"""The way of the data: what may import what, and that light things stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIGHT = {
    "benchmark.spec",
    "benchmark.errors",
    "benchmark.paths",
    "benchmark.board",
    "benchmark.records",
    "benchmark.submissions",
    "benchmark.history",
    "benchmark.receipts",
    "benchmark.markdown",
    "benchmark.review",
    "benchmark.validate",
    "benchmark.metrics.spec",
    "benchmark.metrics.page",
}
SHARED = LIGHT | {"benchmark.inverses.spec"}
# What each stage may import beside the shared specs, records and errors, and modules of its own folder.
STAGES = {
    "benchmark/datasets": set(),
    "benchmark/perturbations.py": set(),
    "benchmark/targets": set(),
    "benchmark/inverses": {"benchmark.targets.taps"},
    "benchmark/metrics": set(),
    "benchmark/stats.py": set(),
    "leaderboard": {
        "benchmark.stats",
        "benchmark.aggregate",
        "benchmark.audit",
        "benchmark.catalog",
        "benchmark.consistency",
        "benchmark.schemas",
    },
}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.split(".")[0] in {"benchmark", "leaderboard", "cli"}}


@pytest.mark.parametrize("stage", STAGES)
def test_stages_share_only_specs_and_errors(stage: str) -> None:
    place = ROOT / stage
    own = stage.removesuffix(".py").replace("/", ".")
    for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
        allowed = SHARED | STAGES[stage]
        foreign = {name for name in imports(path) if name not in allowed and not f"{name}.".startswith(f"{own}.")}
        assert not foreign, f"{path.relative_to(ROOT)} imports {sorted(foreign)}"


def test_nothing_below_imports_what_wires_it() -> None:
    wiring = {"benchmark.evaluate", "benchmark.score", "benchmark.commands", "cli"}
    for path in sorted((ROOT / "benchmark").rglob("*.py")) + sorted((ROOT / "leaderboard").rglob("*.py")):
        if path.name != "evaluate.py" and path.parent.name != "commands":
            assert not imports(path) & wiring, path


def run_without(modules: list[str], code: str) -> subprocess.CompletedProcess[str]:
    guard = f"import sys\nfor name in {modules!r}: sys.modules[name] = None\n"
    return subprocess.run([sys.executable, "-c", guard + code], capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize("module", sorted(SHARED | {"benchmark.catalog", "benchmark.stats", "benchmark.aggregate"}))
def test_light_modules_need_neither_torch_nor_transformers(module: str) -> None:
    done = run_without(["torch", "transformers", "datasets", "skimage", "scipy"], f"import {module}")
    assert done.returncode == 0, done.stderr


LIGHT_COMMANDS = (
    ["--help"], ["eval", "--help"], ["list", "taps"], ["board", "build", "--help"], ["validate", "mean"],
)  # fmt: skip


@pytest.mark.parametrize("arguments", LIGHT_COMMANDS)
def test_light_commands_need_no_torch(arguments: list[str]) -> None:
    done = run_without(["torch", "transformers", "datasets"], f"from cli import main\nmain({arguments!r})")
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_help_imports_next_to_nothing() -> None:
    code = "import contextlib, sys\nfrom cli import main\n" + (
        "with contextlib.suppress(SystemExit):\n    main(['--help'])\n"
        "print(sorted({'torch', 'pydantic', 'numpy', 'jinja2', 'pyarrow'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stderr.strip() == "[]"


def test_public_modules_say_what_they_export() -> None:
    for path in sorted((ROOT / "benchmark").rglob("*.py")) + sorted((ROOT / "leaderboard").glob("*.py")):
        tree = ast.parse(path.read_text())
        if path.name == "__init__.py" and not tree.body:
            continue
        assert ast.get_docstring(tree), path
        names = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        exported = next(
            (ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign)
             and isinstance(n.targets[0], ast.Name) and n.targets[0].id == "__all__"), None,
        )  # fmt: skip
        if names:
            assert exported is not None, f"{path} has no __all__"
            for node in names:
                if node.name in exported:
                    assert ast.get_docstring(node), f"{path}: {node.name} has no docstring"
