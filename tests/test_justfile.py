"""What contributors run: the recipes of the justfile, the hooks of git, and a linter that leaves submissions alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
JUSTFILE = (ROOT / "justfile").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def dry(*arguments: str) -> list[str]:
    """The commands that a recipe would run."""
    done = subprocess.run([BIN / "just", "--dry-run", *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return [" ".join(line.split()) for line in done.stderr.splitlines()]


def test_the_recipes_fit_on_a_screen_and_each_says_what_it_does() -> None:
    assert len(JUSTFILE.splitlines()) <= 50
    done = subprocess.run([BIN / "just", "--list"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert all(" # " in line for line in done.stdout.splitlines()[1:])


def test_pages_name_recipes_that_exist() -> None:
    recipes = set(re.findall(r"^([a-z]+)[^:\n]*:$", JUSTFILE, re.M))
    for name in ("README.md", "CONTRIBUTING.md", ".pre-commit-config.yaml"):
        named = set(re.findall(r"`just ([a-z]+)", (ROOT / name).read_text(encoding="utf-8")))
        assert named <= recipes, name
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert all(f"just {recipe}" in page for recipe in recipes - {"default"})


def test_contributors_run_what_a_pull_request_must_pass() -> None:
    lines = CI.splitlines()
    assert all(command in lines for command in (*dry("lint"), *dry("types")))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert dry("test") == ["pytest -n auto"] and "&& pytest -n auto\n" in readme
    assert dry("fast", "-x") == ["pytest -n auto -m 'not slow' -x"]
    assert dry("nightly") == ["pytest -n auto -m nightly"] and "  just nightly" in lines


def test_hooks_use_the_programs_of_the_project() -> None:
    done = subprocess.run([BIN / "pre-commit", "validate-config"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert repository["repo"] == "local"
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    programs = {re.split(r"[<>=]", line)[0] for line in extra["test"]}
    for hook in repository["hooks"]:
        assert hook["language"] == "system" and hook["entry"].split()[0] in programs


def test_code_of_a_submission_is_judged_by_what_it_does_and_not_by_its_looks(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    code = tmp_path / "submissions" / "theirs" / "inverse.py"
    code.parent.mkdir(parents=True)
    code.write_text("import os,sys\nfrom torch import *\nprint( x )\nif 1 :\n\treturn {\n")
    commands = [line for line in CI.splitlines() if line.startswith("ruff ")]
    assert len(commands) == 2
    for command in commands:
        (tmp_path / "own.py").write_text('"""Fine."""\n')
        arguments = [BIN / "ruff", *command.split()[1:], "--no-cache"]
        done = subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        shutil.copy(code, tmp_path / "own.py")
        assert subprocess.run(arguments, capture_output=True, cwd=tmp_path).returncode != 0
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert "submissions" not in mypy["files"] and "mypy" in CI.splitlines()
