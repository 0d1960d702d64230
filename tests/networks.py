"""Networks of every family with random weights, small and at their published size, as the Hub holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import timm
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from timm.models import register_model
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor

__all__ = ["CLIP", "FULL", "HALF", "IMAGENET", "SMALL", "TIMM", "VISION", "Case", "build", "publish", "save_network"]

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


@register_model
def swin_of_tests(pretrained: bool = False, num_classes: int = 3, **_: Any) -> Any:
    """A small Swin under a name of timm's own."""
    assert not pretrained
    return SwinTransformer(
        img_size=32, patch_size=4, embed_dim=8, depths=(2, 2), num_heads=(1, 2), window_size=4, num_classes=num_classes
    )


VISION = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
SMALL_TEXT = {**VISION, "vocab_size": 50, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
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
    Case("dinov2_registers", (56, 56), {**VISION, "image_size": 70, "patch_size": 14, "num_register_tokens": 3},
         IMAGENET, blocks(20, 24, 3), (4, 4)),
    Case("siglip", (32, 32), {**VISION, "image_size": 32, "patch_size": 8}, HALF, blocks(16, 24, 3), (4, 4)),
    Case("timm_vit", (160, 160), {"architecture": "test_vit"}, HALF, blocks(101, 64, 6), (10, 10)),
    Case("timm_swin", (32, 32), {"architecture": "swin_of_tests"}, IMAGENET,
         {"embeddings": (64, 8), "stage.0": (16, 16), "stage.1": (16, 16)}, (8, 8)),
    Case("resnet", (64, 96), {"embedding_size": 8, "hidden_sizes": [16, 24], "depths": [1, 2], "num_labels": 3},
         IMAGENET, {"embeddings": (8, 16, 24), "stage.0": (16, 16, 24), "stage.1": (24, 8, 12)}, (16, 24)),
]  # fmt: skip
SWIN_SHAPES: dict[str, tuple[int, ...]] = {
    "embeddings": (3136, 128), "stage.0": (784, 256), "stage.1": (196, 512), "stage.2": (49, 1024),
    "stage.3": (49, 1024),
}  # fmt: skip
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
        IMAGENET, SWIN_SHAPES, (56, 56),
    ),
    Case("dinov2_registers", (224, 224), {"image_size": 518, "patch_size": 14, "num_register_tokens": 4}, IMAGENET,
         blocks(261, 768, 12), (16, 16)),
    Case("siglip", (224, 224), {}, HALF, blocks(196, 768, 12), (14, 14), file_bytes=812_672_320),
    Case("timm_vit", (224, 224), {"architecture": "deit3_base_patch16_224"}, IMAGENET, blocks(197, 768, 12), (14, 14)),
    Case("timm_swin", (224, 224), {"architecture": "swin_base_patch4_window7_224"}, IMAGENET, SWIN_SHAPES, (56, 56)),
    Case("resnet", (224, 224), {"num_labels": 1000}, IMAGENET,
         {"embeddings": (64, 56, 56), "stage.0": (256, 56, 56), "stage.1": (512, 28, 28), "stage.2": (1024, 14, 14),
          "stage.3": (2048, 7, 7)}, (56, 56)),
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
        case "dinov2_registers":
            return hf.Dinov2WithRegistersModel(hf.Dinov2WithRegistersConfig(**case.config))
        case "resnet":
            return hf.ResNetForImageClassification(hf.ResNetConfig(**case.config))
        case "timm_vit" | "timm_swin":
            full = case.config["architecture"].endswith("_224")
            return timm.create_model(case.config["architecture"], num_classes=1000 if full else 3)
        case "siglip":
            text = SMALL_TEXT if case.config else {"bos_token_id": 0, "eos_token_id": 1}
            return hf.SiglipModel(hf.SiglipConfig(text_config=text, vision_config=case.config))
    small = case.config["hidden_size"] < 100
    return hf.CLIPModel(hf.CLIPConfig(text_config=SMALL_TEXT if small else {}, vision_config=case.config))


def save_network(
    model: Any,
    folder: Path,
    *,
    mean: tuple[float, ...] = (0.5, 0.5, 0.5),
    std: tuple[float, ...] = (0.5, 0.5, 0.5),
    tensors: Mapping[str, torch.Tensor] | None = None,
) -> Path:
    """Write a network as a folder of the Hub."""
    model.save_pretrained(folder)
    if tensors is not None:
        save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})
    settings = {"do_normalize": True, "image_mean": mean, "image_std": std, "rescale_factor": 1 / 255}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


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


def save_timm(case: Case, model: Any, folder: Path) -> Path:
    """Write a network as timm writes its folders of the Hub: without a file for the preprocessing."""
    folder.mkdir(parents=True, exist_ok=True)
    config = case.config | {
        "num_classes": model.num_classes,
        "num_features": model.num_features,
        "global_pool": "token",
        "pretrained_cfg": {
            "tag": "fb_in1k", "custom_load": False, "input_size": [3, *case.size], "fixed_input_size": True,
            "interpolation": "bicubic", "crop_pct": 0.9, "crop_mode": "center", "mean": case.normalization[0],
            "std": case.normalization[1], "num_classes": model.num_classes, "pool_size": None,
            "first_conv": "patch_embed.proj", "classifier": "head", "license": "apache-2.0",
        },
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def publish(case: Case, model: Any, folder: Path) -> Path:
    if case.family.startswith("timm_"):
        return save_timm(case, model, folder)
    save_network(model, folder, mean=case.normalization[0], std=case.normalization[1])
    weights = load_file(folder / "model.safetensors") | published_extras(case)
    weights = {k.replace("decoder.decoder_encoder.layer.", "decoder.decoder_layers."): w for k, w in weights.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | case.published))
    return folder
