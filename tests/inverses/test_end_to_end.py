"""Classic inversion: a network of its own for every tap."""

from __future__ import annotations

import pytest
import torch
from inversefamilies import FAMILIES, make_config, make_features
from pydantic import ValidationError
from torch import Tensor

from benchmark.errors import SpecError
from benchmark.inverses.base import build_inverse, count_bytes
from benchmark.inverses.end_to_end import EndToEndInverse
from benchmark.inverses.recipes import load_recipe
from benchmark.inverses.spec import InverseConfig
from benchmark.suites.spec import Suite
from benchmark.targets import load_target
from benchmark.train.losses import ImageLoss


def make_inverse(config: InverseConfig) -> EndToEndInverse:
    torch.manual_seed(0)
    inverse = build_inverse(config)
    assert isinstance(inverse, EndToEndInverse)
    return inverse


@pytest.mark.parametrize("family", FAMILIES)
def test_every_tap_of_every_family_has_a_network_of_its_own(family: str) -> None:
    inverse = make_inverse(make_config("end_to_end", family)).eval()
    features = make_features(inverse.config)
    with torch.no_grad():
        recons = inverse.invert(features)
        alone = {tap: inverse.invert({tap: item})[tap] for tap, item in features.items()}
        first, *_ = features
        inverse.parts[inverse.key(first)].apply(_silence)
        changed = inverse.invert(features)
    assert list(recons) == list(features)
    for tap, recon in recons.items():
        assert recon.shape == (3, 3, *inverse.config.input_size)
        assert recon.isfinite().all()
        assert torch.equal(recon, alone[tap])
        assert torch.equal(recon, changed[tap]) == (tap != first)


def test_numbers_that_do_not_fit_are_told() -> None:
    config = make_config("end_to_end", "vit")
    with pytest.raises(SpecError, match="no tap has a grid"):
        count_bytes(config.model_copy(update={"grids": {}}))
    many = {f"tap.{k}": (17, 8) for k in range(200)}
    grids = dict.fromkeys(many, (4, 4))
    with pytest.raises(SpecError, match="all taps together have more than 512 layers"):
        count_bytes(
            config.model_copy(
                update={"taps": many, "grids": grids, "architecture": config.architecture | {"layers": 3}}
            )
        )
    for shape, grid in (((17, 8), (5, 4)), ((8, 3, 4), (4, 3))):
        with pytest.raises(ValidationError, match=r"grids\.some: .* does not fit features of shape"):
            InverseConfig.model_validate(config.model_dump() | {"taps": {"some": shape}, "grids": {"some": grid}})


def _silence(module: torch.nn.Module) -> None:
    if isinstance(module, torch.nn.ConvTranspose2d):
        module.weight.data.zero_()


@pytest.mark.parametrize("target_id", ["mini-detr", "mini-swin"])
def test_all_networks_learn_a_batch_by_heart(mini: Suite, cpu: torch.device, images: Tensor, target_id: str) -> None:
    spec, images = mini.target(target_id), images[:2]
    target = load_target(spec, spec.source.directory(), cpu)
    features = target.features(images)
    shape = load_recipe("end_to_end", spec).shape(spec.family)
    inverse = make_inverse(
        make_config("end_to_end", "vit").model_copy(
            update={
                "input_size": spec.input_size,
                "taps": {tap: tuple(item.tensor.shape[1:]) for tap, item in features.items()},
                "grids": {
                    tap: item.grid
                    for tap, item in features.items()
                    if item.grid and item.tensor[0].numel() >= 100 * 128
                },
                "architecture": shape.architecture,
                "sequences": shape.sequences,
            }
        )
    )
    loss = ImageLoss(inverse, target, seed=1)
    before = loss(images).item()
    with torch.no_grad():
        recons = inverse.invert(features)
    assert before == pytest.approx(sum(float((recon - images).square().mean()) for recon in recons.values()), rel=1e-3)
    optimizer = torch.optim.Adam(inverse.parameters(), lr=1e-3)
    for _ in range(15):
        optimizer.zero_grad()
        loss(images).backward()
        optimizer.step()
    assert loss(images).item() < 0.6 * before
