"""Whoever is not named by a published entry cannot change it unseen: takeovers, withdrawals, other people's names."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from forge import SMALL, World, edit_toml, make_world, write_submission

from benchmark.errors import IntegrityError
from benchmark.records.history import withdraw
from benchmark.records.record import load_record
from benchmark.submissions.findings import Findings
from benchmark.submissions.ownership import check_change

OWNER, STRANGER = "a-author", "mallory"
SUITE = "mini@1"
DAY = date(2026, 1, 31)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture
def base(world: World, tmp_path: Path) -> Path:
    """A published entry, beside another."""
    root = tmp_path / "base"
    world.write(root)
    write_submission(root / "other", authors='["B. Author"]', accounts='["b-author"]')
    return root / SMALL


@pytest.fixture
def folder(base: Path, tmp_path: Path) -> Path:
    """The same entry in a pull request, unchanged."""
    folder = tmp_path / "head" / SMALL
    shutil.copytree(base, folder)
    return folder


def confirmed(folder: Path, base: Path, author: str | None) -> list[str]:
    found = check_change(folder, base, author)
    assert {finding.severity for finding in found} <= {"confirm"}
    assert all(finding.cure == "a maintainer confirms it" for finding in found)
    return [finding.message for finding in found]


CHANGES: dict[str, Callable[[Path], object]] = {
    "a description": lambda folder: edit_toml(folder, '"What it does."', '"What it really does."'),
    "a link": lambda folder: edit_toml(folder, "suites =", 'links = { paper = "https://example.org/x" }\nsuites ='),
    "a readme": lambda folder: (folder / "README.md").write_text("Mine.\n"),
    "code": lambda folder: (folder / "inverse.py").write_text("pass\n"),
    "a comment": lambda folder: edit_toml(folder, "id =", "# mine\nid ="),
}


@pytest.mark.parametrize("change", CHANGES)
def test_only_its_accounts_change_an_entry(folder: Path, base: Path, change: str) -> None:
    """T14."""
    CHANGES[change](folder)
    assert confirmed(folder, base, OWNER) == confirmed(folder, base, OWNER.upper()) == []
    assert confirmed(folder, base, None) == [], "nobody asked"
    for author, who in ((STRANGER, "'mallory'"), ("", "somebody unknown"), ("a-author-", "'a-author-'")):
        assert confirmed(folder, base, author) == [f"changed by {who}; the published entry belongs to 'a-author'"]


def test_an_entry_that_does_not_change_asks_nobody(folder: Path, base: Path) -> None:
    assert confirmed(folder, base, STRANGER) == []


STATEMENTS = {
    "authors": ('["A. Author"]', '["Mallory"]'),
    "title": ('"The title of small"', '"Mine now"'),
    "contact": ('"https://example.org/me"', '"https://example.org/mallory"'),
    "trained_on": ('"scenes"', '"scenes, and the test images"'),
    "license": ('"Apache-2.0"', '"MIT"'),
    "accounts": ('["a-author"]', '["a-author", "mallory"]'),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_what_an_entry_says_of_itself_is_confirmed(folder: Path, base: Path, name: str) -> None:
    edit_toml(folder, *STATEMENTS[name])
    for author in (OWNER, None):
        (message,) = confirmed(folder, base, author)
        assert message.startswith(f"field '{name}': was ") and ", is " in message
    assert len(confirmed(folder, base, STRANGER)) == 2, "the new accounts are not those that count"


def test_a_withdrawal_is_confirmed(folder: Path, base: Path) -> None:
    """T14."""
    withdraw(folder, SUITE, "Too good.", DAY)
    message = f"withdraws record {load_record(folder / 'records' / SUITE).digest[:16]} of {SUITE}: 'Too good.'"
    assert confirmed(folder, base, OWNER) == [message]
    assert confirmed(folder, base, STRANGER)[1:] == [message]
    shutil.copy(folder / "history.toml", base)
    assert confirmed(folder, base, OWNER) == [], "it was published"


@pytest.mark.parametrize("account", ["invbench-maintainers", "your-account", "Your-Account"])
def test_a_placeholder_belongs_to_nobody(folder: Path, base: Path, account: str) -> None:
    edit_toml(base, '"a-author"', f'"{account}"')
    edit_toml(folder, '"a-author"', f'"{account}"')
    (folder / "README.md").write_text("Mine.\n")
    assert confirmed(folder, base, account) == [f"changed by '{account}'; the published entry belongs to '{account}'"]


def test_a_published_entry_that_names_nobody_is_everybodys_to_confirm(folder: Path, base: Path) -> None:
    edit_toml(base, 'accounts = ["a-author"]\n', "")
    assert confirmed(folder, base, OWNER) == ["the published entry does not say whose it is"]


def test_a_new_entry_is_of_whoever_enters_it(tmp_path: Path, base: Path) -> None:
    folder = write_submission(tmp_path / "head" / "new", authors='["C. Author"]', accounts='["c-author"]')
    nowhere = base.parent / "new"
    assert confirmed(folder, nowhere, "C-Author") == confirmed(folder, nowhere, None) == []
    (message,) = confirmed(folder, nowhere, STRANGER)
    assert message == "field 'accounts': 'c-author' does not name 'mallory', who enters it"
    edit_toml(folder, '"C. Author"', '"C. Author", "B. Author"')
    (message,) = confirmed(folder, nowhere, "c-author")
    assert message == "field 'authors': 'B. Author' is an author of 'other', which belongs to others"


def test_to_remove_an_entry_is_an_error(folder: Path, base: Path) -> None:
    shutil.rmtree(folder / "records")
    found = check_change(folder, base, OWNER)
    assert [finding.severity for finding in found] == ["error"]
    assert "was edited or removed" in found[0].message


def test_findings_are_gathered_by_gravity(tmp_path: Path) -> None:
    findings = Findings()
    findings.note("said", tmp_path)
    findings.confirm("asked", tmp_path)
    assert not findings.failed
    with findings.collect(tmp_path):
        raise IntegrityError("wrong")
    assert findings.failed
    assert [(item.severity, item.exit_code) for item in findings.items] == [("note", 0), ("confirm", 0), ("error", 3)]
