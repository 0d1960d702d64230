"""The ranked metrics of a suite on images that are neither trained on nor evaluated; they choose the weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np

from benchmark.datasets.base import ImageSet, Sample
from benchmark.datasets.frozen import sample_of
from benchmark.datasets.scenes import iter_scenes
from benchmark.engine.pipeline import Pipeline
from benchmark.engine.scorer import iter_tiles
from benchmark.engine.stopwatch import Stopwatch
from benchmark.files.canonical import digest_of
from benchmark.files.import_graph import code_digest
from benchmark.inverses.base import Inverse
from benchmark.metrics.case import Networks
from benchmark.records.aggregate import image_axes
from benchmark.suites.spec import HUE_PERTURBATIONS, Suite
from benchmark.targets.base import Target
from benchmark.train.choosing import Validation, refuse
from benchmark.train.traits import hash_pixels

__all__ = ["VALIDATION_IMAGES", "Aside", "draw_aside", "make_validation", "measure", "rank_only", "read_aside"]

VALIDATION_IMAGES = 64
SEED = 401
NOT_FINITE = 1


class Aside(NamedTuple):
    """Images that are neither trained on nor evaluated, and the suite whose ranked metrics they are scored by."""

    suite: Suite
    samples: Sequence[Sample]


def draw_aside(suite: Suite) -> Aside:
    """The validation scenes of the embedded suite, the same for every training."""
    scenes = islice(iter_scenes("validation", SEED), VALIDATION_IMAGES)
    return Aside(suite, [sample_of(scene, f"validation-{number:04d}") for number, scene in enumerate(scenes)])


def read_aside(suite: Suite, images: ImageSet, size: tuple[int, int]) -> Aside:
    """Photographs that were held out of a training, at `size` (height, width)."""
    return Aside(suite, [images.load(index, size) for index in range(len(images.ids))])


def rank_only(suite: Suite, samples: Sequence[Sample]) -> Suite:
    """Return a suite with its ranked metrics alone; without masks, shape is what suites without masks rank."""
    masked = not all(sample.focal_mask.all() for sample in samples)
    kinds = tuple(kind for kind in suite.perturbations if kind == "identity" or kind in HUE_PERTURBATIONS)
    axes = dict(suite.axes) if masked else dict(suite.axes) | {"shape": ("edge_f",)}
    return suite.model_copy(update={"axes": axes, "report": (), "perturbations": kinds, "layer_images": 0})


def measure(aside: Aside, target: Target, inverse: Inverse) -> dict[str, float]:
    """Return the mean over images and taps of each axis of a suite, and as `score` their mean.

    An axis on which no image can be scored is left out, of the mean, too. Nothing is returned where a recon is not
    finite.

    Args:
        aside: images at the target's input size.
        inverse: in eval mode.
    """
    ranked = rank_only(*aside)
    pipeline = Pipeline(ranked, target, inverse, Networks(), Stopwatch(target.device))
    scored = [pipeline.run(tile) for tile in iter_tiles(aside.samples, target.device)]
    if any((arrays["reasons"] == NOT_FINITE).any() for arrays in scored):
        return {}
    by_axis = image_axes(ranked, np.concatenate([arrays["values"] for arrays in scored]))
    scores = {str(axis): values for axis, values in by_axis.items() if not np.isnan(values).all()}
    means = {axis: round(float(np.nanmean(values)), 6) for axis, values in scores.items()}
    return {"score": round(sum(means.values()) / len(means), 6), **means} if means else {}


def make_validation(aside: Aside, target: Target, inverse: Inverse, every: int) -> Validation:
    """Return the validation of a training of `inverse`, every so many steps; see `MakeValidation`.

    Raises:
        UserError: there are no images.
    """
    if not aside.samples:
        return refuse(target, inverse, every)
    pixels = digest_of([hash_pixels(sample.image).hex() for sample in aside.samples])
    key = {"images": pixels, "suite": aside.suite.digest, "code": code_digest(__name__)}
    return Validation(every, partial(measure, aside, target, inverse), key)
