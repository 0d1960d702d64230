"""The suites of the package and suite files of one's own: loaded, described, compared. Import-light."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.errors import UserError, did_you_mean
from benchmark.files.declarations import read_toml
from benchmark.files.paths import SUITES
from benchmark.suites.lock import load_lock
from benchmark.suites.spec import Suite

__all__ = ["describe_suite", "diff_suites", "list_suites", "load_suite", "load_suite_file"]


def list_suites() -> list[str]:
    """Return the ids of all suites, by name and version."""
    suites = [load_suite_file(path) for path in SUITES.glob("*.toml")]
    return [suite.id for suite in sorted(suites, key=lambda suite: (suite.name, suite.version))]


def load_suite_file(path: Path) -> Suite:
    """Read a suite from a TOML file.

    Raises:
        SpecError: absent or not a suite; names the field.
    """
    suite = read_toml(path, Suite)
    suite._file = path
    return suite


def load_suite(suite_id: str) -> Suite:
    """Read the suite `name@version` that ships with the package, or the suite file that a path to a `.toml` names.

    Raises:
        NotFoundError: no such suite; names the nearest.
        SpecError: the file is absent or not a suite.
    """
    if suite_id.endswith(".toml"):
        return load_suite_file(Path(suite_id))
    name = suite_id.replace("@", "-")
    path = next((path for path in SUITES.glob("*.toml") if path.stem == name), None)
    suite = load_suite_file(path) if path else None
    if suite is None or suite.id != suite_id:
        raise did_you_mean("suite", suite_id, list_suites())
    return suite


def describe_suite(suite: Suite) -> list[tuple[str, str]]:
    """The parts that a suite fixes, as pairs of name and text."""
    data = suite.dataset
    rows = [
        ("suite", f"{suite.id}: {suite.title}"),
        ("digest", suite.digest),
        ("images", f"{data.images} from {data.source}: {data.description}"),
        ("perturbations", ", ".join(suite.perturbations)),
    ]
    for target in suite.targets:
        source = target.source
        address = source.path or f"{source.repo_id}@{source.revision or 'unknown revision'}"
        size = "x".join(map(str, target.input_size))
        kind = f"architecture {target.architecture}, " if target.architecture else ""
        rows.append((f"target {target.id}", f"{target.title}; {kind}{size}, {len(target.taps)} taps, {address}"))
    if suite.judge:
        rows.append(("judge", suite.judge.path or f"{suite.judge.repo_id}@{suite.judge.revision}"))
    rows += [(f"axis {axis}", ", ".join(metrics)) for axis, metrics in suite.axes.items()]
    rows.append(("reported", ", ".join(suite.report)))
    try:
        lock = load_lock(suite)
    except UserError as error:
        return [*rows, ("lock", str(error))]
    state = f"draft, {len(lock.gaps)} gaps" if lock.draft else "whole"
    return [*rows, ("lock", f"{state}; digest {lock.digest}"), *(("not pinned", gap) for gap in lock.gaps)]


def _flat(value: Any, path: str = "") -> dict[str, str]:
    """Return nested fields as `path: text`; items of lists are named by their id or name where they have one."""
    if isinstance(value, dict):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = [(str(item.get("id", item.get("name", index))), item) for index, item in enumerate(value)]
    else:
        return {path: str(value)}
    flat: dict[str, str] = {}
    for key, item in items:
        flat |= _flat(item, f"{path}.{key}" if path else key)
    return flat


def diff_suites(first: Suite, second: Suite) -> list[dict[str, Any]]:
    """Return a row for every field in which two suites differ; `-` where one has no such field."""
    left, right = (_flat(suite.model_dump(mode="json")) for suite in (first, second))
    return [
        {"field": name, first.id: left.get(name, "-"), second.id: right.get(name, "-")}
        for name in sorted(left.keys() | right.keys())
        if left.get(name) != right.get(name)
    ]
