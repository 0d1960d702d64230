"""The two speeds of a device that costs are computed from, measured in about a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F

from benchmark.diagnostics.costs import Speeds, Workload
from benchmark.diagnostics.counter import count_work
from benchmark.engine.precision import float32

__all__ = ["clock_of", "measure_speeds"]

TILE, TOKENS, WIDTH, INNER = 8, 197, 768, 3072
"""Sizes of a ViT-B/16 that sees eight images."""
CHANNELS, SIDE = 256, 28
LEAST_S = 0.05


def clock_of(device: torch.device) -> Callable[[], float]:
    """Return a clock in seconds: on a CPU the time that the process computes, so that other processes do not count.

    Threads of a process add up. Elsewhere the time of day, once the device has done its work.
    """
    if device.type == "cpu":
        return time.process_time

    def clock() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    return clock


def _seconds(device: torch.device, compute: Callable[[], object], repeats: int) -> float:
    """Return the median of the seconds that a computation takes, of runs that are long enough to be measured."""
    clock, found = clock_of(device), []
    compute()
    for _ in range(repeats):
        count, began = 0, clock()
        while (spent := clock() - began) < LEAST_S:
            compute()
            count += 1
        found.append(spent / count)
    return sorted(found)[repeats // 2]


@float32()
@torch.no_grad()
def measure_speeds(device: torch.device, name: str, repeats: int = 3) -> Speeds:
    """Return the speeds of a device in float32 without TF32, of what networks consist of.

    `teraflops`: a linear layer of a ViT-B/16 on eight images and a 3x3 convolution, by the time of both together.
    `gigabytes`: what lies between such layers, a sum, a layer norm and a GELU, likewise. On a CPU the speeds are those
    of the threads that PyTorch uses, per second that they compute: with more than one, of one of them on average.

    Args:
        name: what the device is, in words.
    """
    tokens, inner = (torch.rand(TILE, TOKENS, width, device=device) for width in (WIDTH, INNER))
    matrix, bias = torch.rand(INNER, WIDTH, device=device), torch.rand(INNER, device=device)
    maps = torch.rand(TILE, CHANNELS, SIDE, SIDE, device=device)
    kernels = torch.rand(CHANNELS, CHANNELS, 3, 3, device=device)
    products = [lambda: F.linear(tokens, matrix, bias), lambda: F.conv2d(maps, kernels, padding=1)]
    between = [lambda: tokens + tokens, lambda: F.layer_norm(tokens, (WIDTH,)), lambda: F.gelu(inner)]

    def rate(computations: Sequence[Callable[[], object]]) -> Workload:
        work = sum((count_work(compute) for compute in computations), Workload())
        return work * (1 / sum(_seconds(device, compute, repeats) for compute in computations))

    return Speeds(name, rate(products).tera, rate(between).giga, measured=True)
