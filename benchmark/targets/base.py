"""What every target adapter shares: normalization, evaluation mode, one forward for all taps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from benchmark.errors import SpecError, first_line
from benchmark.suites.spec import TargetSpec
from benchmark.targets.config import CONFIG
from benchmark.targets.network import list_tensors, load_network
from benchmark.targets.normalization import load_normalization
from benchmark.targets.taps import Features, Point, capture

__all__ = ["Prediction", "Target"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """A target's own answer: `logits` (N, labels) or (N, queries, labels + 1); `boxes` (N, queries, 4) for detectors.

    Boxes are (center x, center y, width, height) in [0, 1].
    """

    logits: Tensor
    boxes: Tensor | None = None


class Target(ABC):
    """A frozen network with named taps.

    Subclasses name their transformers class and say where the taps are; images are float32 RGB in [0, 1],
    (N, 3, H, W) at the target's input size, and are normalized here.

    Attributes:
        model_class: the class of transformers.
        unused: prefixes of the names of those weights of a checkpoint that belong to parts the target does not have.
        headless_class: the class for checkpoints without a head, if the family has such; `headless_options` are its
            arguments.
        head: prefixes of the names of the head's weights.
        headless: whether this network has no head: it gives features, no answers.
    """

    model_class: ClassVar[Any]
    unused: ClassVar[tuple[str, ...]] = ()
    headless_class: ClassVar[Any] = None
    headless_options: ClassVar[Mapping[str, Any]] = {}
    head: ClassVar[tuple[str, ...]] = ("classifier.",)

    def __init__(self, spec: TargetSpec, folder: Path, device: torch.device) -> None:
        self.spec = spec
        self.device = device
        self._normalize = load_normalization(folder, device)
        self.headless = self.headless_class is not None and not any(
            name.startswith(self.head) for name in list_tensors(folder)
        )
        self.model = load_network(
            self.headless_class if self.headless else self.model_class,
            folder,
            device,
            prepare=self.prepare_config,
            convert=self.convert_weights,
            unused=self.unused,
            options=self.headless_options if self.headless else {},
        )
        self.points = self.get_points()
        unknown = [tap.name for tap in spec.taps if tap.name not in self.points]
        if unknown:
            raise SpecError(f"target '{spec.id}' has no tap '{unknown[0]}'", cure=f"taps: {', '.join(self.points)}")
        self._try(str(folder / CONFIG))

    def _try(self, where: str) -> None:
        """Run one black image, so that a network that does not suit the target is told by its file, and at once."""
        height, width = self.spec.input_size
        try:
            # Not inference mode: networks may keep what they compute, and gradients flow through it later.
            with torch.no_grad():
                features = self.features(torch.zeros(1, 3, height, width, device=self.device))
        except Exception as error:
            raise SpecError(
                f"the network does not take {height}x{width} images: {type(error).__name__}: {first_line(error)}",
                where=where,
            ) from None
        broken = [name for name, item in features.items() if not item.tensor.isfinite().all()]
        if broken:
            raise SpecError(f"the network gives numbers that are not finite at '{broken[0]}'", where=where)

    @classmethod
    def prepare_config(cls, config: dict[str, Any]) -> dict[str, Any]:
        """Return the configuration of `model_class` from what `config.json` says."""
        return config

    @classmethod
    def convert_weights(cls, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights of a checkpoint under the names that `model_class` knows, if it does not know its own."""
        return weights

    @abstractmethod
    def get_points(self) -> dict[str, Point]:
        """Return where each tap is read, from shallow to deep."""

    def forward(self, images: Tensor) -> Any:
        """Return the network's own outputs for `images`."""
        return self.model(self.normalize(images))

    def predict(self, images: Tensor) -> Prediction:
        """Return the network's own answer to `images`.

        Raises:
            SpecError: the network has no head; see `answers`.
        """
        raise SpecError(f"target '{self.spec.id}' has no head of its own: it gives features, no answers")

    def make_features(self, name: str, tensor: Tensor, side: dict[str, Tensor]) -> Features:
        """Return the features of a tap from its raw tensor and the side inputs of `get_side_points`."""
        return Features(tensor)

    def get_side_points(self, names: Sequence[str]) -> dict[str, Point]:
        """Return further points whose tensors `make_features` needs for the taps `names`."""
        return {}

    def normalize(self, images: Tensor) -> Tensor:
        """Return `images` as the network was trained to see them; also makes sure that it is in eval mode."""
        self.model.eval()
        return self._normalize(images)

    def features(self, images: Tensor, taps: Sequence[str] | None = None) -> dict[str, Features]:
        """Return the features of `taps` (default: all of the suite's), in one forward that stops after the last.

        Raises:
            NotFoundError: no such tap.
        """
        names = [self.spec.tap(name).name for name in (taps or [tap.name for tap in self.spec.taps])]
        side_points = self.get_side_points(names)
        points = {name: self.points[name] for name in names} | side_points
        with capture(points, stop=True) as captured:
            self.forward(images)
        side = {name: captured[name] for name in side_points}
        return {name: self.make_features(name, captured[name], side) for name in names}
