"""The measurement of an evaluation's speed; what it says of this machine is not tested, but its opponent is."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch

from benchmark.content.content import Content
from benchmark.datasets.base import Sample
from benchmark.diagnostics.naive import score_naively
from benchmark.engine.networks import load_metric_networks
from benchmark.engine.pipeline import Pipeline
from benchmark.engine.scorer import iter_tiles
from benchmark.engine.stopwatch import Stopwatch
from benchmark.files.paths import submissions_root
from benchmark.inverses.base import load_inverse
from benchmark.metrics.spec import get_metric
from benchmark.suites.spec import Suite
from benchmark.targets import load_target


def test_the_opponent_finds_our_scores(mini: Suite, content: Content, samples: list[Sample]) -> None:
    suite = mini.model_copy(update={"perturbations": ("identity", "hue_set_120", "gray")})
    spec, device = suite.target("mini-swin"), torch.device("cpu")
    target, networks = load_target(spec, content.target(spec), device), load_metric_networks(content, device)
    inverse = load_inverse(submissions_root().parent / "benchmark/assets/mini/inverses/ridge/mini-swin", device)
    (tile,) = iter_tiles(samples[:2], device, judged=[sample.id for sample in samples])
    ours = Pipeline(suite, target, inverse, networks, Stopwatch(device)).run(tile)["values"]
    theirs = score_naively(suite, target, inverse, samples[:2], networks)
    assert ours.shape == theirs.shape == (2, 4, len(suite.conditions), len(suite.metrics))
    for m, name in enumerate(suite.metrics):
        metric = get_metric(name)
        np.testing.assert_allclose(ours[..., m], theirs[..., m], atol=metric.tolerance, err_msg=name)
        assert name == "lpips_alex" or not np.isnan(theirs[..., m]).all()


@pytest.mark.nightly
def test_the_command_has_a_row_for_each_target(invbench: Callable[..., object]) -> None:
    done = invbench(
        "bench", "eval", "--target", "mini-swin", "--images", "8", "--naive", "0", "--threads", "1", "--json"
    )
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    (row,) = json.loads(done.stdout)  # type: ignore[attr-defined]
    assert row["target"] == "mini-swin" and row["total / pure"] > 1
    assert sum(row[f"{part} / total"] for part in ("read", "target", "inverse", "scores", "layers")) == pytest.approx(
        1, abs=0.05
    )


@pytest.mark.nightly
def test_networks_of_published_size_have_rows_too(invbench: Callable[..., object]) -> None:
    done = invbench(
        "bench", "eval", "--full-size", "--target", "vit-base-16", "--perturbation", "gray", "--images", "8",
        "--naive", "0", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    (row,) = json.loads(done.stdout)  # type: ignore[attr-defined]
    assert row["target"] == "vit-base-16" and row["total / pure"] > 0.8
    assert row["inverse / total"] > row["target / total"] > row["read / total"]


def test_a_perturbation_that_the_suite_does_not_have_is_told(invbench: Callable[..., object]) -> None:
    done = invbench("bench", "eval", "--perturbation", "grey")
    assert done.returncode == 2  # type: ignore[attr-defined]
    assert "unknown perturbation 'grey' (did you mean 'gray'?)" in done.stderr  # type: ignore[attr-defined]
