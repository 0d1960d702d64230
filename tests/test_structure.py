"""The way of the data: what may import what, that every name in a string exists, and that light things stay light."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Rooms of `benchmark`, from the bottom up: a room imports those of the rows above it, and not its neighbors in a row.
ORDER = (
    ("errors",),
    ("files",),
    ("suites",),
    ("datasets", "perturbations", "targets", "metrics"),
    ("inverses", "records", "content"),
    ("submissions",),
    ("engine",),
    ("train", "diagnostics"),
    ("commands",),
)
RANK = {room: rank for rank, row in enumerate(ORDER) for room in row}
# The leaderboard reads what others have declared and stored, and computes nothing with torch.
LEADERBOARD_ROOMS = {"errors", "files", "suites", "records", "submissions"}
LEADERBOARD_MODULES = {"benchmark.metrics.spec", "benchmark.inverses.spec"}


def list_modules() -> dict[str, Path]:
    paths = [*ROOT.glob("benchmark/**/*.py"), *ROOT.glob("leaderboard/**/*.py"), ROOT / "cli.py"]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}
    return dict(sorted(names.items()))


MODULES = list_modules()


def imports(module: str) -> set[str]:
    """Modules of the project that a module imports anywhere in its text."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in MODULES else str(node.module) for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.split(".")[0] in {"benchmark", "leaderboard", "cli", "invbench"}}


GRAPH = {module: imports(module) for module in MODULES}


def room_of(module: str) -> str:
    top, _, rest = module.partition(".")
    return rest.split(".")[0] if top == "benchmark" else top


def may_import(module: str, other: str) -> bool:
    room, foreign = room_of(module), room_of(other)
    if room == foreign:
        return True
    if room == "cli":
        return foreign != "invbench"
    if room == "leaderboard":
        commands = module == "leaderboard.commands" and foreign == "commands"
        return foreign in LEADERBOARD_ROOMS or other in LEADERBOARD_MODULES or commands
    return foreign in RANK and RANK[foreign] < RANK[room]


def test_every_module_lies_in_a_room() -> None:
    tops = {
        path.stem if path.suffix else path.name for path in (ROOT / "benchmark").iterdir() if path.name[0] not in "._"
    }
    assert tops - {"assets"} == RANK.keys()
    assert len(list((ROOT / "benchmark").glob("*.py"))) <= 6


@pytest.mark.parametrize("module", MODULES)
def test_imports_follow_the_order_of_the_rooms(module: str) -> None:
    wrong = {other for other in GRAPH[module] if not may_import(module, other)}
    assert not wrong


def test_no_import_leads_in_a_circle() -> None:
    graph = {module: others - {module} for module, others in GRAPH.items()}
    try:
        list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


LIGHT = [
    "benchmark.commands.listings",
    "benchmark.errors",
    "benchmark.files.paths",
    "benchmark.inverses.spec",
    "benchmark.metrics.page",
    "benchmark.metrics.spec",
    "benchmark.records.aggregate",
    "benchmark.records.history",
    "benchmark.records.receipts",
    "benchmark.records.record",
    "benchmark.records.statistics",
    "benchmark.submissions.markdown",
    "benchmark.submissions.review",
    "benchmark.submissions.submission",
    "benchmark.submissions.validate",
    "benchmark.suites.spec",
    "leaderboard.site.board_json",
]


def run_without(modules: list[str], code: str) -> subprocess.CompletedProcess[str]:
    guard = f"import sys\nfor name in {modules!r}: sys.modules[name] = None\n"
    return subprocess.run([sys.executable, "-c", guard + code], capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize(
    "module",
    LIGHT,
)
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
