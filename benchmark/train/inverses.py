"""Training of the reference inverses, on scenes or on photographs."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from benchmark.engine.devices import get_device_name
from benchmark.engine.precision import float32
from benchmark.errors import SpecError, UserError, located
from benchmark.files.canonical import sha256_file
from benchmark.files.import_graph import code_digest
from benchmark.inverses.base import Inverse, build_inverse, count_bytes, pack_inverse, save_inverse
from benchmark.inverses.describing import describe_inverse
from benchmark.inverses.knn import BLOCK, KnnInverse, encode
from benchmark.inverses.mean import MeanInverse
from benchmark.inverses.recipes import InverseRecipe, Shape
from benchmark.inverses.ridge import RidgeInverse
from benchmark.inverses.spec import InverseConfig, Storage
from benchmark.inverses.standardized import StandardizedInverse
from benchmark.suites.spec import TargetSpec
from benchmark.targets import load_target
from benchmark.targets.base import Target
from benchmark.targets.files import find_files, hash_weights
from benchmark.targets.taps import Features
from benchmark.train.choosing import MakeValidation, Validation, refuse
from benchmark.train.images import TrainingImages
from benchmark.train.loop import Outcome, Schedule, fit
from benchmark.train.losses import ChainLoss, ComponentLoss, ImageLoss, JointLoss, Loss
from benchmark.train.photographs import watching_workers
from benchmark.train.processes import ALONE, Processes
from benchmark.train.starting import FRESH, take_over

__all__ = ["train_inverse"]

FIT_IMAGES, FIT_BATCH, MIN_BATCHES = 2048, 32, 16
MOMENT_IMAGES = 512
WARMUP_STEPS = 100
KNN_IMAGES, KNN_DIMENSIONS = 512, 64
RIDGE = Shape(architecture={"kernel": 3, "coarse": 8})
Stated = dict[str, str | int | float]
LOSSES: dict[str, type[Loss]] = {
    "modular": ComponentLoss,
    "modular_joint": JointLoss,
    "modular_per_tap": ChainLoss,
}
"""What methods are trained for by descent; all others that have a recipe: to give the image."""


def _batches(data: TrainingImages, images: int, title: str, *, quiet: bool = False) -> Generator[Tensor, None, None]:
    """Yield about `images` training images, or all that there are, in at least `MIN_BATCHES` batches."""
    images = min(images, data.count or images)
    size = max(1, min(FIT_BATCH, images // MIN_BATCHES))
    steps = range(images // size)
    with closing(data.batches(size, steps)) as batches:
        yield from tqdm(batches, total=len(steps), desc=title, mininterval=1, disable=quiet)


def _stream(
    target: Target, data: TrainingImages, images: int, title: str, *, quiet: bool = False
) -> Generator[tuple[Tensor, dict[str, Features]], None, None]:
    with closing(_batches(data, images, title, quiet=quiet)) as batches:
        for batch in batches:
            with torch.inference_mode():
                features = target.features(batch)
            yield batch, features


def _config(
    target: Target,
    folder: Path,
    method: str,
    shape: Shape,
    training: Stated,
    storage: Storage = "float32",
) -> InverseConfig:
    source = target.spec.source
    return describe_inverse(
        target,
        method,
        shape,
        target_sha256=hash_weights(folder),
        target_repo_id=source.repo_id,
        target_revision=source.revision,
        storage=storage,
        training=training,
    )


def _measure_moments(inverse: StandardizedInverse, target: Target, data: TrainingImages, *, quiet: bool = False) -> int:
    """Set the means and deviations of the features; return how many images they are of."""
    sums = {tap: torch.zeros(inverse.config.taps[tap], dtype=torch.float64) for tap in inverse.standardized}
    squares = {tap: torch.zeros_like(value) for tap, value in sums.items()}
    count = 0
    for images, features in _stream(target, data, MOMENT_IMAGES, f"moments of {target.spec.id}", quiet=quiet):
        count += len(images)
        for tap in inverse.standardized:
            values = features[tap].tensor.cpu().double()
            sums[tap] += values.sum(0)
            squares[tap] += (values * values).sum(0)
    for tap in inverse.standardized:
        mean = sums[tap] / count
        inverse.set_moments(tap, mean, (squares[tap] / count - mean**2).clamp(min=0))
    return count


def _fit_knn(target: Target, folder: Path, data: TrainingImages, stated: Stated) -> KnnInverse:
    files = [file for batch in _batches(data, KNN_IMAGES, "images") for file in encode(batch)]
    blocks = -(-sum(map(len, files)) // BLOCK)
    shape = Shape(architecture={"images": len(files), "dimensions": KNN_DIMENSIONS, "blocks": blocks})
    knn = KnnInverse(_config(target, folder, "knn", shape, stated, "float16")).to(target.device)
    knn.set_files(files)
    _measure_moments(knn, target, data)
    first = 0
    for images, features in _stream(target, data, KNN_IMAGES, f"knn of {target.spec.id}"):
        knn.set_keys(first, features)
        first += len(images)
    return knn


def _save(
    inverse: Inverse,
    out: Path,
    *,
    samples: int,
    outcome: Outcome,
    device: torch.device,
    devices: int = 1,
    earlier: str = "",
) -> None:
    """Save an inverse with what its training cost, samples and hours of all devices, and what its weights scored.

    Args:
        earlier: the device of what the training began with; named, too, where it is another one.
    """
    own = get_device_name(device) + (f" x {devices}" if devices > 1 else "")
    cost: Stated = {
        "samples": samples,
        "device_hours": round(outcome.seconds * devices / 3600, 4),
        "device": own if earlier in ("", own) else f"{earlier}, then {own}",
    }
    if chosen := outcome.chosen:
        cost |= {"chosen_step": chosen.step, "validation_score": chosen.score}
        cost |= {f"validation_{axis}": value for axis, value in chosen.scores.items()}
    inverse.config = inverse.config.model_copy(update={"training": inverse.config.training | cost})
    save_inverse(inverse, out)


@dataclass(frozen=True)
class _Descent:
    """How an inverse is trained by descent; see `train_inverse`."""

    recipe: InverseRecipe
    work: Path
    code: Path | None
    start: Path | None
    processes: Processes
    validate: MakeValidation

    def stated(self, data: TrainingImages) -> Stated:
        """What a stored inverse says of it."""
        stated: Stated = {name: getattr(self.recipe, name) for name in ("steps", "batch_size", "learning_rate")}
        if data.count is not None:
            stated["photographs"] = data.count
        if self.processes.precision != "float32":
            stated["precision"] = self.processes.precision
        return stated

    def share(self) -> int:
        """Images of a batch that each process sees; raises UserError where they cannot share it evenly."""
        size, world = self.recipe.batch_size, self.processes.world
        if size % world:
            message = f"{world} processes cannot share a batch of {size} images evenly"
            raise UserError(message, where="--batch-size", cure=f"give a multiple of {world}")
        return size // world

    def validation(self, target: Target, inverse: Inverse) -> Validation | None:
        """What chooses the weights; None: the last ones are kept."""
        every = self.recipe.validate_every
        return self.validate(target, inverse, every) if every else None


def _build(method: str, target: Target, folder: Path, stated: Stated, descent: _Descent) -> Inverse:
    """The inverse that a recipe describes, with fresh weights."""
    shape = descent.recipe.shape(target.spec.family)
    config = _config(target, folder, method, shape, stated)
    try:
        count_bytes(config)  # says in one line what does not fit
    except SpecError as error:
        if error.where != "config.json":
            raise
        where = f"recipe, [shapes.{target.spec.family}]"
        raise SpecError(error.message, where=where, cure="change its numbers; see benchmark/assets/recipes") from None
    inverse = build_inverse(config.model_copy(update={"storage": descent.recipe.storage}))
    if not any(parameter.requires_grad for parameter in inverse.parameters()):
        raise UserError(f"method '{method}' has nothing to train: no parameters")
    with located(descent.code or method):
        pack_inverse(inverse)  # what could not be saved is told before it is trained
    if inverse.needs_target:
        inverse.target = deepcopy(target)
    return inverse.to(target.device).train()


def _descend(
    method: str, target: Target, folder: Path, data: TrainingImages, stated: Stated, descent: _Descent, out: Path
) -> None:
    """Train an inverse by descent and save it; see `train_inverse`."""
    recipe, processes, share = descent.recipe, descent.processes, descent.share()
    warmup = min(WARMUP_STEPS, recipe.steps // 3)
    schedule = Schedule(
        recipe.steps, recipe.batch_size, recipe.learning_rate, weight_decay=recipe.weight_decay, warmup_steps=warmup
    )
    inverse = _build(method, target, folder, stated | descent.stated(data), descent)
    validation = descent.validation(target, inverse)
    begun, moments = take_over(inverse, descent.start) if descent.start else FRESH, 0
    if begun.seed == data.seed and processes.first:
        tqdm.write(
            f"--seed {data.seed} is that of the weights to begin with: it gives the same images", file=sys.stderr
        )
    if isinstance(inverse, StandardizedInverse) and not descent.start:
        moments = _measure_moments(inverse, target, data, quiet=not processes.first)
    loss = LOSSES.get(method, ImageLoss)(inverse, target, data.seed)
    outcome = fit(
        loss,
        loss,
        schedule,
        batches=partial(data.batches, share),
        key={
            "code": code_digest(__name__),
            "configuration": inverse.config.model_dump(mode="json"),
            "target": target.spec.model_dump(mode="json"),
            "network": {path.name: sha256_file(path) for path in find_files(folder)},
            "data": data.key(),
        }
        | ({"submitted": sha256_file(descent.code)} if descent.code else {})
        | ({"start": begun.sha256} if descent.start else {}),
        work=descent.work,
        device=target.device,
        title=f"{method} {target.spec.id}",
        journal=out,
        processes=processes,
        validation=validation,
    )
    if processes.first:
        samples = begun.samples + moments + schedule.steps * schedule.batch_size
        outcome = replace(outcome, seconds=outcome.seconds + begun.seconds / processes.world)
        inverse.config = inverse.config.model_copy(update={"training": inverse.config.training | begun.stated()})
        _save(
            inverse.eval(), out, samples=samples, outcome=outcome, device=target.device, devices=processes.world,
            earlier=begun.device,
        )  # fmt: skip


@float32()
def train_inverse(
    method: str,
    spec: TargetSpec,
    folder: Path,
    data: TrainingImages,
    out: Path,
    work: Path,
    device: torch.device,
    recipe: InverseRecipe | None = None,
    code: Path | None = None,
    *,
    start: Path | None = None,
    processes: Processes = ALONE,
    validate: MakeValidation = refuse,
) -> None:
    """Train the inverse `method` of a target and save it to `out`.

    Checkpoints of descents live in `work`; the same call resumes an interrupted training, and one with another network,
    other data, configuration or code starts afresh. Beside the inverse they leave `train.jsonl` and `curve.svg`.

    Args:
        folder: the target's network, in Hub layout.
        data: images at the target's input size; their seed is that of the fresh weights, too.
        recipe: how to train by descent; None: the method is fitted in closed form.
        code: the file that the method was imported from, if it is not the package's own.
        start: the folder of an inverse whose weights a descent begins with; what these cost is counted, too.
        processes: how the steps of a descent are taken, and by how many processes together.
        validate: gives the validation, where the recipe wants one.

    Raises:
        SpecError: the inverse to begin with is another one, see `take_over`.
        UserError: nothing to train or to validate on, or processes cannot share a batch.
    """
    torch.manual_seed(data.seed)
    target = load_target(spec, folder, device)
    stated: Stated = {"data": data.description, "seed": data.seed}
    samples, began = min(FIT_IMAGES, data.count or FIT_IMAGES), time.perf_counter()
    fitted: Inverse
    with watching_workers():
        if recipe:
            descent = _Descent(recipe, work, code, start, processes, validate)
            _descend(method, target, folder, data, stated, descent, out)
            return
        if start:
            raise UserError(f"method '{method}' is fitted in one go", where="--start", cure="leave it out")
        if processes is not ALONE:
            cure = "run the command without torchrun and --precision"
            raise UserError(f"method '{method}' is fitted by one process in float32", cure=cure)
        if method == "mean":
            fitted = mean = MeanInverse(_config(target, folder, method, Shape(), stated))
            mean.fit(_batches(data, FIT_IMAGES, "mean image"))
        elif method == "ridge":
            fitted = ridge = RidgeInverse(_config(target, folder, method, RIDGE, stated, "float16"))
            ridge.fit(_stream(target, data, FIT_IMAGES, f"ridge of {spec.id}"))
        elif method == "knn":
            fitted = knn = _fit_knn(target, folder, data, stated)
            samples = int(knn.config.architecture["images"])
        else:
            raise UserError(f"method '{method}' has nothing to train", cure="see invbench train inverse --help")
    _save(fitted, out, samples=samples, outcome=Outcome(time.perf_counter() - began), device=device)
