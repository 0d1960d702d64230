"""Which tests run: those marked `nightly` only where they are asked for, by `-m` or by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

__all__ = ["pytest_collection_modifyitems"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked `nightly`, unless `-m` speaks of it or the command line names the test."""
    if "nightly" in (config.getoption("markexpr") or ""):
        return
    asked = [argument.partition("::") for argument in config.args if "::" in argument]
    named = tuple(f"{Path(file).name}::{name}" for file, _, name in asked)

    def stays(item: pytest.Item) -> bool:
        own = f"{item.path.name}::{item.nodeid.partition('::')[2]}"
        of_a_named = any(own == name or own.startswith((f"{name}[", f"{name}::")) for name in named)
        return of_a_named or not item.get_closest_marker("nightly")

    left_out = [item for item in items if not stays(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
