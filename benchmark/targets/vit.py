"""ViT classifiers of transformers: `embeddings` after position embedding, `encoder.i` after each block."""

from __future__ import annotations

from torch import Tensor
from transformers import ViTForImageClassification
from transformers.models.vit.modeling_vit import ViTLayer

from benchmark.targets.base import Prediction, Target
from benchmark.targets.taps import Features, Point

__all__ = ["ViTTarget"]


def _first(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


class ViTTarget(Target):
    """Features are (N, 1 + rows * columns, channels), the class token first, before the final layer norm."""

    model_class = ViTForImageClassification

    def get_points(self) -> dict[str, Point]:
        """See Target."""
        layers = [module for module in self.model.modules() if isinstance(module, ViTLayer)]
        points = {"embeddings": Point(self.model.vit.embeddings, _first)}
        return points | {f"encoder.{i}": Point(layer, _first) for i, layer in enumerate(layers)}

    def describe(self, name: str, tensor: Tensor, side: dict[str, Tensor]) -> Features:
        """See Target; the grid counts patches."""
        patch = self.model.config.patch_size
        height, width = self.spec.input_size
        return Features(tensor, grid=(height // patch, width // patch))

    def predict(self, images: Tensor) -> Prediction:
        """See Target; logits are (N, labels)."""
        return Prediction(self.model(self.normalize(images)).logits)
