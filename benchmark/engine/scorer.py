"""Scoring of reconstructions, tile by tile: perturbation -> recon -> metrics.

Networks always see tiles of eight images and the last tile is filled up: a score depends on its image alone
and never on how many are evaluated beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from benchmark.metrics.case import Case, FocalMask, Networks, Prototypes, View
from benchmark.metrics.spec import Metric, get_metric
from benchmark.perturbations import perturb
from benchmark.records.scores import NOT_APPLICABLE, SCORED, applies, defines
from benchmark.suites.spec import HUE_PERTURBATIONS, POOLED, Suite

__all__ = ["TILE", "Invert", "Scorer", "Tile", "iter_tiles", "load_finish", "load_metric", "load_parts"]

TILE = 8
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
        judged: bool (8,), whether the judge looks at an image.
        audit: positions in the tile of the images whose pixels are kept.
    """

    images: Tensor
    masks: Tensor
    prototypes: Prototypes | None
    ids: tuple[str, ...]
    first: int
    count: int
    judged: Tensor
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
        masks = torch.from_numpy(np.stack([sample.focal_mask for sample in filled])).to(device)
        seen = torch.tensor([sample.id in judged for sample in filled], device=device)
        ids = tuple(sample.id for sample in filled)
        yield Tile(images, masks, _prototypes(filled, device), ids, first, len(part), seen, kept)
        first += len(part)


class _Sheet:
    """The scores of a tile as they come in: `values`, `reasons` and `clamped` as in ScoreArrays."""

    def __init__(self, suite: Suite, taps: int, count: int) -> None:
        self.count = count
        shape = (count, taps, len(suite.conditions), len(suite.metrics))
        self.values = np.full(shape, np.nan, np.float32)
        self.reasons = np.full(shape, NOT_APPLICABLE, np.uint8)
        self.clamped = np.zeros((count, taps, len(suite.perturbations)), np.float32)

    def enter(self, tap: int, condition: int, chosen: Sequence[int], measured: Tensor, usable: Tensor) -> None:
        """Enter the scores (N, chosen) of some metrics; `usable` bool alike: the recons behind them are finite."""
        finite = usable[: self.count].cpu().numpy()
        scores = np.where(finite, measured[: self.count].cpu().numpy(), np.nan)
        self.values[:, tap, condition, chosen] = scores
        codes = np.where(np.isnan(scores), np.array(chosen, np.uint8) + 2, SCORED)
        self.reasons[:, tap, condition, chosen] = np.where(finite, codes, 1)


class _Pool:
    """The parts of a tap's pooled metrics, summed over the hue kinds."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.functions = [load_parts(metric.id) for metric in metrics]
        self.finish = [load_finish(metric.id) for metric in metrics]
        self.sums: list[Tensor] = []
        self.finite: Tensor | None = None

    def add(self, case: Case, finite: Tensor) -> None:
        """Add one hue kind; `finite` bool (N,): its recon and the one of the unperturbed image are."""
        parts = [function(case) for function in self.functions]
        self.sums = [old + new for old, new in zip(self.sums, parts, strict=True)] if self.sums else parts
        self.finite = finite if self.finite is None else self.finite & finite

    def scores(self) -> Tensor:
        """Return the scores (N, metrics)."""
        return torch.stack([finish(total) for finish, total in zip(self.finish, self.sums, strict=True)], dim=1)


class Scorer:
    """Perturbs tiles, has them inverted and scores the recons at `taps`.

    With `as_defined` metrics are computed under the conditions that their scores are taken from, and nowhere else.
    """

    def __init__(
        self, suite: Suite, taps: Sequence[str], invert: Invert, networks: Networks, *, as_defined: bool = False
    ) -> None:
        self.suite, self.taps, self.invert, self.networks = suite, tuple(taps), invert, networks
        self.applies = defines if as_defined else applies
        self.metrics = [get_metric(metric_id) for metric_id in suite.metrics]
        self.functions = [load_metric(metric_id) for metric_id in suite.metrics]
        self.needs_baseline = torch.tensor(["baseline" in metric.needs for metric in self.metrics])
        self.pooled = [index for index, metric in enumerate(self.metrics) if metric.perturbations == POOLED]

    def _invert(self, seen: Tensor) -> Mapping[str, Tensor]:
        recons = self.invert(seen)
        for tap in self.taps:
            if tap not in recons or recons[tap].shape != seen.shape:
                shape = tuple(recons[tap].shape) if tap in recons else "nothing"
                raise UserError(f"the inverse returned {shape} at tap '{tap}', not {tuple(seen.shape)}")
        return recons

    def _score(self, metric: int, case: Case, judged: Tensor) -> Tensor:
        """Return the scores (N,) of a metric; NaN where it asks the judge, and the image is not `judged`."""
        scores = self.functions[metric](case)
        return scores.where(judged, torch.nan) if "judge" in self.metrics[metric].needs else scores

    @float32()
    @torch.no_grad()
    def run(self, tile: Tile) -> dict[str, npt.NDArray[Any]]:
        """Return `values`, `reasons` and `clamped` of a tile as in ScoreArrays, and `audit` pixels.

        `audit` is uint8 (audit images, 1 + taps, perturbations, H, W, 3); its first "tap" is the input.
        """
        suite = self.suite
        networks = self.networks if tile.judged.any() else replace(self.networks, judge=None)
        sheet = _Sheet(suite, len(self.taps), tile.count)
        audit = np.zeros(
            (len(tile.audit), 1 + len(self.taps), len(suite.perturbations), *tile.images.shape[2:], 3), np.uint8
        )
        original, mask = View(tile.images), FocalMask(tile.masks)
        # The recon of the unperturbed image by tap, and whether it is finite: identity comes first in every suite.
        baselines: dict[str, tuple[View, Tensor]] = {}
        pools = [_Pool([self.metrics[index] for index in self.pooled]) for _ in self.taps]
        for p, perturbation in enumerate(suite.perturbations):
            chosen = [m for m, name in enumerate(suite.metrics) if self.applies(name, perturbation)]
            seen = original if perturbation == "identity" else View(perturb(perturbation, original.rgb, tile.masks))
            audit[:, 0, p] = to_pixels(seen.rgb[tile.audit])
            recons = self._invert(seen.rgb)
            for t, tap in enumerate(self.taps):
                finite = torch.isfinite(recons[tap]).flatten(1).all(1)
                recon = torch.nan_to_num(recons[tap].detach().float())
                outside = ((recon < 0) | (recon > 1)).flatten(1).float().mean(1)
                sheet.clamped[:, t, p] = outside[: tile.count].cpu().numpy()
                view = View(recon)
                audit[:, 1 + t, p] = to_pixels(view.rgb[tile.audit])
                baseline, baseline_finite = baselines.setdefault(tap, (view, finite))
                case = Case(original, seen, view, mask, networks, baseline, tile.prototypes)
                both = finite & baseline_finite
                if chosen:
                    scores = [self._score(m, case, tile.judged) for m in chosen]
                    usable = torch.where(self.needs_baseline[chosen].to(both.device), both[:, None], finite[:, None])
                    sheet.enter(t, p, chosen, torch.stack(scores, dim=1), usable)
                if self.pooled and perturbation in HUE_PERTURBATIONS:
                    pools[t].add(case, both)
        for t, pool in enumerate(pools):
            if pool.finite is not None:
                usable = pool.finite[:, None].expand(-1, len(self.pooled))
                sheet.enter(t, suite.conditions.index(POOLED), self.pooled, pool.scores(), usable)
        return {"values": sheet.values, "reasons": sheet.reasons, "clamped": sheet.clamped, "audit": audit}
