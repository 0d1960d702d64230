"""Batteries: what answers that must score nothing, and filters that must gain nothing, do on every ranked axis."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmark.content.content import Content
from benchmark.datasets.base import Sample
from benchmark.datasets.scenes import Purpose, iter_scenes
from benchmark.diagnostics.batteries_answers import ANSWERS, Prior
from benchmark.diagnostics.batteries_attack import flatter_judge
from benchmark.diagnostics.batteries_filters import DENOISERS, FILTERS, MIRROR_FILTERS
from benchmark.diagnostics.batteries_ideas import IDEAS
from benchmark.diagnostics.batteries_optimized import STEPS, Optimized, optimize
from benchmark.diagnostics.batteries_scores import Scored, score_answers
from benchmark.engine.scorer import Tile
from benchmark.engine.yardsticks import thumbnail
from benchmark.errors import SpecError
from benchmark.files.paths import submissions_root
from benchmark.files.pixels import quantize
from benchmark.inverses.base import load_inverse
from benchmark.metrics.case import Networks
from benchmark.submissions.submission import list_submissions, load_submission
from benchmark.suites.spec import FrozenData, Suite, TargetSpec
from benchmark.targets import load_target
from benchmark.targets.judge import load_judge

__all__ = [
    "FEW", "GAIN_BOUND", "PLAIN", "TRIVIAL_BOUND", "Batteries", "Gain", "Lab", "battery_keys", "few_numbers",
    "measure_attack", "measure_batteries", "measure_filters", "measure_ideas", "measure_trivial", "open_lab",
]  # fmt: skip

TRIVIAL_BOUND, GAIN_BOUND = 0.02, 0.03
METHODS = ("ridge", "modular_per_tap")
PLAIN, BOTH = "plain", "average of the methods"
TRAINING_SEED, FRESH_SEED = 71, 72
REACHES = (2, 4)
FEW = (1, 4, 16)


def battery_keys(suite: Suite) -> tuple[str, ...]:
    """The axes, then the ranked metrics, of a suite: all that the bounds hold for."""
    return (*suite.axes, *(metric for metrics in suite.axes.values() for metric in metrics))


class Gain(NamedTuple):
    """What a filter of the recons of a method gains at a tap: by axis and metric, the mean and its standard error."""

    method: str
    target: str
    tap: str
    filter: str
    gains: dict[str, tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Batteries:
    """All results.

    Attributes:
        trivial: scores of answers that ignore the image, on fresh and on frozen images.
        optimized: the fixed images among them that were optimized for a metric.
        filters: gains of filters, denoisers and averages of methods.
        attack: scores of recons, and of these after a small change towards the judge.
        few: scores of a few numbers.
        tried: scores of further attacks.
    """

    suite: Suite
    trivial: dict[str, Scored]
    optimized: tuple[Optimized, ...]
    filters: tuple[Gain, ...]
    attack: Scored
    few: Scored
    tried: Scored


@dataclass(frozen=True, eq=False)
class Lab:
    """What the batteries are run with: the content of a suite, images that nothing was trained on, and training images.

    Attributes:
        optimized_on: training images on which fixed images are optimized.
        components: leading principal components of other training images, whose mean `prior` holds, (K, 3 H W).
    """

    content: Content
    device: torch.device
    fresh: list[Sample]
    frozen: list[Sample]
    optimized_on: list[Sample]
    prior: Prior
    components: Tensor


def _scenes(purpose: Purpose, seed: int, count: int, start: int = 0) -> list[Sample]:
    scenes = enumerate(islice(iter_scenes(purpose, seed, start), count), start)
    return [
        Sample(f"{purpose}-{i:04d}", s.image, s.category_mask(s.focal_category), s.focal_category, group=s.group)
        for i, s in scenes
    ]


def _know(samples: Sequence[Sample], device: torch.device) -> tuple[Prior, Tensor]:
    """What training images have in common, and their principal components."""
    pixels = torch.from_numpy(np.stack([sample.image for sample in samples])).permute(0, 3, 1, 2).double() / 255
    figure = torch.from_numpy(np.mean([sample.focal_mask for sample in samples], axis=0))
    mean = pixels.mean(0)
    rest = (pixels - mean).flatten(1)
    # The few images span the components: the Gram matrix is much smaller than the covariance.
    strength, weights = torch.linalg.eigh(rest @ rest.T)
    components = (weights.flip(1)[:, : max(FEW)].T @ rest) / strength.flip(0)[: max(FEW), None].clamp(min=1e-12).sqrt()
    prior = Prior(mean.float().to(device), (figure / figure.max()).float().to(device))
    return prior, components.float().to(device)


def open_lab(content: Content, device: torch.device, images: int) -> Lab:
    """Draw and load what the batteries need: `images` fresh and frozen images each, eight times as many for training.

    Raises:
        SpecError: the images of the suite are not drawn by a generator that can draw others.
    """
    suite = content.suite
    if not isinstance(suite.dataset, FrozenData):
        raise SpecError("the batteries draw fresh images, which this suite cannot", where=suite.id, cure="use mini@1")
    size, known = suite.targets[0].input_size, len(content.images.ids)
    prior, components = _know(_scenes("train", TRAINING_SEED, 4 * images, start=4 * images), device)
    return Lab(
        content,
        device,
        _scenes("validation", FRESH_SEED, images),
        [content.images.load(index, size) for index in range(min(images, known))],
        _scenes("train", TRAINING_SEED, 4 * images),
        prior,
        components,
    )


class _Seeds:
    """Generators that are seeded by the name of an answer, its tile and how often they were asked for."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()

    def __call__(self, name: str, tile: Tile) -> torch.Generator:
        key = f"{name} {tile.first}"
        self._calls[key] += 1
        return torch.Generator().manual_seed(zlib.crc32(f"{key} {self._calls[key]}".encode()))


def measure_trivial(lab: Lab, samples: Sequence[Sample], optimized: Sequence[Optimized], title: str) -> Scored:
    """Scores of every answer that ignores the image, those optimized for a metric among them."""
    fixed: dict[str, Callable[[Tensor], Tensor]] = {
        f"optimized for {item.metric}": item.answer.show for item in optimized
    }
    seeds = _Seeds()

    def reconstruct(tile: Tile, seen: Tensor) -> dict[str, Tensor]:
        drawn = {name: answer(seen, lab.prior, seeds(name, tile)) for name, answer in ANSWERS.items()}
        return drawn | {name: answer(seen) for name, answer in fixed.items()}

    return score_answers(lab.content.suite, samples, (*ANSWERS, *fixed), reconstruct, lab.device, title=title)


def few_numbers(lab: Lab) -> Scored:
    """Scores of recons that keep a few numbers of the image: principal components, a thumbnail of 2x2 pixels."""

    def reconstruct(tile: Tile, seen: Tensor) -> dict[str, Tensor]:
        rest = (seen - lab.prior.mean).flatten(1)
        found = {}
        for count in FEW:
            kept = lab.components[:count]
            found[_component_name(count)] = lab.prior.mean + (rest @ kept.T @ kept).view_as(seen)
        return found | {"thumbnail of 2x2": thumbnail(seen, 2)}

    names = (*map(_component_name, FEW), "thumbnail of 2x2")
    return score_answers(lab.content.suite, lab.fresh, names, reconstruct, lab.device, title="few numbers")


def measure_ideas(lab: Lab, samples: Sequence[Sample]) -> Scored:
    """Scores of the attacks of `batteries_ideas`."""

    def reconstruct(tile: Tile, seen: Tensor) -> dict[str, Tensor]:
        return {name: idea(seen, tile.masks) for name, idea in IDEAS.items()}

    return score_answers(lab.content.suite, samples, tuple(IDEAS), reconstruct, lab.device, title="ideas")


def _component_name(count: int) -> str:
    return f"{count} principal component{'s' if count > 1 else ''}"


def _invert(lab: Lab, spec: TargetSpec, methods: Sequence[str]) -> tuple[list[str], Callable[[Tensor], _Recons]]:
    """Three taps of a target, and a function from images to the 8-bit recons of each method at them."""
    target, root = load_target(spec, lab.content.target(spec), lab.device), submissions_root()
    inverses = {
        name: load_inverse(load_submission(root, name).weights[spec.id].directory(root / name), lab.device)
        for name in methods
    }
    taps = [spec.tap_names[place] for place in sorted({0, len(spec.taps) // 2, len(spec.taps) - 1})]

    def invert(seen: Tensor) -> dict[tuple[str, str], Tensor]:
        features = target.features(seen, taps)
        found = {name: inverse.invert(features) for name, inverse in inverses.items()}
        return {(name, tap): quantize(recons[tap]) for name, recons in found.items() for tap in taps}

    return taps, invert


_Recons = Mapping[tuple[str, str], Tensor]


def _name(*parts: str) -> str:
    return " / ".join(parts)


def measure_filters(
    lab: Lab, samples: Sequence[Sample], spec: TargetSpec, methods: Sequence[str] = METHODS
) -> list[Gain]:
    """Gains of every filter over the plain recons of every method at three taps of a target.

    The gain of the average of the methods is that over the better of them, by axis and metric.
    """
    methods = [name for name in methods if name in list_submissions(submissions_root())]
    taps, invert = _invert(lab, spec, methods)
    filters, seeds = FILTERS | MIRROR_FILTERS | DENOISERS, _Seeds()

    def reconstruct(tile: Tile, seen: Tensor) -> dict[str, Tensor]:
        recons, shown = invert(seen), {}
        for (method, tap), recon in recons.items():
            shown[_name(method, tap, PLAIN)] = recon
            for name, function in filters.items():
                key = _name(method, tap, name)
                shown[key] = function(recon, lab.prior, seeds(key, tile))
        for tap in taps:
            shown[_name(BOTH, tap, BOTH)] = torch.stack([recons[method, tap] for method in methods]).mean(0)
        return shown

    pairs = [(method, tap) for method in methods for tap in taps]
    names = [_name(*pair, name) for pair in pairs for name in (PLAIN, *filters)] + [_name(BOTH, t, BOTH) for t in taps]
    scored = score_answers(lab.content.suite, samples, names, reconstruct, lab.device, title=f"filters at {spec.id}")
    keys = battery_keys(lab.content.suite)
    gains = [
        Gain(method, spec.id, tap, name, {
            key: scored.gain(key, _name(method, tap, name), _name(method, tap, PLAIN)) for key in keys
        })
        for method, tap in pairs
        for name in filters
    ]  # fmt: skip
    for tap in taps:
        over = [{key: scored.gain(key, _name(BOTH, tap, BOTH), _name(m, tap, PLAIN)) for key in keys} for m in methods]
        gains.append(Gain(BOTH, spec.id, tap, BOTH, {key: min(item[key] for item in over) for key in keys}))
    return gains


def measure_attack(lab: Lab, samples: Sequence[Sample], spec: TargetSpec) -> Scored:
    """Scores of the recons of `ridge` at three taps of a target, and of these after a change towards the judge."""
    suite = lab.content.suite
    assert suite.judge is not None
    judge = load_judge(lab.content.network(suite.judge), lab.device)
    taps, invert = _invert(lab, spec, METHODS[:1])

    def reconstruct(tile: Tile, seen: Tensor) -> dict[str, Tensor]:
        shown = {}
        for (_, tap), recon in invert(seen).items():
            shown[_name(tap, PLAIN)] = recon
            for reach in REACHES:
                shown[_name(tap, f"{reach}/255")] = flatter_judge(recon, seen, judge, reach / 255)
        return shown

    names = [_name(tap, kind) for tap in taps for kind in (PLAIN, *(f"{reach}/255" for reach in REACHES))]
    return score_answers(
        suite, samples, names, reconstruct, lab.device,
        networks=Networks(judge=judge), report=("recognition",), title="attack on the judge",
    )  # fmt: skip


def measure_batteries(content: Content, device: torch.device, images: int, steps: int = STEPS) -> Batteries:
    """Run all batteries of a suite.

    Args:
        images: fresh and frozen images each, a multiple of eight; of the fresh, filters see a quarter, the attack an
            eighth.
        steps: of optimization from each start.

    Raises:
        SpecError: see `open_lab`.
    """
    lab, suite = open_lab(content, device, images), content.suite
    optimized = tuple(
        optimize(suite, metric, lab.optimized_on, lab.prior, steps)
        for metrics in suite.axes.values()
        for metric in metrics
    )
    trivial = {
        name: measure_trivial(lab, samples, optimized, f"trivial answers, {name} images")
        for name, samples in (("fresh", lab.fresh), ("frozen", lab.frozen))
    }
    quarter, eighth = (max(8, images // part // 8 * 8) for part in (4, 8))
    filters = tuple(gain for spec in suite.targets for gain in measure_filters(lab, lab.fresh[:quarter], spec))
    attack = measure_attack(lab, lab.fresh[:eighth], suite.targets[0])
    return Batteries(
        suite, trivial, optimized, filters, attack, few_numbers(lab), measure_ideas(lab, lab.fresh[:quarter])
    )
