"""Every family, small and at its published size: taps are the saved network's own states, exactly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmark.errors import SpecError
from benchmark.spec import Source, TapSpec, TargetSpec
from benchmark.targets import load_target
from benchmark.targets.base import Target

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
# As facebook/detr-resnet-50 says it.
TIMM = {"use_timm_backbone": True, "use_pretrained_backbone": True, "backbone": "resnet50", "backbone_config": None}


@dataclass(frozen=True)
class Case:
    """A network to build.

    `published` is how the published configuration says it, `file_bytes` the size of the published model.safetensors:
    it is met only if every name, shape and number type is that of the published file.
    """

    family: str
    size: tuple[int, int]
    config: dict[str, Any]
    normalization: tuple[tuple[float, ...], tuple[float, ...]]
    shapes: dict[str, tuple[int, ...]]
    grid: tuple[int, int]
    published: dict[str, Any] = field(default_factory=dict)
    file_bytes: int | None = None


def blocks(tokens: int, channels: int, depth: int) -> dict[str, tuple[int, ...]]:
    names = ["embeddings", *(f"encoder.{i}" for i in range(depth))]
    return dict.fromkeys(names, (tokens, channels))


def detr(tokens: tuple[int, int], channels: int, depth: int, queries: int, labels: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"backbone": (channels, *tokens)}
    shapes |= {f"encoder.{i}": (tokens[0] * tokens[1], channels) for i in range(depth)}
    shapes |= {f"decoder.{i}": (queries, channels) for i in range(depth)}
    return shapes | {"prediction": (queries, labels + 1 + 4)}


VISION = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
SMALL = [
    Case(
        "detr", (64, 96),
        {**TIMM, "backbone": "test_resnet", "num_labels": 3, "num_queries": 5, "d_model": 16,
         "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
         "encoder_attention_heads": 2, "decoder_attention_heads": 2},
        IMAGENET, detr((2, 3), 16, 2, 5, 3), (2, 3), {**TIMM, "backbone": "test_resnet"},
    ),
    Case("vit", (32, 32), {**VISION, "image_size": 32, "patch_size": 8, "num_labels": 3},
         HALF, blocks(17, 24, 3), (4, 4)),
    Case("dinov2", (56, 56), {**VISION, "image_size": 70, "patch_size": 14}, IMAGENET, blocks(17, 24, 3), (4, 4)),
    Case("clip", (32, 32), {**VISION, "image_size": 32, "patch_size": 8}, CLIP, blocks(17, 24, 3), (4, 4)),
    Case("mae", (32, 32), {**VISION, "image_size": 32, "patch_size": 8, "decoder_hidden_size": 16,
         "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2, "decoder_intermediate_size": 32},
         IMAGENET, blocks(17, 24, 3), (4, 4)),
    Case(
        "swin", (32, 32),
        {"image_size": 32, "patch_size": 4, "embed_dim": 8, "depths": [2, 2], "num_heads": [1, 2], "window_size": 4,
         "num_labels": 3},
        IMAGENET, {"embeddings": (64, 8), "stage.0": (16, 16), "stage.1": (16, 16)}, (8, 8),
    ),
]  # fmt: skip
FULL = [
    Case("detr", (480, 640), {**TIMM, "num_labels": 91}, IMAGENET, detr((15, 20), 256, 6, 100, 91), (15, 20), TIMM,
         file_bytes=166_587_896),
    Case("vit", (224, 224), {"num_labels": 1000}, HALF, blocks(197, 768, 12), (14, 14)),
    Case("dinov2", (224, 224), {"image_size": 518, "patch_size": 14}, IMAGENET, blocks(257, 768, 12), (16, 16),
         file_bytes=346_345_912),
    Case("clip", (224, 224), {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12,
         "num_hidden_layers": 12, "patch_size": 16}, CLIP, blocks(197, 768, 12), (14, 14)),
    Case("mae", (224, 224), {}, IMAGENET, blocks(197, 768, 12), (14, 14), file_bytes=447_670_680),
    Case(
        "swin", (224, 224),
        {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32], "window_size": 7, "num_labels": 1000},
        IMAGENET,
        {"embeddings": (3136, 128), "stage.0": (784, 256), "stage.1": (196, 512), "stage.2": (49, 1024),
         "stage.3": (49, 1024)},
        (56, 56),
    ),
]  # fmt: skip


def build(case: Case) -> Any:
    torch.manual_seed(0)
    match case.family:
        case "detr":
            return hf.DetrForObjectDetection(hf.DetrConfig(**case.config))
        case "vit":
            return hf.ViTForImageClassification(hf.ViTConfig(**case.config))
        case "swin":
            return hf.SwinForImageClassification(hf.SwinConfig(**case.config))
        case "dinov2":
            return hf.Dinov2Model(hf.Dinov2Config(**case.config))
        case "mae":
            return hf.ViTMAEForPreTraining(hf.ViTMAEConfig(**case.config))
    text = {**VISION, "vocab_size": 50, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    small = case.config["hidden_size"] < 100
    return hf.CLIPModel(hf.CLIPConfig(text_config=text if small else {}, vision_config=case.config))


def spec_of(case: Case) -> TargetSpec:
    taps = tuple(TapSpec(name=name, stage="any", depth=0) for name in case.shapes)
    return TargetSpec(
        id=case.family,
        title=case.family,
        family=case.family,
        source=Source(repo_id="nobody/nothing"),
        input_size=case.size,
        taps=taps,
    )


def published_extras(case: Case) -> dict[str, Tensor]:
    """Return the weights that published checkpoints have and transformers does not save any more."""
    if case.family == "detr":
        base = "model.backbone.conv_encoder.model"
        return {f"{base}.layer{i}.0.downsample.1.num_batches_tracked": torch.tensor(0) for i in range(1, 5)}
    if case.family == "clip":
        tokens = case.shapes["embeddings"][0]
        return {
            "text_model.embeddings.position_ids": torch.arange(77)[None],
            "vision_model.embeddings.position_ids": torch.arange(tokens)[None],
        }
    if case.family == "swin":
        window = case.config["window_size"] ** 2
        return {
            f"swin.encoder.layers.{stage}.blocks.{i}.attention.self.relative_position_index": torch.zeros(
                window, window, dtype=torch.int64
            )
            for stage, depth in enumerate(case.config["depths"])
            for i in range(depth)
        }
    return {}


def publish(case: Case, model: Any, folder: Path, save_network: Callable[..., Path]) -> Path:
    save_network(model, folder, mean=case.normalization[0], std=case.normalization[1])
    weights = load_file(folder / "model.safetensors") | published_extras(case)
    weights = {k.replace("decoder.decoder_encoder.layer.", "decoder.decoder_layers."): w for k, w in weights.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | case.published))
    return folder


def states(case: Case, model: Any, images: Tensor) -> tuple[list[Tensor], Tensor | None]:
    """Return the hidden states of the network that was saved, and what its last layer norm makes of the last."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in case.normalization)
    x = (images - mean) / std
    if case.family == "clip":
        tower = model.vision_model
        out = tower(x, output_hidden_states=True)
        return list(out.hidden_states), None
    if case.family == "mae":
        model.config.mask_ratio = model.vit.config.mask_ratio = 0.0
        noise = torch.linspace(0, 1, case.shapes["embeddings"][0] - 1).expand(len(x), -1)
        out = model.vit(x, noise=noise, output_hidden_states=True)
        return list(out.hidden_states), out.last_hidden_state
    body = model if case.family == "dinov2" else getattr(model, case.family)
    out = body(x, output_hidden_states=True)
    return list(out.hidden_states), out.last_hidden_state


def last_norm(target: Target) -> torch.nn.Module:
    return next(m for name, m in target.model.named_modules() if name in ("layernorm", f"{target.spec.id}.layernorm"))


def check_detr(case: Case, model: Any, found: dict[str, Tensor], images: Tensor) -> None:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in case.normalization)
    out = model((images - mean) / std, output_hidden_states=True)
    encoder, decoder = out.encoder_hidden_states, out.decoder_hidden_states
    depth = len(encoder) - 1
    assert torch.equal(found["backbone"].flatten(2).transpose(1, 2), encoder[0])
    for i in range(depth):
        assert torch.equal(found[f"encoder.{i}"], encoder[i + 1])
        if i < depth - 1:
            assert torch.equal(found[f"decoder.{i}"], model.model.decoder.layernorm(decoder[i + 1]))
            assert not torch.allclose(found[f"decoder.{i}"], decoder[i + 1], atol=0.05)
    assert torch.equal(found[f"decoder.{depth - 1}"], out.last_hidden_state)
    assert torch.equal(found["prediction"], torch.cat([out.logits, out.pred_boxes], -1))


def check(case: Case, model: Any, target: Target, count: int) -> None:
    images = torch.rand(count, 3, *case.size)
    with torch.inference_mode():
        features = target.features(images)
        found = {name: item.tensor for name, item in features.items()}
        assert {name: tuple(t.shape[1:]) for name, t in found.items()} == case.shapes
        assert all(t.dtype == torch.float32 for t in found.values())
        assert features[next(iter(case.shapes))].grid == case.grid
        if case.family == "detr":
            check_detr(case, model, found, images)
            return
        hidden, normed = states(case, model, images)
        *early, last = found
        for i, name in enumerate(early):
            assert torch.equal(found[name], hidden[i]), name
        if normed is None:
            assert torch.equal(found[last], hidden[-1])
        else:
            assert torch.equal(last_norm(target)(found[last]), normed)
            assert not torch.allclose(found[last], normed, atol=0.05)


@pytest.fixture(params=SMALL, ids=lambda case: case.family)
def small(
    request: pytest.FixtureRequest, tmp_path: Path, save_network: Callable[..., Path], randomize: Callable[..., Any]
) -> tuple[Case, Any, Path]:
    model = randomize(build(request.param))
    return request.param, model, publish(request.param, model, tmp_path, save_network)


def test_taps_are_the_states_of_the_network_that_was_saved(small: tuple[Case, Any, Path], cpu: torch.device) -> None:
    case, model, folder = small
    check(case, model, load_target(spec_of(case), folder, cpu), 2)


def test_names_of_weights_may_be_those_of_the_installed_transformers(
    small: tuple[Case, Any, Path], cpu: torch.device
) -> None:
    case, model, folder = small
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    check(case, model, load_target(spec_of(case), folder, cpu), 2)


@pytest.mark.parametrize("case", SMALL[1:], ids=lambda case: case.family)  # DETR's backbone looks beyond a cell
def test_a_changed_patch_moves_only_its_own_token_of_the_grid(
    case: Case, tmp_path: Path, save_network: Callable[..., Path], cpu: torch.device
) -> None:
    target = load_target(spec_of(case), publish(case, build(case), tmp_path, save_network), cpu)
    rows, columns = case.grid
    side = case.size[0] // rows
    images = torch.rand(1, 3, *case.size)
    changed = images.clone()
    changed[:, :, side : 2 * side, 2 * side : 3 * side] = 0
    with torch.inference_mode():
        before, after = (target.features(x)["embeddings"].tensor for x in (images, changed))
    moved = (before != after).any(-1)[0].nonzero().flatten().tolist()
    first = case.shapes["embeddings"][0] - rows * columns
    assert moved == [first + columns + 2]


def test_networks_without_a_head_say_so(small: tuple[Case, Any, Path], cpu: torch.device) -> None:
    case, _, folder = small
    target, images = load_target(spec_of(case), folder, cpu), torch.rand(1, 3, *case.size)
    if case.family in ("vit", "swin"):
        probabilities = target.labels()
        assert probabilities is not None
        assert probabilities(images).shape == target.predict(images).logits.shape == (1, 3)
    else:
        assert target.labels() is None
        if case.family == "detr":
            assert target.predict(images).boxes is not None
        else:
            assert target.answers is None
            with pytest.raises(SpecError, match="no head of its own"):
                target.predict(images)


def test_mae_neither_drops_nor_shuffles_patches(
    tmp_path: Path, save_network: Callable[..., Path], cpu: torch.device
) -> None:
    case = next(case for case in SMALL if case.family == "mae")
    model = build(case)
    assert model.config.mask_ratio == 0.75
    target = load_target(spec_of(case), publish(case, model, tmp_path, save_network), cpu)
    images, mean, std = torch.rand(3, 3, 32, 32), *(torch.tensor(v).view(1, 3, 1, 1) for v in case.normalization)
    embed = model.vit.embeddings
    expected = embed.patch_embeddings((images - mean) / std) + embed.position_embeddings[:, 1:]
    state = torch.get_rng_state()
    found = target.features(images)["embeddings"].tensor
    assert torch.equal(found[:, 1:], expected)
    assert torch.equal(found, target.features(images)["embeddings"].tensor)
    assert torch.equal(state, torch.get_rng_state())


def test_detr_side_inputs_at_a_wide_size(tmp_path: Path, save_network: Callable[..., Path], cpu: torch.device) -> None:
    case = SMALL[0]
    target = load_target(spec_of(case), publish(case, build(case), tmp_path, save_network), cpu)
    for item in target.features(torch.rand(2, 3, 64, 96)).values():
        assert item.grid == (2, 3)
        assert item.position is not None and item.position.shape == (2, 6, 16)
        assert item.valid is not None and item.valid.shape == (2, 6) and item.valid.all()


def test_detr_never_answers_with_the_auxiliary_outputs(
    tmp_path: Path, save_network: Callable[..., Path], cpu: torch.device
) -> None:
    case = SMALL[0]
    folder, images = publish(case, build(case), tmp_path, save_network), torch.rand(2, 3, 64, 96)
    expected = load_target(spec_of(case), folder, cpu).predict(images).logits
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auxiliary_loss": True}))
    assert torch.equal(load_target(spec_of(case), folder, cpu).predict(images).logits, expected)


def test_a_vision_tower_of_clip_alone_loads_too(
    tmp_path: Path, save_network: Callable[..., Path], cpu: torch.device
) -> None:
    case = next(case for case in SMALL if case.family == "clip")
    model = build(case)
    tower = hf.CLIPVisionModel(model.vision_model.config)
    tower.load_state_dict(model.vision_model.state_dict())
    save_network(tower, tmp_path, mean=CLIP[0], std=CLIP[1])
    check(case, model, load_target(spec_of(case), tmp_path, cpu), 2)


@pytest.fixture(params=FULL, ids=lambda case: case.family)
def full(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    save_network: Callable[..., Path],
    randomize: Callable[..., Any],
) -> Iterator[tuple[Case, Any, Path]]:
    """One network at a time; its files are gone afterwards."""
    folder = tmp_path_factory.mktemp(request.param.family)
    model = randomize(build(request.param))
    yield request.param, model, publish(request.param, model, folder, save_network)
    shutil.rmtree(folder)


@pytest.mark.slow
def test_networks_of_the_published_size(full: tuple[Case, Any, Path], cpu: torch.device) -> None:
    case, model, folder = full
    if case.file_bytes:
        assert (folder / "model.safetensors").stat().st_size == case.file_bytes
    target = load_target(spec_of(case), folder, cpu)
    check(case, model, target, 1)
