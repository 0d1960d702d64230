"""An architecture of one's own for tests: a linear decoder of tokens, whose constructor a test adds lines to."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from benchmark.inverses.base import Inverse, build_inverse
from benchmark.inverses.code import load_code
from benchmark.inverses.spec import TRUSTED, InverseConfig
from benchmark.targets.taps import Features

TEXT = '''
"""A linear decoder for each tap."""

import copy
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmark.inverses.base import Inverse


class Own(Inverse):
    """Tokens to patches."""

    method = "own"

    def __init__(self, config):
        super().__init__(config)
        self.scale, self.offset = 1.0, 0.0
        self.decoders = nn.ModuleDict(
            {{tap.replace(".", "_"): nn.Linear(shape[1], 48) for tap, shape in config.taps.items()}}
        )
{constructor}

    def invert(self, features):
        recons = {{}}
        for tap, item in features.items():
            decoder = self.decoders[tap.replace(".", "_")]
            weight = next(decoder.parameters())
            tokens = decoder(item.tensor.to(weight.dtype)).float() * self.scale + self.offset
            recons[tap] = F.pixel_shuffle(tokens.transpose(1, 2).unflatten(2, (4, 4)), 4)
        return recons
'''

Own = Callable[..., Inverse]


def make_config(**changes: object) -> InverseConfig:
    taps = {"embeddings": (16, 6), "encoder.0": (16, 6), "encoder.1": (16, 6)}
    base = {
        "method": "own", "target": "mini-vit", "target_sha256": "0" * 64, "input_size": (16, 16), "taps": taps,
        "grids": dict.fromkeys(taps, (4, 4)),
    }  # fmt: skip
    return InverseConfig.model_validate(base | changes)


def make_features(config: InverseConfig) -> dict[str, Features]:
    generator = torch.Generator().manual_seed(7)
    return {tap: Features(torch.randn(2, *shape, generator=generator)) for tap, shape in config.taps.items()}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Own]:
    """Declares the decoder with further lines in its constructor, and builds it."""

    def build(constructor: str = "", **changes: object) -> Inverse:
        TRUSTED.pop("own", None)
        path = tmp_path / "own" / "inverse.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(TEXT.format(constructor=textwrap.indent(constructor, " " * 8)))
        load_code(path, trained=True)
        torch.manual_seed(3)
        return build_inverse(make_config(**changes)).eval()

    yield build
    TRUSTED.pop("own", None)
