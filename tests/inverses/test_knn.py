"""The nearest training image: what it holds is what it gives back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from inversefamilies import FAMILIES, make_config, make_features
from safetensors.torch import load_file, save_file

from benchmark.errors import IntegrityError, SpecError
from benchmark.inverses.base import build_inverse, count_bytes, load_inverse, save_inverse
from benchmark.inverses.knn import KnnInverse, draw_signs, encode
from benchmark.inverses.spec import InverseConfig
from benchmark.suites.spec import Suite
from benchmark.targets import load_target
from benchmark.targets.taps import Features
from benchmark.train.images import Scenes
from benchmark.train.inverses import train_inverse

CPU = torch.device("cpu")
SIGNS = [-1, 1, -1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, 1, -1]
COUNT = 5


def shaped(config: InverseConfig, **architecture: int) -> InverseConfig:
    return config.model_copy(update={"architecture": architecture, "sequences": {}, "storage": "float16"})


def make_inverse(family: str, dimensions: int = 16) -> KnnInverse:
    torch.manual_seed(0)
    config = make_config("knn", family)
    height, width = config.input_size
    files = encode(torch.nn.functional.interpolate(torch.rand(COUNT, 3, 4, 4), size=(height, width), mode="bicubic")
                   .clamp(0, 1))  # fmt: skip
    blocks = -(-sum(map(len, files)) // 1024)
    inverse = build_inverse(shaped(config, images=COUNT, dimensions=dimensions, blocks=blocks))
    assert isinstance(inverse, KnnInverse)
    inverse.set_files(files)
    return inverse


@pytest.mark.parametrize("family", FAMILIES)
def test_features_of_an_image_that_it_holds_give_that_image(family: str) -> None:
    inverse = make_inverse(family)
    features = make_features(inverse.config, COUNT)
    for tap, item in features.items():
        inverse.set_moments(tap, item.tensor.mean(0), item.tensor.var(0))
    inverse.set_keys(0, features)
    order = [3, 0, 4, 1, 2]
    shuffled = {tap: type(item)(item.tensor[order]) for tap, item in features.items()}
    recons = inverse.invert(shuffled)
    assert list(recons) == list(features)
    for recon in recons.values():
        assert torch.equal(recon, inverse.images()[order])
        assert recon.shape == (COUNT, 3, *inverse.config.input_size)


def test_the_nearest_is_that_of_distances_in_numpy() -> None:
    inverse = make_inverse("vit", dimensions=4096)
    held, asked = make_features(inverse.config, COUNT), make_features(inverse.config, 40)
    for tap, item in held.items():
        inverse.set_moments(tap, item.tensor.mean(0) + 1, 1 + item.tensor.var(0))
    inverse.set_keys(0, held)
    recons = inverse.invert(asked)
    same = total = 0
    for tap in held:
        spread = inverse.get_buffer(f"deviation_{inverse.key(tap)}").numpy()
        bank, found = (side[tap].tensor.numpy() / spread for side in (held, asked))
        distances = np.square(found[:, None] - bank[None]).sum((2, 3))
        nearest = inverse.images()[distances.argmin(1)]
        same += sum(torch.equal(one, other) for one, other in zip(recons[tap], nearest, strict=True))
        total += len(nearest)
    assert same > 0.85 * total  # a projection to 4096 signs keeps distances to a few percent


def test_signs_are_the_same_everywhere() -> None:
    signs = draw_signs(40, 50, CPU)
    assert signs.abs().unique().tolist() == [1]
    assert abs(signs.mean().item()) < 0.05
    assert signs[0, :16].int().tolist() == SIGNS


def test_it_is_stored_as_float16_and_read_again(tmp_path: Path) -> None:
    inverse = make_inverse("vit")
    features = make_features(inverse.config, COUNT)
    inverse.set_keys(0, features)
    save_inverse(inverse, tmp_path)
    again = load_inverse(tmp_path, CPU)
    size = (tmp_path / "model.safetensors").stat().st_size
    assert 0 < size - count_bytes(inverse.config) < 4096
    for tap, recon in inverse.invert(features).items():
        assert torch.equal(recon, again.invert(features)[tap])


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_features_that_are_not_finite_are_near_nothing(number: float) -> None:
    inverse = make_inverse("vit")
    features = make_features(inverse.config, COUNT)
    inverse.set_keys(0, features)
    features["embeddings"].tensor[1, 2, 3] = number
    recon = inverse.invert(features)["embeddings"]
    assert recon.isfinite().flatten(1).all(1).tolist() == [place != 1 for place in range(COUNT)]
    assert torch.equal(recon[2:], inverse.images()[2:])


def test_huge_means_are_the_same_after_it_was_stored(tmp_path: Path) -> None:
    inverse = make_inverse("vit")
    features = {tap: Features(1000 + 0.01 * item.tensor) for tap, item in make_features(inverse.config, COUNT).items()}
    for tap, item in features.items():
        values = item.tensor.double()
        inverse.set_moments(tap, values.mean(0) + 0.2, values.var(0))
    inverse.set_keys(0, features)
    save_inverse(inverse, tmp_path)
    again = load_inverse(tmp_path, CPU)
    assert isinstance(again, KnnInverse)
    for tap, recon in again.invert(features).items():
        assert torch.equal(recon, inverse.images())
        expected = inverse.standardize(tap, features[tap].tensor)
        assert torch.allclose(again.standardize(tap, features[tap].tensor), expected, rtol=1e-3)


@pytest.mark.parametrize("damage", ["files", "lengths", "size"])
def test_damaged_images_are_told(tmp_path: Path, damage: str) -> None:
    inverse = make_inverse("vit")
    if damage == "size":
        inverse.set_files(encode(torch.rand(COUNT, 3, 8, 8)))
    save_inverse(inverse, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    if damage == "files":
        tensors["files"][0, :64] = 7
    elif damage == "lengths":
        tensors["lengths"][1] = -5
    save_file(tensors, tmp_path / "model.safetensors")
    said = "is 8x8, not 32x32" if damage == "size" else "image [01]: "
    with pytest.raises(IntegrityError, match=said):
        load_inverse(tmp_path, CPU).invert(make_features(inverse.config, 1))


def test_numbers_that_do_not_fit_are_told() -> None:
    config = make_config("knn", "vit")
    with pytest.raises(SpecError, match="20000 images are not between 1 and 16384"):
        count_bytes(shaped(config, images=20000, dimensions=8, blocks=1))
    with pytest.raises(SpecError, match="'blocks' is missing"):
        count_bytes(shaped(config, images=1, dimensions=8))


def test_it_is_fitted_to_training_images(mini: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"KNN_IMAGES": 16, "MOMENT_IMAGES": 16}.items():
        monkeypatch.setattr(f"benchmark.train.inverses.{name}", value)
    spec, data = mini.target("mini-detr"), Scenes(3, CPU)
    train_inverse("knn", spec, spec.source.directory(), data, tmp_path / "out", tmp_path / "work", CPU)
    inverse = load_inverse(tmp_path / "out", CPU)
    assert inverse.config.training["samples"] == inverse.config.architecture["images"] == 16
    scenes = torch.cat([data.batch(step, 1) for step in range(16)])
    target = load_target(spec, spec.source.directory(), CPU)
    with torch.no_grad():
        recons = inverse.invert(target.features(scenes))
    for tap, recon in recons.items():
        errors = (recon - scenes).square().mean((1, 2, 3))
        assert (errors < 3e-3).float().mean() > (0.9 if tap != "prediction" else 0.5), tap
