"""Checkpoints of timm, through the wrapper that transformers has for them: ViTs such as DeiT-III, and Swins."""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import Any, ClassVar

import timm
import torch
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from transformers import TimmWrapperForImageClassification, TimmWrapperModel

from benchmark.errors import SpecError
from benchmark.targets.base import Prediction, Target
from benchmark.targets.config import CONFIG
from benchmark.targets.taps import Features, Point, first

__all__ = ["TimmSwinTarget", "TimmViTTarget"]

BUFFERS = re.compile(r"\.(relative_position_index|attn_mask)$")
"""Tables in checkpoints of earlier versions of timm, which it computes by itself now."""
OLD_SWIN = "layers.0.downsample.reduction.weight"
"""Is there where stages end with the merging of tokens; timm's own begin with it."""


class _TimmTarget(Target):
    """A network of timm, whose `config.json` names an architecture; a checkpoint without `head` has none."""

    model_class, headless_class = TimmWrapperForImageClassification, TimmWrapperModel
    head = ("head.", "timm_model.head.")
    network_class: ClassVar[type[nn.Module]]

    @classmethod
    def prepare_config(cls, config: dict[str, Any]) -> dict[str, Any]:
        """See Target; timm's own configurations state no `model_type`."""
        kept = {key: config[key] for key in ("architecture", "num_classes") if key in config}
        return kept | {"model_type": config.get("model_type", "timm_wrapper")}

    def get_points(self) -> dict[str, Point]:
        """See Target."""
        network = self.model.timm_model
        if not isinstance(network, self.network_class):
            message = f"'{self.model.config.architecture}' is not a {self.network_class.__name__} of timm"
            raise SpecError(message, where=CONFIG)
        self._compute_buffers()
        return self.find_points(network)

    def _compute_buffers(self) -> None:
        """Fill the tables that no checkpoint holds: not every version of timm does after a load without memory."""
        network = self.model.timm_model
        names = dict(network.named_buffers()).keys() - network.state_dict().keys()
        if names:
            with torch.random.fork_rng(devices=[]):
                fresh = dict(timm.create_model(self.model.config.architecture, num_classes=0).named_buffers())
            for name in names:
                network.get_buffer(name).copy_(fresh[name])

    @abstractmethod
    def find_points(self, network: Any) -> dict[str, Point]:
        """Return where each tap is read in timm's network."""

    def predict(self, images: Tensor) -> Prediction:
        """See Target; logits are (N, labels)."""
        return super().predict(images) if self.headless else Prediction(self.forward(images).logits)


class TimmViTTarget(_TimmTarget):
    """Taps and features as those of `TokenTarget`: `embeddings` is what the first block reads."""

    network_class = VisionTransformer

    def find_points(self, network: Any) -> dict[str, Point]:
        """See the base class."""
        points = {"embeddings": Point(network.norm_pre, first)}
        return points | {f"encoder.{i}": Point(block, first) for i, block in enumerate(network.blocks)}

    def make_features(self, name: str, tensor: Tensor, side: dict[str, Tensor]) -> Features:
        """See Target; the grid counts patches, whose tokens come last."""
        rows, columns = self.model.timm_model.patch_embed.grid_size
        return Features(tensor, grid=(rows, columns))


class TimmSwinTarget(_TimmTarget):
    """Taps and features as those of `SwinTarget`: `stage.i` is what the model passes on, after down-merging.

    In timm the merging opens the next stage, so that it is read there; but for the last, which merges nothing.
    """

    network_class = SwinTransformer

    @classmethod
    def convert_weights(cls, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """See Target; checkpoints of earlier versions of timm name the merging after the stage before."""
        kept = {name: tensor for name, tensor in weights.items() if not BUFFERS.search(name)}
        if OLD_SWIN not in kept:
            return kept

        def rename(name: str) -> str:
            name = re.sub(r"^layers\.(\d+)\.downsample", lambda m: f"layers.{int(m[1]) + 1}.downsample", name)
            return re.sub(r"^head\.(?=weight|bias)", "head.fc.", name)

        return {rename(name): tensor for name, tensor in kept.items()}

    def find_points(self, network: Any) -> dict[str, Point]:
        """See the base class."""

        def tokens(output: Tensor) -> Tensor:
            return output.flatten(1, 2)

        passed_on = [stage.downsample for stage in network.layers[1:]] + [network.layers[-1]]
        points = {"embeddings": Point(network.patch_embed, tokens)}
        return points | {f"stage.{i}": Point(module, tokens) for i, module in enumerate(passed_on)}

    def make_features(self, name: str, tensor: Tensor, side: dict[str, Tensor]) -> Features:
        """See Target; the grid is that of the patches, halved as often as tokens were merged."""
        rows, columns = self.model.timm_model.patch_embed.grid_size
        halved = round((rows * columns / tensor.shape[1]) ** 0.5)
        return Features(tensor, grid=(rows // halved, columns // halved))
