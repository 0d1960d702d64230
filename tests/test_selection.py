"""Nightly tests run where they are asked for, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest
import selection

SUITE = """
import pytest

def test_fast(): pass

@pytest.mark.slow
def test_slow(): pass

@pytest.mark.nightly
def test_nightly(): pass

@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["a/b", "c"])
def test_both(kind): pass
"""
# Plugins that speak, or that search the whole memory of this process when they end.
QUIET = ("terminal", "cacheprovider", "faulthandler", "unraisableexception", "threadexception")
BOTH = ["test_both[a/b]", "test_both[c]"]


class Found:
    """A plugin that keeps the names of the tests that would run."""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.names = [item.name for item in session.items]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["test_fast", "test_slow"]),
        (["-m", "slow"], ["test_slow"]),
        (["-m", "not slow"], ["test_fast"]),
        (["-m", "nightly"], ["test_nightly", *BOTH]),
        (["-m", "slow or nightly"], ["test_slow", "test_nightly", *BOTH]),
        (["-m", "not nightly"], ["test_fast", "test_slow"]),
        (["test_suite.py::test_nightly"], ["test_nightly"]),
        (["test_suite.py::test_both"], BOTH),
        (["test_suite.py::test_both[c]", "test_suite.py::test_fast"], ["test_both[c]", "test_fast"]),
        (["-k", "both or fast"], ["test_fast"]),
    ],
)
def test_nightly_tests_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: list[str]
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    slow: takes long\n    nightly: takes very long\n")
    (tmp_path / "test_suite.py").write_text(SUITE)
    found = Found()
    quiet = [f"-pno:{plugin}" for plugin in QUIET]
    options = ["--collect-only", "--capture=no", "--import-mode=importlib", f"--rootdir={tmp_path}", *quiet]
    paths = [str(tmp_path / argument) for argument in arguments if argument.startswith("test_")] or [str(tmp_path)]
    rest = [argument for argument in arguments if not argument.startswith("test_")]
    pytest.main([*options, "-c", str(tmp_path / "pytest.ini"), *rest, *paths], plugins=[selection, found])
    assert found.names == expected
