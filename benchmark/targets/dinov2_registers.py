"""DINOv2 encoders with registers (Darcet et al. 2024) of transformers, which have no label head."""

from __future__ import annotations

from transformers import Dinov2WithRegistersModel
from transformers.models.dinov2_with_registers.modeling_dinov2_with_registers import (
    Dinov2WithRegistersEmbeddings,
    Dinov2WithRegistersLayer,
)

from benchmark.targets.tokens import TokenTarget

__all__ = ["Dinov2RegistersTarget"]


class Dinov2RegistersTarget(TokenTarget):
    """See TokenTarget; the registers lie between the class token and the patches.

    Embeddings are those with the position embedding added, interpolated as for DINOv2.
    """

    model_class = Dinov2WithRegistersModel
    embeddings_class, block_class = Dinov2WithRegistersEmbeddings, Dinov2WithRegistersLayer
