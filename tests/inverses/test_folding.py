"""Batch norms become part of the convolutions before them, and nothing else changes."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from benchmark.inverses.folding import fold_batch_norms


def make_network() -> nn.Module:
    torch.manual_seed(0)
    inner = nn.Sequential(
        nn.ConvTranspose2d(4, 6, 4, 2, 1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 3, 3, padding=1)
    )
    network = nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), inner, nn.BatchNorm2d(3))
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
                nn.init.uniform_(values, 0.5, 1.5)  # type: ignore[arg-type]
    return network.eval().requires_grad_(False)


def test_a_folded_network_computes_the_same() -> None:
    network = make_network()
    folded = deepcopy(network)
    fold_batch_norms(folded)
    images = torch.rand(2, 2, 10, 10)
    torch.testing.assert_close(folded(images), network(images), rtol=1e-5, atol=1e-5)
    kept = [layer for layer in folded.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert [layer.num_features for layer in kept] == [2, 3]


def test_a_folded_network_is_not_folded_twice() -> None:
    folded = make_network()
    fold_batch_norms(folded)
    before = {name: value.clone() for name, value in folded.state_dict().items()}
    fold_batch_norms(folded)
    after = folded.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


class Sharp(nn.Conv2d):
    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(maps)


class Lifted(nn.Sequential):
    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self[1](self[0](maps).relu())


def hooked(conv: nn.Module) -> nn.Module:
    conv.register_forward_hook(lambda module, given, maps: maps.relu())
    return conv


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(Sharp(2, 4, 3), nn.BatchNorm2d(4)),
        Lifted(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)),
        nn.Sequential(hooked(nn.Conv2d(2, 4, 3)), nn.BatchNorm2d(4)),
        nn.Sequential(nn.ConvTranspose2d(2, 4, 3, groups=2), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)),
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 4, 3)), nn.BatchNorm2d(4)),
    ],
    ids=["subclass", "own-forward", "hook", "groups", "no-statistics", "parametrization"],
)
def test_what_is_not_plain_is_left_as_it_is(network: nn.Module) -> None:
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.running_var is not None:
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    network.eval().requires_grad_(False)
    images = torch.rand(2, 2, 10, 10)
    before = network(images)
    fold_batch_norms(network)
    assert torch.equal(network(images), before)
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
