"""What a tile took is freed with it."""

from __future__ import annotations

import gc

import pytest
import torch

from benchmark.content.content import Content
from benchmark.datasets.base import Sample
from benchmark.engine.pipeline import Pipeline
from benchmark.engine.scorer import iter_tiles
from benchmark.engine.stopwatch import Stopwatch
from benchmark.files.paths import submissions_root
from benchmark.inverses.base import load_inverse
from benchmark.metrics.case import Networks
from benchmark.suites.spec import Suite
from benchmark.targets import load_target


@pytest.mark.parametrize("name", ["mini-detr", "mini-vit", "mini-swin"])
def test_nothing_of_a_tile_waits_for_the_collector(
    mini: Suite, content: Content, samples: list[Sample], networks: Networks, name: str
) -> None:
    """A GPU would hold the tensors of many tiles: nothing tells the collector how much memory they take."""
    suite = mini.model_copy(update={"perturbations": ("identity", "hue_set_120", "gray")})
    spec, device = suite.target(name), torch.device("cpu")
    inverse = load_inverse(submissions_root().parent / f"benchmark/assets/mini/inverses/ridge/{name}", device)
    pipeline = Pipeline(suite, load_target(spec, content.target(spec), device), inverse, networks, Stopwatch(device))
    (tile,) = iter_tiles(samples[:2], device, judged=[sample.id for sample in samples])
    pipeline.run(tile)
    gc.collect()
    gc.disable()
    try:
        gc.set_debug(gc.DEBUG_SAVEALL)
        pipeline.run(tile)
        gc.collect()
        kept = [tuple(item.shape) for item in gc.garbage if isinstance(item, torch.Tensor)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert kept == []
