"""Training of the reference inverses on scenes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from benchmark.errors import UserError
from benchmark.inverses.base import Inverse, build_inverse, save_inverse
from benchmark.inverses.mean import MeanInverse
from benchmark.inverses.modular import IMAGE, ModularInverse
from benchmark.inverses.ridge import RidgeInverse
from benchmark.inverses.spec import InverseConfig
from benchmark.provenance import get_device_name
from benchmark.spec import TargetSpec, sha256_file
from benchmark.targets import load_target
from benchmark.targets.base import Target
from benchmark.targets.taps import Features
from benchmark.train.loop import Batch, Schedule, fit, get_batch

__all__ = ["MODULAR_SCHEDULE", "train_inverse"]

SEED = 201
RIDGE_IMAGES, RIDGE_BATCH = 2048, 32
MOMENT_IMAGES = 512
MODULAR_SCHEDULE = Schedule(steps=1500, batch_size=32, learning_rate=1e-3)
TRUE_SHARE = 1 / 3


def _stream(target: Target, images: int, title: str) -> Iterator[tuple[Tensor, dict[str, Features]]]:
    for step in tqdm(range(images // RIDGE_BATCH), desc=title, mininterval=1):
        batch = get_batch(SEED, step, RIDGE_BATCH, target.device)
        with torch.inference_mode():
            features = target.features(batch.images)
        yield batch.images, features


def _config(
    target: Target, method: str, architecture: dict[str, int], training: dict[str, str | int | float]
) -> InverseConfig:
    height, width = target.spec.input_size
    features = target.features(torch.zeros(1, 3, height, width, device=target.device))
    spatial = {}
    for name, item in features.items():
        if (item.grid and item.tensor.shape[1] >= item.grid[0] * item.grid[1]) or item.tensor.ndim == 4:
            spatial[name] = item.grid
    return InverseConfig(
        method=method,
        target=target.spec.id,
        target_sha256=sha256_file(target.spec.source.directory() / "model.safetensors"),
        input_size=target.spec.input_size,
        taps={name: tuple(item.tensor.shape[1:]) for name, item in features.items()},
        grids=spatial,
        architecture=architecture,
        training={"data": "scenes, split train", "seed": SEED} | training,
    )


class _ModularLoss(nn.Module):
    """The sum over modules of the error at recovering their component's input.

    Every sample starts a chain at a tap drawn for it: modules above that tap see true features, those below
    see what the module above them recovered (without gradient), so that they learn to live with its errors.
    A third of the samples see true features throughout.
    """

    def __init__(self, inverse: ModularInverse, target: Target) -> None:
        super().__init__()
        self.inverse = inverse
        self._target = target
        self._generator = torch.Generator().manual_seed(SEED)
        self._depth = {tap: i for i, tap in enumerate(inverse.order)}

    def forward(self, batch: Batch) -> Tensor:
        with torch.no_grad():
            features = self._target.features(batch.images)
        inverse, count = self.inverse, batch.images.shape[0]
        truth = {tap: inverse.standardize(tap, item.tensor) for tap, item in features.items()}
        truth[IMAGE] = batch.images
        start = torch.randint(0, len(inverse.order), (count,), generator=self._generator)
        start[torch.rand(count, generator=self._generator) < TRUE_SHARE] = 0
        start = start.to(batch.images.device)
        chained = dict(truth)
        total = torch.zeros((), device=batch.images.device)
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


def _measure_moments(inverse: ModularInverse, target: Target) -> None:
    sums = {tap: torch.zeros(shape, dtype=torch.float64) for tap, shape in inverse.config.taps.items()}
    squares = {tap: torch.zeros_like(value) for tap, value in sums.items()}
    for _, features in _stream(target, MOMENT_IMAGES, f"moments of {target.spec.id}"):
        for tap, item in features.items():
            values = item.tensor.double().cpu()
            sums[tap] += values.sum(0)
            squares[tap] += (values * values).sum(0)
    for tap, shape in inverse.config.taps.items():
        mean = sums[tap] / MOMENT_IMAGES
        variance = (squares[tap] / MOMENT_IMAGES - mean**2).clamp(min=0)
        variance = variance.mean(dim=(1, 2), keepdim=True) if len(shape) == 3 else variance.mean(0, keepdim=True)
        inverse.get_buffer(f"mean_{inverse.key(tap)}").copy_(mean)
        inverse.get_buffer(f"deviation_{inverse.key(tap)}").copy_(variance.sqrt().clamp(min=1e-3))


def _save(inverse: Inverse, out: Path, *, samples: int, seconds: float, device: torch.device) -> None:
    """Save an inverse with what its training cost: samples seen, and hours of one device."""
    cost: dict[str, str | int | float] = {
        "samples": samples,
        "device_hours": round(seconds / 3600, 4),
        "device": get_device_name(device),
    }
    inverse.config = inverse.config.model_copy(update={"training": inverse.config.training | cost})
    save_inverse(inverse, out)


def train_inverse(
    method: str, spec: TargetSpec, out: Path, work: Path, device: torch.device, schedule: Schedule = MODULAR_SCHEDULE
) -> None:
    """Train the inverse `method` of a target on scenes and save it to `out`.

    Checkpoints of `modular` live in `work`; calling again continues an interrupted training.

    Raises:
        UserError: the method has nothing to train.
    """
    torch.manual_seed(SEED)
    target = load_target(spec, device)
    began = time.perf_counter()
    if method == "mean":
        mean = MeanInverse(_config(target, method, {}, {}))
        mean.fit(images for images in _images(device))
        _save(mean, out, samples=RIDGE_IMAGES, seconds=time.perf_counter() - began, device=device)
    elif method == "ridge":
        ridge = RidgeInverse(_config(target, method, {"kernel": 3, "coarse": 8}, {}))
        ridge.fit(_stream(target, RIDGE_IMAGES, f"ridge of {spec.id}"))
        _save(ridge, out, samples=RIDGE_IMAGES, seconds=time.perf_counter() - began, device=device)
    elif method == "modular":
        training: dict[str, str | int | float] = {
            "steps": schedule.steps,
            "batch_size": schedule.batch_size,
            "learning_rate": schedule.learning_rate,
        }
        inverse = build_inverse(_config(target, method, {"heads": 4}, training))
        assert isinstance(inverse, ModularInverse)
        inverse.to(device).train()
        _measure_moments(inverse, target)
        loss = _ModularLoss(inverse, target)
        checkpoint = work / f"modular-{spec.id}.checkpoint.pt"
        seconds = fit(loss, loss, schedule, seed=SEED, checkpoint=checkpoint, device=device, title=f"modular {spec.id}")
        samples = MOMENT_IMAGES + schedule.steps * schedule.batch_size
        _save(inverse.eval(), out, samples=samples, seconds=seconds, device=device)
    else:
        raise UserError(f"method '{method}' has nothing to train", cure="trainable: mean, ridge, modular")


def _images(device: torch.device) -> Iterator[Tensor]:
    for step in tqdm(range(RIDGE_IMAGES // RIDGE_BATCH), desc="mean image", mininterval=1):
        yield get_batch(SEED, step, RIDGE_BATCH, device).images
