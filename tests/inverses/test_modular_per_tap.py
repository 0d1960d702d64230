"""The chain of one network per tap, trained tap by tap or jointly: shapes for every family, and what it learns."""

from __future__ import annotations

import pytest
import torch
from inversefamilies import FAMILIES, make_config, make_features
from torch import Tensor

from benchmark.inverses.base import build_inverse
from benchmark.inverses.modular_per_tap import ModularPerTapInverse
from benchmark.inverses.recipes import load_recipe
from benchmark.suites.spec import Suite
from benchmark.targets import load_target
from benchmark.train.losses import ChainLoss, JointLoss

METHODS = {"modular_per_tap": ChainLoss, "modular_joint": JointLoss}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", METHODS)
def test_every_family_comes_back_as_images(method: str, family: str) -> None:
    torch.manual_seed(0)
    inverse = build_inverse(make_config(method, family)).eval()
    features = make_features(inverse.config)
    with torch.no_grad():
        recons = inverse.invert(features)
        alone = {tap: inverse.invert({tap: item})[tap] for tap, item in features.items()}
    assert list(recons) == list(features)
    for tap, recon in recons.items():
        assert recon.shape == (3, 3, *inverse.config.input_size)
        assert recon.isfinite().all() and recon.std() > 0
        assert torch.allclose(recon, alone[tap], atol=1e-5)


@pytest.mark.parametrize("target_id", ["mini-detr", "mini-vit", "mini-swin"])
@pytest.mark.parametrize("method", METHODS)
def test_all_networks_learn_a_batch_by_heart(
    mini: Suite, cpu: torch.device, images: Tensor, method: str, target_id: str
) -> None:
    spec, images = mini.target(target_id), images[:2]
    target = load_target(spec, spec.source.directory(), cpu)
    features = target.features(images)
    torch.manual_seed(0)
    inverse = build_inverse(
        make_config(method, "vit").model_copy(
            update={
                "input_size": spec.input_size,
                "taps": {tap: tuple(item.tensor.shape[1:]) for tap, item in features.items()},
                "grids": {tap: item.grid for tap, item in features.items() if item.grid},
                "architecture": load_recipe(method, spec).shape(spec.family).architecture,
            }
        )
    ).train()
    assert isinstance(inverse, ModularPerTapInverse)
    for tap in inverse.standardized:
        tensor = features[tap].tensor
        inverse.set_moments(tap, tensor.mean(0), tensor.var(0, unbiased=False))
    fresh = {name: parameter.detach().clone() for name, parameter in inverse.named_parameters()}
    loss = METHODS[method](inverse, target, seed=1)
    optimizer = torch.optim.Adam(inverse.parameters(), lr=1e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        error = loss(images)
        error.backward()
        optimizer.step()
        losses.append(error.item())
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
    assert [name for name, parameter in inverse.named_parameters() if torch.equal(parameter, fresh[name])] == []
