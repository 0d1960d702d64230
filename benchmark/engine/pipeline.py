"""One target and one inverse of it as a pipeline: tiles in, scores and the layer comparison out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from benchmark.engine.layer_transfer import LayerScorer
from benchmark.engine.precision import OFFICIAL, Arithmetic
from benchmark.engine.reading import apply, read_features
from benchmark.engine.scorer import Scorer, Tile, check_recons
from benchmark.engine.stopwatch import Stopwatch
from benchmark.errors import SpecError, UserError
from benchmark.inverses.base import Inverter
from benchmark.inverses.faults import lacks_memory
from benchmark.inverses.spec import get_method
from benchmark.metrics.case import Networks
from benchmark.suites.spec import Suite
from benchmark.targets.base import Target

__all__ = ["Pipeline"]


@torch.no_grad()
def _check_shapes(target: Target, inverse: Inverter) -> None:
    """Raise SpecError unless the features of the target have the shapes that the inverse was made for."""
    features = target.features(torch.zeros(1, 3, *target.spec.input_size, device=target.device))
    for tap, shape in inverse.config.taps.items():
        if shape != features[tap].tensor.shape[1:]:
            message = (
                f"tap '{tap}' of '{target.spec.id}' has shape {tuple(features[tap].tensor.shape[1:])}, not {shape}"
            )
            raise SpecError(message, where=f"inverse '{inverse.config.method}'", cure="field 'taps' of its config.json")
        grid, stated = features[tap].grid, inverse.config.grids.get(tap)
        if grid and stated and stated != grid:
            message = f"tap '{tap}' of '{target.spec.id}' has a grid of {grid}, not {stated}"
            raise SpecError(
                message, where=f"inverse '{inverse.config.method}'", cure="field 'grids' of its config.json"
            )


class Pipeline:
    """Scores tiles of one target: the recons of one inverse, and what it makes of other taps' features.

    With `as_defined` metrics are computed where their scores are taken from alone; see Scorer.

    Attributes:
        micro_batch: so many images go through the networks at once; halved for good where memory runs out.
    """

    def __init__(
        self,
        suite: Suite,
        target: Target,
        inverse: Inverter,
        networks: Networks,
        watch: Stopwatch,
        arithmetic: Arithmetic = OFFICIAL,
        *,
        as_defined: bool = False,
    ) -> None:
        self.watch, self.micro_batch = watch, arithmetic.micro_batch
        self._target, self._inverse, self._arithmetic = target, inverse, arithmetic
        self._reads_input = get_method(inverse.config.method).needs_input
        self._ids: tuple[str, ...] = ()
        if inverse.needs_target:
            inverse.target = deepcopy(target)
        if not self._reads_input:
            _check_shapes(target, inverse)
        self._apply = torch.compile(inverse.invert) if arithmetic.compiled else inverse.invert
        self.scorer = Scorer(suite, target.spec.tap_names, self._invert, networks, as_defined=as_defined)
        # Without a configuration of its own, an inverse says nothing of which taps have one shape.
        comparable = not self._reads_input and inverse.config.taps
        self.layers = LayerScorer(target, inverse, suite.layer_images, arithmetic) if comparable else None

    def _invert_part(self, seen: Tensor, ids: Sequence[str]) -> Mapping[str, Tensor]:
        with self._arithmetic.autocast(self._target.device):
            with self.watch.stage("target"):
                features = read_features(self._target, seen, ids, reads_input=self._reads_input)
            with self.watch.stage("inverse"), self._naming(ids):
                recons = apply(self._apply, features)
                check_recons(recons, self._target.spec.tap_names, seen.shape)
        return recons

    @contextmanager
    def _naming(self, ids: Sequence[str]) -> Iterator[None]:
        """Say of what goes wrong in an inverse which target and images it was about."""
        try:
            yield
        except UserError as error:
            images = f"image {ids[0]}" if len(ids) == 1 else f"images {ids[0]} to {ids[-1]}"
            message = f"{error.message}; target '{self._target.spec.id}', {images}"
            where = error.where or f"inverse '{self._inverse.config.method}'"
            raise type(error)(message, where=where, cure=error.cure) from None

    def _invert(self, seen: Tensor) -> Mapping[str, Tensor]:
        size = self.micro_batch
        parts = [self._invert_part(seen[k : k + size], self._ids[k : k + size]) for k in range(0, len(seen), size)]
        if len(parts) == 1:
            return parts[0]
        return {tap: torch.cat([part[tap] for part in parts]) for tap in self._target.spec.tap_names}

    def _try(self, tile: Tile) -> dict[str, npt.NDArray[Any]] | None:
        """Return the arrays of a tile, None where memory ran out; then nothing holds its tensors any more."""
        try:
            with self.watch.stage("scores"):
                arrays = self.scorer.run(tile)
            if self.layers:
                with self.watch.stage("layers"):
                    arrays |= self.layers.run(tile)
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            return None
        return arrays

    def _halve(self) -> None:
        where = f"target '{self._target.spec.id}'"
        if self.micro_batch == 1:
            cure = "use a device with more memory, or free some"
            raise UserError(
                f"one image at a time does not fit the memory of {self._target.device}", where=where, cure=cure
            )
        self.micro_batch //= 2
        if self._target.device.type == "cuda":
            torch.cuda.empty_cache()

    def run(self, tile: Tile) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of a tile: those of Scorer, and those of LayerScorer where it applies.

        Raises:
            UserError: the inverse returns no such recons, or memory does not even hold one image.
        """
        self._ids = tile.ids
        while True:
            for part in (self.scorer, self.layers):
                if part:
                    part.micro_batch = self.micro_batch
            arrays = self._try(tile)
            if arrays is not None:
                return arrays
            self._halve()
