"""Which images the ranked metrics score: that depends on the original alone, so records agree on it. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmark.errors import IntegrityError
from benchmark.records.scores import NOT_FINITE, SCORED, ScoreArrays
from benchmark.suites.spec import Suite

__all__ = ["ScoredImages", "check_alike", "find_scored"]

States = npt.NDArray[np.int8]
_UNKNOWN = -1


class ScoredImages(NamedTuple):
    """Which images a record has scores of.

    Attributes:
        images: sorted.
        states: by input size, int8 (images, conditions, ranked metrics): 1 scored, 0 not, -1 where every recon was not
            finite, so that nothing is known.
    """

    images: tuple[str, ...]
    states: Mapping[tuple[int, int], States]


def _ranked(suite: Suite) -> list[int]:
    return [index for index, metric in enumerate(suite.metrics) if metric in suite.ranked_metrics]


def _words(suite: Suite, images: Sequence[str], place: npt.NDArray[np.intp]) -> str:
    """Name the score at a place (image, condition, ranked metric)."""
    image, condition, metric = place
    return (
        f"'{suite.metrics[_ranked(suite)[metric]]}' of image {images[image]!r:.80} under {suite.conditions[condition]}"
    )


def find_scored(suite: Suite, scores: Sequence[ScoreArrays]) -> ScoredImages:
    """Return which images the ranked metrics score in a record.

    Raises:
        IntegrityError: an image is scored at one tap and not at another, of targets of one input size; names metric,
            image and tap.
    """
    images = tuple(sorted(scores[0].images))
    by_size: dict[tuple[int, int], list[tuple[str, States]]] = {}
    for item in scores:
        codes = item.reasons[np.argsort(item.images)][..., _ranked(suite)]
        states = (codes == SCORED).astype(np.int8)
        states[codes == 1 + item.reason_names.index(NOT_FINITE)] = _UNKNOWN
        names = (f"tap '{tap}' of '{item.target.id}'" for tap in item.target.tap_names)
        by_size.setdefault(item.target.input_size, []).extend(zip(names, np.moveaxis(states, 1, 0), strict=True))
    found = {}
    for size, taps in by_size.items():
        stacked = np.stack([states for _, states in taps])
        clash = np.argwhere((stacked == 0).any(0) & (stacked == 1).any(0))
        if len(clash):
            tap = taps[int(np.argmax(stacked[(slice(None), *clash[0])] == 0))][0]
            message = f"{_words(suite, images, clash[0])} is not scored at {tap}, but elsewhere"
            raise IntegrityError(f"{message}; whether it is depends on the image alone", cure="evaluate again")
        found[size] = stacked.max(0)
    return ScoredImages(images, found)


def check_alike(suite: Suite, own: ScoredImages, other: ScoredImages, name: str, where: str) -> None:
    """Check that a record scores the same images as the record of submission `name`, as far as both have them.

    Raises:
        IntegrityError: it does not; names metric and image.
    """
    images, mine, others = np.intersect1d(own.images, other.images, return_indices=True)
    for size in own.states.keys() & other.states.keys():
        first, second = own.states[size][mine], other.states[size][others]
        clash = np.argwhere((first != second) & (first != _UNKNOWN) & (second != _UNKNOWN))
        if len(clash):
            at = "is scored at every tap" if first[tuple(clash[0])] else "is scored at no tap"
            message = f"{_words(suite, images.tolist(), clash[0])} {at}, unlike in the record of '{name}'"
            raise IntegrityError(
                f"{message}; whether it is depends on the image alone", where=where, cure="evaluate again"
            )
