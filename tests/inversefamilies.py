"""Features of every kind of targets, small, and configurations of inverses for them."""

from __future__ import annotations

import torch

from benchmark.inverses.spec import InverseConfig
from benchmark.targets.taps import Features

__all__ = ["DETR", "FAMILIES", "SWIN", "VIT", "make_config", "make_features"]

DETR = {"backbone": (8, 3, 4)} | dict.fromkeys(("encoder.0", "encoder.1"), (12, 8))
DETR |= dict.fromkeys(("decoder.0", "decoder.1"), (5, 8)) | {"prediction": (5, 4 + 4)}
VIT = dict.fromkeys(("embeddings", "encoder.0", "encoder.1", "encoder.2"), (17, 8))
PATCH_14 = dict.fromkeys(("embeddings", "encoder.0"), (4, 8))
SWIN = {"embeddings": (64, 8), "stage.0": (16, 16), "stage.1": (4, 32), "stage.2": (4, 32)}
RESNET = {"embeddings": (8, 16, 16), "stage.0": (8, 16, 16), "stage.1": (12, 8, 8), "stage.2": (16, 4, 4)}
NO_CLASS_TOKEN = dict.fromkeys(("embeddings", "encoder.0"), (16, 8))
REGISTERS = dict.fromkeys(("embeddings", "encoder.0"), (21, 8))
FAMILIES = {
    "detr, not square": (DETR, {"backbone": (3, 4)}, (96, 128), (16, 8, 8, 8, 8)),
    "vit": (VIT, dict.fromkeys(VIT, (4, 4)), (32, 32), (8, 8)),
    "patches of 14 pixels": (PATCH_14, dict.fromkeys(PATCH_14, (2, 2)), (28, 28), (8, 8, 8)),
    "no class token": (NO_CLASS_TOKEN, dict.fromkeys(NO_CLASS_TOKEN, (4, 4)), (32, 32), (8, 8)),
    "registers": (REGISTERS, dict.fromkeys(REGISTERS, (4, 4)), (32, 32), (8, 8)),
    "resnet": (
        RESNET,
        {"embeddings": (16, 16), "stage.0": (16, 16), "stage.1": (8, 8), "stage.2": (4, 4)},
        (64, 64),
        (8,),
    ),
    "swin": (SWIN, {"embeddings": (8, 8), "stage.0": (4, 4), "stage.1": (2, 2), "stage.2": (2, 2)}, (32, 32), (8,)),
}


def make_config(method: str, family: str) -> InverseConfig:
    taps, grids, size, image = FAMILIES[family]
    return InverseConfig(
        method=method,
        target="some",
        target_sha256="0" * 64,
        input_size=size,
        taps=taps,
        grids=grids,
        architecture={"layers": 2, "heads": 2, "ratio": 2, "window": 2, "width": 8},
        sequences={"image": image, "prediction": (6, 7), "stage_layers": (2, 1, 1), "stage_heads": (2, 4, 4)},
    )


def make_features(config: InverseConfig, count: int = 3) -> dict[str, Features]:
    position = torch.randn(1, 12, 8).expand(count, -1, -1) if "backbone" in config.taps else None
    return {tap: Features(torch.randn(count, *shape), position=position) for tap, shape in config.taps.items()}
