"""Every threat that a check is said to stop is tried by a test that names its row in docs/threats.md."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| (T\d+) \| (.+?) \| (.+?) \| (.*?) ?\|$", re.MULTILINE)
ROWS = {row[0]: row[1:] for row in ROW.findall((ROOT / "docs" / "threats.md").read_text(encoding="utf-8"))}


def named() -> dict[str, set[str]]:
    """By id, the test functions and files whose docstring names it."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        tests = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
        for node in (tree, *tests):
            for threat in re.findall(r"\bT\d+\b", ast.get_docstring(node) or ""):
                found.setdefault(threat, set()).add(getattr(node, "name", path.name))
    return found


def test_every_row_with_a_check_is_named_by_a_test() -> None:
    claimed = {threat for threat, (_, check, _) in ROWS.items() if not check.startswith("none")}
    assert len(claimed) >= 15
    assert claimed <= named().keys(), claimed - named().keys()


def test_tests_name_rows_that_there_are() -> None:
    assert named().keys() <= ROWS.keys()


def test_rows_are_numbered_one_after_the_other_and_say_who_and_what() -> None:
    assert list(ROWS) == [f"T{number}" for number in range(1, len(ROWS) + 1)]
    assert all(who and check for who, check, _ in ROWS.values())


def test_the_policy_says_how_to_report_and_leads_to_the_threats() -> None:
    text = (ROOT / ".github" / "SECURITY.md").read_text(encoding="utf-8")
    assert "## Report a vulnerability" in text and "## What is promised" in text and "docs/threats.md" in text
