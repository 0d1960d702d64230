"""What is odd about the recons of an inverse and does not end a run: told once for each tap, as soon as it is seen."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from benchmark.records.scores import NOT_FINITE, get_reason_names
from benchmark.suites.spec import Suite

__all__ = ["MOST_CLAMPED", "Warner"]

MOST_CLAMPED = 0.25
"""Share of a recon's values outside [0, 1] from which on its range is taken for a mistake."""


class Warner:
    """Looks at the scores of one inverse of one target and writes to stderr what is odd, a line for each tap.

    Args:
        name: of the inverse's method.
        target: its id.
        taps: names of all taps of the target, in their order.
    """

    def __init__(self, suite: Suite, name: str, target: str, taps: Sequence[str]) -> None:
        self._suite, self._who, self._taps = suite, f"{name}, target '{target}'", taps
        self._not_finite = 1 + get_reason_names(suite).index(NOT_FINITE)
        self._told: set[tuple[str, str]] = set()

    def look(self, arrays: Mapping[str, npt.NDArray[Any]], ids: Sequence[str]) -> None:
        """Tell what is odd about a tile.

        Args:
            arrays: `reasons` and `clamped` as in ScoreArrays.
            ids: of its images.
        """
        broken = (arrays["reasons"] == self._not_finite).any(3)
        outside = arrays["clamped"] > MOST_CLAMPED
        for tap, name in enumerate(self._taps):
            if broken[:, tap].any():
                image, condition = np.argwhere(broken[:, tap])[0]
                where = f"image {ids[image]}, {self._suite.conditions[condition]}"
                self._tell("not finite", name, f"{where}: the recon is not finite: it has no score, the record no rank")
            if outside[:, tap].any():
                image, kind = np.argwhere(outside[:, tap])[0]
                share = arrays["clamped"][image, tap, kind]
                where = f"image {ids[image]}, {self._suite.perturbations[kind]}"
                said = f"{share:.0%} of the recon's values lie outside 0 to 1 and were clamped"
                self._tell("outside", name, f"{where}: {said}")

    def _tell(self, kind: str, tap: str, said: str) -> None:
        if (kind, tap) not in self._told:
            self._told.add((kind, tap))
            tqdm.write(f"warning: {self._who}, tap '{tap}', {said}", file=sys.stderr)
