"""A challenge: a method scores images that were drawn after its record was made, and is to do as well on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from benchmark.content.content import Content
from benchmark.content.pins import hash_image
from benchmark.datasets.base import ImageSet, Sample
from benchmark.engine.contract import add_others, find_breaches, refuse_breaches
from benchmark.engine.launcher import Launcher
from benchmark.engine.networks import load_metric_networks
from benchmark.engine.pipeline import Pipeline
from benchmark.engine.scorer import iter_tiles
from benchmark.engine.stopwatch import Stopwatch
from benchmark.engine.worker import open_inverse, opened
from benchmark.errors import IntegrityError, SpecError
from benchmark.files.canonical import digest_of
from benchmark.metrics.case import Networks
from benchmark.metrics.spec import get_metric
from benchmark.records.aggregate import image_axes
from benchmark.records.bootstrap import groups_of
from benchmark.records.challenges import Challenge, Contrast, challenge_seed
from benchmark.records.record import Record
from benchmark.records.scores import NOT_FINITE, ScoreArrays, defines, get_reason_names, is_complete
from benchmark.records.two_samples import SampleDifference, compare_samples
from benchmark.submissions.candidates import Candidate, describe_candidate
from benchmark.suites.spec import HUE_PERTURBATIONS, POOLED, Axis, Suite
from benchmark.targets import load_target
from benchmark.targets.files import hash_weights

__all__ = ["FreshImages", "challenge", "contrast_scores", "draw_images", "ranked_part", "score_images"]

Array = npt.NDArray[np.float64]
Key = tuple[str, Axis]


def ranked_part(suite: Suite) -> Suite:
    """Return what of a suite its axis scores need: no reported metric, no judge, no layers, no other perturbation."""
    ranked = suite.ranked_metrics
    pooled = any(get_metric(metric).perturbations == POOLED for metric in ranked)
    kinds = tuple(
        kind
        for kind in suite.perturbations
        if kind == "identity"
        or (pooled and kind in HUE_PERTURBATIONS)
        or any(defines(metric, kind) for metric in ranked)
    )
    return suite.model_copy(update={"report": (), "judge": None, "layer_images": 0, "perturbations": kinds})


class FreshImages(NamedTuple):
    """The fresh images of a challenge.

    Attributes:
        seed: what drew them, 64 hex digits.
        images: their source.
        groups: of each.
        sha256: digest of their pixels, masks and groups at all sizes that the targets take.
    """

    seed: str
    images: ImageSet
    groups: tuple[str, ...]
    sha256: str

    def samples(self, size: tuple[int, int]) -> Iterator[Sample]:
        """Yield the images at `size` (height, width)."""
        return (self.images.load(index, size) for index in range(len(self.images.ids)))


def draw_images(content: Content, record: Record, beacon: str, count: int) -> FreshImages:
    """Draw the images that record and beacon stand for.

    Raises:
        SpecError: the suite's source has no others, or not as many.
    """
    seed = challenge_seed(record.digest, beacon)
    images = content.images.fresh(seed, count)
    groups, hashes = [], []
    for size in dict.fromkeys(content.suite.target(name).input_size for name in record.targets):
        samples = [images.load(index, size) for index in range(count)]
        groups = [sample.group or sample.id for sample in samples]
        hashes.append([hash_image(sample) for sample in samples])
    return FreshImages(seed, images, tuple(groups), digest_of(hashes))


class _Run:
    """Scores fresh images on one target after the other."""

    def __init__(self, content: Content, candidate: Candidate, record: Record, device: torch.device) -> None:
        self.content, self.candidate, self.record, self.device = content, candidate, record, device
        self.suite = ranked_part(content.suite)
        self.networks: Networks = load_metric_networks(Content(self.suite, content.lock), device)

    @contextmanager
    def _open(self, name: str, launcher: Launcher | None) -> Iterator[Pipeline]:
        """A pipeline to the scores of a target, by the very inverse that the record was made with.

        Raises:
            IntegrityError: it is another one.
        """
        spec, folder = self.content.suite.target(name), self.content.target(self.content.suite.target(name))
        config, info = describe_candidate(self.candidate, spec, hash_weights(folder))
        if info.files != self.record.inverses[name].files:
            message = f"the inverse of '{name}' is not the one that the record was made with"
            raise IntegrityError(message, where=self.candidate.id, cure="evaluate again")
        inverse = open_inverse(self.content, self.candidate, config, self.device, launcher=launcher)
        with opened(inverse):
            watch = Stopwatch(self.device)
            target = load_target(spec, folder, self.device)
            yield Pipeline(self.suite, target, inverse, self.networks, watch, as_defined=True)

    def score(self, name: str, fresh: FreshImages, launcher: Launcher | None, bar: tqdm[None]) -> ScoreArrays:
        """Return the scores of a target.

        Raises:
            IntegrityError: a recon is not finite.
        """
        spec, ids = self.content.suite.target(name), fresh.images.ids
        with self._open(name, launcher) as pipeline:
            parts = []
            for tile in iter_tiles(fresh.samples(spec.input_size), self.device):
                parts.append(pipeline.run(tile))
                bar.update(tile.count * len(spec.taps))
        values, reasons, clamped = (np.concatenate([p[k] for p in parts]) for k in ("values", "reasons", "clamped"))
        scores = ScoreArrays(spec, ids, values, reasons, clamped, get_reason_names(self.suite))
        lost = (reasons == 1 + scores.reason_names.index(NOT_FINITE)).any((1, 2, 3))
        if lost.any():
            message = f"the recon of fresh image {ids[int(np.argmax(lost))]} on {name} is not finite"
            raise IntegrityError(message, where=self.candidate.id, cure="a method has to answer every image")
        return scores


def score_images(
    content: Content,
    candidate: Candidate,
    record: Record,
    fresh: FreshImages,
    device: torch.device,
    *,
    bar: bool = True,
) -> list[ScoreArrays]:
    """Score a candidate on fresh images and the targets of its record, by what the axes need.

    Args:
        bar: whether to show progress.

    Raises:
        IntegrityError: a recon is not finite, or an inverse is not the one that the record was made with.
        UserError: the inverse fails; see Pipeline.
    """
    run, count = _Run(content, candidate, record, device), len(fresh.images.ids)
    total = count * sum(len(content.suite.target(name).taps) for name in record.targets)
    title = f"challenge {candidate.id}"
    with (
        Launcher() if candidate.isolated else nullcontext() as launcher,
        tqdm(total=total, unit="tap", desc=title, smoothing=0, mininterval=0.5, disable=not bar) as progress,
    ):
        return [run.score(name, fresh, launcher, progress) for name in record.targets]


def _by_axis(suite: Suite, scores: Sequence[ScoreArrays]) -> dict[Key, Array]:
    return {(item.target.id, axis): v for item in scores for axis, v in image_axes(suite, item.values).items()}


def contrast_scores(
    content: Content, stated: Sequence[ScoreArrays], scores: Sequence[ScoreArrays], fresh: FreshImages
) -> dict[Key, SampleDifference]:
    """Compare the axis scores of a record with those on fresh images.

    Raises:
        SpecError: an axis is without any score on the fresh images.
    """
    suite, lock = content.suite, content.lock
    groups = groups_of(stated[0].images, lock.groups) + fresh.groups
    frozen, found = _by_axis(suite, stated), _by_axis(ranked_part(suite), scores)
    allowed = {
        key: float(np.mean([get_metric(metric).mean_tolerance for metric in suite.axes[key[1]]])) for key in frozen
    }
    return compare_samples(frozen, found, groups, allowed, int(fresh.seed, 16))


def _contrast(found: SampleDifference) -> Contrast:
    frozen, fresh = round(found.frozen, 6), round(found.fresh, 6)
    difference, critical = round(frozen - fresh, 6), round(found.critical, 6)
    return Contrast(frozen=frozen, fresh=fresh, difference=difference, critical=critical, p_value=found.p_value)


def _check_contract(
    content: Content, candidate: Candidate, scores: Sequence[ScoreArrays], fresh: FreshImages, device: torch.device
) -> None:
    """Check that the recons of some fresh images follow from their own tap's features: seeds tell that they are fresh.

    Raises:
        IntegrityError: they do not, so that nothing follows from their scores.
    """
    part = Content(ranked_part(content.suite), content.lock)
    others = add_others(part, fresh.images, candidate, scores, {}, device)
    refuse_breaches(find_breaches(part, candidate, others, device), candidate.id)


def challenge(
    content: Content,
    candidate: Candidate,
    record: Record,
    stated: Sequence[ScoreArrays],
    beacon: str,
    count: int,
    device: torch.device,
) -> Challenge:
    """Draw images, score the candidate on them, and compare its axis scores with those of its record.

    Args:
        stated: the scores of the record.
        beacon: a public random value that was not known when the record was made.
        count: how many images to draw.

    Raises:
        SpecError: the record is not complete on its targets, or the suite has no such images.
        IntegrityError: see `score_images`; or a recon depends on other taps or on earlier calls.
    """
    if lacking := [scores.target.id for scores in stated if not is_complete(content.suite, scores)]:
        message = f"is not complete on {lacking[0]}: a challenge compares with every image of the suite"
        raise SpecError(message, where=candidate.id, cure="evaluate again, without --limit")
    fresh = draw_images(content, record, beacon, count)
    scores = score_images(content, candidate, record, fresh, device)
    found = contrast_scores(content, stated, scores, fresh)
    if all(difference.agrees for difference in found.values()):
        _check_contract(content, candidate, scores, fresh, device)
    contrasts: dict[str, dict[Axis, Contrast]] = {name: {} for name in record.targets}
    for (name, axis), difference in found.items():
        contrasts[name][axis] = _contrast(difference)
    return Challenge(beacon=beacon, seed=fresh.seed, images_sha256=fresh.sha256, contrasts=contrasts)
