"""The way of the data: what may import what, that every name in a string exists, and that light things stay light."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
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


def list_modules(*packages: str) -> dict[str, Path]:
    paths = [*(path for package in packages for path in ROOT.glob(f"{package}/**/*.py")), ROOT / "cli.py"]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}
    return dict(sorted(names.items()))


MODULES = list_modules("benchmark", "leaderboard")


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


def read_exports(tree: ast.Module) -> set[str]:
    """Return the names in `__all__`; none where a module has no such list."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


TREES = {
    module: ast.parse(path.read_text())
    for module, path in list_modules("benchmark", "leaderboard", "invbench").items()
    if "front" not in path.parts
}
EXPORTED = {module: read_exports(tree) for module, tree in TREES.items()}
PATHS = sorted(
    path.relative_to(ROOT)
    for pattern in ("benchmark/**/*.py", "leaderboard/**/*.py", "invbench/**/*.py", "tests/**/*.py", "cli.py")
    for path in ROOT.glob(pattern)
)


@pytest.mark.parametrize("module", TREES)
def test_public_modules_say_what_they_export(module: str) -> None:
    if not TREES[module].body:
        return
    assert ast.get_docstring(TREES[module]), f"{module} has no docstring"
    public = [node for node in TREES[module].body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert not public or EXPORTED[module], f"{module} has no __all__"
    assert all(ast.get_docstring(node) for node in public if node.name in EXPORTED[module])


def iter_borrowed(path: Path) -> Iterator[tuple[str, str]]:
    """Yield module and name of all that a file takes from modules of the project: by import, or as an attribute."""
    tree, modules = ast.parse(path.read_text()), dict[str, str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in TREES:
            for alias in node.names:
                if (module := f"{node.module}.{alias.name}") in TREES:
                    modules[alias.asname or alias.name] = module
                else:
                    yield node.module, alias.name
        elif isinstance(node, ast.Import):
            modules |= {alias.asname: alias.name for alias in node.names if alias.asname and alias.name in TREES}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield modules[node.value.id], node.attr


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_names_used_elsewhere_are_exported_and_not_private(path: Path) -> None:
    borrowed = {(module, name) for module, name in iter_borrowed(ROOT / path) if not name.startswith("__")}
    wrong = {f"{module}.{name}" for module, name in borrowed if name not in EXPORTED[module] or name[0] == "_"}
    assert not wrong


def test_no_two_classes_have_one_name() -> None:
    names = Counter(node.name for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert not [name for name, count in names.items() if count > 1]
