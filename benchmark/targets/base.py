"""What every target adapter shares: strict loading, normalization, evaluation mode, one forward for all taps."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from benchmark.errors import IntegrityError, SpecError
from benchmark.spec import TargetSpec
from benchmark.targets.labels import LabelProbabilities
from benchmark.targets.taps import Features, Point, capture

__all__ = ["Prediction", "Target", "load_network"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """A target's own answer: `logits` (N, labels) or (N, queries, labels + 1); `boxes` (N, queries, 4) for detectors.

    Boxes are (center x, center y, width, height) in [0, 1].
    """

    logits: Tensor
    boxes: Tensor | None = None


def load_network(model_class: Any, folder: Path, device: torch.device) -> Any:
    """Load a transformers model from a folder in Hub layout: safetensors, strict, frozen, float32, in eval mode.

    Raises:
        SpecError: the folder or its weights are absent.
        IntegrityError: weights are missing, unexpected or of another shape, so that part of the network
            would be random.
    """
    if not (folder / "model.safetensors").is_file():
        raise SpecError("no model.safetensors", where=str(folder), cure="install the package again")
    model, info = model_class.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, output_loading_info=True, dtype=torch.float32
    )
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[what]:
            raise IntegrityError(f"{what.replace('_', ' ')}: {sorted(info[what])[0]}", where=str(folder))
    return model.eval().requires_grad_(False).to(device)


class Target(ABC):
    """A frozen network with named taps.

    Subclasses name their transformers class and say where the taps are; images are float32 RGB in [0, 1],
    (N, 3, H, W) at the target's input size, and are normalized here.
    """

    model_class: ClassVar[Any]
    answers: ClassVar[Literal["labels", "boxes"]] = "labels"

    def __init__(self, spec: TargetSpec, folder: Path, device: torch.device) -> None:
        self.spec = spec
        self.device = device
        self.model = load_network(self.model_class, folder, device)
        self.points = self.get_points()
        preprocessor = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        self._mean, self._std = (
            torch.tensor(preprocessor[key], device=device).view(1, 3, 1, 1) for key in ("image_mean", "image_std")
        )
        unknown = [tap.name for tap in spec.taps if tap.name not in self.points]
        if unknown:
            raise SpecError(f"target '{spec.id}' has no tap '{unknown[0]}'", cure=f"taps: {', '.join(self.points)}")

    @abstractmethod
    def get_points(self) -> dict[str, Point]:
        """Return where each tap is read, from shallow to deep."""

    @abstractmethod
    def predict(self, images: Tensor) -> Prediction:
        """Return the network's own answer to `images`."""

    def labels(self) -> LabelProbabilities:
        """Return the network as a function from images to label probabilities, for targets that label images."""
        exclusive = self.model.config.problem_type != "multi_label_classification"
        return LabelProbabilities(lambda images: self.predict(images).logits, exclusive_labels=exclusive)

    def describe(self, name: str, tensor: Tensor, side: dict[str, Tensor]) -> Features:
        """Return the features of a tap from its raw tensor and the side inputs of `get_side_points`."""
        return Features(tensor)

    def get_side_points(self, names: Sequence[str]) -> dict[str, Point]:
        """Return further points whose tensors `describe` needs for the taps `names`."""
        return {}

    def normalize(self, images: Tensor) -> Tensor:
        """Return `images` as the network was trained to see them; also makes sure that it is in eval mode."""
        self.model.eval()
        return (images - self._mean) / self._std

    def features(self, images: Tensor, taps: Sequence[str] | None = None) -> dict[str, Features]:
        """Return the features of `taps` (default: all of the suite's), in one forward that stops after the last.

        Raises:
            NotFoundError: no such tap.
        """
        names = [self.spec.tap(name).name for name in (taps or [tap.name for tap in self.spec.taps])]
        side_points = self.get_side_points(names)
        points = {name: self.points[name] for name in names} | side_points
        with capture(points, stop=True) as found:
            self.model(self.normalize(images))
        side = {name: found[name] for name in side_points}
        return {name: self.describe(name, found[name], side) for name in names}
