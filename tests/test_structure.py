"""The way of the data: what may import what, that light things stay light, and that what a string names exists."""

from __future__ import annotations

import ast
import graphlib
import importlib
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

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
    ["claims", "--suite", "mini@1"],
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


CODE = [path for room in ("benchmark", "leaderboard", "invbench") for path in sorted((ROOT / room).rglob("*.py"))]
CODE.append(ROOT / "cli.py")
TESTS = sorted((ROOT / "tests").rglob("*.py"))
TEMPLATES = ROOT / "leaderboard" / "site" / "templates"
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob(".github/**/*.md")]
OTHERS = [
    *ROOT.glob(".github/workflows/*"), *ROOT.glob(".github/scripts/*"), *ROOT.glob(".github/evaluate/*"),
    *ROOT.glob(".github/constraints/limits.txt"), ROOT / ".ci" / "run", ROOT / "justfile",
    ROOT / ".pre-commit-config.yaml",
]  # fmt: skip
FOLDERS = r"(?:benchmark|leaderboard|invbench|tests|docs|\.github|\.ci)"
# A path from the root, without wildcards or variables; what the workflows check out to lies in base/, an image in /src.
PATH = re.compile(rf"(?<![\w./@$}}-])(?:base/|/src/)?({FOLDERS}/[\w./@-]*\w)(?![\w*{{<$]|/[*{{<$])")


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def literals(path: Path) -> list[str]:
    """The texts of a module that are no docstrings."""
    tree = ast.parse(text_of(path))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [text for text in texts if "\n" not in text]


def resolve(name: str) -> object:
    """What `package.module:attribute` or `package.module` names."""
    module, _, attribute = name.partition(":")
    found = importlib.import_module(module)
    return getattr(found, attribute) if attribute else found


NAMES = sorted(
    {
        (text, str(path.relative_to(ROOT)))
        for path in CODE
        for text in literals(path)
        if re.fullmatch(r"(benchmark|leaderboard|invbench)(\.\w+)+(:\w+)?", text)
    }
)


def test_what_is_long_says_why() -> None:
    for path in CODE:
        tree = ast.parse(text_of(path))
        assert len(text_of(path).splitlines()) <= 350 or "long" in str(ast.get_docstring(tree)), path
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
                lines = node.end_lineno - node.lineno + 1
                assert lines <= 60 or "long" in str(ast.get_docstring(node)), f"{path}: {node.name} has {lines} lines"


def test_such_strings_are_found() -> None:
    assert len(NAMES) > 30


@pytest.mark.parametrize(("name", "where"), NAMES)
def test_strings_that_name_code_name_what_is_there(name: str, where: str) -> None:
    assert resolve(name) is not None, where


def test_the_command_of_the_package_is_there() -> None:
    scripts = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]["scripts"]
    assert all(callable(resolve(name)) for name in scripts.values())


def test_templates_that_are_named_are_there_and_all_are_used() -> None:
    there = {path.name for path in TEMPLATES.iterdir()}
    inside = {
        name
        for path in TEMPLATES.iterdir()
        for name in re.findall(r"{%-?\s*(?:extends|include|import|from)\s+[\"'](.+?)[\"']", text_of(path))
    }
    named = {text for path in (ROOT / "leaderboard").rglob("*.py") for text in literals(path) if text.endswith(".j2")}
    assert named | inside == there


def test_every_file_of_the_scaffold_is_written() -> None:
    texts = [
        text for name in ("scaffold", "submission") for text in literals(ROOT / f"benchmark/submissions/{name}.py")
    ]
    for path in (ROOT / "benchmark" / "assets" / "scaffold").iterdir():
        assert path.name in texts or path.name.removesuffix(".j2") in texts, path.name


def test_every_static_file_of_the_site_is_named() -> None:
    parts = [*(ROOT / "leaderboard").rglob("*.py"), *TEMPLATES.iterdir(), *(ROOT / "leaderboard").rglob("*.js")]
    texts = "\n".join(map(text_of, parts))
    for path in (ROOT / "leaderboard" / "site" / "static").iterdir():
        assert re.search(rf"\b{re.escape(path.name)}\b|[\"']{re.escape(path.stem)}[\"']", texts), path.name


def remarks(path: Path) -> Iterator[str]:
    """The docstrings and comments of a module."""
    text = text_of(path)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value
    yield from (
        token.string for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type == tokenize.COMMENT
    )


def missing(text: str) -> list[str]:
    return [name for name in PATH.findall(text) if not (ROOT / name).exists()]


@pytest.mark.parametrize("path", [*PAGES, *OTHERS], ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_and_scripts_name_files_that_exist(path: Path) -> None:
    text = text_of(path)
    made = {name for name in re.findall(r"`([^`]+)`, new:|mkdir -p (\S+)", text) for name in name if name}
    assert [name for name in missing(text) if not any(name.startswith(one) for one in made)] == []


def test_docstrings_and_comments_name_files_that_exist() -> None:
    found = {str(path.relative_to(ROOT)): missing("\n".join(remarks(path))) for path in [*CODE, *TESTS]}
    assert {path: names for path, names in found.items() if names} == {}


def test_nothing_else_lies_at_the_top() -> None:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT)
    if listed.returncode:
        pytest.skip("not a checkout")
    top = {name.partition("/")[0] for name in listed.stdout.splitlines()}
    folders = {"benchmark", "docs", "invbench", "leaderboard", "submissions", "tests"}
    files = {"CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "README.md", "cli.py", "justfile"}
    assert {name for name in top if not name.startswith(".")} == folders | files | {"pyproject.toml"}


def test_the_project_file_and_the_workflows_choose_files_that_exist() -> None:
    tool = tomllib.loads(text_of(ROOT / "pyproject.toml"))["tool"]
    targets = tool["hatch"]["build"]["targets"]
    chosen = [name for key in ("only-include", "exclude", "sources", "force-include") for name in targets["wheel"][key]]
    chosen += [*targets["sdist"]["include"], *tool["mypy"]["files"], *tool["pytest"]["ini_options"]["testpaths"]]
    chosen += [*tool["ruff"]["lint"]["per-file-ignores"], *tool["ruff"]["extend-exclude"]]
    for path in ROOT.glob(".github/workflows/*.yml"):
        for event in yaml.safe_load(text_of(path))[True].values():
            chosen += (event or {}).get("paths", []) if isinstance(event, dict) else []
    assert len(chosen) > 20
    to_come = {"submissions/*/weights"}  # of methods that bring their own
    assert {pattern for pattern in chosen if not any(ROOT.glob(pattern))} <= to_come
