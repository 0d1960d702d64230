"""The layer comparison of one target: every inverse is fed the features of the other taps of its stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmark.engine.precision import OFFICIAL, Arithmetic, float32
from benchmark.engine.reading import apply, with_seeds
from benchmark.engine.scorer import Tile, in_batches, load_metric
from benchmark.inverses.base import Inverter
from benchmark.metrics.case import Case, FocalMask, View
from benchmark.metrics.layers import COMPARED, hsic, linear_cka, normalized_transfer, summarize_transfer
from benchmark.records.record import StageLayers
from benchmark.records.statistics import masked_mean
from benchmark.suites.spec import TargetSpec
from benchmark.targets.base import Target
from benchmark.targets.taps import Features

__all__ = ["LayerScorer", "find_groups", "summarize_layers"]

Array = npt.NDArray[np.float64]
Group = tuple[str, tuple[str, ...]]


def find_groups(spec: TargetSpec, shapes: Mapping[str, Sequence[int]]) -> tuple[Group, ...]:
    """Return (stage, taps) of the taps that can stand in for each other: of one stage, with features of one shape."""
    groups: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for tap in spec.taps:
        groups.setdefault((tap.stage, tuple(shapes[tap.name])), []).append(tap.name)
    return tuple((stage, tuple(taps)) for (stage, _), taps in groups.items() if len(taps) > 1)


class LayerScorer:
    """Scores, on unperturbed tiles, what the inverse of each tap makes of the features of the others of its group.

    Only the first `images` of an evaluation are looked at.

    Attributes:
        micro_batch: so many images go through the networks at once.
    """

    def __init__(self, target: Target, inverse: Inverter, images: int, arithmetic: Arithmetic = OFFICIAL) -> None:
        self.target, self.inverse, self.images = target, inverse, images
        self.arithmetic, self.micro_batch = arithmetic, arithmetic.micro_batch
        self.metric = load_metric(COMPARED)
        self.groups = find_groups(target.spec, inverse.config.taps)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The (source, through) taps that are scored: features of `source`, inverse of `through`."""
        return [(i, j) for _, taps in self.groups for i in taps for j in taps if i != j]

    @float32()
    @torch.no_grad()
    def run(self, tile: Tile) -> dict[str, npt.NDArray[Any]]:
        """Return `transfer` float32 (images, pairs), NaN where unscored, and `hsic` (1, T, T); none beyond."""
        names = self.target.spec.tap_names
        count = min(tile.count, self.images - tile.first)
        if count <= 0:
            none = np.zeros((0, len(self.pairs)), np.float32)
            return {"transfer": none, "hsic": np.zeros((0, len(names), len(names)))}
        original, mask = View(tile.images), FocalMask(tile.masks)
        size = self.micro_batch
        with self.arithmetic.autocast(self.target.device):
            features = [self.target.features(part) for part in original.rgb.split(size)]
        ids = [tile.ids[first : first + size] for first in range(0, len(tile.ids), size)]
        routes = [(source, self.inverse.route(through)) for source, through in self.pairs]
        ways: dict[tuple[str, str], tuple[str, str]] = {}
        for way, pair in zip(routes, self.pairs, strict=True):
            ways.setdefault(way, pair)
        transfer = []
        for pairs in in_batches(list(ways.values()), tile, size):
            recons = torch.cat(
                [
                    self._invert(part[source], through, of)
                    for source, through in pairs
                    for part, of in zip(features, ids, strict=True)
                ]
            )
            seen = original.repeated(len(pairs))
            scores = self.metric(Case(seen, seen, View(recons.nan_to_num()), mask.repeated(len(pairs))))
            scored = scores.where(recons.isfinite().flatten(1).all(1), torch.nan)
            transfer.append(scored.unflatten(0, (len(pairs), -1))[:, :count].T)
        shared = hsic([torch.cat([part[name].tensor for part in features])[:count].float() for name in names])
        joined = torch.cat(transfer, dim=1) if transfer else original.rgb.new_zeros(count, 0)
        places = {way: place for place, way in enumerate(ways)}
        joined = joined[:, [places[way] for way in routes]]
        return {"transfer": joined.cpu().numpy(), "hsic": shared.cpu().numpy()[None]}

    def _invert(self, given: Features, through: str, ids: Sequence[str]) -> Tensor:
        """Return the recons (N, 3, H, W) that the inverse of a tap makes of some features."""
        with self.arithmetic.autocast(self.target.device):
            return apply(self.inverse.invert, {through: with_seeds(given, through, ids)})[through].float()


def _rows(matrix: Array) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(None if np.isnan(v) else round(float(v), 6) for v in row) for row in matrix)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def summarize_layers(
    groups: Sequence[Group],
    taps: Sequence[str],
    own: npt.NDArray[np.float32],
    transfer: npt.NDArray[np.float32],
    hsics: Array,
) -> tuple[StageLayers, ...]:
    """Return the layer comparison of a target as its record holds it.

    Args:
        groups: what `find_groups` returned.
        taps: all taps of the target.
        own: `frc` under identity of the images that were compared (images, taps).
        transfer: (images, pairs) of `LayerScorer.run`, tiles joined.
        hsics: (tiles, taps, taps) likewise.
    """
    diagonal, across = (masked_mean(scores.astype(np.float64)) for scores in (own, transfer))
    cka, pair, result = linear_cka(hsics), 0, []
    for stage, names in groups:
        indices = [taps.index(name) for name in names]
        matrix = np.diag(diagonal[indices])
        for i in range(len(names)):
            for j in range(len(names)):
                if i != j:
                    matrix[i, j] = across[pair]
                    pair += 1
        normalized = normalized_transfer(matrix)
        summary = summarize_transfer(normalized)
        result.append(
            StageLayers(
                stage=stage,
                taps=names,
                images=len(own),
                transfer=_rows(matrix),
                normalized=_rows(normalized),
                neighbors=_rounded(summary.neighbors),
                half_distance=_rounded(summary.half_distance),
                asymmetry=_rounded(summary.asymmetry),
                cka=_rows(cka[np.ix_(indices, indices)]),
            )
        )
    return tuple(result)
