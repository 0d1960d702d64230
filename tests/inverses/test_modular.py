"""The paper's modular inverse: shapes for every family, chains, and what it learns."""

from __future__ import annotations

import pytest
import torch
from inversefamilies import DETR, FAMILIES, SWIN, VIT, make_config, make_features
from torch import Tensor
from torch.nn import functional as F

from benchmark.errors import SpecError
from benchmark.inverses.base import build_inverse, count_bytes
from benchmark.inverses.chain import IMAGE
from benchmark.inverses.modular import ModularInverse, find_components
from benchmark.inverses.recipes import load_recipe
from benchmark.suites.spec import Suite
from benchmark.targets import load_target
from benchmark.targets.taps import Features
from benchmark.train.losses import ComponentLoss


def make_inverse(family: str) -> ModularInverse:
    torch.manual_seed(0)
    inverse = build_inverse(make_config("modular", family))
    assert isinstance(inverse, ModularInverse)
    return inverse.eval()


@pytest.mark.parametrize(
    ("taps", "expected"),
    [
        (DETR, [("backbone", IMAGE), ("encoder", "backbone"), ("decoder", "encoder"), ("prediction", "decoder")]),
        (VIT, [("embeddings", IMAGE), ("encoder", "embeddings")]),
        (SWIN, [("embeddings", IMAGE), ("stage.0", "embeddings"), ("stage.1", "stage.0"), ("stage.2", "stage.1")]),
    ],
)
def test_components_are_those_of_the_paper(taps: dict[str, tuple[int, ...]], expected: list[tuple[str, str]]) -> None:
    links = find_components(tuple(taps))
    assert [(link.name, link.before) for link in links] == expected
    assert [tap for link in links for tap in link.taps] == list(taps)
    assert all(link.tap == link.taps[-1] for link in links)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_comes_back_as_images(family: str) -> None:
    inverse = make_inverse(family)
    features = make_features(inverse.config)
    with torch.no_grad():
        recons = inverse.invert(features)
        alone = {tap: inverse.invert({tap: item})[tap] for tap, item in features.items()}
    assert list(recons) == list(features)
    for tap, recon in recons.items():
        assert recon.shape == (3, 3, *inverse.config.input_size)
        assert recon.isfinite().all()
        assert torch.allclose(recon, alone[tap], atol=1e-5)


def test_a_tap_inside_a_component_goes_through_the_network_trained_at_its_end() -> None:
    inverse = make_inverse("vit")
    tensor = torch.randn(2, 17, 8)
    with torch.no_grad():
        recons = inverse.invert({tap: Features(tensor) for tap in ("encoder.0", "encoder.2")})
    assert torch.equal(recons["encoder.0"], recons["encoder.2"])


def test_chains_pass_their_links_from_deep_to_shallow_in_one_batch() -> None:
    inverse = make_inverse("detr, not square")
    calls: list[tuple[str, int]] = []
    for name, part in inverse.parts.items():
        part.register_forward_hook(lambda module, args, out, name=name: calls.append((name, len(out))))
    with torch.no_grad():
        inverse.invert(make_features(inverse.config, 1))
    assert calls[:3] == [("prediction", 1), ("decoder", 3), ("encoder", 5)]
    assert calls[3:] == [("backbone", 1)] * 6


def test_only_the_most_likely_class_and_the_box_of_a_prediction_count() -> None:
    inverse = make_inverse("detr, not square")
    position = torch.randn(1, 12, 8)

    def recon(prediction: Tensor) -> Tensor:
        with torch.no_grad():
            return inverse.invert({"prediction": Features(prediction, position=position)})["prediction"]

    prediction = torch.randn(1, 5, 8)
    surer, moved = prediction.clone(), prediction.clone()
    surer[..., :4] *= 3
    moved[..., 4:] += 3
    assert torch.equal(recon(prediction), recon(surer))
    assert not torch.equal(recon(prediction), recon(moved))


def test_numbers_that_do_not_fit_are_told() -> None:
    config = make_config("modular", "vit")
    with pytest.raises(SpecError, match="6 layers do not lead from 4x4 to 32x32"):
        count_bytes(config.model_copy(update={"sequences": {"image": (8, 8, 8, 8, 8)}}))
    config = config.model_copy(update={"architecture": config.architecture | {"layers": 12_000}})
    with pytest.raises(SpecError, match="12000 layers are not between 1 and 64"):
        count_bytes(config)
    with pytest.raises(SpecError, match=r"'window' is missing in 'architecture' or 'sequences'"):
        count_bytes(make_config("modular", "swin").model_copy(update={"architecture": {"ratio": 2}}))


@pytest.mark.parametrize("target_id", ["mini-detr", "mini-vit", "mini-swin"])
def test_each_component_is_trained_on_its_own_truth_and_learns_a_batch_by_heart(
    mini: Suite, cpu: torch.device, images: Tensor, target_id: str
) -> None:
    spec, images = mini.target(target_id), images[:2]
    target = load_target(spec, spec.source.directory(), cpu)
    features = target.features(images)
    shape = load_recipe("modular", spec).shape(spec.family)
    torch.manual_seed(0)
    inverse = build_inverse(
        make_config("modular", "vit").model_copy(
            update={
                "input_size": spec.input_size,
                "taps": {tap: tuple(item.tensor.shape[1:]) for tap, item in features.items()},
                "grids": {tap: item.grid for tap, item in features.items() if item.grid},
                "architecture": shape.architecture,
                "sequences": shape.sequences,
            }
        )
    )
    assert isinstance(inverse, ModularInverse)
    for tap in inverse.standardized:
        tensor = features[tap].tensor
        inverse.set_moments(tap, tensor.mean(0), tensor.var(0, unbiased=False))
    loss = ComponentLoss(inverse, target, seed=1)
    with torch.no_grad():
        truth = {name: inverse.standardize(link.tap, features[link.tap].tensor) for name, link in inverse.links.items()}
        position = features[spec.tap_names[0]].position
        expected = sum(
            F.mse_loss(inverse.step(name, truth[name], position), truth.get(link.before, images))
            for name, link in inverse.links.items()
        )
    assert loss(images).item() == pytest.approx(float(expected), rel=1e-4)
    optimizer = torch.optim.Adam(inverse.parameters(), lr=1e-3)
    for _ in range(30):
        optimizer.zero_grad()
        loss(images).backward()
        optimizer.step()
    assert loss(images).item() < 0.5 * float(expected)
