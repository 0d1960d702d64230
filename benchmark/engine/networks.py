"""The networks that metrics may ask: the suite's judge, the network of LPIPS, and the target itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from benchmark.content.content import Content
from benchmark.content.lpips import perceptual_path
from benchmark.errors import SpecError
from benchmark.metrics.case import Detections, Networks
from benchmark.metrics.perceptual import load_perceptual
from benchmark.metrics.spec import get_metric
from benchmark.targets import load_target
from benchmark.targets.base import Target
from benchmark.targets.detr import DetrTarget
from benchmark.targets.judge import load_judge

__all__ = ["load_metric_networks", "load_networks_with_targets", "with_target"]


def load_metric_networks(content: Content, device: torch.device, perceptual: Path | None = None) -> Networks:
    """Return the networks that the metrics of a suite may ask whatever the target: its judge, and that of LPIPS.

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


def with_target(networks: Networks, target: Target) -> Networks:
    """Return the networks with `target` as the one that metrics may ask to label images, or to detect objects."""
    if isinstance(target, DetrTarget):
        return replace(networks, detector=lambda images: Detections(*target.detect(images)))
    labels = target.labels()
    return replace(networks, classifier=labels) if labels else networks


def load_networks_with_targets(content: Content, device: torch.device, perceptual: Path | None = None) -> Networks:
    """`load_metric_networks`, with the suite's first target that labels images and its first that detects objects."""
    networks = load_metric_networks(content, device, perceptual)
    for spec in reversed(content.suite.targets):
        networks = with_target(networks, load_target(spec, content.target(spec), device))
    return networks
