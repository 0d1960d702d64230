"""ViTs of transformers: classifiers, and encoders without a head, such as those of DINO."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from transformers import ViTForImageClassification, ViTModel
from transformers.models.vit.modeling_vit import ViTEmbeddings, ViTLayer

from benchmark.targets.base import Prediction
from benchmark.targets.tokens import TokenTarget

__all__ = ["ViTTarget"]


class ViTTarget(TokenTarget):
    """See TokenTarget; its embeddings are those with the position embedding added.

    A checkpoint without `classifier` has no head; its pooler, which no label head reads, is not read either.
    """

    model_class, headless_class = ViTForImageClassification, ViTModel
    headless_options: ClassVar = {"add_pooling_layer": False}
    unused = ("pooler.", "vit.pooler.")
    embeddings_class, block_class = ViTEmbeddings, ViTLayer

    def predict(self, images: Tensor) -> Prediction:
        """See Target; logits are (N, labels)."""
        return super().predict(images) if self.headless else Prediction(self.forward(images).logits)
