"""Scoring of reconstructions, tile by tile: perturbation -> recon -> metrics.

Networks always see tiles of eight images and the last tile is filled up: a score depends on its image alone
and never on how many are evaluated beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmark.datasets.base import Sample
from benchmark.engine.precision import float32
from benchmark.errors import UserError
from benchmark.files.pixels import send, to_pixels, to_tensor
from benchmark.metrics.case import Case, FocalMask, Networks, Prototypes, View, repeat
from benchmark.metrics.spec import get_metric
from benchmark.perturbations import perturb
from benchmark.records.scores import NOT_APPLICABLE, SCORED, applies, defines
from benchmark.suites.spec import HUE_PERTURBATIONS, POOLED, Condition, Suite

__all__ = [
    "TILE", "Invert", "Scorer", "Tile", "check_recons", "fits", "in_batches", "iter_tiles", "load_finish",
    "load_metric", "load_parts",
]  # fmt: skip

TILE = 8
CPU_BATCH_PX = 2**18
"""As many pixels of a channel are scored together on a CPU, 1 MiB: what an operation touches stays in its caches."""
T = TypeVar("T")
Invert = Callable[[Tensor], Mapping[str, Tensor]]
"""What the target saw (N, 3, H, W) -> a recon for every tap."""


def _load(path: str) -> Callable[..., Tensor]:
    module, name = path.split(":")
    function: Callable[..., Tensor] = getattr(import_module(module), name)
    return function


def load_metric(metric_id: str) -> Callable[[Case], Tensor]:
    """Return the function of a metric: Case -> float32 (N,), NaN where not scored; a pooled one of this kind alone."""
    if get_metric(metric_id).finish is None:
        return load_parts(metric_id)
    parts, finish = load_parts(metric_id), load_finish(metric_id)
    return lambda case: finish(parts(case))


def fits(metric_id: str, height: int, width: int) -> bool:
    """Whether an image is large enough to be scored by a metric."""
    metric = get_metric(metric_id)
    return metric.fits is None or bool(_load(metric.fits)(height, width))


def load_parts(metric_id: str) -> Callable[[Case], Tensor]:
    """Return the function that a metric names: its scores (N,), or the parts (N, P) of a pooled one."""
    return _load(get_metric(metric_id).function)


def load_finish(metric_id: str) -> Callable[[Tensor], Tensor]:
    """Return the function from a pooled metric's parts, summed over the hue kinds, (N, P), to its scores (N,)."""
    return _load(str(get_metric(metric_id).finish))


@dataclass(frozen=True, eq=False)
class Tile:
    """Eight images on the device: `count` of them real, the rest copies of the last.

    Attributes:
        ids: of all eight.
        first: the position of its first image among those evaluated.
        judged: bool (8,), on the host: whether the judge looks at an image.
        audit: positions in the tile of the images whose pixels are kept.
    """

    images: Tensor
    masks: Tensor
    prototypes: Prototypes | None
    ids: tuple[str, ...]
    first: int
    count: int
    judged: npt.NDArray[np.bool_]
    audit: list[int]


def _prototypes(samples: Sequence[Sample], device: torch.device) -> Prototypes | None:
    """Return what the samples know of usual colors; None where one of them knows nothing."""
    if not all(sample.prototypes_deg for sample in samples):
        return None
    hues = torch.tensor([sample.prototypes_deg for sample in samples], dtype=torch.float32)
    return Prototypes(hues.to(device), torch.tensor([sample.category for sample in samples], device=device))


def iter_tiles(
    samples: Iterable[Sample],
    device: torch.device,
    *,
    audit: Collection[str] = (),
    judged: Collection[str] = (),
    first: int = 0,
) -> Iterator[Tile]:
    """Yield samples of one size as tiles on `device`.

    Args:
        audit: names the images whose pixels are kept.
        judged: names the images that the judge looks at.
        first: the position of the first sample among the images evaluated.
    """
    waiting = iter(samples)
    while part := list(islice(waiting, TILE)):
        kept = [index for index, sample in enumerate(part) if sample.id in audit]
        filled = part + part[-1:] * (TILE - len(part))
        images = to_tensor(np.stack([sample.image for sample in filled]), device).contiguous()
        masks = send(np.stack([sample.focal_mask for sample in filled]), device)
        seen = np.array([sample.id in judged for sample in filled])
        ids = tuple(sample.id for sample in filled)
        yield Tile(images, masks, _prototypes(filled, device), ids, first, len(part), seen, kept)
        first += len(part)


def in_batches(items: Sequence[T], tile: Tile, micro_batch: int = TILE) -> list[Sequence[T]]:
    """Return items, of each of which a tile has recons, by how many are scored together.

    All at once where memory allows full tiles, fewer where the networks see fewer images; on a CPU as few as its caches
    hold.
    """
    if tile.images.device.type == "cpu":
        size = CPU_BATCH_PX // tile.images[:, 0].numel()
    else:
        size = len(items) * micro_batch // TILE
    return [items[first : first + max(1, size)] for first in range(0, len(items), max(1, size))]


def check_recons(recons: Mapping[str, Tensor], taps: Sequence[str], shape: torch.Size) -> None:
    """Raise UserError unless there is a recon of a shape for every tap."""
    for tap in taps:
        if tap not in recons or recons[tap].shape != shape:
            found = tuple(recons[tap].shape) if tap in recons else "nothing"
            raise UserError(f"the inverse returned {found} at tap '{tap}', not {tuple(shape)}")


class _Pool:
    """The parts of the pooled metrics of a batch, summed over the hue kinds."""

    def __init__(self, metrics: Sequence[str]) -> None:
        self.functions = [load_parts(metric) for metric in metrics]
        self.finish = [load_finish(metric) for metric in metrics]
        self.sums: list[Tensor] = []

    def add(self, case: Case) -> None:
        """Add one hue kind."""
        parts = [function(case) for function in self.functions]
        self.sums = [old + new for old, new in zip(self.sums, parts, strict=True)] if self.sums else parts

    def scores(self) -> list[Tensor]:
        """Return the scores (N,) of each metric."""
        return [finish(total) for finish, total in zip(self.finish, self.sums, strict=True)]


class _Batch:
    """The recons of a tile at some taps, which are scored together, one tap after the other; scores stay on the device.

    What metrics derive from the tile itself is derived once and repeated over the taps.
    """

    def __init__(self, taps: Sequence[str], tile: Tile, original: View, mask: FocalMask, pool: _Pool) -> None:
        self.taps, self.pool, self._single = taps, pool, original
        self.original, self.mask = original.repeated(len(taps)), mask.repeated(len(taps))
        self.prototypes = repeat(tile.prototypes, len(taps))
        self.baseline: View | None = None
        self.scores: dict[tuple[Condition, str], Tensor] = {}
        self.finite: list[Tensor] = []
        self.outside: list[Tensor] = []

    def show(self, seen: View, recons: Mapping[str, Tensor], networks: Networks) -> Case:
        """Return what metrics look at under the next perturbation; the first one is identity in every suite."""
        pixels = torch.cat([recons[tap] for tap in self.taps]).float()
        # Nothing but a finite number gives 0 here; a few times faster than `isfinite`.
        self.finite.append((pixels * 0).flatten(1).sum(1) == 0)
        pixels = pixels.nan_to_num()
        outside = (pixels.clamp(0, 1) != pixels).flatten(1).sum(1, dtype=torch.int32)
        self.outside.append(outside / pixels[0].numel())
        recon = View.of_recons(pixels, seen)
        self.baseline = self.baseline or recon
        shown = self.original if seen is self._single else seen.repeated(len(self.taps))
        return Case(self.original, shown, recon, self.mask, networks, self.baseline, self.prototypes)

    def pack(self, entries: Sequence[tuple[Condition, str]]) -> Tensor:
        """Return the scores of all entries, which recons are finite and how much of them was clamped: (K, taps, N)."""
        scores = [self.scores[entry] for entry in entries]
        finite = [item.to(torch.float32) for item in self.finite]
        return torch.stack([*scores, *finite, *self.outside]).unflatten(1, (len(self.taps), -1))


class Scorer:
    """Perturbs tiles, has them inverted and scores the recons at `taps`.

    With `as_defined` metrics are computed under the conditions that their scores are taken from, and nowhere else.

    Attributes:
        micro_batch: see `in_batches`.
    """

    def __init__(
        self, suite: Suite, taps: Sequence[str], invert: Invert, networks: Networks, *, as_defined: bool = False
    ) -> None:
        self.suite, self.taps, self.invert, self.networks = suite, tuple(taps), invert, networks
        self.micro_batch = TILE
        chosen = defines if as_defined else applies
        self.functions = {metric: load_metric(metric) for metric in suite.metrics}
        self.hues = [name for name in suite.perturbations if name in HUE_PERTURBATIONS]
        self.pooled = [m for m in suite.metrics if get_metric(m).perturbations == POOLED and self.hues]
        self.entries: list[tuple[Condition, str]] = [
            (perturbation, metric)
            for perturbation in suite.perturbations
            for metric in suite.metrics
            if chosen(metric, perturbation)
        ]
        self.entries += [(POOLED, metric) for metric in self.pooled]

    @float32()
    @torch.no_grad()
    def run(self, tile: Tile) -> dict[str, npt.NDArray[Any]]:
        """Return `values`, `reasons` and `clamped` of a tile as in ScoreArrays, and `audit` pixels.

        `audit` is uint8 (audit images, 1 + taps, perturbations, H, W, 3); its first "tap" is the input.
        """
        suite = self.suite
        networks = self.networks if tile.judged.any() else replace(self.networks, judge=None)
        audit = np.zeros(
            (len(tile.audit), 1 + len(self.taps), len(suite.perturbations), *tile.images.shape[2:], 3), np.uint8
        )
        original = View(tile.images)
        mask = FocalMask(tile.masks)
        batches = [
            _Batch(taps, tile, original, mask, _Pool(self.pooled))
            for taps in in_batches(self.taps, tile, self.micro_batch)
        ]
        for p, perturbation in enumerate(suite.perturbations):
            seen = original if perturbation == "identity" else View(perturb(perturbation, original.rgb, tile.masks))
            recons = self.invert(seen.rgb)
            check_recons(recons, self.taps, seen.rgb.shape)
            if tile.audit:
                audit[:, 0, p] = to_pixels(seen.rgb[tile.audit])
                for t, tap in enumerate(self.taps):
                    audit[:, 1 + t, p] = to_pixels(recons[tap][tile.audit].float().nan_to_num().clamp(0, 1))
            for batch in batches:
                case = batch.show(seen, recons, networks)
                for condition, metric in self.entries:
                    if condition == perturbation:
                        batch.scores[condition, metric] = self.functions[metric](case)
                if self.pooled and perturbation in self.hues:
                    batch.pool.add(case)
                if case.baseline:  # later perturbations ask it for little
                    case.baseline.forget()
        for batch in batches:
            for metric, scores in zip(self.pooled, batch.pool.scores() if self.pooled else (), strict=True):
                batch.scores[POOLED, metric] = scores
        packed = torch.cat([batch.pack(self.entries) for batch in batches], dim=1)[:, :, : tile.count].cpu().numpy()
        return self._unpack(packed, tile) | {"audit": audit}

    def _unpack(self, packed: npt.NDArray[np.float32], tile: Tile) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of ScoreArrays, without those that need no device to find: see `_Batch.pack`."""
        suite, kinds = self.suite, len(self.suite.perturbations)
        by_image = packed.transpose(2, 1, 0)
        finite, clamped = by_image[..., -2 * kinds : -kinds] > 0, by_image[..., -kinds:]
        shape = (tile.count, len(self.taps), len(suite.conditions), len(suite.metrics))
        values = np.full(shape, np.nan, np.float32)
        reasons = np.full(shape, NOT_APPLICABLE, np.uint8)
        judged = tile.judged[: tile.count, None]
        for column, (condition, name) in enumerate(self.entries):
            metric, place = get_metric(name), (..., suite.conditions.index(condition), suite.metrics.index(name))
            behind = self.hues if condition == POOLED else [condition]
            if "baseline" in metric.needs:
                behind = [*behind, "identity"]
            usable = finite[..., [suite.perturbations.index(kind) for kind in behind]].all(2)
            scored = usable & judged if "judge" in metric.needs else usable
            values[place] = np.where(scored, by_image[..., column], np.nan)
            missing = np.where(np.isnan(values[place]), suite.metrics.index(name) + 2, SCORED)
            reasons[place] = np.where(usable, missing, 1)
        return {"values": values, "reasons": reasons, "clamped": np.ascontiguousarray(clamped)}
