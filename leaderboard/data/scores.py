"""The scores of the entries that are compared on a target, image by image, and the groups of these images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from benchmark.inverses.spec import METHODS
from benchmark.records.bootstrap import GroupBootstrap
from benchmark.suites.spec import Axis, Suite
from leaderboard.data.entries import Entry
from leaderboard.data.views import axes_of

__all__ = ["ImageScores", "load_bootstrap", "ranked_on", "reference_of", "scores_of"]

Array = npt.NDArray[np.float64]


def reference_of(entry: Entry) -> str | None:
    """Return `ceiling` or `floor` for the entries that only bound the board, else None."""
    method = METHODS.get(entry.submission.method)
    return method.role if method and method.role != "entry" else None


def ranked_on(entries: Sequence[Entry], target: str | None) -> list[Entry]:
    """Entries that are ranked on a target: complete there, and no reference point; overall: complete everywhere."""
    return [entry for entry in entries if reference_of(entry) is None and entry.complete_on(target)]


@lru_cache(maxsize=4)
def load_bootstrap(groups: tuple[str, ...], resamples: int, seed: int) -> GroupBootstrap:
    """Resamples of the groups of some images; the same ones are drawn once."""
    return GroupBootstrap(groups, resamples, seed)


@dataclass(frozen=True, eq=False)
class ImageScores:
    """Scores of some entries on one target, or on all.

    Attributes:
        parts: by submission id, float64 (images, columns), NaN where an image is not scored.
        columns: the target and axis of each column.
        weights: by target, what it counts in the mean over these; see `Suite.target_weights`.
        bootstrap: over the groups of the images.
    """

    parts: Mapping[str, Array]
    columns: tuple[tuple[str, Axis], ...]
    weights: Mapping[str, int]
    bootstrap: GroupBootstrap

    def shares(self, weights: Mapping[Axis, float]) -> Array:
        """What each column's mean counts in the weighted mean of axes, (columns,).

        Args:
            weights: of the axes, not all 0; an axis that is not named has none.
        """
        columns = np.array([weights.get(axis, 0.0) * self.weights[target] for target, axis in self.columns])
        return columns / columns.sum()


def scores_of(suite: Suite, entries: Sequence[Entry], target: str | None) -> ImageScores | None:
    """Scores of the entries that have them for every image of a target, or of all; None where there is no entry."""
    names = [target] if target is not None else [item.id for item in suite.targets]
    columns = tuple((name, axis) for name in names for axis in axes_of(suite))
    held = [entry for entry in entries if all(name in entry.image_axes for name in names)]
    if not held:
        return None
    parts = {e.submission.id: np.stack([e.image_axes[name][axis] for name, axis in columns], axis=1) for e in held}
    bootstrap = load_bootstrap(held[0].groups, suite.bootstrap_resamples, suite.bootstrap_seed)
    return ImageScores(parts, columns, suite.target_weights(names), bootstrap)
