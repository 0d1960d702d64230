"""What evaluating and training an inverse costs: counted work, and the time that it takes a device of stated speeds.

The model: the seconds of a part are its operations over the device's operations per second, plus the bytes that it
moves over the device's bytes per second. Operations are those of matrix products, convolutions and attention; bytes are
what all other operations read and write. Reading images, starting and storing are not in it.

`benchmark/diagnostics/counting.py` counts, `benchmark/diagnostics/speeds.py` measures speeds, and
`benchmark/diagnostics/cost_check.py` compares the model with the clock. Import-light.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any

from benchmark.errors import NotFoundError, UserError
from benchmark.files.paths import resource
from benchmark.suites.spec import Suite

__all__ = [
    "ASSUMED", "COUNTS", "PARTS", "Counts", "Price", "Speeds", "Workload", "describe_prices", "price", "price_suite",
    "read_counts", "render_prices", "render_training", "render_work", "show_number",
]  # fmt: skip

COUNTS = "assets/costs.json"
"""Counted work of the package's suites, a resource of the package."""
PARTS = ("target", "inverse", "metrics", "layers")
"""Of an evaluation; `metrics` are pixel operations, LPIPS and the judge."""


@dataclass(frozen=True)
class Workload:
    """Work of an image: `tera`, 10^12 floating-point operations, and `giga`, 10^9 bytes read and written.

    A multiplication and an addition are two operations.
    """

    tera: float = 0.0
    giga: float = 0.0

    def __add__(self, other: Workload) -> Workload:
        return Workload(self.tera + other.tera, self.giga + other.giga)

    def __mul__(self, times: float) -> Workload:
        return Workload(self.tera * times, self.giga * times)


@dataclass(frozen=True)
class Speeds:
    """What a device sustains in float32: 10^12 operations and 10^9 bytes per second.

    Attributes:
        device: what it is, in words.
        measured: whether the speeds were measured; otherwise they are assumed.
    """

    device: str
    teraflops: float
    gigabytes: float
    measured: bool = False

    def __post_init__(self) -> None:
        for name in ("teraflops", "gigabytes"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise UserError(f"{value} is no speed", where=f"--{name}", cure="give a number above 0")

    def seconds(self, work: Workload) -> float:
        """Return the seconds that work takes."""
        return work.tera / self.teraflops + work.giga / self.gigabytes

    def __str__(self) -> str:
        state = "measured" if self.measured else "assumed"
        return f"{self.device}: {self.teraflops:,.4g} Tflop/s, {self.gigabytes:,.4g} GB/s, {state}"


ASSUMED = {"h100": Speeds("H100", 30.0, 1500.0)}
"""Devices of assumed speeds: under half of what an H100 is sold with, 67 Tflop/s in float32 and 3.35 TB/s."""


@dataclass(frozen=True)
class Counts:
    """Counted work of a target of a suite with a `modular` inverse, each of one image.

    Attributes:
        weights: how many the inverse has.
        target: a forward pass.
        inverse: all taps once.
        pixels: perturbations, and all metrics of the recons at all taps under all perturbations, but for networks.
        perceptual: the network of LPIPS, of all recons that are shown to it.
        judge: the judge, of all recons of an image that it looks at.
        layers: the comparison of layers, of an image that is compared.
        training: a training image: the target, and forward and backward through every network of the inverse.
    """

    weights: int
    target: Workload
    inverse: Workload
    pixels: Workload
    perceptual: Workload
    judge: Workload
    layers: Workload
    training: Workload

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Counts:
        """Return what `as_json` gave."""
        return cls(values["weights"], *(Workload(*values[field.name]) for field in fields(cls)[1:]))

    def as_json(self) -> dict[str, Any]:
        """The counts as JSON values, six significant digits each."""
        pairs = {
            name: [float(f"{x:.6g}") for x in work.values()] for name, work in asdict(self).items() if name != "weights"
        }
        return {"weights": self.weights} | pairs


@dataclass(frozen=True)
class Price:
    """What an image of a suite costs on average at one target, by part of the evaluation.

    The judge and the comparison of layers, which are for the first images only, count by their share of all images.
    """

    target: str
    images: int
    weights: int
    parts: Mapping[str, Workload]
    training: Workload

    @property
    def total(self) -> Workload:
        """The sum of the parts."""
        return sum(self.parts.values(), Workload())

    def hours(self, speeds: Speeds) -> float:
        """Return the hours that all images take one device."""
        return speeds.seconds(self.total) * self.images / 3600


@cache
def read_counts() -> dict[str, dict[str, Counts]]:
    """Return the counted work of the package's suites, by suite and target."""
    stored = json.loads(resource(COUNTS).read_text(encoding="utf-8"))
    return {suite: {name: Counts.from_json(found) for name, found in rows.items()} for suite, rows in stored.items()}


def price(suite: Suite, target: str, counts: Counts) -> Price:
    """Return what an image of a suite costs at a target, from counted work."""
    images, passes = suite.dataset.images, len(suite.perturbations)
    judged, compared = (min(1.0, some / images) for some in (suite.judged_images, suite.layer_images))
    parts = {
        "target": counts.target * passes,
        "inverse": counts.inverse * passes,
        "metrics": counts.pixels + counts.perceptual + counts.judge * judged,
        "layers": counts.layers * compared,
    }
    return Price(target, images, counts.weights, parts, counts.training)


def price_suite(suite: Suite, names: Iterable[str] = ()) -> list[Price]:
    """Return what an image costs at each target of a suite of the package, or at those named.

    Raises:
        NotFoundError: no such target, or the work of the suite was not counted.
    """
    known = read_counts().get(suite.id) if suite.argument == suite.id else None
    if known is None:
        raise NotFoundError(f"the work of {suite.argument} was not counted", cure="count it: --count")
    return [price(suite, name, known[name]) for name in [suite.target(name).id for name in names] or list(known)]


def describe_prices(
    prices: Sequence[Price],
    speeds: Speeds,
    devices: Sequence[int] = (1,),
    training_images: Mapping[str, int] | None = None,
) -> list[dict[str, str | float]]:
    """Return a row for each price, for scripts.

    `PART_TFLOP`, `PART_GB`: work of an image of the suite; `total_s`: seconds of an image on one device of `speeds`;
    `evaluation_h_N`: hours of all images on N devices; `training_h_N`: of so many training images, where these are
    stated.
    """
    rows = []
    for item in prices:
        row: dict[str, str | float] = {"target": item.target, "images": item.images, "weights_M": item.weights / 1e6}
        for part, work in (*item.parts.items(), ("total", item.total), ("training", item.training)):
            row |= {f"{part}_TFLOP": work.tera, f"{part}_GB": work.giga}
        row |= {f"{part}_s": speeds.seconds(work) for part, work in (*item.parts.items(), ("total", item.total))}
        row |= {f"evaluation_h_{n}": item.hours(speeds) / n for n in devices}
        if training_images:
            hours = speeds.seconds(item.training) * training_images[item.target] / 3600
            row |= {f"training_h_{n}": hours / n for n in devices}
        rows.append(row)
    return rows


def show_number(value: float) -> str:
    """Return a number with two significant digits at least, never in powers of ten."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{float(f'{value:.2g}'):.4g}"


def _markdown(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (headers, *rows)]
    return "\n".join([lines[0], "|---|" + "---:|" * (len(headers) - 1), *lines[1:]])


def render_work(prices: Sequence[Price], speeds: Speeds) -> str:
    """Return a table in Markdown: work of an image of the suite, and minutes of all images on one device."""
    rows = []
    for item in prices:
        tera = [item.parts[part].tera for part in PARTS] + [item.total.tera]
        scored = item.parts["metrics"].giga
        numbers = [*tera, item.total.giga - scored, scored, 60 * item.hours(speeds)]
        rows.append([f"`{item.target}`", *map(show_number, numbers)])
    work = [*(f"Tflop {part}" for part in PARTS), "Tflop in all", "GB networks", "GB metrics"]
    return _markdown(["target", *work, f"minutes, {speeds.device}"], rows)


def render_prices(prices: Sequence[Price], speeds: Speeds, devices: Sequence[int]) -> str:
    """Return the minutes that all images take so many GPUs, with the weights of inverses, as a table in Markdown."""
    rows = []
    for item in prices:
        minutes = [show_number(60 * item.hours(speeds) / n) for n in devices]
        rows.append([f"`{item.target}`", f"{item.weights / 1e6:.0f}", *minutes])
    whole = [show_number(60 * sum(item.hours(speeds) for item in prices) / n) for n in devices]
    headers = ["target", "weights, million", *(f"minutes, {n} GPU{'s' * (n > 1)}" for n in devices)]
    return _markdown(headers, [*rows, ["all", "", *whole]])


def render_training(prices: Sequence[Price], speeds: Speeds, images: Mapping[str, int]) -> str:
    """Return what training takes, of so many images for each target on 1 and 8 GPUs, as a table in Markdown."""
    rows = []
    for item in prices:
        hours = speeds.seconds(item.training) * images[item.target] / 3600
        rows.append([f"`{item.target}`", *map(show_number, (item.training.tera, item.training.giga, hours, hours / 8))])
    return _markdown(["target", "Tflop, image", "GB, image", "hours, 1 GPU", "8 GPUs"], rows)
