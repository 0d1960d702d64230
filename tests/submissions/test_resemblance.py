"""No entry looks like another: not by its id, not by its title, not by an author's name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from forge import errors, only_error, write_submission


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_submission(tmp_path / "modular", title='"Modular inversion"', authors='["Ilse Maier", "B. Author"]')
    return tmp_path


@pytest.mark.parametrize("name", ["rnodular", "m0dular", "mo-dular", "modu1ar"])
def test_an_id_that_looks_like_another_is_refused(root: Path, name: str) -> None:
    assert f"field 'id': '{name}' looks like 'modular'" in only_error(write_submission(root / name)).message


@pytest.mark.parametrize(
    "title",
    ["Modular inversion", "modular  Inversion", "Rnodular inversion!", "Mоdulаr invеrsiоn", "Мodular inverѕion"],
    ids=ascii,
)  # fmt: skip
def test_a_title_that_looks_like_another_is_refused(root: Path, title: str) -> None:
    """T13."""
    folder = write_submission(root / "mine", title=json.dumps(title, ensure_ascii=False))
    message = only_error(folder).message
    assert "looks like that of 'modular'" in message or "mixes scripts in a word" in message
    assert "field 'title'" in message


@pytest.mark.parametrize("author", ["llse Maier", "Ilse  Maier", "ILSE MAIER", "B Author", "В. Аuthоr"], ids=ascii)
def test_an_author_spelled_almost_like_another_is_refused(root: Path, author: str) -> None:
    folder = write_submission(root / "mine", authors=json.dumps(["C. Author", author], ensure_ascii=False))
    message = only_error(folder).message
    assert "field 'authors.1'" in message
    assert "an author of 'modular'" in message or "mixes scripts in a word" in message


def test_a_method_that_looks_like_one_of_the_package_is_refused(root: Path) -> None:
    folder = write_submission(root / "mine", method='"rnodular-joint"', weights="", trust_code="true")
    (folder / "inverse.py").write_text("raise SystemExit('imported')\n")
    message = only_error(folder).message
    assert message == "field 'method': 'rnodular-joint' looks like 'modular_joint', a method of the package"


def test_other_names_are_nobodys(root: Path) -> None:
    folder = write_submission(root / "mine", title='"Modular inversion, twice"', authors='["Ilse Maier", "I. Mayer"]')
    assert errors(folder) == []


def test_an_entry_that_cannot_be_read_hides_no_other(root: Path) -> None:
    (root / "a").mkdir()
    (root / "a" / "submission.toml").write_text("id = 1\n")
    assert (
        "looks like that of 'modular'"
        in only_error(write_submission(root / "mine", title='"modular inversion"')).message
    )
