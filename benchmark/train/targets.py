"""Training of the embedded suite's targets and of its held-out judge, from scratch on scenes.

All are plain transformers models, saved in Hub layout. The classifiers learn which of the eight
categories are visible (multi-label). The detector's ResNet is first trained as a classifier with live
batch norm, because transformers' DETR freezes batch norm; a dense head on its encoder, used in training
only, shortens the search that makes DETR slow to learn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save
from transformers import PreTrainedModel

from benchmark.datasets.scenes import SIZE
from benchmark.engine.precision import float32
from benchmark.errors import SpecError, UserError, first_line
from benchmark.files.canonical import sha256_file
from benchmark.files.import_graph import code_digest
from benchmark.files.storing import write_text
from benchmark.train.batches import get_batches
from benchmark.train.loop import fit
from benchmark.train.recipes import RECIPES, Recipe

__all__ = ["train_target"]


@dataclass(frozen=True)
class _Keeping:
    """Which steps of a training leave their network, and where: `FOLDER/NAME-stepN`."""

    folder: Path
    name: str
    steps: frozenset[int] = frozenset()

    def path(self, step: int) -> Path:
        return self.folder / f"{self.name}-step{step}"

    def keep(self, network: PreTrainedModel, before: int, step: int) -> None:
        """Save the network where it is asked for; `before` is the number of steps of the rounds before."""
        if before + step in self.steps:
            _save(network, self.path(before + step))


def _save(network: PreTrainedModel, folder: Path) -> None:
    network.save_pretrained(folder)
    preprocessor = {
        "do_resize": True,
        "size": {"height": SIZE, "width": SIZE},
        "resample": 2,
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    write_text(folder / "preprocessor_config.json", json.dumps(preprocessor, indent=2) + "\n")


def _begin(recipe: Recipe, work: Path, device: torch.device, workers: int) -> tuple[PreTrainedModel, str | None]:
    """The network of a recipe before its first round, and the hash of the backbone that was trained for it."""
    backbone, digest = None, None
    if recipe.backbone:
        keeping = _Keeping(work, recipe.backbone)
        trained = _train(recipe.backbone, work, device, workers, keeping).resnet.state_dict()
        backbone = {part: tensor.cpu() for part, tensor in trained.items()}
        digest = hashlib.sha256(save(backbone)).hexdigest()
    torch.manual_seed(recipe.seed)
    network = recipe.build()
    if backbone:
        network.model.backbone.model.load_state_dict(backbone)
    return network, digest


def _continue(name: str, start: Path) -> tuple[PreTrainedModel, str]:
    """The network in a folder, for the last round of a recipe, and the hash of its weights."""
    recipe, weights = RECIPES[name], start / "model.safetensors"
    if len(recipe.rounds) < 2 or not recipe.rounds[-1].fresh_heads:
        message = f"the last round of {name} does not begin with a network alone"
        raise UserError(message, where="--start", cure="train it from the beginning")
    network = recipe.build()
    try:
        network.load_state_dict(type(network).from_pretrained(start).state_dict())
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise SpecError(f"holds no {name}: {first_line(error)}", where=str(weights)) from None
    return network, sha256_file(weights)


def _train(
    name: str, work: Path, device: torch.device, workers: int, keeping: _Keeping, start: Path | None = None
) -> PreTrainedModel:
    """Train the network `name` of `RECIPES`, after its backbone if it has one; from `start` only its last round."""
    recipe = RECIPES[name]
    network, origin = _continue(name, start) if start else _begin(recipe, work, device, workers)
    key = {"code": code_digest(__name__), "seed": recipe.seed, "start" if start else "backbone": origin}
    trainer = recipe.trainer(network)
    before, last = 0, len(recipe.rounds) - 1
    for number, item in enumerate(recipe.rounds):
        seed, size = recipe.seed + 1000 * number, item.schedule.batch_size
        if item.fresh_heads:
            torch.manual_seed(seed)
            trainer = recipe.trainer(network)
        if not start or number == last:
            trainer.focal = item.focal
            trainer.to(device).train()
            fit(
                trainer,
                trainer,
                item.schedule,
                batches=partial(get_batches, seed, size, item.copies, device, workers),
                # A round begins with what the rounds before it have made.
                key=key | {"rounds": [asdict(other) for other in recipe.rounds[: number + 1]]},
                work=work,
                device=device,
                title=name if number == 0 else f"{name}-round{number + 1}",
                after_step=partial(keeping.keep, network, before),
            )
        before += item.schedule.steps
    return network.eval()


@float32()
def train_target(
    name: str,
    out: Path,
    work: Path,
    device: torch.device,
    *,
    workers: int = 0,
    keep_at: Collection[float] = (),
    start: Path | None = None,
) -> None:
    """Train the network `name` of `RECIPES` and save it in Hub layout to `out` / `name`.

    A detector's backbone is trained first. Checkpoints live in `work`; the same call resumes an interrupted training,
    and one with another recipe or code starts afresh.

    Args:
        workers: processes that draw scenes ahead; the result does not depend on it.
        keep_at: parts of the training, in (0, 1), after which the network of that time is saved, too, to
            `out` / `NAME-stepN`; a detector's backbone is no part of it.
        start: a network that the rounds before the last one made; only the last one is trained.

    Raises:
        UserError: a network to be kept is not there, since the training resumed after that step; or the last round
            needs more than a network to begin with.
        SpecError: `start` holds no such network.
    """
    total = sum(item.schedule.steps for item in RECIPES[name].rounds)
    keeping = _Keeping(out, name, frozenset(max(1, round(part * total)) for part in keep_at))
    _save(_train(name, work, device, workers, keeping, start), out / name)
    for step in sorted(keeping.steps):
        if not keeping.path(step).is_dir():
            message = f"the training resumed after step {step}, whose network was not kept"
            raise UserError(message, where="--keep-at", cure="give another --work-dir to train from the beginning")
