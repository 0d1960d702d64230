"""Whether a recon depends on its tap's features, the weights and the seed of image and tap alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from secrets import SystemRandom
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmark.content.content import Content
from benchmark.datasets.base import ImageSet
from benchmark.engine.evaluation import Audited
from benchmark.engine.launcher import Launcher
from benchmark.engine.networks import load_metric_networks
from benchmark.engine.pipeline import Pipeline
from benchmark.engine.precision import float32
from benchmark.engine.reading import apply, read_features
from benchmark.engine.scorer import TILE, iter_tiles
from benchmark.engine.stopwatch import Stopwatch
from benchmark.engine.worker import open_inverse, opened
from benchmark.errors import IntegrityError
from benchmark.files.pixels import to_pixels, to_tensor
from benchmark.inverses.base import Inverter
from benchmark.inverses.spec import get_method
from benchmark.metrics.spec import get_metric
from benchmark.records.scores import ScoreArrays
from benchmark.submissions.candidates import Candidate, describe_candidate
from benchmark.suites.spec import INPUT, Suite
from benchmark.targets import load_target
from benchmark.targets.base import Target
from benchmark.targets.files import hash_weights
from benchmark.targets.taps import Features

__all__ = ["LEAST_PSNR_DB", "OTHERS", "Breach", "add_others", "find_breaches", "refuse_breaches"]

LEAST_PSNR_DB = 40.0
"""Least PSNR between two computations of one recon in other batches: an RMS difference of 2.6 gray levels of 255."""

OTHERS = 4
"""How many images beside those audited are inverted again on each target."""


class Breach(NamedTuple):
    """A recon that is another one when its tap is inverted alone, by an inverse that was just loaded."""

    target: str
    tap: str
    image: str
    perturbation: str
    psnr_db: float

    def __str__(self) -> str:
        where = f"{self.tap} of {self.target}, image {self.image}, {self.perturbation}"
        return f"{where}: inverted alone the recon is another one (PSNR {self.psnr_db:.1f} dB)"


class _Opening:
    """Opens inverses of one target that nobody has asked anything yet, and reads what they are to be given."""

    def __init__(self, content: Content, candidate: Candidate, target: Target, launcher: Launcher | None) -> None:
        self._content, self._candidate, self._target, self._launcher = content, candidate, target, launcher
        spec = target.spec
        self._config, _ = describe_candidate(candidate, spec, hash_weights(content.target(spec)))

    @contextmanager
    def open(self) -> Iterator[Inverter]:
        device = self._target.device
        inverse = open_inverse(self._content, self._candidate, self._config, device, launcher=self._launcher)
        if inverse.needs_target:
            inverse.target = self._target
        with opened(inverse):
            yield inverse

    @torch.no_grad()
    def read(self, seen: Tensor, images: Sequence[str]) -> list[Mapping[str, Features]]:
        """The features of each of the images (N, 3, H, W) that the target sees."""
        reads_input = get_method(self._candidate.method).needs_input
        return [
            read_features(self._target, seen[index : index + 1], [image], reads_input=reads_input)
            for index, image in enumerate(images)
        ]


def _psnr_db(first: np.ndarray, second: np.ndarray) -> float:
    error = np.square(first.astype(np.float64) - second).mean()
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def _alone(inverse: Inverter, features: Mapping[str, Features], tap: str) -> np.ndarray:
    """The pixels (H, W, 3) of the recon of one image, from the features of a tap and nothing else."""
    given = {name: item for name, item in features.items() if name in (tap, INPUT)}
    recon = apply(inverse.invert, given)[tap]
    return np.asarray(to_pixels(torch.nan_to_num(recon.float()).clamp(0, 1))[0])


@float32()
def find_breaches(
    content: Content,
    candidate: Candidate,
    audited: Mapping[str, Audited],
    device: torch.device,
) -> list[Breach]:
    """Invert every audit image again, a tap, an image and a perturbation at a time, in reverse order, and compare.

    Every tap and perturbation gets an inverse that was just loaded. An inverse that looks at other taps than the one
    that it answers for, that remembers earlier calls, or that draws from another source than `Features.generators`
    gives other recons than it gave in the evaluation.

    Args:
        audited: by target, what the evaluation kept of the audit images, also where a record stores nothing of them.

    Returns:
        The recons whose PSNR to the stored one is under LEAST_PSNR_DB.
    """
    suite, breaches = content.suite, []
    with Launcher() if candidate.isolated else nullcontext() as launcher:
        for name, (images, pixels) in audited.items():
            spec = suite.target(name)
            opening = _Opening(content, candidate, load_target(spec, content.target(spec), device), launcher)
            for p, perturbation in reversed(list(enumerate(suite.perturbations))):
                features = opening.read(to_tensor(pixels[:, 0, p], device), images)
                for t, tap in reversed(list(enumerate(spec.tap_names, 1))):
                    with opening.open() as inverse:
                        for index in reversed(range(len(images))):
                            found = _psnr_db(_alone(inverse, features[index], tap), pixels[index, t, p])
                            if found < LEAST_PSNR_DB:
                                breaches.append(Breach(spec.id, tap, images[index], perturbation, found))
    return breaches


def _find_other_score(
    suite: Suite, ranked: Suite, stated: ScoreArrays, rows: slice, arrays: Mapping[str, Any]
) -> str | None:
    """Return in words a score of a tile that is not what was stated; None: all are, to what its metric allows."""
    for m, name in enumerate(ranked.metrics):
        for c, condition in enumerate(ranked.conditions):
            place = (..., suite.conditions.index(condition), suite.metrics.index(name))
            was, now = stated.values[rows][place], arrays["values"][..., c, m]
            near = (np.abs(now - was) <= get_metric(name).tolerance) | np.isnan(was)
            if not near.all():
                image, tap = np.argwhere(~near)[0]
                where = f"{stated.target.tap_names[tap]} of {stated.target.id}, image {stated.images[rows][image]}"
                return f"{where}, {condition}: '{name}' is {now[image, tap]:g}, and was {was[image, tap]:g} before"
    return None


def add_others(
    content: Content,
    images: ImageSet,
    candidate: Candidate,
    scores: Sequence[ScoreArrays],
    audited: Mapping[str, Audited],
    device: torch.device,
) -> dict[str, Audited]:
    """Return the audit images and, on each target, up to OTHERS more of one tile, which nobody knows beforehand.

    Seeds tell an inverse which images are audited, so that it could keep the contract on these alone. The tile is
    evaluated once more, by an inverse that was just loaded: its scores have to be those of the evaluation.

    Args:
        images: that were evaluated.
        scores: of these.
        audited: by target, what was kept of the audit images; of other targets nothing.

    Raises:
        IntegrityError: the inverse scores the tile otherwise than before.
        UserError: the inverse fails; see Pipeline.
    """
    ranked = content.suite.model_copy(update={"report": (), "judge": None, "layer_images": 0})
    networks, found = load_metric_networks(Content(ranked, content.lock), device), {}
    with Launcher() if candidate.isolated else nullcontext() as launcher:
        for stated in scores:
            spec, first = stated.target, SystemRandom().randrange(0, len(stated.images), TILE)
            rows, (known, pixels) = slice(first, first + TILE), audited.get(spec.id, ((), None))
            unknown = [image for image in stated.images[rows] if image not in known]
            drawn = set(SystemRandom().sample(unknown, min(OTHERS, len(unknown))))
            samples = [images.load(images.ids.index(image), spec.input_size) for image in stated.images[rows]]
            (tile,) = iter_tiles(samples, device, audit=drawn)
            target = load_target(spec, content.target(spec), device)
            with _Opening(content, candidate, target, launcher).open() as inverse:
                arrays = Pipeline(ranked, target, inverse, networks, Stopwatch(device)).run(tile)
            if other := _find_other_score(content.suite, ranked, stated, rows, arrays):
                message = f"gives another recon when it is asked again: {other}"
                raise IntegrityError(message, where=candidate.id, cure="no recon may depend on earlier calls")
            kept = known + tuple(image for image in stated.images[rows] if image in drawn)
            new = arrays["audit"]
            found[spec.id] = kept, new if pixels is None else np.concatenate([pixels, new])
    return found


def refuse_breaches(breaches: Sequence[Breach], where: str) -> None:
    """Refuse an inverse of which any were found; raises IntegrityError."""
    if breaches:
        cure = "the recon of a tap may depend on that tap's features, the weights and its seed alone"
        raise IntegrityError(f"{breaches[0]}; {len(breaches)} recons in all", where=where, cure=cure)
