"""Inverses: the methods, their storage, and what a hostile file meets."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.linear_model import Ridge
from torch import Tensor

from benchmark.errors import IntegrityError, NotFoundError, SpecError
from benchmark.files.paths import submissions_root
from benchmark.inverses.base import build_inverse, count_bytes, load_inverse, save_inverse
from benchmark.inverses.mean import MeanInverse
from benchmark.inverses.modular_per_tap import ModularPerTapInverse, previous_tap
from benchmark.inverses.ridge import Moments, RidgeInverse
from benchmark.inverses.spec import METHODS, InverseConfig
from benchmark.submissions.submission import load_submission
from benchmark.suites.spec import INPUT, Suite
from benchmark.targets import load_target
from benchmark.targets.taps import Features

DETR_TAPS = (
    "backbone", "encoder.0", "encoder.1", "encoder.2", "decoder.0", "decoder.1", "decoder.2", "prediction",
)  # fmt: skip


def config(method: str, **changes: object) -> InverseConfig:
    base = {
        "method": method,
        "target": "mini-vit",
        "target_sha256": "0" * 64,
        "input_size": (16, 16),
        "taps": {"embeddings": (17, 6), "encoder.0": (17, 6)},
        "grids": {"embeddings": (4, 4), "encoder.0": (4, 4)},
        "architecture": {"heads": 2, "kernel": 3, "coarse": 4, "layers": 1, "ratio": 2, "width": 8}
        | {"images": 2, "dimensions": 3, "blocks": 1},
        "sequences": {"image": (4,)},
    }
    return InverseConfig.model_validate(base | changes)


def random_features(inverse_config: InverseConfig, count: int = 3) -> dict[str, Features]:
    return {tap: Features(torch.randn(count, *shape)) for tap, shape in inverse_config.taps.items()}


def test_copy_returns_what_the_target_saw() -> None:
    seen = torch.rand(2, 3, 16, 16)
    recons = build_inverse(config("copy")).invert({"encoder.0": Features(seen), INPUT: Features(seen)})
    assert list(recons) == ["encoder.0"]
    assert torch.equal(recons["encoder.0"], seen)


def test_mean_is_the_mean_image() -> None:
    inverse = build_inverse(config("mean"))
    assert isinstance(inverse, MeanInverse)
    batches = torch.rand(4, 5, 3, 16, 16)
    inverse.fit(batches)
    recons = inverse.invert(random_features(inverse.config))
    assert torch.allclose(recons["embeddings"], batches.flatten(0, 1).mean(0).expand(3, -1, -1, -1), atol=1e-6)


def test_ridge_moments_solve_what_scikit_learn_solves() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(200, 5)), generator.normal(size=(200, 3))
    moments = Moments(5, 3)
    for part in range(4):
        rows = slice(part * 50, part * 50 + 50)
        moments.add(torch.from_numpy(x[rows]), torch.from_numpy(y[rows]))
    weights = moments.solve(0.1)
    expected = Ridge(alpha=0.1 * float((x**2).sum(0).mean()), solver="cholesky").fit(x, y)
    assert np.allclose(weights[:-1].T, expected.coef_, atol=1e-8)
    assert np.allclose(weights[-1], expected.intercept_, atol=1e-8)
    assert np.isclose(moments.squared_error(weights), ((expected.predict(x) - y) ** 2).sum())


def test_ridge_recovers_images_that_are_linear_in_the_features() -> None:
    torch.manual_seed(0)
    shapes = {"taps": {"embeddings": (16, 48)}, "grids": {"embeddings": (4, 4)}}
    inverse = build_inverse(config("ridge", **shapes, architecture={"kernel": 3, "coarse": 4}))
    assert isinstance(inverse, RidgeInverse)
    mixing = torch.randn(48, 48)

    def stream(count: int) -> list[tuple[Tensor, dict[str, Features]]]:
        batches = []
        for _ in range(count):
            images = torch.rand(8, 3, 16, 16)
            patches = torch.nn.functional.unfold(images, 4, stride=4).transpose(1, 2)
            batches.append((images, {"embeddings": Features(patches @ mixing)}))
        return batches

    chosen = inverse.fit(stream(16))
    assert chosen == {"embeddings": 1e-6}
    images, features = stream(1)[0]
    assert (inverse.invert(features)["embeddings"] - images).abs().max() < 1e-2


def test_ridge_memory_does_not_grow_with_the_stream() -> None:
    moments = Moments(5, 3)
    sizes = set()
    for _ in range(5):
        moments.add(torch.rand(100, 5), torch.rand(100, 3))
        sizes.add(moments.xx.numel() + moments.xy.numel())
    assert sizes == {6 * 6 + 6 * 3}
    assert moments.count == 500


@pytest.mark.parametrize(
    ("tap", "before"),
    [("backbone", "image"), ("encoder.0", "backbone"), ("encoder.2", "encoder.1"), ("decoder.0", "encoder.2"),
     ("decoder.2", "encoder.2"), ("prediction", "decoder.2")],
)  # fmt: skip
def test_chains_lead_back_through_the_components(tap: str, before: str) -> None:
    assert previous_tap(tap, DETR_TAPS) == before


@pytest.mark.parametrize("target_id", ["mini-detr", "mini-vit", "mini-swin"])
@pytest.mark.parametrize("method", ["mean", "ridge", "modular_per_tap"])
def test_the_embedded_inverses_load_and_invert(
    mini: Suite, cpu: torch.device, images: Tensor, method: str, target_id: str
) -> None:
    spec = mini.target(target_id)
    folder = load_submission(submissions_root(), method).weights[target_id].directory(submissions_root())
    inverse, target = load_inverse(folder, cpu), load_target(spec, spec.source.directory(), cpu)
    with torch.inference_mode():
        features = target.features(images)
        recons = inverse.invert(features)
        one_by_one = {tap: inverse.invert({tap: item})[tap] for tap, item in features.items()}
    assert list(recons) == list(spec.tap_names)
    for tap, recon in recons.items():
        assert recon.shape == images.shape
        assert torch.isfinite(recon).all()
        assert torch.allclose(recon, one_by_one[tap], atol=1e-5)
    if method == "modular_per_tap":
        shallow, deep = spec.tap_names[0], spec.tap_names[-1]
        errors = {tap: (recons[tap] - images).square().mean() for tap in (shallow, deep)}
        assert errors[shallow] < errors[deep]


@pytest.mark.parametrize(("device", "batches"), [("meta", [3, 6]), ("cpu", [3, 3, 3])])
def test_all_chains_pass_a_module_as_one_batch_but_for_the_last_one_on_a_cpu(device: str, batches: list[int]) -> None:
    inverse = build_inverse(config("modular_per_tap")).eval().to(device)
    assert isinstance(inverse, ModularPerTapInverse)
    calls: list[int] = []
    for part in inverse.parts.values():
        part.register_forward_hook(lambda module, args, output: calls.append(output.shape[0]))
    features = random_features(inverse.config).items()
    inverse.invert({tap: replace(item, tensor=item.tensor.to(device)) for tap, item in features})
    assert calls == batches


def test_storage_round_trips(tmp_path: Path, cpu: torch.device) -> None:
    torch.manual_seed(1)
    inverse = build_inverse(config("modular_per_tap")).eval()
    save_inverse(inverse, tmp_path)
    again = load_inverse(tmp_path, cpu)
    assert again.config == inverse.config
    features = random_features(inverse.config)
    assert torch.equal(again.invert(features)["encoder.0"], inverse.invert(features)["encoder.0"])
    assert not again.training
    assert not any(p.requires_grad for p in again.parameters())


def test_half_of_the_bytes_hold_the_same_inverse_but_for_rounding(tmp_path: Path, cpu: torch.device) -> None:
    torch.manual_seed(1)
    inverse = build_inverse(config("modular", storage="float16")).eval()
    save_inverse(inverse, tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16, torch.int64}
    assert count_bytes(inverse.config) == sum(tensor.numel() * tensor.element_size() for tensor in stored.values())
    again = load_inverse(tmp_path, cpu)
    assert {tensor.dtype for tensor in again.state_dict().values()} == {torch.float32, torch.int64}
    features = random_features(inverse.config)
    assert torch.allclose(again.invert(features)["encoder.0"], inverse.invert(features)["encoder.0"], atol=2e-3)
    save_inverse(again, tmp_path / "again")
    assert (tmp_path / "again/model.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()
    change_config(tmp_path, storage="float32")
    with pytest.raises(IntegrityError, match=r"is torch.float16, not torch.float32"):
        load_inverse(tmp_path, cpu)
    next(inverse.parameters()).data.fill_(1e6)
    with pytest.raises(SpecError, match=r"does not fit float16 \(set 'storage' to float32\)"):
        save_inverse(inverse, tmp_path)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    folder = tmp_path / "stored"
    save_inverse(build_inverse(config("mean")), folder)
    return folder


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_missing_config_is_named(tmp_path: Path, cpu: torch.device) -> None:
    with pytest.raises(SpecError, match=r"config\.json: no such file"):
        load_inverse(tmp_path, cpu)


def test_missing_weights_are_named(stored: Path, cpu: torch.device) -> None:
    (stored / "model.safetensors").unlink()
    with pytest.raises(SpecError, match=r"model\.safetensors: no such file"):
        load_inverse(stored, cpu)


def test_unknown_fields_and_methods_are_named(stored: Path, cpu: torch.device) -> None:
    change_config(stored, surprise=1)
    with pytest.raises(SpecError, match="field 'surprise'"):
        load_inverse(stored, cpu)
    (stored / "config.json").write_text(config("mean").model_dump_json())
    change_config(stored, method="meann")
    with pytest.raises(NotFoundError, match="did you mean 'mean'"):
        load_inverse(stored, cpu)


def test_absurd_sizes_are_refused_before_allocation(stored: Path, cpu: torch.device) -> None:
    change_config(stored, input_size=[4096, 4096])
    with pytest.raises(IntegrityError, match=r"'image' is \(3, 16, 16\), its config says \(3, 4096, 4096\)"):
        load_inverse(stored, cpu)
    change_config(stored, input_size=[2_000_000, 2_000_000])
    with pytest.raises(SpecError, match=r"field 'input_size\.0': .* less than or equal to 4096"):
        load_inverse(stored, cpu)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w | {"extra": torch.zeros(1)}, "unexpected tensor 'extra'"),
        (lambda w: {}, "missing tensor 'image'"),
        (lambda w: {"image": w["image"][:, :4].contiguous()}, r"'image' is \(3, 4, 16\)"),
        (lambda w: {"image": w["image"].double()}, "'image' is torch.float64"),
        (lambda w: {"image": w["image"] / 0 * 0}, "'image' is not finite"),
    ],
)
def test_other_tensors_are_refused(stored: Path, cpu: torch.device, change: object, message: str) -> None:
    path = stored / "model.safetensors"
    save_file(change(load_file(path)), path)  # type: ignore[operator]
    with pytest.raises(IntegrityError, match=message):
        load_inverse(stored, cpu)


def test_pickles_are_never_read(stored: Path, cpu: torch.device, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "exploded",)

    (stored / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    shutil.copy(stored / "model.safetensors", stored / "pytorch_model.bin")
    with pytest.raises(IntegrityError, match="not a safetensors file"):
        load_inverse(stored, cpu)
    assert not (tmp_path / "exploded").exists()


def test_every_method_is_declared_once_and_implemented() -> None:
    for method in METHODS.values():
        changes = {"grids": {"embeddings": (4, 4), "encoder.0": (4, 4)}}
        assert type(build_inverse(config(method.id, **changes))).method == method.id
