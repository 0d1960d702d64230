"""Whether two samples of images score alike: axis by axis and target by target, by exchanging images (numpy only).

Under the null hypothesis a method scores fresh images as it scores those of the suite, apart from an allowance: then it
makes no difference which images are called fresh. So the same numbers of images are called fresh at random, many times,
and the differences that this gives say how large one may be. That holds for any law of the scores, however heavy its
tails, and for few images.

Images that share a source are exchanged among each other only: a photograph that makes scenes hard is on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from benchmark.errors import SpecError
from benchmark.records.statistics import masked_mean

__all__ = ["DRAWS", "LEVEL", "SampleDifference", "compare_samples"]

Array = npt.NDArray[np.float64]
Key = TypeVar("Key", bound=str | tuple[str, ...])

LEVEL = 0.001
"""How often, over all axes and targets together, a method that scores both samples alike is found to differ."""
DRAWS = 20_000
"""How many ways to call images fresh are looked at, the actual one included."""
_HELD = 400_000
"""How many images of them are held at a time: few, so that they stay in the processor's cache."""
_ROUNDING = 1e-9


class SampleDifference(NamedTuple):
    """How much higher a method scores the suite's images than fresh ones.

    Attributes:
        frozen, fresh: the means, over images and then taps.
        critical: the largest difference that is taken for chance, among all that were looked at.
        p_value: share of the ways to call images fresh in which any difference is as extreme; in (0, 1].
    """

    frozen: float
    fresh: float
    critical: float
    p_value: float

    @property
    def agrees(self) -> bool:
        """Whether the difference may be chance."""
        return self.p_value > LEVEL


def _find_blocks(groups: Sequence[str], count: int) -> list[tuple[npt.NDArray[np.intp], int]]:
    """Return which images are exchanged among each other, and how many of these are fresh: the last `count` are."""
    _, members, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    blocks = np.where(sizes[members] > 1, members, -1)
    first = len(groups) - count
    found = [np.flatnonzero(blocks == block) for block in np.unique(blocks)]
    return [(images, int((images >= first).sum())) for images in found]


def _iter_labels(groups: Sequence[str], count: int, seed: int, draws: int) -> Iterator[Array]:
    """Yield which images are called fresh, as rows of zeros and ones (rows, N); the first row is the actual one."""
    generator, blocks = np.random.default_rng(seed), _find_blocks(groups, count)
    most = max(1, _HELD // len(groups))
    for start in range(0, draws, most):
        rows = min(most, draws - start)
        labels = np.zeros((rows, len(groups)))
        for images, fresh in blocks:
            if 0 < fresh < len(images):
                chosen = np.argpartition(generator.random((rows, len(images))), fresh - 1, axis=1)[:, :fresh]
                np.put_along_axis(labels, images[chosen], 1.0, axis=1)
            elif fresh:
                labels[:, images] = 1.0
        if start == 0:
            labels[0] = np.arange(len(groups)) >= len(groups) - count
        yield labels


def _differences(labels: Array, values: Array) -> Array:
    """Return the mean over taps of the images not called fresh, less that of the others, (rows,).

    Args:
        values: (N, taps), NaN where an image is not scored.

    Returns:
        Infinite where nothing that is called fresh, or nothing else, is scored at a tap.
    """
    scored = (~np.isnan(values)).astype(np.float64)
    filled = np.nan_to_num(values)
    sums, counts = labels @ filled, labels @ scored
    rest, left = filled.sum(0) - sums, scored.sum(0) - counts
    empty = (counts == 0) | (left == 0)
    gaps = rest / np.where(empty, 1, left) - sums / np.where(empty, 1, counts)
    return np.where(empty.any(1), np.inf, gaps.mean(1))


def _standard_errors(labels: Array, values: Array) -> Array:
    """Return the standard error of these differences, (rows,), from the variance of each of the two samples."""
    held = ~np.isnan(values).all(1)
    means = np.where(np.isnan(values), masked_mean(values), values)[held].mean(1)
    means -= means.mean()
    fresh = labels[:, held]
    squares = np.full(len(labels), _ROUNDING**2)
    for chosen in (fresh, 1 - fresh):
        count = np.maximum(chosen.sum(1), 2)
        center = chosen @ means / count
        squares += np.maximum(chosen @ means**2 / count - center**2, 0) / (count - 1)
    return np.sqrt(squares)


def _measure(labels: Array, joined: Sequence[Array]) -> tuple[Array, Array]:
    """Return the differences of every axis and target and their standard errors, (rows, K) each."""
    found = (np.stack([measure(labels, v) for v in joined], axis=1) for measure in (_differences, _standard_errors))
    differences, errors = found
    return differences, errors


def _lacking(key: str | tuple[str, ...]) -> SpecError:
    name = key if isinstance(key, str) else " ".join(key)
    return SpecError(f"too few images are scored on {name}", cure="draw more: --images N")


def compare_samples(
    frozen: Mapping[Key, Array],
    fresh: Mapping[Key, Array],
    groups: Sequence[str],
    allowed: Mapping[Key, float],
    seed: int,
    draws: int = DRAWS,
) -> dict[Key, SampleDifference]:
    """Test whether a method scores a suite's images higher than fresh ones, by every axis and target at once.

    One-sided: to know images by heart raises their scores. The differences are put on one scale, that of their standard
    errors, and the largest of all is what each is compared with, so that a method that scores both samples alike is
    found to differ in any of them with a probability of at most LEVEL.

    Args:
        frozen: by axis and target, (N, taps), NaN where an image is not scored.
        fresh: the same of M fresh images.
        groups: of the N and then the M images.
        allowed: by axis and target, the difference that means may have because the two were computed on two machines.
        seed: of the exchanges.
        draws: how many ways to call images fresh are looked at, the actual one included.

    Raises:
        SpecError: none of the images, or hardly any, is scored at a tap.
    """
    keys, count = list(frozen), len(next(iter(fresh.values())))
    means = {key: (masked_mean(frozen[key]).mean(), masked_mean(fresh[key]).mean()) for key in keys}
    if absent := [key for key, pair in means.items() if np.isnan(pair).any()]:
        raise _lacking(absent[0])
    joined = [np.concatenate([frozen[key] - allowed[key], fresh[key]]) for key in keys]
    parts = [_measure(labels, joined) for labels in _iter_labels(groups, count, seed, draws)]
    differences, errors = (np.concatenate(column) for column in zip(*parts, strict=True))
    finite = np.isfinite(differences)
    center = np.where(finite, differences, 0).sum(0) / finite.sum(0)
    scaled = np.where(finite, (np.where(finite, differences, center) - center) / errors, np.inf)
    largest = np.sort(scaled.max(1))[::-1]
    p_values = (largest[:, None] >= scaled[0] - _ROUNDING).mean(0)
    critical = center + errors[0] * largest[int(LEVEL * draws)] + [allowed[key] for key in keys]
    if not np.isfinite(critical).all():
        raise _lacking(keys[int(np.argmin(np.isfinite(critical)))])
    return {
        key: SampleDifference(float(means[key][0]), float(means[key][1]), float(critical[k]), float(p_values[k]))
        for k, key in enumerate(keys)
    }
