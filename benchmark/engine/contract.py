"""Whether a recon depends on its tap's features, the weights and the seed of image and tap alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmark.content.content import Content
from benchmark.engine.evaluation import Audited
from benchmark.engine.launcher import Launcher
from benchmark.engine.precision import float32
from benchmark.engine.reading import apply, read_features
from benchmark.engine.worker import open_inverse, opened
from benchmark.files.pixels import to_pixels, to_tensor
from benchmark.inverses.base import Inverter
from benchmark.inverses.spec import get_method
from benchmark.submissions.candidates import Candidate, describe_candidate
from benchmark.suites.spec import INPUT
from benchmark.targets import load_target
from benchmark.targets.base import Target
from benchmark.targets.files import hash_weights
from benchmark.targets.taps import Features

__all__ = ["LEAST_PSNR_DB", "Breach", "find_breaches"]

LEAST_PSNR_DB = 40.0
"""Least PSNR between two computations of one recon in other batches: an RMS difference of 2.6 gray levels of 255."""


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
