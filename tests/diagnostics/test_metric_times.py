"""The measurement of the metrics' speed has a row for each; what it says of this machine is not tested."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.diagnostics.metric_times import measure_metrics
from benchmark.metrics.spec import METRICS
from benchmark.suites.spec import Suite

NUMBERS = ("cold_ms", "cached_ms", "reference_ms", "reference/cached", "cold/cached")


def test_a_row_for_every_metric(mini: Suite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    rows = measure_metrics(mini, [(64, 48)], repeats=1)
    assert [row["metric"] for row in rows] == list(METRICS)
    skipped = {row["metric"]: row["skipped"] for row in rows if row["skipped"]}
    assert skipped == {"lpips_alex": "no weights", "recognition": "no judge of this size"}
    for row in rows:
        assert row["size"] == "64x48"
        values = [row[name] for name in NUMBERS]
        assert all(value is None if row["skipped"] else isinstance(value, float) and value > 0 for value in values)


@pytest.mark.nightly
def test_the_command(invbench: Callable[..., object], mini: Suite) -> None:
    done = invbench("bench", "metrics", "--size", "96x96", "--repeats", "1", "--threads", "1", "--json")
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    rows = json.loads(done.stdout)  # type: ignore[attr-defined]
    assert {row["metric"] for row in rows if row["skipped"]} == {"lpips_alex"}


def test_a_size_is_two_numbers(invbench: Callable[..., object]) -> None:
    done = invbench("bench", "metrics", "--size", "96")
    assert done.returncode == 2  # type: ignore[attr-defined]
    assert "'96' is no size such as 96x96" in done.stderr  # type: ignore[attr-defined]
