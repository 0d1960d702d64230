"""Whether a recon depends on its tap's features, the weights and the seed of image and tap alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from benchmark.content.content import Content
from benchmark.engine.evaluation import Audited
from benchmark.engine.precision import float32
from benchmark.engine.reading import apply, read_features
from benchmark.files.pixels import to_pixels, to_tensor
from benchmark.inverses.base import Inverse
from benchmark.inverses.spec import get_method
from benchmark.submissions.candidates import Candidate, load_candidate
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


def _load(content: Content, candidate: Candidate, target: Target) -> Inverse:
    weights = hash_weights(content.target(target.spec))
    inverse, _ = load_candidate(candidate, target.spec, weights, target.device)
    if inverse.needs_target:
        inverse.target = target
    return inverse


def _psnr_db(first: np.ndarray, second: np.ndarray) -> float:
    error = np.square(first.astype(np.float64) - second).mean()
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def _alone(inverse: Inverse, features: Mapping[str, Features], tap: str) -> np.ndarray:
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
    suite, reads_input = content.suite, get_method(candidate.method).needs_input
    breaches = []
    for name, (images, pixels) in audited.items():
        spec = suite.target(name)
        target = load_target(spec, content.target(spec), device)
        for p, perturbation in reversed(list(enumerate(suite.perturbations))):
            features = []
            for index, image in enumerate(images):
                seen = to_tensor(pixels[index : index + 1, 0, p], device)
                with torch.no_grad():
                    features.append(read_features(target, seen, [image], reads_input=reads_input))
            for t, tap in reversed(list(enumerate(spec.tap_names, 1))):
                inverse = _load(content, candidate, target)
                for index in reversed(range(len(images))):
                    found = _psnr_db(_alone(inverse, features[index], tap), pixels[index, t, p])
                    if found < LEAST_PSNR_DB:
                        breaches.append(Breach(spec.id, tap, images[index], perturbation, found))
    return breaches
