"""ViT classifiers of transformers."""

from __future__ import annotations

from torch import Tensor
from transformers import ViTForImageClassification
from transformers.models.vit.modeling_vit import ViTEmbeddings, ViTLayer

from benchmark.targets.base import Prediction
from benchmark.targets.tokens import ClassTokenTarget

__all__ = ["ViTTarget"]


class ViTTarget(ClassTokenTarget):
    """See ClassTokenTarget; its embeddings are those with the position embedding added."""

    model_class = ViTForImageClassification
    embeddings_class, block_class = ViTEmbeddings, ViTLayer

    def predict(self, images: Tensor) -> Prediction:
        """See Target; logits are (N, labels)."""
        return Prediction(self.forward(images).logits)
