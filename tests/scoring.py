"""What `invbench score` answered, and images for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from click.testing import Result
from PIL import Image, ImageFilter

from benchmark.datasets.scenes import make_scene
from benchmark.perturbations import perturb

Run = Callable[..., Result]


def no_nan(name: str) -> None:
    raise AssertionError(f"{name} in JSON")


def scores(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count("Traceback") == 0
    return json.loads(done.stdout, parse_constant=no_nan)


def mistake(done: Result, *texts: str, code: int = 2) -> None:
    assert done.exit_code == code, done.output
    (line,) = [line for line in done.stderr.splitlines() if line and "image/s]" not in line]
    assert line.startswith("Error: ")
    for text in texts:
        assert text in line
    assert done.stdout == ""


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float().contiguous() / 255


def write_set(folder: Path, index: int, name: str, size: tuple[int, int] | None = None, kind: str = "png") -> None:
    """Write a scene, its recons (a blur and a stronger one), what was seen and its mask below `folder`."""
    scene = make_scene("test", 7, index)
    original, mask = Image.fromarray(scene.image), Image.fromarray(scene.category_mask(scene.focal_category))
    if size:
        original, mask = original.resize(size), mask.resize(size)
    where = torch.from_numpy(np.array(mask))[None]
    images = {"original": original, "mask": mask}
    for role, perturbation in (("seen", "hue_shift_120"), ("gray", "gray")):
        changed = perturb(perturbation, tensor(np.array(original)), where)[0].permute(1, 2, 0)
        images[role] = Image.fromarray((changed * 255).round().byte().numpy())
    images["recon"] = original.filter(ImageFilter.GaussianBlur(2))
    images["recon_seen"] = images["seen"].filter(ImageFilter.GaussianBlur(1))
    for role, image in images.items():
        (folder / role).mkdir(parents=True, exist_ok=True)
        image.save(folder / role / f"{name}.{kind}")
