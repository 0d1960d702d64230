"""Paired comparison of entries: sign flips of group sums, stepped down over all pairs, and intervals (numpy only)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, starmap
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmark.errors import SpecError
from benchmark.records.bootstrap import GroupBootstrap
from benchmark.records.statistics import bootstrap_means

__all__ = [
    "ALPHA",
    "EXACT_GROUPS",
    "MIN_GROUPS",
    "PairTests",
    "PairedDifference",
    "compare_pairs",
    "contributions",
    "iter_signs",
    "paired_differences",
    "stack_parts",
]

Array = npt.NDArray[np.float64]

ALPHA = 0.05
MIN_GROUPS = 8
"""With fewer groups nothing is separated."""
EXACT_GROUPS = 13
"""Up to so many groups, every pattern of signs is tried."""
PERMUTATIONS = 10_000
_ROUNDING = 1e-9
"""How far sums of the same numbers in another order may be apart, as a share of their size."""
_SMALLEST = 1e-14
"""The same in absolute numbers: of near copies, little is left after subtraction."""
_BLOCK = 1 << 18
"""How many flipped differences are held at a time: few, so that they stay in the processor's cache."""
_PAIRS = 16
"""How many pairs are resampled at a time, for the same reason."""


def stack_parts(parts: Mapping[str, Array]) -> Array:
    """Scores of all entries in one array, (E, N, P).

    Args:
        parts: by entry, float64 (N, P): the score of every image in each part (an axis on a target), NaN where the
            image is not scored.

    Raises:
        SpecError: two entries are not scored on the same images. Whether an image is scored depends on the original
            alone; entries with other images could not be compared.
    """
    stacked = np.stack([np.asarray(values, np.float64) for values in parts.values()])
    absent = np.isnan(stacked)
    differs = (absent != absent[:1]).any((1, 2))
    if differs.any():
        names = list(parts)
        message = f"'{names[0]}' and '{names[int(np.argmax(differs))]}' are not scored on the same images"
        raise SpecError(message, cure="evaluate both again")
    return stacked


def contributions(stacked: Array, shares: Array) -> Array:
    """What each image adds to each entry's score, (E, N): their sum over images is the score.

    Args:
        stacked: (E, N, P) from `stack_parts`.
        shares: (P,), what the mean over images of each part counts in the score; parts with share 0 are left out.

    Returns:
        0 for images that are scored in no part; NaN throughout where a part that counts has nothing scored.
    """
    used = np.flatnonzero(shares)
    chosen = stacked[:, :, used]
    count = (~np.isnan(chosen)).sum(1, keepdims=True)
    divisor = np.where(count > 0, count, np.nan)
    return (np.where(np.isnan(chosen), 0.0, chosen) / divisor) @ shares[used]


def iter_signs(groups: int, seed: int, draws: int, rows: int) -> Iterator[Array]:
    """Patterns of signs, in arrays of at most `rows`, (rows, groups).

    Up to 13 groups, all whose first sign is positive: the others give the same absolute sums; else `draws` random ones.
    """
    if groups <= EXACT_GROUPS:
        patterns = np.arange(2 ** (groups - 1))
        for start in range(0, len(patterns), rows):
            bits = patterns[start : start + rows, None] >> np.arange(groups) & 1
            yield 1.0 - 2.0 * bits.astype(np.float64)
        return
    generator = np.random.default_rng(seed)
    for start in range(0, draws, rows):
        yield generator.integers(0, 2, size=(min(rows, draws - start), groups)).astype(np.float64) * 2 - 1


class PairTests(NamedTuple):
    """Two-sided sign-flip tests of all pairs of entries; symmetric, (E, E) each.

    Attributes:
        p_values: of each pair on its own; 1 for equal entries.
        adjusted: stepped down over all pairs: separating those up to .05 errs in one board of twenty at most.
        separated: whether a pair differs significantly: `adjusted` is at most .05, and there are eight groups.
    """

    p_values: Array
    adjusted: Array
    separated: npt.NDArray[np.bool_]


def _count(sums: Array, first: npt.NDArray[np.intp], second: npt.NDArray[np.intp], scale: Array, seed: int) -> Array:
    """Share of sign patterns that reach each pair's own statistic: alone, and by any pair up to it, (2, pairs).

    Pairs are in ascending order of their statistic, |sum d| x scale.
    """
    own = (np.abs((sums[first] - sums[second]).sum(1)) - _SMALLEST) * scale - _ROUNDING
    reached, tried = np.zeros((2, len(first)), np.int64), 0
    for signs in iter_signs(sums.shape[1], seed, PERMUTATIONS, max(1, _BLOCK // len(first))):
        by_entry = signs @ sums.T
        flipped = np.take(by_entry, first, axis=1)
        flipped -= np.take(by_entry, second, axis=1)
        np.multiply(np.abs(flipped, out=flipped), scale, out=flipped)
        reached[0] += np.count_nonzero(flipped >= own, axis=0)
        np.maximum.accumulate(flipped, axis=1, out=flipped)
        reached[1] += np.count_nonzero(flipped >= own, axis=0)
        tried += len(signs)
    if sums.shape[1] <= EXACT_GROUPS:
        return reached / tried
    return (1 + reached) / (1 + tried)


def compare_pairs(added: Array, bootstrap: GroupBootstrap, seed: int, scored: npt.NDArray[np.bool_]) -> PairTests:
    """Test every pair of entries for a difference of their scores.

    The statistic is |sum D| / sqrt(sum D^2) over the sums D of paired differences of each group. Under the null
    hypothesis the sign of each D is as likely as its opposite; the same signs are drawn for all pairs, so that the
    largest statistic of all keeps their dependence (step-down maxT of Westfall and Young 1993). Up to 13 groups all
    patterns of signs are tried, else 10,000 drawn by `seed`, with 1 added to both counts.

    Args:
        added: (E, N) from `contributions`.
        bootstrap: knows the groups.
        seed: of the signs.
        scored: (N,), images that any part scores.
    """
    entries = len(added)
    p_values, adjusted = np.ones((2, entries, entries))
    held = np.unique(bootstrap.members[scored])
    sums = np.ascontiguousarray(bootstrap.sums(added.T)[held].T)
    first, second = np.triu_indices(entries, 1)
    size = np.sqrt(((sums[first] - sums[second]) ** 2).sum(1))
    differ = np.flatnonzero(size > 1e-12)
    if differ.size and held.size:
        statistic = np.abs((sums[first] - sums[second]).sum(1))[differ] / size[differ]
        order = differ[np.argsort(statistic, kind="stable")]
        alone, together = _count(sums, first[order], second[order], 1 / size[order], seed)
        # A pair is never more significant than one with a larger statistic.
        together = np.maximum.accumulate(together[::-1])[::-1]
        for matrix, values in ((p_values, alone), (adjusted, together)):
            matrix[first[order], second[order]] = matrix[second[order], first[order]] = values
    return PairTests(p_values, adjusted, (adjusted <= ALPHA) & (held.size >= MIN_GROUPS))


class PairedDifference(NamedTuple):
    """The mean paired difference of two entries: first minus second.

    Attributes:
        mean: the difference of their scores, which is the mean of the paired differences.
        low, high: its 95 % group bootstrap interval; NaN with fewer than two groups.
        p_value: of the sign-flip test of this pair alone.
        adjusted: the same, stepped down over all pairs that were compared.
        separated: whether the two differ significantly among all pairs.
    """

    mean: float
    low: float
    high: float
    p_value: float
    adjusted: float
    separated: bool


def paired_differences(
    parts: Mapping[str, Array], shares: Sequence[float] | Array, bootstrap: GroupBootstrap, seed: int
) -> dict[tuple[str, str], PairedDifference]:
    """How much higher the first of each pair of entries scores than the second.

    Args:
        parts: by entry, (N, P), see `stack_parts`; a single axis on a single target is (N, 1).
        shares: (P,), what the mean over images of each part counts in the score.
        bootstrap: over the groups of the N images.
        seed: of the sign flips.

    Returns:
        The differences by (first, second), in the order of `itertools.combinations` of the names.

    Raises:
        SpecError: two entries are not scored on the same images.
    """
    if len(parts) < 2:
        return {}
    stacked, weighed = stack_parts(parts), np.asarray(shares, np.float64)
    used = np.flatnonzero(weighed)
    present = ~np.isnan(stacked[0][:, used])
    added = contributions(stacked, weighed)
    tests = compare_pairs(added, bootstrap, seed, present.any(1))
    first, second = np.triu_indices(len(parts), 1)
    means = added.sum(1)[first] - added.sum(1)[second]
    resampled = np.stack([bootstrap_means(values[:, used], bootstrap.weights) @ weighed[used] for values in stacked])
    scored = np.array([np.unique(bootstrap.members[present.any(1)]).size])
    low, high = np.full((2, len(first)), np.nan)
    for start in range(0, len(first), _PAIRS):
        rows = slice(start, start + _PAIRS)
        samples = (resampled[first[rows]] - resampled[second[rows]]).T
        _, low[rows], high[rows] = bootstrap.widen(means[rows], samples, scored)
    columns = (means, low, high, *(matrix[first, second] for matrix in tests))
    rows_of = zip(*(column.tolist() for column in columns), strict=True)
    return dict(zip(combinations(parts, 2), starmap(PairedDifference, rows_of), strict=True))
