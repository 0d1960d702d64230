"""How each embedded network is built and trained: its architecture, its rounds, and what it learns from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss
from transformers import (
    DetrConfig,
    DetrForObjectDetection,
    PreTrainedModel,
    ResNetConfig,
    ResNetForImageClassification,
    SwinConfig,
    SwinForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from benchmark.datasets.scenes import CATEGORIES, SIZE
from benchmark.train.batches import Batch, get_boxes, get_cells, get_labels
from benchmark.train.drawing import BACKGROUND, Copies
from benchmark.train.loop import Schedule

__all__ = [
    "RECIPES", "BackboneTrainer", "DetectorTrainer", "Recipe", "Round", "TokenTrainer", "Trainer", "build_backbone",
]  # fmt: skip

LABELS = {"id2label": dict(enumerate(CATEGORIES)), "label2id": {name: i for i, name in enumerate(CATEGORIES)}}
MULTI_LABEL = LABELS | {"problem_type": "multi_label_classification"}
FOCAL_SCALE = 4.0


@dataclass(frozen=True)
class Round:
    """One cosine cycle of a training, on data of its own.

    With `copies` a batch shows each of its scenes a second time: in gray, by random channel weights, so that not even
    the brightness tells a hue, or with all hues turned by a random angle. Both teach shape; gray leaves the tie of hue
    and category in colored images as it is, turned hues loosen it. With `focal` the loss dwells on what is still wrong
    (Lin et al. 2017): mostly objects that do not wear their category's hue. With `fresh_heads` the training-only heads
    start anew, so that the round depends on the network alone that it begins with.
    """

    schedule: Schedule
    copies: Copies = "none"
    focal: bool = False
    fresh_heads: bool = False


@dataclass(frozen=True)
class Recipe:
    """How one network is built and trained; `trainer(model)` wraps it with its training-only heads."""

    build: Callable[[], PreTrainedModel]
    trainer: Callable[[PreTrainedModel], Trainer]
    rounds: tuple[Round, ...]
    seed: int
    backbone: str | None = None


def _normalized(images: Tensor) -> Tensor:
    return images * 2 - 1


class Trainer(nn.Module):
    """A network with its training-only heads; calling it on a batch returns the loss."""

    focal = False

    def __init__(self, network: PreTrainedModel) -> None:
        super().__init__()
        self.network = network

    def label_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the multi-label loss of logits (N, 8)."""
        labels = get_labels(batch)
        if self.focal:
            return FOCAL_SCALE * sigmoid_focal_loss(logits, labels, alpha=-1, gamma=2, reduction="mean")
        return F.binary_cross_entropy_with_logits(logits, labels)

    def cell_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the loss of the category at every cell of a square grid, logits (N, 9, cells)."""
        classes, _ = get_cells(batch, round(logits.shape[2] ** 0.5))
        losses = F.cross_entropy(logits, classes, reduction="none")
        if self.focal:
            losses = FOCAL_SCALE * (1 - torch.exp(-losses)) ** 2 * losses
        return losses.mean()


class TokenTrainer(Trainer):
    """Multi-label classification, and the category at the position of every token of the last layer."""

    def __init__(self, network: PreTrainedModel) -> None:
        super().__init__(network)
        self.cell_head = nn.Linear(network.config.hidden_size, BACKGROUND + 1)

    def forward(self, batch: Batch) -> Tensor:
        out = self.network(_normalized(batch.images), output_hidden_states=True)
        tokens = out.hidden_states[-1]
        grid = int(tokens.shape[1] ** 0.5)
        cells = self.cell_head(tokens[:, -(grid**2) :]).transpose(1, 2)
        return self.label_loss(out.logits, batch) + self.cell_loss(cells, batch)


class BackboneTrainer(Trainer):
    """Multi-label classification, and the category at every cell of the last feature map."""

    def __init__(self, network: PreTrainedModel) -> None:
        super().__init__(network)
        self.cell_head = nn.Conv2d(network.config.hidden_sizes[-1], BACKGROUND + 1, 1)

    def forward(self, batch: Batch) -> Tensor:
        out = self.network(_normalized(batch.images), output_hidden_states=True)
        cells = self.cell_head(out.hidden_states[-1]).flatten(2)
        return self.label_loss(out.logits, batch) + self.cell_loss(cells, batch)


class DetectorTrainer(Trainer):
    """DETR's set loss after every decoder layer, with the class and box of the object at every encoder cell.

    The losses of the inner layers are taken here, not by `auxiliary_loss=True`: that setting makes transformers
    normalize the states between decoder layers, and so trains another network than the one that is evaluated.
    """

    def __init__(self, network: PreTrainedModel) -> None:
        super().__init__(network)
        self.cell_head = nn.Linear(network.config.d_model, BACKGROUND + 1 + 4)

    def forward(self, batch: Batch) -> Tensor:
        device, network = batch.images.device, self.network
        labels = get_boxes(batch)
        out = network(_normalized(batch.images), output_hidden_states=True)
        inner = out.decoder_hidden_states[-network.config.decoder_layers : -1]
        loss = torch.zeros((), device=device)
        for state in (*map(network.model.decoder.layernorm, inner), out.last_hidden_state):
            logits, boxes = network.class_labels_classifier(state), network.bbox_predictor(state).sigmoid()
            loss = loss + network.loss_function(logits, labels, device, boxes, network.config)[0]

        cells = self.cell_head(out.encoder_last_hidden_state)
        classes, boxes = get_cells(batch, int(cells.shape[1] ** 0.5))
        foreground = (classes != BACKGROUND).unsqueeze(-1)
        distance = (cells[..., BACKGROUND + 1 :].sigmoid() - boxes).abs() * foreground
        dense = F.cross_entropy(cells[..., : BACKGROUND + 1].transpose(1, 2), classes)
        return loss + dense + 5 * distance.sum() / foreground.sum().clamp(min=1) / 4


def _build_vit() -> PreTrainedModel:
    return ViTForImageClassification(
        ViTConfig(
            image_size=SIZE,
            patch_size=8,
            hidden_size=128,
            num_hidden_layers=6,
            num_attention_heads=4,
            intermediate_size=256,
            hidden_dropout_prob=0.0,
            **MULTI_LABEL,
        )
    )


def _build_swin() -> PreTrainedModel:
    return SwinForImageClassification(
        SwinConfig(
            image_size=SIZE,
            patch_size=4,
            embed_dim=48,
            depths=[2, 2, 2],
            num_heads=[2, 4, 8],
            window_size=6,
            mlp_ratio=2.0,
            drop_path_rate=0.0,
            **MULTI_LABEL,
        )
    )


def _resnet_config(hidden_sizes: list[int], depths: list[int], **more: object) -> ResNetConfig:
    return ResNetConfig(
        embedding_size=hidden_sizes[0], hidden_sizes=hidden_sizes, depths=depths, layer_type="basic", **more
    )


def _build_judge() -> PreTrainedModel:
    return ResNetForImageClassification(_resnet_config([32, 64, 128], [1, 2, 2], **MULTI_LABEL))


BACKBONE_SIZES = [48, 96]
BACKBONE_DEPTHS = [2, 2]


def build_backbone() -> PreTrainedModel:
    """The ResNet of `mini-detr`, as the classifier that is trained first."""
    return ResNetForImageClassification(_resnet_config(BACKBONE_SIZES, BACKBONE_DEPTHS, **MULTI_LABEL))


def _build_detr() -> PreTrainedModel:
    network = DetrForObjectDetection(
        DetrConfig(
            use_timm_backbone=False,
            use_pretrained_backbone=False,
            backbone_config=_resnet_config(BACKBONE_SIZES, BACKBONE_DEPTHS, out_features=["stage2"]),
            num_queries=16,
            d_model=128,
            encoder_layers=3,
            decoder_layers=3,
            encoder_ffn_dim=256,
            decoder_ffn_dim=256,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            dropout=0.0,
            **LABELS,
        )
    )
    # Queries start out at the cells of a 4x4 grid: a search that begins everywhere ends sooner.
    grid = network.model.position_embedding(shape=torch.Size((1, 128, 4, 4)), device="cpu", dtype=torch.float32)
    with torch.no_grad():
        network.model.query_position_embeddings.weight.copy_(grid.flatten(2)[0].T)
    return network


RECIPES: dict[str, Recipe] = {
    "mini-vit": Recipe(
        _build_vit,
        TokenTrainer,
        (
            Round(Schedule(2000, 32, 1e-3), copies="gray"),
            Round(Schedule(4000, 32, 1e-3), copies="gray", focal=True),
            Round(Schedule(1500, 32, 5e-4), copies="turned", focal=True, fresh_heads=True),
        ),
        seed=101,
    ),
    "mini-swin": Recipe(
        _build_swin,
        TokenTrainer,
        (
            Round(Schedule(1500, 32, 1e-3), copies="gray"),
            Round(Schedule(3500, 32, 1e-3), copies="gray", focal=True),
            Round(Schedule(1000, 32, 5e-4), copies="turned", focal=True, fresh_heads=True),
        ),
        seed=102,
    ),
    "mini-judge": Recipe(
        _build_judge,
        BackboneTrainer,
        (
            Round(Schedule(800, 64, 2e-3), copies="gray"),
            Round(Schedule(1700, 64, 2e-3), copies="gray", focal=True),
        ),
        seed=103,
    ),
    "mini-detr-backbone": Recipe(build_backbone, BackboneTrainer, (Round(Schedule(500, 64, 2e-3)),), seed=104),
    "mini-detr": Recipe(
        _build_detr,
        DetectorTrainer,
        (Round(Schedule(4500, 32, 5e-4, clip_norm=0.5)),),
        seed=105,
        backbone="mini-detr-backbone",
    ),
}
