"""DINOv2 encoders of transformers, which have no label head."""

from __future__ import annotations

from transformers import Dinov2Model
from transformers.models.dinov2.modeling_dinov2 import Dinov2Embeddings, Dinov2Layer

from benchmark.targets.tokens import TokenTarget

__all__ = ["Dinov2Target"]


class Dinov2Target(TokenTarget):
    """See TokenTarget; its embeddings are those with the position embedding added.

    Checkpoints hold position embeddings for 518x518 images, which the network interpolates to the grid of its input.
    """

    model_class = Dinov2Model
    embeddings_class, block_class = Dinov2Embeddings, Dinov2Layer
