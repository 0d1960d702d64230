"""Scoring of reconstructions, tile by tile: perturbation -> recon -> metrics.

Networks always see tiles of eight images and the last tile is filled up: a score depends on its image alone
and never on how many are evaluated beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmark.datasets.base import Sample
from benchmark.engine.precision import float32
from benchmark.errors import UserError
from benchmark.files.pixels import to_pixels, to_tensor
from benchmark.metrics.case import Case, FocalMask, Networks, View
from benchmark.metrics.spec import get_metric
from benchmark.perturbations import perturb
from benchmark.records.aggregate import NOT_APPLICABLE, SCORED, applies
from benchmark.suites.spec import Suite

__all__ = ["TILE", "Invert", "Scorer", "Tile", "iter_tiles", "load_metric"]

TILE = 8
Invert = Callable[[Tensor], Mapping[str, Tensor]]
"""What the target saw (N, 3, H, W) -> a recon for every tap."""


def load_metric(metric_id: str) -> Callable[[Case], Tensor]:
    """Return the function of a metric: Case -> float32 (N,), NaN where not scored."""
    module, name = get_metric(metric_id).function.split(":")
    function: Callable[[Case], Tensor] = getattr(import_module(module), name)
    return function


@dataclass(frozen=True, eq=False)
class Tile:
    """Eight images on the device: `count` of them real, the rest copies of the last."""

    images: Tensor
    masks: Tensor
    count: int
    audit: list[int]


def iter_tiles(samples: Iterable[Sample], device: torch.device, audit: Collection[str] = ()) -> Iterator[Tile]:
    """Yield samples of one size as tiles on `device`; `audit` names the images whose pixels are kept."""
    waiting = iter(samples)
    while part := list(islice(waiting, TILE)):
        kept = [index for index, sample in enumerate(part) if sample.id in audit]
        filled = part + part[-1:] * (TILE - len(part))
        images = to_tensor(np.stack([sample.image for sample in filled]), device).contiguous()
        masks = torch.from_numpy(np.stack([sample.focal_mask for sample in filled]))
        yield Tile(images, masks.to(device), len(part), kept)


class Scorer:
    """Perturbs tiles, has them inverted and scores the recons at `taps`."""

    def __init__(self, suite: Suite, taps: Sequence[str], invert: Invert, networks: Networks) -> None:
        self.suite, self.taps, self.invert, self.networks = suite, tuple(taps), invert, networks
        self.metrics = [load_metric(metric_id) for metric_id in suite.metrics]
        self.needs_baseline = torch.tensor(["baseline" in get_metric(m).needs for m in suite.metrics])
        self.seconds = 0.0

    def _timed_invert(self, seen: Tensor) -> Mapping[str, Tensor]:
        start = time.perf_counter()
        recons = self.invert(seen)
        if seen.is_cuda:
            torch.cuda.synchronize(seen.device)
        self.seconds += time.perf_counter() - start
        for tap in self.taps:
            if tap not in recons or recons[tap].shape != seen.shape:
                shape = tuple(recons[tap].shape) if tap in recons else "nothing"
                raise UserError(f"the inverse returned {shape} at tap '{tap}', not {tuple(seen.shape)}")
        return recons

    @float32()
    @torch.inference_mode()
    def run(self, tile: Tile) -> dict[str, npt.NDArray[Any]]:
        """Return `values`, `reasons` and `clamped` of a tile as in ScoreArrays, and `audit` pixels.

        `audit` is uint8 (audit images, 1 + taps, perturbations, H, W, 3); its first "tap" is the input.
        """
        suite, count = self.suite, tile.count
        shape = (count, len(self.taps), len(suite.perturbations), len(suite.metrics))
        values = np.full(shape, np.nan, np.float32)
        reasons = np.full(shape, NOT_APPLICABLE, np.uint8)
        clamped = np.zeros(shape[:3], np.float32)
        audit = np.zeros((len(tile.audit), 1 + shape[1], shape[2], *tile.images.shape[2:], 3), np.uint8)
        original, mask = View(tile.images), FocalMask(tile.masks)
        # The recon of the unperturbed image by tap, and whether it is finite: identity comes first in every suite.
        baselines: dict[str, tuple[View, Tensor]] = {}
        for p, perturbation in enumerate(suite.perturbations):
            chosen = [m for m, name in enumerate(suite.metrics) if applies(name, perturbation)]
            seen = original if perturbation == "identity" else View(perturb(perturbation, original.rgb, tile.masks))
            audit[:, 0, p] = to_pixels(seen.rgb[tile.audit])
            recons = self._timed_invert(seen.rgb)
            for t, tap in enumerate(self.taps):
                finite = torch.isfinite(recons[tap]).flatten(1).all(1)
                recon = torch.nan_to_num(recons[tap].float())
                clamped[:, t, p] = ((recon < 0) | (recon > 1)).flatten(1).float().mean(1)[:count].cpu().numpy()
                view = View(recon)
                audit[:, 1 + t, p] = to_pixels(view.rgb[tile.audit])
                baseline, baseline_finite = baselines.setdefault(tap, (view, finite))
                if not chosen:
                    continue
                case = Case(original, seen, view, mask, self.networks, baseline)
                measured = torch.stack([self.metrics[metric](case) for metric in chosen], dim=1)[:count].cpu()
                both = (finite & baseline_finite)[:count, None].cpu()
                usable = torch.where(self.needs_baseline[chosen], both, finite[:count, None].cpu())
                scores = torch.where(usable, measured, torch.nan).numpy()
                values[:, t, p, chosen] = scores
                codes = np.where(np.isnan(scores), np.array(chosen, np.uint8) + 2, SCORED)
                reasons[:, t, p, chosen] = np.where(usable.numpy(), codes, 1)
        return {"values": values, "reasons": reasons, "clamped": clamped, "audit": audit}
