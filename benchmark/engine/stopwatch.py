"""How long each stage of an evaluation takes, on the clock of the device that does the work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch

__all__ = ["STAGES", "Stage", "Stopwatch"]

Stage = Literal["read", "target", "inverse", "scores", "layers"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""Waiting for images, the target's forward pass, the inverse's, perturbations and metrics, the layer comparison."""


class Stopwatch:
    """Seconds by stage; a stage inside another is no part of that one.

    On a CUDA device events are recorded in the stream, so that measuring never waits for the device until `take`.

    Args:
        clock: what tells the seconds on other devices.
    """

    def __init__(self, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> None:
        self._cuda, self._clock = device.type == "cuda", clock
        self._spans: list[tuple[Stage, Stage | None, Callable[[], float]]] = []
        self._outer: list[Stage] = []

    def _mark(self) -> Callable[[], Callable[[], float]]:
        """Begin to measure; the result ends it, and its result, once the device is that far, tells the seconds."""
        if self._cuda:
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            first.record()

            def stop() -> Callable[[], float]:
                last.record()

                def tell() -> float:
                    last.synchronize()
                    return float(first.elapsed_time(last)) / 1e3

                return tell
        else:
            began = self._clock()

            def stop() -> Callable[[], float]:
                seconds = self._clock() - began
                return lambda: seconds

        return stop

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Count what happens inside as time of a stage."""
        outer = self._outer[-1] if self._outer else None
        self._outer.append(name)
        stop = self._mark()
        try:
            yield
        finally:
            self._outer.pop()
            self._spans.append((name, outer, stop()))

    def take(self) -> dict[Stage, float]:
        """Return what was measured since the last call, and begin anew; waits for the device."""
        seconds = dict.fromkeys(STAGES, 0.0)
        for name, outer, tell in self._spans:
            spent = tell()
            seconds[name] += spent
            if outer is not None:
                seconds[outer] -= spent
        self._spans.clear()
        return seconds
