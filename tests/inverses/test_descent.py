"""Inverses by descent: no weights, the same recon in every company, and a loss that falls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.engine.reading import read_features, with_seeds
from benchmark.inverses.base import build_inverse
from benchmark.inverses.deep_prior import DeepPriorInverse
from benchmark.inverses.descent import DescentInverse, feature_errors
from benchmark.inverses.optimize import VARIATION_WEIGHT, OptimizeInverse, total_variation
from benchmark.inverses.spec import InverseConfig
from benchmark.suites.spec import Suite
from benchmark.targets import load_target
from benchmark.targets.base import Target
from benchmark.targets.taps import Features

METHODS = ("optimize", "deep_prior")
TAPS = ("embeddings", "encoder.1")


class Linear:
    """Stands in for a target: its features are one matrix times the pixels."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix

    def features(self, images: Tensor, taps: list[str]) -> dict[str, Features]:
        return {tap: Features((images.flatten(1) @ self.matrix.T).unflatten(1, (-1, 2))) for tap in taps}


def make_inverse(method: str, size: tuple[int, int], target: Target | None = None, steps: int = 4) -> DescentInverse:
    config = InverseConfig(method=method, target="some", target_sha256="0" * 64, input_size=size, taps={})
    inverse = build_inverse(config)
    assert isinstance(inverse, DescentInverse)
    assert not list(inverse.state_dict())
    inverse.steps = steps  # type: ignore[misc]
    inverse.target = target
    return inverse


@pytest.fixture(scope="module")
def vit(mini: Suite, cpu: torch.device) -> Target:
    spec = mini.target("mini-vit")
    return load_target(spec, spec.source.directory(), cpu)


@pytest.mark.parametrize("shape", [(3, 5, 4), (3, 4, 2, 5)])
def test_feature_errors_are_those_of_numpy(shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    found, wanted = generator.normal(size=(2, *shape))
    wanted *= 1 + np.arange(4).reshape((4, 1, 1) if len(shape) == 4 else 4) ** 3
    expected = []
    for a, b in zip(found, wanted, strict=True):
        rows, goals = (a.reshape(4, -1), b.reshape(4, -1)) if len(shape) == 4 else (a.T, b.T)
        variances = goals.var(axis=1)
        expected.append(np.mean((rows - goals) ** 2 / (variances + 0.01 * variances.mean())[:, None]))
    errors = feature_errors(torch.from_numpy(found), torch.from_numpy(wanted))
    assert errors.tolist() == pytest.approx(expected)
    nothing = torch.zeros(1, 2, 2)
    assert feature_errors(nothing, nothing).item() == 0


def test_one_huge_channel_does_not_decide_alone() -> None:
    wanted = torch.randn(1, 50, 8, generator=torch.Generator().manual_seed(0))
    found, huge = wanted.clone(), wanted * torch.tensor([500.0, *[1.0] * 7])
    found[..., 1:] += 1
    assert feature_errors(torch.cat((huge[..., :1], found[..., 1:]), -1), huge).item() > 1e-3


def test_total_variation_is_that_of_numpy() -> None:
    images = np.random.default_rng(0).random((2, 3, 5, 4)).astype(np.float32)
    expected = [
        (np.diff(image, axis=1) ** 2).mean() + (np.diff(image, axis=2) ** 2).mean() for image in images.astype(float)
    ]
    assert total_variation(torch.from_numpy(images)).tolist() == pytest.approx(expected)


def test_the_first_step_on_pixels_is_that_of_a_hand_computed_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    matrix, wanted = torch.randn(6, 48, generator=generator), torch.randn(1, 3, 2, generator=generator)
    inverse = make_inverse("optimize", (4, 4), steps=1)
    inverse.target = Linear(matrix)  # type: ignore[assignment]
    features = with_seeds(Features(wanted), "some", ["image"])
    start = inverse.start(features.generators())
    image, goal, weights = inverse.draw(start).double().numpy(), wanted[0].double().numpy(), matrix.double().numpy()
    variances = goal.var(axis=0)
    residual = (weights @ image.ravel()).reshape(3, 2) - goal
    scaled = 2 * residual / (variances + 0.01 * variances.mean()) / residual.size
    gradient = (weights.T @ scaled.ravel()).reshape(3, 4, 4)
    for axis in (1, 2):
        steps = 2 * np.diff(image[0], axis=axis) / np.diff(image[0], axis=axis).size
        before, after = ([(0, 0)] * 3 for _ in range(2))
        before[axis], after[axis] = (1, 0), (0, 1)
        gradient += VARIATION_WEIGHT * (np.pad(steps, before) - np.pad(steps, after))

    drawn = []
    monkeypatch.setattr(inverse, "draw", lambda parts: drawn.append(parts[0]) or OptimizeInverse.draw(inverse, parts))
    inverse.invert({"some": features})
    # Adam's first step is the learning rate times g / (|g| + 1e-8).
    expected = start[0][0].numpy() - inverse.rate * gradient / (np.abs(gradient) + 1e-8)
    assert drawn[-1][0].detach().numpy() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("target_id", ["mini-detr", "mini-swin"])
def test_descents_lower_their_own_loss(
    mini: Suite, cpu: torch.device, images: Tensor, method: str, target_id: str
) -> None:
    spec = mini.target(target_id)
    target, seen = load_target(spec, spec.source.directory(), cpu), images[:2]
    with torch.no_grad():
        features = read_features(target, seen, ["a", "b"], reads_input=False)
    first, *_, last = features
    chosen = {tap: features[tap] for tap in (first, last)}
    inverse = make_inverse(method, spec.input_size, target, steps=12)
    inverse.rate = 0.01  # type: ignore[misc]  # few steps
    starts = [inverse.draw(inverse.start(item.generators())) for item in chosen.values()]
    with torch.no_grad():
        recons = inverse.invert(chosen)
        before = inverse.objective(torch.cat(starts), chosen, target)
        after = inverse.objective(torch.cat(list(recons.values())), chosen, target)
    assert (after < 0.9 * before).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_recon_is_the_same_in_every_company(vit: Target, images: Tensor, method: str) -> None:
    with torch.no_grad():
        features = read_features(vit, images[:2], ["a", "b"], reads_input=False)
    chosen = {tap: features[tap] for tap in TAPS}
    inverse = make_inverse(method, (96, 96), vit)
    with torch.no_grad():
        recons = inverse.invert(chosen)
        together = inverse._descend(chosen)
        alone = inverse.invert({"encoder.1": replace(chosen["encoder.1"], tensor=chosen["encoder.1"].tensor[1:],
                                                     seeds=chosen["encoder.1"].seeds[1:])})  # fmt: skip
    assert list(recons) == list(together) == list(TAPS)
    for tap in TAPS:
        assert recons[tap].shape == (2, 3, 96, 96)
        assert not recons[tap].requires_grad
        assert torch.allclose(recons[tap], together[tap], atol=1e-3)
    assert torch.allclose(recons["encoder.1"][1:], alone["encoder.1"], atol=1e-3)
    other = replace(chosen["encoder.1"], seeds=(1, 2))
    assert not torch.allclose(inverse.invert({"encoder.1": other})["encoder.1"], recons["encoder.1"], atol=1e-3)


@pytest.mark.parametrize("size", [(30, 44), (96, 96), (17, 33)])
def test_images_of_any_size_are_drawn(size: tuple[int, int]) -> None:
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    for method in METHODS:
        inverse = make_inverse(method, size)
        drawn = inverse.draw(inverse.start(generators))
        assert drawn.shape == (2, 3, *size)
        assert not torch.equal(drawn[0], drawn[1])


def test_a_deep_prior_is_a_network_for_every_image() -> None:
    inverse = make_inverse("deep_prior", (32, 48))
    assert isinstance(inverse, DeepPriorInverse)
    parts = inverse.start([torch.Generator().manual_seed(seed) for seed in (0, 1, 2)])
    together = inverse.draw(parts)
    for row in range(3):
        alone = inverse.draw([part[row : row + 1] for part in parts])
        assert torch.allclose(alone[0], together[row], atol=1e-5)
