"""Coverage of the group bootstrap's intervals and level of the sign-flip tests, by simulation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmark.records.bootstrap import GroupBootstrap
from benchmark.records.pairs import EXACT_GROUPS, iter_signs

TRIALS, RESAMPLES, SIGNS = 4000, 2000, 2000
COUNTS = (11, 20, 40, 64, 128)


def singles(groups: int) -> list[int]:
    """Sizes as of mini@1: one group in ten has three images, the others one."""
    return [3 if index % 10 == 0 else 1 for index in range(groups)]


def geometric(groups: int) -> list[int]:
    """Sizes 1, 1, 2, 3, 4, 6, 9, 13, and again."""
    return [int(1.45 ** (index % 8)) for index in range(groups)]


def steep(groups: int) -> list[int]:
    """Sizes 1, 2, 4, 8, 16 and again: the largest fifth of the groups holds half of the images."""
    return [2 ** (index % 5) for index in range(groups)]


def normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return generator.standard_normal(shape)


def skewed(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Exponential values, of mean 0 and variance 1: skewness 2."""
    return generator.exponential(size=shape) - 1


def mild(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Gamma values of shape 4, of mean 0 and variance 1: skewness 1."""
    return generator.gamma(4, 0.5, size=shape) - 2


Sizes = Callable[[int], list[int]]
Law = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def draw(sizes: list[int], law: Law, correlation: float, seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Values of mean 0 (images, *shape), of which those of a group have the given correlation."""
    generator = np.random.default_rng(seed)
    members = np.repeat(np.arange(len(sizes)), sizes)
    shared = law(generator, (len(sizes), *shape))[members]
    return np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * law(generator, (len(members), *shape))


def names(sizes: list[int]) -> list[str]:
    return [str(group) for group in np.repeat(np.arange(len(sizes)), sizes)]


def coverage(sizes: list[int], law: Law, correlation: float, seed: int) -> float:
    """Share of trials whose interval contains the truth."""
    values = draw(sizes, law, correlation, seed, (TRIALS,))
    found = GroupBootstrap(names(sizes), RESAMPLES, seed).estimate(values)
    return float(((found.low <= 0) & (found.high >= 0)).mean())


def level(sizes: list[int], law: Law, correlation: float, seed: int, exchangeable: bool) -> float:
    """Share of trials in which the test of one pair finds a difference that is not there.

    Args:
        exchangeable: whether both entries have values of the law, whose difference then is symmetric; else the
            differences themselves have it.
    """
    values = draw(sizes, law, correlation, seed, (TRIALS,))
    if exchangeable:
        values = values - draw(sizes, law, correlation, seed + 1000, (TRIALS,))
    sums = GroupBootstrap(names(sizes), 1, 0).sums(values)
    (patterns,) = iter_signs(len(sizes), seed, SIGNS, 2 ** (EXACT_GROUPS - 1))
    reached = (np.abs(patterns @ sums) >= np.abs(sums.sum(0)) - 1e-9).sum(0)
    more = int(len(sizes) > EXACT_GROUPS)
    return float(((reached + more) / (len(patterns) + more) <= 0.05).mean())
