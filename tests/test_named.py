"""Strings and pages that name code, templates or files name what is there."""

from __future__ import annotations

import ast
import importlib
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
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


def test_the_project_file_and_the_workflows_choose_files_that_exist() -> None:
    tool = tomllib.loads(text_of(ROOT / "pyproject.toml"))["tool"]
    targets = tool["hatch"]["build"]["targets"]
    chosen = [*targets["wheel"]["packages"], *targets["wheel"]["only-include"], *targets["wheel"]["force-include"]]
    chosen += [*targets["sdist"]["include"], *tool["mypy"]["files"], *tool["pytest"]["ini_options"]["testpaths"]]
    chosen += [*tool["ruff"]["lint"]["per-file-ignores"], *tool["ruff"]["extend-exclude"]]
    for path in ROOT.glob(".github/workflows/*.yml"):
        for event in yaml.safe_load(text_of(path))[True].values():
            chosen += (event or {}).get("paths", []) if isinstance(event, dict) else []
    assert len(chosen) > 20
    assert [pattern for pattern in chosen if not any(ROOT.glob(pattern))] == []
