"""Swin classifiers of transformers: `embeddings`, and `stage.i` as the model passes it on, after down-merging."""

from __future__ import annotations

from torch import Tensor
from transformers import SwinForImageClassification
from transformers.models.swin.modeling_swin import SwinStage

from benchmark.targets.base import Prediction, Target
from benchmark.targets.taps import Features, Point

__all__ = ["SwinTarget"]


class SwinTarget(Target):
    """Features are (N, rows * columns, channels)."""

    model_class = SwinForImageClassification

    def get_points(self) -> dict[str, Point]:
        """See Target."""
        stages = [module for module in self.model.modules() if isinstance(module, SwinStage)]
        points = {"embeddings": Point(self.model.swin.embeddings, lambda output: output[0])}
        return points | {f"stage.{i}": Point(stage, lambda output: output[0]) for i, stage in enumerate(stages)}

    def describe(self, name: str, tensor: Tensor, side: dict[str, Tensor]) -> Features:
        """See Target; the grid follows from the number of tokens and the aspect of the input."""
        height, width = self.spec.input_size
        rows = round((tensor.shape[1] * height / width) ** 0.5)
        return Features(tensor, grid=(rows, tensor.shape[1] // rows))

    def predict(self, images: Tensor) -> Prediction:
        """See Target; logits are (N, labels)."""
        return Prediction(self.model(self.normalize(images)).logits)
