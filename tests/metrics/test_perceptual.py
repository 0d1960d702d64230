"""LPIPS with the published weights: against the `lpips` package, its published values, and altered files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmark.diagnostics.references import load_lpips
from benchmark.errors import IntegrityError, SpecError
from benchmark.metrics.case import Case, FocalMask, Networks, View
from benchmark.metrics.perceptual import TRUNK, PerceptualNetwork, load_perceptual, lpips_alex

Distance = Callable[[np.ndarray, np.ndarray], float]


@pytest.fixture(scope="module")
def weights(assets: Path) -> Path:
    """The convolutions of AlexNet."""
    path = assets / "lpips" / "alexnet_features.safetensors"
    if not path.is_file():
        pytest.skip(f"no perceptual network at {path}; set INVBENCH_TEST_ASSETS")
    return path


@pytest.fixture(scope="module")
def network(weights: Path, cpu: torch.device) -> PerceptualNetwork:
    """Ours."""
    return load_perceptual(weights, cpu)


@pytest.fixture(scope="module")
def package(weights: Path) -> Distance:
    """The package's."""
    return load_lpips(weights)


def compare(original: Tensor, recon: Tensor, network: PerceptualNetwork | None) -> Case:
    view = View(original)
    mask = FocalMask(torch.ones_like(original[:, 0], dtype=torch.bool))
    return Case(view, view, View(recon), mask, Networks(perceptual=network))


def test_published_values(assets: Path, network: PerceptualNetwork, package: Distance) -> None:
    """0.722 and 0.138 in the README of the package, on RGB."""
    pixels = [np.array(Image.open(assets / "lpips" / f"ex_{name}.png").convert("RGB")) for name in ("ref", "p0", "p1")]
    tensors = [torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 for image in pixels]
    with torch.inference_mode():
        reference, *others = map(network.features, tensors)
        found = [network.distance(reference, other).item() for other in others]
    assert found == pytest.approx([0.722, 0.138], abs=5e-4)
    assert found == pytest.approx([package(pixels[0] / 255, other / 255) for other in pixels[1:]], abs=1e-5)


@pytest.mark.parametrize("size", [(96, 96), (31, 45), (100, 130)])
def test_parity_on_photographs(
    size: tuple[int, int],
    photos: Callable[[int, int], Tensor],
    network: PerceptualNetwork,
    package: Distance,
    parity: Callable[..., None],
) -> None:
    original = photos(*size)
    noise = torch.randn(original.shape, generator=torch.Generator().manual_seed(0))
    for recon in (original + 0.1 * noise, original.roll(1, 0), torch.full_like(original, 0.4)):
        with torch.inference_mode():
            parity(compare(original, recon, network), ["lpips_alex"], package)


def test_parity_on_coco_photographs(
    coco: tuple[Tensor, Tensor], network: PerceptualNetwork, package: Distance, parity: Callable[..., None]
) -> None:
    with torch.inference_mode():
        parity(compare(coco[0], 0.7 * coco[0].flip(3), network), ["lpips_alex"], package)


def test_identity_is_zero_and_color_costs_nothing(
    photos: Callable[[int, int], Tensor], network: PerceptualNetwork
) -> None:
    images = photos(64, 64)
    gray = (images * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True).expand_as(images)
    with torch.inference_mode():
        assert lpips_alex(compare(images, images, network)).tolist() == [0, 0, 0, 0]
        assert (lpips_alex(compare(images, gray, network)) < 1e-3).all()
        assert (lpips_alex(compare(images, images.roll(1, 0), network)) > 0.3).all()


def test_not_scored_without_a_network_or_on_tiny_images(
    photos: Callable[[int, int], Tensor], network: PerceptualNetwork
) -> None:
    images = photos(32, 32)
    assert lpips_alex(compare(images, images, None)).isnan().all()
    tiny = images[..., :30]
    assert lpips_alex(compare(tiny, tiny, network)).isnan().all()


def test_altered_weights_are_refused(weights: Path, tmp_path: Path, cpu: torch.device) -> None:
    tensors = load_file(weights)
    altered = {name: tensor.clone() for name, tensor in tensors.items()}
    altered[TRUNK[0]].view(-1)[7] += 1e-4
    lacking = {name: tensor for name, tensor in tensors.items() if name != TRUNK[-1]}
    for content, message in ((altered, "not the weights"), (lacking, f"no tensor '{TRUNK[-1]}'")):
        save_file(content, tmp_path / "alexnet.safetensors")
        with pytest.raises(IntegrityError, match=message):
            load_perceptual(tmp_path / "alexnet.safetensors", cpu)


def test_damaged_and_missing_files(tmp_path: Path, cpu: torch.device) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"not safetensors")
    with pytest.raises(IntegrityError, match="not a safetensors file"):
        load_perceptual(damaged, cpu)
    with pytest.raises(SpecError, match="no such file"):
        load_perceptual(tmp_path / "absent.safetensors", cpu)


def test_loading_leaves_random_numbers_alone(weights: Path, cpu: torch.device) -> None:
    before = torch.random.get_rng_state()
    load_perceptual(weights, cpu)
    load_lpips(weights)
    assert torch.equal(before, torch.random.get_rng_state())
