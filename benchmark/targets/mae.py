"""Encoders of masked autoencoders (MAE) of transformers, which have no label head."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import ViTMAEModel
from transformers.models.vit_mae.modeling_vit_mae import ViTMAEEmbeddings, ViTMAELayer

from benchmark.targets.tokens import TokenTarget

__all__ = ["MaeTarget"]


class MaeTarget(TokenTarget):
    """See TokenTarget; its embeddings are those with the position embedding added.

    In training MAE drops most patches and shuffles the rest. Here no patch is dropped, and the `noise` that the
    shuffling sorts by rises, so that the patches stay row by row. The decoder of the checkpoint is not read.
    """

    model_class = ViTMAEModel
    embeddings_class, block_class = ViTMAEEmbeddings, ViTMAELayer
    unused = ("decoder.",)

    @classmethod
    def prepare_config(cls, config: dict[str, Any]) -> dict[str, Any]:
        """See Target; nothing is masked."""
        return config | {"mask_ratio": 0.0}

    def forward(self, images: Tensor) -> Any:
        """See Target."""
        patch = self.model.config.patch_size
        patches = (images.shape[-2] // patch) * (images.shape[-1] // patch)
        noise = torch.arange(patches, device=images.device).expand(len(images), -1)
        return self.model(self.normalize(images), noise=noise)
