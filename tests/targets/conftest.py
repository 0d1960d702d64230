"""Networks with random weights, saved in Hub layout."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

SaveNetwork = Callable[..., Path]


@pytest.fixture(scope="session")
def randomize() -> Callable[[torch.nn.Module], torch.nn.Module]:
    """Give a network random layer norms, so that features before and after one are told apart."""

    def run(model: torch.nn.Module) -> torch.nn.Module:
        for module in model.modules():
            if isinstance(module, torch.nn.LayerNorm):
                torch.nn.init.normal_(module.weight, 1, 0.3)
                torch.nn.init.normal_(module.bias, 0, 0.3)
        return model.eval()

    return run


@pytest.fixture(scope="session")
def save_network() -> SaveNetwork:
    """Write a network as a folder of the Hub."""

    def save(
        model: Any,
        folder: Path,
        *,
        mean: tuple[float, ...] = (0.5, 0.5, 0.5),
        std: tuple[float, ...] = (0.5, 0.5, 0.5),
        tensors: Mapping[str, torch.Tensor] | None = None,
    ) -> Path:
        model.save_pretrained(folder)
        if tensors is not None:
            save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})
        settings = {"do_normalize": True, "image_mean": mean, "image_std": std, "rescale_factor": 1 / 255}
        (folder / "preprocessor_config.json").write_text(json.dumps(settings))
        return folder

    return save
