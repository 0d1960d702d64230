"""The networks that metrics may ask are loaded once; a suite that ranks one that is not installed says so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmark.content.content import Content
from benchmark.engine.networks import load_metric_networks
from benchmark.errors import SpecError
from benchmark.suites.spec import Suite


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))


def test_the_judge_is_there_and_the_perceptual_network_may_lack(content: Content, cpu: torch.device) -> None:
    networks = load_metric_networks(content, cpu)
    assert networks.perceptual is None
    assert networks.judge is not None
    assert networks.judge(torch.rand(2, 3, 96, 96)).shape == (2, 8)


def test_a_ranked_metric_needs_its_network(mini: Suite, content: Content, cpu: torch.device) -> None:
    ranking = mini.model_copy(update={"axes": mini.axes | {"detail": ("lpips_alex",)}})
    with pytest.raises(SpecError, match="ranks lpips_alex, whose network is not installed"):
        load_metric_networks(Content(ranking, content.lock), cpu)
