"""ResNets of transformers: the convolutional control, so that "transformer" can be told from "deep network"."""

from __future__ import annotations

from torch import Tensor
from transformers import ResNetForImageClassification, ResNetModel
from transformers.models.resnet.modeling_resnet import ResNetEmbeddings, ResNetStage

from benchmark.targets.base import Prediction, Target
from benchmark.targets.taps import Features, Point, first

__all__ = ["ResNetTarget"]


class ResNetTarget(Target):
    """Features are maps (N, channels, rows, columns).

    - `embeddings`: after the first convolution and pooling, what the first stage reads;
    - `stage.i`: after each stage.
    """

    model_class, headless_class = ResNetForImageClassification, ResNetModel

    def get_points(self) -> dict[str, Point]:
        """See Target."""
        modules = list(self.model.modules())
        stages = [module for module in modules if isinstance(module, ResNetStage)]
        embeddings = next(module for module in modules if isinstance(module, ResNetEmbeddings))
        points = {"embeddings": Point(embeddings, first)}
        return points | {f"stage.{i}": Point(stage, first) for i, stage in enumerate(stages)}

    def make_features(self, name: str, tensor: Tensor, side: dict[str, Tensor]) -> Features:
        """See Target."""
        return Features(tensor, grid=(tensor.shape[2], tensor.shape[3]))

    def predict(self, images: Tensor) -> Prediction:
        """See Target; logits are (N, labels)."""
        return super().predict(images) if self.headless else Prediction(self.forward(images).logits)
