"""Vision towers of CLIP, which have no label head."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import CLIPVisionModel
from transformers.models.clip.modeling_clip import CLIPEncoderLayer

from benchmark.targets.tokens import TokenTarget

__all__ = ["ClipTarget"]


class ClipTarget(TokenTarget):
    """See TokenTarget; its embeddings are those after `pre_layrnorm`, which the first block reads.

    Takes the checkpoint of a whole CLIP, whose text tower and projections are not read, or that of a vision tower.
    """

    model_class = CLIPVisionModel
    block_class = CLIPEncoderLayer
    unused = ("text_model.", "text_projection.", "visual_projection.", "logit_scale")

    @classmethod
    def prepare_config(cls, config: dict[str, Any]) -> dict[str, Any]:
        """See Target; takes the part about the vision tower."""
        vision = config.get("vision_config")
        if config.get("model_type") == "clip" and isinstance(vision, dict):
            return vision | {"model_type": "clip_vision_model"}
        return config

    def get_embeddings(self) -> nn.Module:
        """See TokenTarget."""
        return next(module for name, module in self.model.named_modules() if name.endswith("pre_layrnorm"))
