"""One target and one inverse of it as a pipeline: tiles in, scores and the layer comparison out."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from benchmark.engine.layer_transfer import LayerScorer
from benchmark.engine.reading import read_features
from benchmark.engine.scorer import Scorer, Tile
from benchmark.engine.stopwatch import Stopwatch
from benchmark.errors import SpecError
from benchmark.inverses.base import Inverse
from benchmark.inverses.spec import get_method
from benchmark.metrics.case import Networks
from benchmark.suites.spec import Suite
from benchmark.targets.base import Target

__all__ = ["Pipeline"]


@torch.no_grad()
def _check_shapes(target: Target, inverse: Inverse) -> None:
    """Raise SpecError unless the features of the target have the shapes that the inverse was made for."""
    features = target.features(torch.zeros(1, 3, *target.spec.input_size, device=target.device))
    for tap, shape in inverse.config.taps.items():
        if shape != features[tap].tensor.shape[1:]:
            message = (
                f"tap '{tap}' of '{target.spec.id}' has shape {tuple(features[tap].tensor.shape[1:])}, not {shape}"
            )
            raise SpecError(message, where=f"inverse '{inverse.config.method}'", cure="field 'taps' of its config.json")


class Pipeline:
    """Scores tiles of one target: the recons of one inverse, and what it makes of other taps' features."""

    def __init__(self, suite: Suite, target: Target, inverse: Inverse, networks: Networks, watch: Stopwatch) -> None:
        reads_input = get_method(inverse.config.method).needs_input
        self.watch = watch
        self._ids: tuple[str, ...] = ()
        if inverse.needs_target:
            inverse.target = deepcopy(target)

        def invert(seen: Tensor) -> dict[str, Tensor]:
            with watch.stage("target"):
                features = read_features(target, seen, self._ids, reads_input=reads_input)
            with watch.stage("inverse"):
                return inverse.invert(features)

        if not reads_input:
            _check_shapes(target, inverse)
        self.scorer = Scorer(suite, target.spec.tap_names, invert, networks)
        # Without a configuration of its own, an inverse says nothing of which taps have one shape.
        comparable = not reads_input and inverse.config.taps
        self.layers = LayerScorer(target, inverse, suite.layer_images) if comparable else None

    def run(self, tile: Tile) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of a tile: those of Scorer, and those of LayerScorer where it applies."""
        self._ids = tile.ids
        with self.watch.stage("scores"):
            arrays = self.scorer.run(tile)
        if self.layers:
            with self.watch.stage("layers"):
                arrays |= self.layers.run(tile)
        return arrays
