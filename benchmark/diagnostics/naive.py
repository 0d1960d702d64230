"""The opponent of `invbench bench eval`: an evaluation as one would first write it down.

It uses the same networks, inverse and threads, and scores the same recons by the same definitions, with scikit-image,
scipy, numpy and the `lpips` package. For each image, perturbation and tap it runs the target, then the inverse of that
tap, then every metric that applies. Nothing is shared between taps or metrics, as in the scripts that papers come with;
recons are kept only where a definition compares them (the one of the unperturbed image, and those of all hue kinds).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from benchmark.datasets.base import Sample
from benchmark.diagnostics.references import REFERENCES, OneImage, images_of
from benchmark.diagnostics.references_transfer import color_transfer
from benchmark.engine.precision import float32
from benchmark.engine.reading import read_features
from benchmark.engine.scorer import Tile, iter_tiles
from benchmark.inverses.base import Inverse
from benchmark.inverses.spec import get_method
from benchmark.metrics.case import Case, FocalMask, Networks, View
from benchmark.perturbations import perturb
from benchmark.records.scores import applies
from benchmark.suites.spec import HUE_PERTURBATIONS, POOLED, Suite
from benchmark.targets.base import Target

__all__ = ["score_naively"]

Array = npt.NDArray[np.float64]
Perceive = Callable[[Array, Array], float]


def _score_tap(
    suite: Suite, target: Target, inverse: Inverse, tile: Tile, tap: str, networks: Networks, perceive: Perceive | None
) -> Array:
    """Return the scores of one image at one tap, (conditions, metrics); NaN where a metric does not apply."""
    scores = np.full((len(suite.conditions), len(suite.metrics)), np.nan)
    original, mask = tile.images[:1], tile.masks[:1]
    reads_input = get_method(inverse.config.method).needs_input
    baseline: View | None = None
    hues: list[OneImage] = []
    for perturbation in suite.perturbations:
        seen = perturb(perturbation, original, mask)
        features = read_features(target, seen, tile.ids[:1], reads_input=reads_input)
        recon = View(inverse.invert({name: item for name, item in features.items() if name == tap or reads_input})[tap])
        baseline = baseline or recon
        case = Case(View(original), View(seen), recon, FocalMask(mask), networks, baseline, tile.prototypes)
        (one,) = images_of(case, perceive)
        if perturbation in HUE_PERTURBATIONS:
            hues.append(one)
        for m, metric in enumerate(suite.metrics):
            if applies(metric, perturbation):
                scores[suite.conditions.index(perturbation), m] = REFERENCES[metric](one)
    for m, metric in enumerate(suite.metrics):
        if hues and applies(metric, POOLED):
            one, pairs = hues[0], [(one.seen, one.recon) for one in hues]
            scores[suite.conditions.index(POOLED), m] = color_transfer(one.original, one.baseline, pairs)
    return scores


@float32()
@torch.no_grad()
def score_naively(
    suite: Suite,
    target: Target,
    inverse: Inverse,
    samples: Sequence[Sample],
    networks: Networks,
    perceive: Perceive | None = None,
) -> Array:
    """Return the scores of images, float64 (images, taps, conditions, metrics); NaN where there is none.

    Args:
        perceive: LPIPS of two images, as `load_lpips` returns it.
    """
    scores = []
    for sample in samples:
        (tile,) = iter_tiles([sample], target.device)
        taps = target.spec.tap_names
        scores.append([_score_tap(suite, target, inverse, tile, tap, networks, perceive) for tap in taps])
    return np.array(scores)
