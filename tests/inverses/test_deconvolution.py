"""Transposed convolutions from features to an image."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmark.inverses.deconvolution import Deconvolution, apply_in_parts, to_map


@pytest.mark.parametrize(
    ("widths", "kinds"),
    [
        ((8, 4), ["ConvTranspose2d"] * 3),
        ((8, 8, 4), ["Conv2d", *["ConvTranspose2d"] * 3]),
        ((8, 8, 4, 4), ["Conv2d", *["ConvTranspose2d"] * 3, "Conv2d"]),
    ],
)
def test_layers_that_do_not_double_come_first_and_last(widths: tuple[int, ...], kinds: list[str]) -> None:
    network = Deconvolution(6, widths, (3, 4), (24, 32)).eval()
    convolutions = [layer for layer in network.layers if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    assert [type(layer).__name__ for layer in convolutions] == kinds
    image = network(torch.randn(2, 6, 3, 4))
    assert image.shape == (2, 3, 24, 32)
    assert image.min() > 0 and image.max() < 1


@pytest.mark.parametrize("widths", [(), (8,), (8, 8, 8, 8, 8)])
def test_too_few_or_too_many_layers_are_told(widths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not lead from 3x4 to 24x32"):
        Deconvolution(6, widths, (3, 4), (24, 32))


def test_tokens_of_the_grid_come_last() -> None:
    features = torch.arange(2 * 13 * 5.0).view(2, 13, 5)
    found = to_map(features, (3, 4))
    assert found.shape == (2, 5, 3, 4)
    assert torch.equal(found[:, :, 1, 2], features[:, 1 + 1 * 4 + 2])
    assert to_map(found, (3, 4)) is found


def test_a_cpu_takes_a_few_images_at_a_time_and_gives_the_same() -> None:
    network = Deconvolution(6, (8, 4), (64, 64), (512, 512)).eval()
    sizes: list[int] = []
    network.register_forward_hook(lambda module, args, output: sizes.append(len(output)))
    features = torch.randn(2, 6, 64, 64)
    with torch.no_grad():
        together = network(features)
        assert torch.allclose(apply_in_parts(network, features, (512, 512)), together, atol=1e-6)
    assert sizes == [2, 1, 1]
