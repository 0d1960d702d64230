"""Taps are the model's own hidden states and outputs, exactly; one forward serves them all."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

from benchmark.errors import NotFoundError
from benchmark.suites.spec import Source, Suite, TapSpec, TargetSpec
from benchmark.targets import load_target
from benchmark.targets.base import Target
from benchmark.targets.detr import DetrTarget
from benchmark.targets.taps import Point, capture

TARGETS = ("mini-detr", "mini-vit", "mini-swin")


@pytest.fixture(scope="module")
def targets(mini: Suite, cpu: torch.device) -> dict[str, Target]:
    return {name: load_target(mini.target(name), mini.target(name).source.directory(), cpu) for name in TARGETS}


@pytest.fixture(scope="module")
def wide_detr(tmp_path_factory: pytest.TempPathFactory, cpu: torch.device) -> DetrTarget:
    """A random DETR for 64x96 images, so that rows and columns of its grid differ."""
    folder = tmp_path_factory.mktemp("wide")
    torch.manual_seed(0)
    config = DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone_config=ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", out_features=["stage2"]
        ),
        num_queries=5, d_model=16, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
        encoder_attention_heads=2, decoder_attention_heads=2, num_labels=3,
    )  # fmt: skip
    DetrForObjectDetection(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.5] * 3}))
    names = ("backbone", "encoder.0", "encoder.1", "decoder.0", "decoder.1", "prediction")
    taps = tuple(TapSpec(name=name, stage="any", depth=0) for name in names)
    spec = TargetSpec(
        id="wide", title="wide", family="detr", source=Source(path="nowhere"), input_size=(64, 96), taps=taps
    )
    return DetrTarget(spec, folder, cpu)


def tensors(target: Target, images: Tensor, taps: tuple[str, ...] | None = None) -> dict[str, Tensor]:
    with torch.inference_mode():
        return {name: item.tensor for name, item in target.features(images, taps).items()}


def own(target: Target, images: Tensor) -> object:
    with torch.inference_mode():
        return target.model(target.normalize(images), output_hidden_states=True)


def test_vit_taps_are_its_hidden_states(targets: dict[str, Target], images: Tensor) -> None:
    target = targets["mini-vit"]
    found, hidden = tensors(target, images), own(target, images).hidden_states  # type: ignore[attr-defined]
    assert torch.equal(found["embeddings"], hidden[0])
    for i in range(5):
        assert torch.equal(found[f"encoder.{i}"], hidden[i + 1])
    last = found["encoder.5"]
    logits = target.model.classifier(target.model.vit.layernorm(last)[:, 0])
    assert torch.equal(logits, own(target, images).logits)  # type: ignore[attr-defined]


def test_swin_taps_are_its_hidden_states(targets: dict[str, Target], images: Tensor) -> None:
    target = targets["mini-swin"]
    found, hidden = tensors(target, images), own(target, images).hidden_states  # type: ignore[attr-defined]
    for index, name in enumerate(("embeddings", "stage.0", "stage.1", "stage.2")):
        assert torch.equal(found[name], hidden[index]), name
    pooled = target.model.swin.layernorm(found["stage.2"]).mean(1)
    assert torch.allclose(
        target.model.classifier(pooled),
        own(target, images).logits,  # type: ignore[attr-defined]
        atol=1e-5,
    )


def check_detr(target: Target, images: Tensor) -> None:
    found, out = tensors(target, images), own(target, images)
    detr = target.model
    encoder, decoder = out.encoder_hidden_states, out.decoder_hidden_states  # type: ignore[attr-defined]
    assert torch.equal(found["backbone"].flatten(2).transpose(1, 2), encoder[0])
    layers = len(encoder) - 1
    for i in range(layers):
        assert torch.equal(found[f"encoder.{i}"], encoder[i + 1])
    for i in range(layers - 1):
        assert torch.equal(found[f"decoder.{i}"], detr.model.decoder.layernorm(decoder[i + 1]))
    last = found[f"decoder.{layers - 1}"]
    assert torch.equal(last, out.last_hidden_state)  # type: ignore[attr-defined]
    assert torch.equal(found["prediction"], torch.cat([out.logits, out.pred_boxes], -1))  # type: ignore[attr-defined]
    assert torch.equal(detr.class_labels_classifier(last), out.logits)  # type: ignore[attr-defined]


def test_detr_taps_are_its_states_and_outputs(targets: dict[str, Target], images: Tensor) -> None:
    check_detr(targets["mini-detr"], images)


def test_detr_side_inputs_of_a_wide_image(wide_detr: DetrTarget) -> None:
    images = torch.rand(2, 3, 64, 96)
    check_detr(wide_detr, images)
    seen: dict[str, Tensor] = {}

    def keep(module: torch.nn.Module, args: object, kwargs: dict[str, Tensor]) -> None:
        seen.update(kwargs)

    handle = wide_detr.model.model.encoder.register_forward_pre_hook(keep, with_kwargs=True)
    own(wide_detr, images)
    handle.remove()
    with torch.inference_mode():
        features = wide_detr.features(images)
    for item in features.values():
        assert item.grid == (8, 12)
        assert item.position is not None
        assert torch.equal(item.position, seen["spatial_position_embeddings"].expand(2, -1, -1))
        assert item.valid is not None
        assert torch.equal(item.valid, seen["attention_mask"].bool())
        assert item.valid.shape == (2, 96)
    assert features["backbone"].tensor.shape == (2, 16, 8, 12)


@pytest.mark.parametrize("name", TARGETS)
def test_one_forward_serves_all_taps(targets: dict[str, Target], images: Tensor, name: str) -> None:
    target = targets[name]
    together = tensors(target, images)
    calls = []
    handle = target.model.register_forward_pre_hook(lambda module, args: calls.append(1))
    tensors(target, images)
    handle.remove()
    assert len(calls) == 1
    for tap in target.spec.taps:
        assert torch.equal(tensors(target, images, (tap.name,))[tap.name], together[tap.name])


@pytest.mark.parametrize("name", TARGETS)
def test_the_forward_stops_after_the_last_tap(targets: dict[str, Target], images: Tensor, name: str) -> None:
    target = targets[name]
    reached = []
    points = list(target.points.items())
    handles = [point.module.register_forward_hook(lambda *_, tap=tap: reached.append(tap)) for tap, point in points[1:]]
    tensors(target, images, (points[0][0],))
    for handle in handles:
        handle.remove()
    assert reached == []


@pytest.mark.nightly
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="seen on x86 alone")
@pytest.mark.parametrize("name", TARGETS)
def test_features_do_not_depend_on_the_number_of_threads(targets: dict[str, Target], images: Tensor, name: str) -> None:
    found = []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.append(tensors(targets[name], images))
    finally:
        torch.set_num_threads(1)
    for other in found[1:]:
        for tap, tensor in found[0].items():
            assert torch.equal(other[tap], tensor), tap


@pytest.mark.parametrize("name", TARGETS)
def test_hooks_leave_no_trace(targets: dict[str, Target], images: Tensor, name: str) -> None:
    target = targets[name]

    def hooks() -> list[int]:
        return [len(module._forward_hooks) for module in target.model.modules()]

    before = hooks()
    tensors(target, images)
    assert hooks() == before


def test_an_inner_capture_does_not_stop_an_outer_one() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 2))
    x = torch.ones(1, 2)
    with capture({"last": Point(model[2], lambda y: y)}, stop=True) as outer:
        with capture({"first": Point(model[0], lambda y: y)}, stop=True) as inner:
            model(x)
        assert set(inner) == {"first"}
        assert not outer
        model(x)
    assert set(outer) == {"last"}


@pytest.mark.parametrize("name", TARGETS)
def test_training_mode_cannot_slip_in(targets: dict[str, Target], images: Tensor, name: str) -> None:
    target = targets[name]
    expected = tensors(target, images)
    target.model.train()
    found = tensors(target, images)
    assert not target.model.training
    for tap in expected:
        assert torch.equal(found[tap], expected[tap])
    assert not any(p.requires_grad for p in target.model.parameters())


@pytest.mark.parametrize("name", TARGETS)
def test_shapes_are_those_that_inverses_were_made_for(targets: dict[str, Target], images: Tensor, name: str) -> None:
    folder = Path(__file__).parents[2] / "benchmark/assets/mini/inverses/modular_per_tap" / name / "config.json"
    stated = json.loads(folder.read_text())["taps"]
    assert {tap: list(t.shape[1:]) for tap, t in tensors(targets[name], images).items()} == stated
    assert list(stated) == [tap.name for tap in targets[name].spec.taps]


def test_depths_rise_from_zero_to_one(mini: Suite) -> None:
    for target in mini.targets:
        depths = [tap.depth for tap in target.taps]
        assert depths == sorted(set(depths))
        assert (depths[0], depths[-1]) == (0, 1)


def test_unknown_taps_are_named(targets: dict[str, Target], images: Tensor) -> None:
    with pytest.raises(NotFoundError, match=r"did you mean 'encoder\.\d'"):
        targets["mini-vit"].features(images, ["encoder.9"])


def test_features_of_every_tap_are_a_map(wide_detr: DetrTarget, targets: dict[str, Target], images: Tensor) -> None:
    features = wide_detr.features(torch.rand(2, 3, 64, 96))
    assert features["backbone"].as_map() is features["backbone"].tensor
    rows, columns = features["encoder.1"].grid or (0, 0)
    assert features["encoder.1"].as_map().shape == (2, 16, rows, columns) and rows < columns
    assert torch.equal(features["encoder.1"].as_map()[:, :, 1, 2], features["encoder.1"].tensor[:, columns + 2])
    assert features["decoder.0"].as_map().shape == (2, 16, 1, 5)
    tokens = targets["mini-vit"].features(images)["encoder.0"]
    assert torch.equal(tokens.as_map()[:, :, 0, 0], tokens.tensor[:, 1])
    assert targets["mini-swin"].features(images)["stage.1"].as_map().shape[1:] == (192, 6, 6)
