"""Vision towers of SigLIP, which have neither a class token nor a label head."""

from __future__ import annotations

from typing import Any

from transformers import SiglipVisionModel
from transformers.models.siglip.modeling_siglip import SiglipEncoderLayer, SiglipVisionEmbeddings

from benchmark.targets.tokens import TokenTarget

__all__ = ["SiglipTarget"]


class SiglipTarget(TokenTarget):
    """See TokenTarget; every token is a patch, and embeddings are those with the position embedding added.

    Takes the checkpoint of a whole SigLIP (or SigLIP 2 of a fixed size), whose text tower is not read, or that of a
    vision tower.
    """

    model_class = SiglipVisionModel
    embeddings_class, block_class = SiglipVisionEmbeddings, SiglipEncoderLayer
    unused = ("text_model.", "logit_scale", "logit_bias")

    @classmethod
    def prepare_config(cls, config: dict[str, Any]) -> dict[str, Any]:
        """See Target; takes the part about the vision tower."""
        vision = config.get("vision_config")
        if config.get("model_type") == "siglip" and isinstance(vision, dict):
            return vision | {"model_type": "siglip_vision_model"}
        return config
