"""What inverses are trained for: which module learns from which error."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmark.inverses.base import build_inverse
from benchmark.inverses.modular_per_tap import ModularPerTapInverse
from benchmark.inverses.spec import InverseConfig
from benchmark.suites.spec import Suite
from benchmark.targets import load_target
from benchmark.targets.base import Target
from benchmark.train.images import Scenes
from benchmark.train.losses import ChainLoss, JointLoss, octave_errors

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def vit(mini: Suite) -> Target:
    spec = mini.target("mini-vit")
    return load_target(spec, spec.source.directory(), CPU)


@pytest.fixture
def inverse(vit: Target) -> ModularPerTapInverse:
    torch.manual_seed(0)
    features = vit.features(torch.zeros(1, 3, 96, 96))
    built = build_inverse(
        InverseConfig(
            method="modular_per_tap",
            target="mini-vit",
            target_sha256="0" * 64,
            input_size=(96, 96),
            taps={tap: tuple(item.tensor.shape[1:]) for tap, item in features.items()},
            grids={tap: item.grid for tap, item in features.items() if item.grid},
            architecture={"heads": 4},
        )
    ).train()
    assert isinstance(built, ModularPerTapInverse)
    return built


def gradients(inverse: ModularPerTapInverse, name: str) -> list[Tensor]:
    return [p.grad.clone() for p in inverse.parts[name].parameters() if p.grad is not None]


def learn(loss: ChainLoss, inverse: ModularPerTapInverse, name: str) -> list[Tensor]:
    """The gradients of one module, the loss being drawn anew each time."""
    inverse.zero_grad()
    loss._generator.manual_seed(1)
    loss(Scenes(0, CPU).batch(0, 4)).backward()
    return gradients(inverse, name)


@pytest.mark.parametrize("kind", [ChainLoss, JointLoss])
def test_modules_learn_from_their_own_error_alone_or_from_the_image(
    vit: Target, inverse: ModularPerTapInverse, kind: type[ChainLoss]
) -> None:
    loss = kind(inverse, vit, seed=1)
    with_all = learn(loss, inverse, "encoder_1")
    assert with_all
    for name, part in inverse.parts.items():
        part.requires_grad_(name == "encoder_1")
    for below in ("embeddings", "encoder_0"):
        for parameter in inverse.parts[below].parameters():
            parameter.data.mul_(1.1)
    alone = learn(loss, inverse, "encoder_1")
    same = all(torch.allclose(one, other, atol=1e-7) for one, other in zip(with_all, alone, strict=True))
    assert same == (kind is ChainLoss)


def test_every_octave_counts_alike() -> None:
    images = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    assert octave_errors(images, images).tolist() == [0, 0, 0, 0]
    flat = torch.full_like(images, 0.3)
    assert octave_errors(flat, images).tolist() == pytest.approx([1] * 4, abs=1e-5)
    noisy = images + 0.1 * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    found = octave_errors(noisy, images)
    assert torch.allclose(octave_errors(noisy / 7 + 0.2, images / 7 + 0.2), found, rtol=1e-3)
    blurred = torch.nn.functional.interpolate(
        torch.nn.functional.avg_pool2d(images, 2), scale_factor=2, mode="bilinear", align_corners=False
    )
    fine, *coarse = octave_errors(blurred, images).tolist()
    assert fine > 0.5 > max(coarse)
