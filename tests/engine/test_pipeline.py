"""One target and one inverse: nothing of a tile is kept, networks see fewer images where memory is short."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.content.content import Content
from benchmark.datasets.base import Sample
from benchmark.engine.pipeline import Pipeline
from benchmark.engine.precision import OFFICIAL, Arithmetic
from benchmark.engine.scorer import Tile, iter_tiles
from benchmark.engine.stopwatch import Stopwatch
from benchmark.errors import UserError
from benchmark.files.paths import submissions_root
from benchmark.inverses.base import Inverse, load_inverse
from benchmark.metrics.case import Networks
from benchmark.metrics.spec import get_metric
from benchmark.suites.spec import Suite
from benchmark.targets import load_target
from benchmark.targets.taps import Features

INVERSES = submissions_root().parent / "benchmark/assets/mini/inverses"
CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["mini-detr", "mini-vit", "mini-swin"])
def test_nothing_of_a_tile_waits_for_the_collector(
    mini: Suite, content: Content, samples: list[Sample], networks: Networks, name: str
) -> None:
    """A GPU would hold the tensors of many tiles: nothing tells the collector how much memory they take."""
    suite = mini.model_copy(update={"perturbations": ("identity", "hue_set_120", "gray")})
    spec, device = suite.target(name), torch.device("cpu")
    inverse = load_inverse(INVERSES / f"ridge/{name}", device)
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


@pytest.fixture(scope="module")
def light(mini: Suite) -> Suite:
    """The suite under two perturbations."""
    return mini.model_copy(update={"perturbations": ("identity", "hue_set_120")})


@pytest.fixture(scope="module")
def tile(samples: list[Sample]) -> Tile:
    """Eight images, two of which are audited."""
    ids = [sample.id for sample in samples]
    return next(iter_tiles(samples[:8], CPU, judged=ids, audit=ids[:2]))


def run(
    suite: Suite, content: Content, tile: Tile, inverse: Inverse, arithmetic: Arithmetic = OFFICIAL
) -> tuple[Pipeline, dict[str, np.ndarray]]:
    spec = suite.target("mini-swin")
    target = load_target(spec, content.target(spec), CPU)
    pipeline = Pipeline(suite, target, inverse, Networks(), Stopwatch(CPU), arithmetic)
    return pipeline, pipeline.run(tile)


def assert_within_tolerances(suite: Suite, found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for column, name in enumerate(suite.metrics):
        np.testing.assert_allclose(
            found["values"][..., column], expected["values"][..., column], rtol=0, atol=get_metric(name).tolerance
        )
    np.testing.assert_allclose(found["transfer"], expected["transfer"], rtol=0, atol=get_metric("frc").tolerance)
    np.testing.assert_allclose(found["hsic"], expected["hsic"], rtol=1e-3)
    assert np.abs(found["audit"].astype(int) - expected["audit"]).max() <= 1


@pytest.mark.parametrize("micro_batch", [4, 1])
@pytest.mark.parametrize("method", ["ridge", "modular_per_tap"])
def test_fewer_images_at_once_give_the_same_scores(
    light: Suite, content: Content, tile: Tile, method: str, micro_batch: int
) -> None:
    inverse = load_inverse(INVERSES / f"{method}/mini-swin", CPU)
    _, expected = run(light, content, tile, inverse)
    _, found = run(light, content, tile, inverse, replace(OFFICIAL, micro_batch=micro_batch))
    assert_within_tolerances(light, found, expected)


class _Greedy:
    """Runs out of memory, in the words of a device, with more images than fit."""

    def __init__(self, inverse: Inverse, fitting: int, error: Exception) -> None:
        self._invert, self._fitting, self._error = inverse.invert, fitting, error

    def __call__(self, features: Mapping[str, Features]) -> dict[str, Tensor]:
        if len(next(iter(features.values())).tensor) > self._fitting:
            raise self._error
        return self._invert(features)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes. Error code 12"),
        MemoryError("Unable to allocate 3.00 GiB"),
    ],
)
def test_where_memory_runs_out_the_networks_see_fewer_images(
    light: Suite, content: Content, tile: Tile, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    inverse = load_inverse(INVERSES / "ridge/mini-swin", CPU)
    _, expected = run(light, content, tile, inverse)
    with monkeypatch.context() as patch:
        patch.setattr(inverse, "invert", _Greedy(inverse, 2, error))
        pipeline, found = run(light, content, tile, inverse)
    assert pipeline.micro_batch == 2
    assert_within_tolerances(light, found, expected)
    monkeypatch.setattr(inverse, "invert", _Greedy(inverse, 0, error))
    with pytest.raises(UserError, match=r"mini-swin.*one image at a time does not fit the memory of cpu"):
        run(light, content, tile, inverse)


def test_other_errors_are_no_lack_of_memory(
    light: Suite, content: Content, tile: Tile, monkeypatch: pytest.MonkeyPatch
) -> None:
    inverse = load_inverse(INVERSES / "ridge/mini-swin", CPU)
    monkeypatch.setattr(inverse, "invert", _Greedy(inverse, 4, RuntimeError("shapes do not match")))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(light, content, tile, inverse)


@pytest.mark.nightly
def test_bfloat16_is_for_the_networks_alone(light: Suite, content: Content, tile: Tile) -> None:
    inverse = load_inverse(INVERSES / "modular_per_tap/mini-swin", CPU)
    _, expected = run(light, content, tile, inverse)
    _, found = run(light, content, tile, inverse, replace(OFFICIAL, precision="bfloat16"))
    shown = np.abs(found["audit"].astype(int) - expected["audit"])
    assert 0 < shown.mean() < 2
    frc = light.metrics.index("frc")
    assert np.nanmax(np.abs(found["values"][..., frc] - expected["values"][..., frc])) < 0.05


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_inverse_gives_the_same_scores(light: Suite, content: Content, tile: Tile) -> None:
    inverse = load_inverse(INVERSES / "modular_per_tap/mini-swin", CPU)
    _, expected = run(light, content, tile, inverse)
    _, found = run(light, content, tile, inverse, replace(OFFICIAL, compiled=True))
    assert_within_tolerances(light, found, expected)
