"""DETR detectors of transformers: projected backbone map, encoder, normed decoder states, predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DetrForObjectDetection
from transformers.models.detr.modeling_detr import DetrDecoderLayer, DetrEncoderLayer

from benchmark.suites.spec import TargetSpec
from benchmark.targets.base import Prediction, Target
from benchmark.targets.taps import Features, Point, first

__all__ = ["DetrTarget"]

POSITION, VALID = "side:position", "side:valid"


def _channels_last(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """Have a 1x1 convolution see its channels last: otherwise its last bits depend on the number of CPU threads."""
    return (inputs[0].contiguous(memory_format=torch.channels_last),)


def _heads(output: Any) -> Tensor:
    return torch.cat([output.logits, output.pred_boxes], dim=-1)


class DetrTarget(Target):
    """Taps of DETR.

    - `backbone`: the projected map (N, channels, h, w), h and w being the input over the backbone's stride;
    - `encoder.i`: (N, h * w, channels) after each encoder layer;
    - `decoder.i`: (N, queries, channels) after each decoder layer *and the decoder's final layer norm*, which
      DETR's own heads read, so that all decoder taps follow one convention;
    - `prediction`: (N, queries, labels + 1 + 4), class logits and sigmoid boxes.

    Every tap carries the grid (h, w), the encoder's position encodings (N, h * w, channels) and its validity
    mask (N, h * w).
    """

    model_class = DetrForObjectDetection

    def __init__(self, spec: TargetSpec, folder: Path, device: torch.device) -> None:
        super().__init__(spec, folder, device)
        self.model.model.input_projection.register_forward_pre_hook(_channels_last)

    @classmethod
    def prepare_config(cls, config: dict[str, Any]) -> dict[str, Any]:
        """See Target.

        Published configurations name a backbone of timm by `use_timm_backbone` and `backbone`; said in full, no version
        of transformers asks the Hub what that name means. With `auxiliary_loss` the logits in evaluation would differ.
        """
        legacy = {key: config.get(key) for key in ("use_timm_backbone", "backbone", "backbone_kwargs")}
        kept = {key: value for key, value in config.items() if key not in legacy} | {"auxiliary_loss": False}
        if legacy["use_timm_backbone"] and kept.get("backbone_config") is None:
            kept["backbone_config"] = {
                "model_type": "timm_backbone",
                "backbone": legacy["backbone"] or "resnet50",
                "features_only": True,
                "out_indices": [1, 2, 3, 4],
            } | ({"output_stride": 16} if kept.get("dilation") else {})
        return kept

    def get_points(self) -> dict[str, Point]:
        """See Target."""
        modules = list(self.model.modules())
        encoder = [module for module in modules if isinstance(module, DetrEncoderLayer)]
        decoder = [module for module in modules if isinstance(module, DetrDecoderLayer)]
        final_norm = self.model.model.decoder.layernorm
        points = {"backbone": Point(self.model.model.input_projection, first)}
        points |= {f"encoder.{i}": Point(layer, first) for i, layer in enumerate(encoder)}
        # The norm is applied as a function: calling the module inside its own forward would reach other hooks.
        points |= {
            f"decoder.{i}": Point(layer, lambda output: final_norm.forward(first(output)))
            for i, layer in enumerate(decoder)
        }
        return points | {"prediction": Point(self.model, _heads)}

    def get_side_points(self, names: Sequence[str]) -> dict[str, Point]:
        """See Target."""
        model = self.model.model
        return {
            POSITION: Point(model.position_embedding, lambda output: output),
            VALID: Point(model.backbone, lambda output: output[-1][1]),
        }

    def make_features(self, name: str, tensor: Tensor, side: dict[str, Tensor]) -> Features:
        """See Target."""
        position, valid = side[POSITION], side[VALID]
        rows, columns = valid.shape[-2:]
        position = position.flatten(2).transpose(1, 2).expand(tensor.shape[0], -1, -1)
        return Features(tensor, grid=(rows, columns), position=position, valid=valid.flatten(1))

    def predict(self, images: Tensor) -> Prediction:
        """See Target; logits are (N, queries, labels + 1), the last one `no object`."""
        output = self.forward(images)
        return Prediction(output.logits, output.pred_boxes)
