"""The page on metrics says what the declarations say."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from benchmark.metrics.page import render_metrics_page
from benchmark.metrics.spec import METRICS
from cli import main

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_committed_page_has_not_drifted() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_metrics_page(), "run: invbench docs metrics --out docs/metrics.md"


def test_every_metric_is_told_in_full() -> None:
    page = render_metrics_page()
    for metric in METRICS.values():
        section = page.split(f"### `{metric.id}`: ")[1].split("\n### ")[0].replace("\\|", "|")
        for text in (metric.title, metric.formula, metric.unscored, metric.source, metric.reference):
            assert text in section
        assert f"| {metric.tolerance:g} an image, {metric.mean_tolerance:g} in the mean |" in section


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    out = tmp_path / "metrics.md"
    done = CliRunner().invoke(main, ["docs", "metrics", "--out", str(out)])
    assert done.exit_code == 0
    assert out.read_text(encoding="utf-8") == render_metrics_page()
    assert CliRunner().invoke(main, ["docs", "metrics"]).output == render_metrics_page()
