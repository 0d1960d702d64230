"""What there is, as rows for listings. Import-light."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmark.errors import UserError
from benchmark.files.paths import submissions_root
from benchmark.inverses.spec import METHODS
from benchmark.metrics.spec import get_metric
from benchmark.submissions.submission import list_submissions, load_submission
from benchmark.suites.spec import Suite, TargetSpec, list_suites, load_lock, load_suite

__all__ = ["LISTINGS", "Row", "describe_suite", "diff_suites"]

Row = dict[str, Any]


def _suites(suite: Suite, targets: list[TargetSpec]) -> list[Row]:
    suites = [load_suite(name) for name in list_suites()]
    return [
        {
            "suite": s.id,
            "title": s.title,
            "images": s.dataset.images,
            "targets": len(s.targets),
            "digest": s.digest[:12],
        }
        for s in suites
    ]


def _submissions(suite: Suite, targets: list[TargetSpec]) -> list[Row]:
    root = submissions_root()
    submissions = [load_submission(root, name) for name in list_submissions(root)]
    return [{"submission": s.id, "method": s.method, "title": s.title} for s in submissions]


def _targets(suite: Suite, targets: list[TargetSpec]) -> list[Row]:
    return [
        {
            "target": t.id,
            "family": t.family,
            "title": t.title,
            "input": "x".join(map(str, t.input_size)),
            "taps": len(t.taps),
        }
        for t in targets
    ]


def _taps(suite: Suite, targets: list[TargetSpec]) -> list[Row]:
    return [
        {"target": target.id, "tap": tap.name, "stage": tap.stage, "depth": tap.depth}
        for target in targets
        for tap in target.taps
    ]


def _perturbations(suite: Suite, targets: list[TargetSpec]) -> list[Row]:
    scopes = {"identity": "nothing", "gray": "whole frame"}
    return [{"perturbation": name, "changes": scopes.get(name, "focal object")} for name in suite.perturbations]


def _methods(suite: Suite, targets: list[TargetSpec]) -> list[Row]:
    return [{"method": m.id, "role": m.role, "title": m.title, "source": m.source} for m in METHODS.values()]


def _metrics(suite: Suite, targets: list[TargetSpec]) -> list[Row]:
    axes = {metric: axis for axis, metrics in suite.axes.items() for metric in metrics}
    return [
        {
            "metric": m.id,
            "axis": axes.get(m.id, "(report)"),
            "better": "higher" if m.higher_is_better else "lower",
            "under": m.perturbations,
            "title": m.title,
        }
        for m in map(get_metric, suite.metrics)
    ]


LISTINGS: dict[str, Callable[[Suite, list[TargetSpec]], list[Row]]] = {
    "suites": _suites,
    "submissions": _submissions,
    "targets": _targets,
    "taps": _taps,
    "perturbations": _perturbations,
    "methods": _methods,
    "metrics": _metrics,
}


def describe_suite(suite: Suite) -> list[tuple[str, str]]:
    """Return what a suite fixes, as pairs of name and text."""
    data = suite.dataset
    rows = [
        ("suite", f"{suite.id}: {suite.title}"),
        ("digest", suite.digest),
        ("images", f"{data.images} from {data.source}: {data.description}"),
        ("perturbations", ", ".join(suite.perturbations)),
    ]
    for target in suite.targets:
        source = target.source
        place = source.path or f"{source.repo_id}@{source.revision or 'unknown revision'}"
        size = "x".join(map(str, target.input_size))
        rows.append((f"target {target.id}", f"{target.title}; {size}, {len(target.taps)} taps, {place}"))
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


def diff_suites(first: Suite, second: Suite) -> list[Row]:
    """Return a row for every field in which two suites differ; `-` where one has no such field."""
    left, right = (_flat(suite.model_dump(mode="json")) for suite in (first, second))
    return [
        {"field": name, first.id: left.get(name, "-"), second.id: right.get(name, "-")}
        for name in sorted(left.keys() | right.keys())
        if left.get(name) != right.get(name)
    ]
