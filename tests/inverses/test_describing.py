"""The configuration of a new inverse has the shapes and grids of the trained ones."""

from __future__ import annotations

import pytest
import torch

from benchmark.files.paths import resource
from benchmark.inverses.base import build_inverse, read_config
from benchmark.inverses.describing import describe_inverse
from benchmark.inverses.recipes import load_recipe
from benchmark.suites.spec import Suite
from benchmark.targets import load_target


@pytest.mark.parametrize("name", ["mini-detr", "mini-vit", "mini-swin"])
def test_a_new_inverse_is_described_as_the_package_has_it(name: str, mini: Suite, cpu: torch.device) -> None:
    spec = mini.target(name)
    target = load_target(spec, spec.source.directory(), cpu)
    stored = read_config(resource(f"assets/mini/inverses/modular/{name}/config.json"))
    shape = load_recipe("modular", spec).shape(spec.family)
    found = describe_inverse(target, "modular", shape, target_sha256=stored.target_sha256)
    assert (found.taps, found.grids) == (stored.taps, stored.grids)
    assert (found.architecture, found.sequences) == (stored.architecture, stored.sequences)
    assert {tap for tap in found.taps if tap not in found.grids} == {
        tap for tap in found.taps if name == "mini-detr" and tap.startswith(("decoder", "prediction"))
    }, "states of queries lie on no grid"
    build_inverse(found)
