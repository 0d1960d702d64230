"""The networks that metrics may ask: the suite's judge, and the network of LPIPS."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmark.content.content import Content
from benchmark.content.lpips import perceptual_path
from benchmark.errors import SpecError
from benchmark.metrics.case import Networks
from benchmark.metrics.perceptual import load_perceptual
from benchmark.metrics.spec import get_metric
from benchmark.targets.judge import load_judge

__all__ = ["load_metric_networks"]


def load_metric_networks(content: Content, device: torch.device, perceptual: Path | None = None) -> Networks:
    """Return the networks that the metrics of a suite may ask: its judge, and that of LPIPS.

    Args:
        perceptual: a file with the network of LPIPS; None: the installed one. Without it its metrics are left unscored.

    Raises:
        SpecError: the suite ranks a metric that needs the perceptual network, which is not installed; or the judge
            is absent.
    """
    suite = content.suite
    judge = load_judge(content.network(suite.judge), device) if suite.judge else None
    asking = [metric for metric in suite.metrics if "perceptual" in get_metric(metric).needs]
    path = perceptual or perceptual_path()
    if not asking or not path.is_file():
        if lacking := [metric for metric in asking if metric in suite.ranked_metrics]:
            message = f"ranks {lacking[0]}, whose network is not installed"
            raise SpecError(message, where=suite.id, cure="run: invbench data lpips")
        return Networks(judge=judge)
    return Networks(judge=judge, perceptual=load_perceptual(path, device))
