"""Training of the reference inverses, on scenes or on photographs."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from benchmark.engine.devices import get_device_name
from benchmark.engine.precision import float32
from benchmark.errors import UserError
from benchmark.files.canonical import sha256_file
from benchmark.files.import_graph import code_digest
from benchmark.inverses.base import Inverse, build_inverse, save_inverse
from benchmark.inverses.mean import MeanInverse
from benchmark.inverses.modular_per_tap import IMAGE, ModularPerTapInverse
from benchmark.inverses.ridge import RidgeInverse
from benchmark.inverses.spec import InverseConfig
from benchmark.suites.spec import TargetSpec
from benchmark.targets import NETWORK_FILES, load_target
from benchmark.targets.base import Target
from benchmark.targets.taps import Features
from benchmark.train.images import TrainingImages
from benchmark.train.loop import Schedule, fit

__all__ = ["MODULAR_SCHEDULE", "SEED", "ModularLoss", "train_inverse"]

SEED = 201
FIT_IMAGES, FIT_BATCH, MIN_BATCHES = 2048, 32, 16
MOMENT_IMAGES = 512
MODULAR_SCHEDULE = Schedule(steps=1500, batch_size=32, learning_rate=1e-3)
TRUE_SHARE = 1 / 3


def _batches(data: TrainingImages, images: int, title: str) -> Generator[Tensor, None, None]:
    """Yield about `images` training images, or all that there are, in at least `MIN_BATCHES` batches."""
    images = min(images, data.count or images)
    size = max(1, min(FIT_BATCH, images // MIN_BATCHES))
    steps = range(images // size)
    with closing(data.batches(size, steps)) as batches:
        yield from tqdm(batches, total=len(steps), desc=title, mininterval=1)


def _stream(
    target: Target, data: TrainingImages, images: int, title: str
) -> Generator[tuple[Tensor, dict[str, Features]], None, None]:
    with closing(_batches(data, images, title)) as batches:
        for batch in batches:
            with torch.inference_mode():
                features = target.features(batch)
            yield batch, features


def _config(
    target: Target,
    weights: Path,
    method: str,
    architecture: dict[str, int],
    training: dict[str, str | int | float],
) -> InverseConfig:
    spec = target.spec
    features = target.features(torch.zeros(1, 3, *spec.input_size, device=target.device))
    spatial = {}
    for name, item in features.items():
        if (item.grid and item.tensor.shape[1] >= item.grid[0] * item.grid[1]) or item.tensor.ndim == 4:
            spatial[name] = item.grid
    return InverseConfig(
        method=method,
        target=spec.id,
        target_sha256=sha256_file(weights),
        target_repo_id=spec.source.repo_id,
        target_revision=spec.source.revision,
        input_size=spec.input_size,
        taps={name: tuple(item.tensor.shape[1:]) for name, item in features.items()},
        grids=spatial,
        architecture=architecture,
        training=training,
    )


class ModularLoss(nn.Module):
    """The sum over modules of the error at recovering their component's input.

    Every sample starts a chain at a tap drawn for it: modules above that tap see true features, those below
    see what the module above them recovered (without gradient), so that they learn to live with its errors.
    A third of the samples see true features throughout.
    """

    def __init__(self, inverse: ModularPerTapInverse, target: Target) -> None:
        super().__init__()
        self.inverse = inverse
        self._target = target
        self._generator = torch.Generator().manual_seed(SEED)
        self._depth = {tap: i for i, tap in enumerate(inverse.order)}

    def get_extra_state(self) -> Tensor:
        """State of the generator, which a checkpoint keeps beside the weights."""
        return self._generator.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        """Take up what `get_extra_state` returned."""
        self._generator.set_state(state.cpu())

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            features = self._target.features(images)
        inverse, count = self.inverse, images.shape[0]
        truth = {tap: inverse.standardize(tap, item.tensor) for tap, item in features.items()}
        truth[IMAGE] = images
        start = torch.randint(0, len(inverse.order), (count,), generator=self._generator)
        start[torch.rand(count, generator=self._generator) < TRUE_SHARE] = 0
        start = start.to(images.device)
        chained = dict(truth)
        total = torch.zeros((), device=images.device)
        position = next(iter(features.values())).position
        for tap in reversed(inverse.order):
            recovered = inverse.step(tap, chained[tap], position)
            before = inverse.previous[tap]
            error = F.mse_loss(recovered, truth[before])
            total = total + (error * 10 if before == IMAGE else error)
            if before != IMAGE:
                below = (start > self._depth[before]) & (start >= self._depth[tap])
                below = below.view(-1, *[1] * (recovered.ndim - 1))
                chained[before] = torch.where(below, recovered.detach(), chained[before])
        return total


def _measure_moments(inverse: ModularPerTapInverse, target: Target, data: TrainingImages) -> int:
    """Set the means and deviations of the features; return how many images they are of."""
    sums = {tap: torch.zeros(shape, dtype=torch.float64) for tap, shape in inverse.config.taps.items()}
    squares = {tap: torch.zeros_like(value) for tap, value in sums.items()}
    count = 0
    for images, features in _stream(target, data, MOMENT_IMAGES, f"moments of {target.spec.id}"):
        count += len(images)
        for tap, item in features.items():
            values = item.tensor.cpu().double()
            sums[tap] += values.sum(0)
            squares[tap] += (values * values).sum(0)
    for tap, shape in inverse.config.taps.items():
        mean = sums[tap] / count
        variance = (squares[tap] / count - mean**2).clamp(min=0)
        variance = variance.mean(dim=(1, 2), keepdim=True) if len(shape) == 3 else variance.mean(0, keepdim=True)
        inverse.get_buffer(f"mean_{inverse.key(tap)}").copy_(mean)
        inverse.get_buffer(f"deviation_{inverse.key(tap)}").copy_(variance.sqrt().clamp(min=1e-3))
    return count


def _save(inverse: Inverse, out: Path, *, samples: int, seconds: float, device: torch.device) -> None:
    """Save an inverse with what its training cost: samples seen, and hours of one device."""
    cost: dict[str, str | int | float] = {
        "samples": samples,
        "device_hours": round(seconds / 3600, 4),
        "device": get_device_name(device),
    }
    inverse.config = inverse.config.model_copy(update={"training": inverse.config.training | cost})
    save_inverse(inverse, out)


def _train_modular(
    target: Target,
    folder: Path,
    data: TrainingImages,
    stated: dict[str, str | int | float],
    schedule: Schedule,
    work: Path,
) -> tuple[ModularPerTapInverse, int, float]:
    """A trained per-tap modular inverse, how many images it saw, and the seconds that it took; see `train_inverse`."""
    stated = stated | {
        "steps": schedule.steps, "batch_size": schedule.batch_size, "learning_rate": schedule.learning_rate,
    }  # fmt: skip
    inverse = build_inverse(_config(target, folder / "model.safetensors", "modular_per_tap", {"heads": 4}, stated))
    assert isinstance(inverse, ModularPerTapInverse)
    inverse.to(target.device).train()
    moments = _measure_moments(inverse, target, data)
    loss = ModularLoss(inverse, target)
    seconds = fit(
        loss,
        loss,
        schedule,
        batches=partial(data.batches, schedule.batch_size),
        key={
            "code": code_digest(__name__),
            "configuration": inverse.config.model_dump(mode="json"),
            "target": target.spec.model_dump(mode="json"),
            "network": {name: sha256_file(folder / name) for name in NETWORK_FILES},
            "data": data.key(),
        },
        work=work,
        device=target.device,
        title=f"modular_per_tap {target.spec.id}",
    )
    return inverse.eval(), moments + schedule.steps * schedule.batch_size, seconds


@float32()
def train_inverse(
    method: str,
    spec: TargetSpec,
    folder: Path,
    data: TrainingImages,
    out: Path,
    work: Path,
    device: torch.device,
    schedule: Schedule = MODULAR_SCHEDULE,
) -> None:
    """Train the inverse `method` of a target and save it to `out`.

    Checkpoints of `modular_per_tap` live in `work`; the same call resumes an interrupted training, and one with another
    network, other data, configuration or code starts afresh.

    Args:
        folder: the target's network, in Hub layout.
        data: images at the target's input size.

    Raises:
        UserError: the method has nothing to train.
    """
    torch.manual_seed(SEED)
    target, weights = load_target(spec, folder, device), folder / "model.safetensors"
    stated: dict[str, str | int | float] = {"data": data.description, "seed": SEED}
    samples = min(FIT_IMAGES, data.count or FIT_IMAGES)
    began = time.perf_counter()
    if method == "mean":
        mean = MeanInverse(_config(target, weights, method, {}, stated))
        mean.fit(_batches(data, FIT_IMAGES, "mean image"))
        _save(mean, out, samples=samples, seconds=time.perf_counter() - began, device=device)
    elif method == "ridge":
        ridge = RidgeInverse(_config(target, weights, method, {"kernel": 3, "coarse": 8}, stated))
        ridge.fit(_stream(target, data, FIT_IMAGES, f"ridge of {spec.id}"))
        _save(ridge, out, samples=samples, seconds=time.perf_counter() - began, device=device)
    elif method == "modular_per_tap":
        modular, samples, seconds = _train_modular(target, folder, data, stated, schedule, work)
        _save(modular, out, samples=samples, seconds=seconds, device=device)
    else:
        raise UserError(f"method '{method}' has nothing to train", cure="trainable: mean, ridge, modular_per_tap")
