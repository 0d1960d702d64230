"""What there is, as rows for listings. Import-light."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmark.files.paths import submissions_root
from benchmark.inverses.spec import METHODS
from benchmark.metrics.spec import get_metric
from benchmark.submissions.submission import list_submissions, load_submission
from benchmark.suites.catalog import list_suites, load_suite
from benchmark.suites.spec import Suite, TargetSpec

__all__ = ["LISTINGS"]

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
