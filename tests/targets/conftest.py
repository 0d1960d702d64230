"""Networks with random weights, saved in Hub layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

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
