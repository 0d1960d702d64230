"""Training of the embedded suite's targets and of its held-out judge, from scratch on scenes.

All are plain transformers models, saved in Hub layout. The classifiers learn which of the eight
categories are visible (multi-label). The detector's ResNet is first trained as a classifier with live
batch norm, because transformers' DETR freezes batch norm; a dense head on its encoder, used in training
only, shortens the search that makes DETR slow to learn.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor
from transformers import PreTrainedModel

from benchmark.datasets.scenes import SIZE
from benchmark.files.import_graph import code_digest
from benchmark.files.storing import write_text
from benchmark.perturbations import gray
from benchmark.train.loop import Batch, fit, get_batch
from benchmark.train.recipes import RECIPES, Trainer

__all__ = ["train_target"]


def _loss(trainer: Trainer, gray_every: int | None, batch: Batch) -> Tensor:
    if gray_every:
        images = batch.images.clone()
        images[::gray_every] = gray(images[::gray_every], torch.empty(0))
        batch = Batch(images, batch.scenes)
    return trainer(batch)


def _batch(seed: int, size: int, device: torch.device, step: int) -> Batch:
    return get_batch(seed, step, size, device)


def _train(name: str, work: Path, device: torch.device) -> PreTrainedModel:
    """Train the network `name` of `RECIPES`, after its backbone if it has one."""
    recipe = RECIPES[name]
    backbone = None
    if recipe.backbone:
        trained = _train(recipe.backbone, work, device).resnet.state_dict()
        backbone = {part: tensor.cpu() for part, tensor in trained.items()}
    torch.manual_seed(recipe.seed)
    network = recipe.build()
    if backbone:
        network.model.backbone.model.load_state_dict(backbone)
    key = {
        "code": code_digest(__name__),
        "seed": recipe.seed,
        "backbone": hashlib.sha256(save(backbone)).hexdigest() if backbone else None,
    }
    trainer = recipe.trainer(network).to(device).train()
    for number, item in enumerate(recipe.rounds):
        if item.fresh_head:
            torch.manual_seed(recipe.seed + 1000 * number)
            trainer = recipe.trainer(network).to(device).train()
        trainer.focal = item.focal
        title = name if number == 0 else f"{name}-round{number + 1}"
        seed = recipe.seed + 1000 * number
        fit(
            trainer,
            partial(_loss, trainer, item.gray_every),
            item.schedule,
            batches=partial(_batch, seed, item.schedule.batch_size, device),
            # A round begins with what the rounds before it have made.
            key=key | {"rounds": [asdict(other) for other in recipe.rounds[: number + 1]]},
            work=work,
            device=device,
            title=title,
        )
    return network.eval()


def train_target(name: str, out: Path, work: Path, device: torch.device) -> None:
    """Train the network `name` of `RECIPES` and save it in Hub layout to `out` / `name`.

    A detector's backbone is trained first. Checkpoints live in `work`; the same call resumes an interrupted training,
    and one with another recipe or code starts afresh.
    """
    _train(name, work, device).save_pretrained(out / name)
    preprocessor = {
        "do_resize": True,
        "size": {"height": SIZE, "width": SIZE},
        "resample": 2,
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    write_text(out / name / "preprocessor_config.json", json.dumps(preprocessor, indent=2) + "\n")
