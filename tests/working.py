"""Workers for tests: what they are to do, and the beginning of what an inverse says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hostile
import torch

from benchmark.content.content import Content
from benchmark.engine.worker import Task
from benchmark.inverses.spec import InverseConfig

__all__ = ["CPU", "HEAD", "SIZE", "make_task"]

CPU = torch.device("cpu")
SIZE = (64, 64)
HEAD = """
import os, sys, time
from collections.abc import Mapping
import numpy as np
import torch
from torch import Tensor
from benchmark.inverses.base import Inverse

def scribble():
    for fd in range(3, 30):
        try:
            os.write(fd, bytes(999))
        except OSError:
            pass

class Mine(Inverse):
    method = "hostile"

    def invert(self, features):
        images = {tap: torch.full((len(item.tensor), 3, 64, 64), 0.5) for tap, item in features.items()}
"""


def make_task(content: Content, folder: Path, *, confined: bool, **changed: Any) -> Task:
    spec = content.suite.target("mini-swin")
    config = InverseConfig(method="hostile", target=spec.id, target_sha256="0" * 64, input_size=SIZE, taps={})
    spec = spec.model_copy(update={"input_size": SIZE})
    (folder / "prepared.txt").write_text("records that were prepared")
    code = folder / "inverse.py"
    code.write_text(Path(hostile.__file__).read_text())
    network = content.target(content.suite.target("mini-swin"))
    return Task(config, code, None, spec, network, CPU, confined=confined, **changed)
