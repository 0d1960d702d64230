"""Swins of transformers: `embeddings`, and `stage.i` as the model passes it on, after down-merging."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from transformers import SwinForImageClassification, SwinModel
from transformers.models.swin.modeling_swin import SwinEmbeddings, SwinStage

from benchmark.targets.base import Prediction, Target
from benchmark.targets.taps import Features, Point, first

__all__ = ["SwinTarget"]


class SwinTarget(Target):
    """Features are (N, rows * columns, channels). A checkpoint without `classifier` has no head."""

    model_class, headless_class = SwinForImageClassification, SwinModel
    headless_options: ClassVar = {"add_pooling_layer": False}

    def get_points(self) -> dict[str, Point]:
        """See Target."""
        modules = list(self.model.modules())
        stages = [module for module in modules if isinstance(module, SwinStage)]
        embeddings = next(module for module in modules if isinstance(module, SwinEmbeddings))
        points = {"embeddings": Point(embeddings, first)}
        return points | {f"stage.{i}": Point(stage, first) for i, stage in enumerate(stages)}

    def make_features(self, name: str, tensor: Tensor, side: dict[str, Tensor]) -> Features:
        """See Target; the grid follows from the number of tokens and the aspect of the input."""
        height, width = self.spec.input_size
        rows = round((tensor.shape[1] * height / width) ** 0.5)
        return Features(tensor, grid=(rows, tensor.shape[1] // rows))

    def predict(self, images: Tensor) -> Prediction:
        """See Target; logits are (N, labels)."""
        return super().predict(images) if self.headless else Prediction(self.forward(images).logits)
