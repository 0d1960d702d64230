"""Inverses of published size fit the features of every family: what the package's recipes build gives images."""

from __future__ import annotations

import pytest
import torch
from networks import FULL, Case

from benchmark.inverses.base import build_inverse
from benchmark.inverses.knn import KnnInverse, encode
from benchmark.inverses.mean import MeanInverse
from benchmark.inverses.recipes import Shape, load_recipe
from benchmark.inverses.spec import InverseConfig
from benchmark.suites.catalog import load_suite
from benchmark.targets.taps import Features

METHODS = ("modular", "modular_per_tap", "modular_joint", "end_to_end", "ridge", "knn", "mean")
GIVEN = {"ridge": {"kernel": 3, "coarse": 16}, "knn": {"images": 2, "dimensions": 8, "blocks": 64}}
SPEC = load_suite("coco@1").targets[0]


def grid_of(case: Case, tap: str) -> tuple[int, int] | None:
    """Where a tap's features lie: on a coarser grid than the first tap's where there are fewer tokens."""
    shape = case.shapes[tap]
    if len(shape) == 3:
        return shape[1], shape[2]
    rows, columns = case.grid
    if tap.startswith(("decoder", "prediction")):
        return None
    halved = round(max(1.0, (rows * columns / shape[0]) ** 0.5))
    return rows // halved, columns // halved


@pytest.mark.nightly
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", FULL, ids=lambda case: case.family)
def test_an_inverse_of_published_size_gives_images(case: Case, method: str) -> None:
    trained = method not in (*GIVEN, "mean")
    shape = load_recipe(method, SPEC).shape(case.family) if trained else Shape(architecture=GIVEN.get(method, {}))
    grids = {tap: grid for tap in case.shapes if (grid := grid_of(case, tap))}
    config = InverseConfig(
        method=method, target="some", target_sha256="0" * 64, input_size=case.size, taps=case.shapes, grids=grids,
        architecture=shape.architecture, sequences=shape.sequences,
    )  # fmt: skip
    inverse = build_inverse(config).eval()
    if method == "mean":
        assert isinstance(inverse, MeanInverse)
        inverse.fit([torch.full((1, 3, *case.size), 0.4)])
    if method == "knn":
        assert isinstance(inverse, KnnInverse)
        inverse.set_files(encode(torch.rand(2, 3, case.size[0], case.size[1]) * 0.01 + 0.5))
    cells = case.grid[0] * case.grid[1]
    position = torch.randn(1, cells, case.shapes["backbone"][0]) if "backbone" in case.shapes else None
    features = {tap: Features(torch.randn(1, *size), grids.get(tap), position) for tap, size in case.shapes.items()}
    with torch.no_grad():
        recons = inverse.invert(features)
    assert recons.keys() == case.shapes.keys()
    for recon in recons.values():
        assert recon.shape == (1, 3, *case.size) and recon.isfinite().all()
