"""The networks that metrics may ask: the suite's judge, the network of LPIPS, and the target itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from benchmark.metrics.case import Detections, Networks
from benchmark.metrics.perceptual import load_perceptual
from benchmark.metrics.spec import get_metric
from benchmark.perceptual import perceptual_path
from benchmark.spec import Suite
from benchmark.targets import load_target
from benchmark.targets.base import Target
from benchmark.targets.detr import DetrTarget
from benchmark.targets.judge import load_judge

__all__ = ["load_all_networks", "load_networks", "with_target"]


def load_networks(suite: Suite, device: torch.device) -> Networks:
    """Return the networks that the metrics of a suite may ask whatever the target: its judge, and that of LPIPS.

    A perceptual network that is not installed leaves its metrics unscored.
    """
    needs = {need for metric in suite.metrics for need in get_metric(metric).needs}
    judge = load_judge(suite.judge, device) if suite.judge else None
    path = perceptual_path()
    perceptual = load_perceptual(path, device) if "perceptual" in needs and path.is_file() else None
    return Networks(judge=judge, perceptual=perceptual)


def with_target(networks: Networks, target: Target) -> Networks:
    """Return the networks with `target` as the one that metrics may ask to label images, or to detect objects."""
    if isinstance(target, DetrTarget):
        return replace(networks, detector=lambda images: Detections(*target.detect(images)))
    return replace(networks, classifier=target.labels())


def load_all_networks(suite: Suite, device: torch.device, perceptual: Path | None = None) -> Networks:
    """Return `load_networks`, with the suite's first target that labels images and its first that detects objects.

    Args:
        perceptual: a file with the network of LPIPS; None: the installed one.
    """
    networks = load_networks(suite, device)
    if perceptual:
        networks = replace(networks, perceptual=load_perceptual(perceptual, device))
    for spec in reversed(suite.targets):
        networks = with_target(networks, load_target(spec, device))
    return networks
