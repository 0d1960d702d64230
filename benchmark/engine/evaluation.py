"""The evaluation engine: the one module that wires all stages.

dataset -> perturbation -> target taps -> inverse -> metrics -> record.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor
from tqdm import tqdm

from benchmark.content.content import Content
from benchmark.datasets.base import ImageSet, Sample
from benchmark.engine.chunks import ChunkStore
from benchmark.engine.layer_transfer import LayerScorer, find_groups, summarize_layers
from benchmark.engine.networks import load_metric_networks
from benchmark.engine.provenance import Meter, Times
from benchmark.engine.scorer import TILE, Scorer, Tile, iter_tiles
from benchmark.engine.stopwatch import STAGES, Stopwatch
from benchmark.errors import SpecError
from benchmark.files.canonical import sha256_file
from benchmark.files.import_graph import code_digest, library_versions
from benchmark.inverses.base import Inverse
from benchmark.inverses.spec import get_method
from benchmark.metrics.case import Networks
from benchmark.metrics.layers import COMPARED
from benchmark.records.aggregate import summarize
from benchmark.records.audit import audit_to_table
from benchmark.records.record import InverseInfo, Record, StageLayers, SubmissionInfo, write_record
from benchmark.records.scores import ScoreArrays, find_status, get_reason_names, scores_to_table
from benchmark.submissions.candidates import Candidate, load_candidate
from benchmark.suites.spec import INPUT, Source, Suite, TargetSpec
from benchmark.targets import load_target
from benchmark.targets.base import Target
from benchmark.targets.taps import Features

__all__ = ["Evaluation", "Options", "evaluate", "find_keys"]


@dataclass(frozen=True)
class Options:
    """How to run.

    Attributes:
        batch_size: images kept and checkpointed together.
        limit: only the first so many images.
        targets: only these targets.
    """

    device: torch.device
    batch_size: int = 16
    limit: int | None = None
    targets: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What an evaluation yields: the unsealed record, its two tables, and the chunks it was put together from."""

    record: Record
    scores: pa.Table
    audit: pa.Table
    chunks: tuple[ChunkStore, ...]

    def write(self, folder: Path) -> Record:
        """Write the record to `folder`, and return it sealed. Its chunks stay until `clear`."""
        return write_record(folder, self.record, self.scores, self.audit)

    def clear(self) -> None:
        """Remove the chunks, once the record is where it belongs."""
        for store in self.chunks:
            store.clear()


@torch.inference_mode()
def _check_shapes(target: Target, inverse: Inverse) -> None:
    """Raise SpecError unless the features of the target have the shapes that the inverse was made for."""
    features = target.features(torch.zeros(1, 3, *target.spec.input_size, device=target.device))
    for tap, shape in inverse.config.taps.items():
        if shape != features[tap].tensor.shape[1:]:
            message = (
                f"tap '{tap}' of '{target.spec.id}' has shape {tuple(features[tap].tensor.shape[1:])}, not {shape}"
            )
            raise SpecError(message, where=f"inverse '{inverse.config.method}'", cure="field 'taps' of its config.json")


class _Stage:
    """Scores tiles of one target: the recons of one inverse, and what it makes of other taps' features."""

    def __init__(self, suite: Suite, target: Target, inverse: Inverse, networks: Networks, watch: Stopwatch) -> None:
        reads_input = get_method(inverse.config.method).needs_input
        taps, self.watch = target.spec.tap_names, watch

        def invert(seen: Tensor) -> dict[str, Tensor]:
            if reads_input:
                features = {name: Features(seen) for name in (*taps, INPUT)}
            else:
                with watch.stage("target"):
                    features = target.features(seen, taps)
            with watch.stage("inverse"):
                return inverse.invert(features)

        if not reads_input:
            _check_shapes(target, inverse)
        self.scorer = Scorer(suite, taps, invert, networks)
        # Without a configuration of its own, an inverse says nothing of which taps have one shape.
        comparable = not reads_input and inverse.config.taps
        self.layers = LayerScorer(target, inverse, suite.layer_images) if comparable else None

    def run(self, tile: Tile) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of a tile: those of Scorer, and those of LayerScorer where it applies."""
        with self.watch.stage("scores"):
            arrays = self.scorer.run(tile)
        if self.layers:
            with self.watch.stage("layers"):
                arrays |= self.layers.run(tile)
        return arrays


@dataclass(frozen=True, eq=False)
class _TargetResult:
    """What the evaluation of one target yields, and how long it took."""

    scores: ScoreArrays
    layers: tuple[StageLayers, ...]
    audit: pa.Table
    chunks: ChunkStore
    times: Times


class _Chunk(NamedTuple):
    """Images that are kept together: the arrays where they are known already, else the samples to compute them from.

    `damaged`: there was a file of its name, which is not what was written.
    """

    name: str
    images: int
    arrays: dict[str, npt.NDArray[Any]] | None
    samples: list[Sample]
    damaged: bool


def _iter_chunks(
    images: ImageSet, size: tuple[int, int], count: int, chunk: int, store: ChunkStore, watch: Stopwatch
) -> Iterator[_Chunk]:
    """Yield the chunks of the first `count` images; the samples of those that are not known are read ahead."""
    starts = range(0, count, chunk)
    names = {start: f"{start:06d}-{min(chunk, count - start):04d}" for start in starts}
    with ThreadPoolExecutor(1, thread_name_prefix="images") as reader:

        def read(start: int) -> list[Sample]:
            return [images.load(index, size) for index in range(start, min(start + chunk, count))]

        missing = [start for start in starts if not store.has(names[start])]
        ahead = {start: reader.submit(read, start) for start in missing[:1]}
        try:
            for start in starts:
                damaged, arrays = store.has(names[start]), store.load(names[start])
                samples: list[Sample] = []
                if arrays is None:
                    waiting = ahead.pop(start, None)
                    with watch.stage("read"):
                        samples = waiting.result() if waiting else read(start)
                    following = next((other for other in missing if other > start), None)
                    if following is not None:
                        ahead[following] = reader.submit(read, following)
                yield _Chunk(names[start], min(chunk, count - start), arrays, samples, damaged and arrays is None)
        finally:
            reader.shutdown(cancel_futures=True)


def _evaluate_target(
    content: Content,
    spec: TargetSpec,
    inverse: Inverse,
    networks: Networks,
    store: ChunkStore,
    options: Options,
    ids: tuple[str, ...],
    bar: tqdm,
) -> _TargetResult:
    suite, images, watch = content.suite, content.images, Stopwatch(options.device)
    stage: _Stage | None = None
    chunk = max(1, -(-options.batch_size // TILE)) * TILE
    audited, judged = suite.audit_ids(images.ids), frozenset(images.ids[: suite.judged_images])
    parts: list[dict[str, npt.NDArray[Any]]] = []
    mark, began, earlier = time.perf_counter(), time.time(), 0.0
    for item in _iter_chunks(images, spec.input_size, len(ids), chunk, store, watch):
        arrays = item.arrays
        if item.damaged:
            bar.write(f"a stored chunk of {spec.id} was damaged; it is computed again", file=sys.stderr)
        if arrays is None:
            if stage is None:
                target = load_target(spec, content.target(spec), options.device)
                stage = _Stage(suite, target, inverse, networks, watch)
            first = sum(len(part["values"]) for part in parts)
            tiles = iter_tiles(item.samples, options.device, audit=audited, judged=judged, first=first)
            scored = [stage.run(tile) for tile in tiles]
            arrays = {field: np.concatenate([tile[field] for tile in scored]) for field in scored[0]}
            arrays["times"] = np.array([[began, time.perf_counter() - mark, *watch.take().values()]])
            store.save(item.name, arrays)
        else:
            earlier += float(arrays["times"][0, 1])
        parts.append(arrays)
        bar.update(item.images)
        mark, began = time.perf_counter(), time.time()
    joined = {field: np.concatenate([part[field] for part in parts]) for field in parts[0]}
    audit = audit_to_table(suite, spec, [image for image in ids if image in audited], joined.pop("audit"))
    layers: tuple[StageLayers, ...] = ()
    transfer, hsics = joined.pop("transfer", None), joined.pop("hsic", None)
    if transfer is not None and hsics is not None and COMPARED in suite.metrics:
        own = joined["values"][: len(transfer), :, 0, suite.metrics.index(COMPARED)]
        layers = summarize_layers(find_groups(spec, inverse.config.taps), spec.tap_names, own, transfer, hsics)
    times = joined.pop("times")
    scores = ScoreArrays(spec, ids, **joined, reason_names=get_reason_names(suite))
    seconds = dict(zip(STAGES, times[:, 2:].sum(0).tolist(), strict=True))
    return _TargetResult(scores, layers, audit, store, Times(float(times[:, 0].min()), earlier, seconds))


def _hash_network(content: Content, source: Source) -> dict[str, str]:
    """SHA-256 by name of the files of a network, which are compared with the lock before."""
    content.network(source)
    return {path.name: sha256_file(path) for path in content.network_files(source).values()}


def _circumstances(content: Content, candidate: Candidate, networks: Networks, meter: Meter) -> dict[str, Any]:
    """What chunks are keyed by beside their target and inverse: all that could change them, as JSON values.

    Code is what this module can reach, and what the candidate's own can. A draft lock pins neither the judge nor the
    images, so that they are looked at themselves.
    """
    suite, lock = content.suite, content.lock
    return {
        "suite": suite.digest,
        "lock": lock.digest,
        "images": content.images.fingerprint() if lock.draft else None,
        "judge": _hash_network(content, suite.judge) if suite.judge else None,
        "perceptual": networks.perceptual is not None,
        "method": candidate.method,
        "code": code_digest(__name__, *([candidate.code] if candidate.code else [])),
        "libraries": library_versions(),
        "device": [meter.device.type, meter.device_name],
        "threads": torch.get_num_threads(),
        "precision": "float32",
    }


@dataclass(frozen=True, eq=False)
class _Job:
    """An evaluation before it runs: by target, the inverse with where it came from, and where its chunks lie."""

    ids: tuple[str, ...]
    networks: Networks
    loaded: dict[str, tuple[Inverse, InverseInfo]]
    stores: dict[str, ChunkStore]


def _open(content: Content, candidate: Candidate, options: Options, meter: Meter) -> _Job:
    suite = content.suite
    chosen = [suite.target(name) for name in options.targets or [target.id for target in suite.targets]]
    if get_method(candidate.method).trained:
        chosen = [target for target in chosen if target.id in candidate.inverses]
        if not chosen:
            raise SpecError(f"has no inverse of {', '.join(options.targets or ())}", where=candidate.id)
    content.check_perturbed()
    networks = load_metric_networks(content, options.device)
    hashes = {target.id: _hash_network(content, target.source) for target in chosen}
    loaded = {
        target.id: load_candidate(candidate, target, hashes[target.id]["model.safetensors"], options.device)
        for target in chosen
    }
    circumstances = _circumstances(content, candidate, networks, meter)
    stores = {
        name: ChunkStore(
            circumstances | {"target": name, "network": hashes[name], "inverse": info.model_dump(mode="json")}
        )
        for name, (_, info) in loaded.items()
    }
    return _Job(content.images.ids[: options.limit], networks, loaded, stores)


def find_keys(content: Content, candidate: Candidate, options: Options) -> dict[str, str]:
    """Return what `Run.keys` of the record would be: a digest, by target, of all that could change its scores.

    Raises:
        UserError: see `evaluate`.
    """
    job = _open(content, candidate, options, Meter(options.device))
    return {name: store.key for name, store in job.stores.items()}


def evaluate(content: Content, candidate: Candidate, options: Options) -> Evaluation:
    """Score a candidate on a suite, on the targets that it has inverses of.

    An interrupted evaluation continues where it stood when it is called again with the same suite, weights,
    code and device; at most one chunk of `batch_size` images is lost.

    Raises:
        UserError: something that the user can cure; the message says what and how.
    """
    suite, lock, meter = content.suite, content.lock, Meter(options.device)
    job = _open(content, candidate, options, meter)
    results: dict[str, _TargetResult] = {}
    with tqdm(total=len(job.ids) * len(job.loaded), unit="image", desc=candidate.id, mininterval=0.5) as bar:
        for name, (inverse, _) in job.loaded.items():
            spec, store = suite.target(name), job.stores[name]
            results[name] = _evaluate_target(content, spec, inverse, job.networks, store, options, job.ids, bar)

    scores = [result.scores for result in results.values()]
    summary = summarize(suite, lock, scores)
    recons = {target.id: len(job.ids) * len(suite.perturbations) * len(target.taps) for target in suite.targets}
    record = Record(
        suite=suite.id,
        suite_digest=suite.digest,
        lock_digest=lock.digest,
        submission=SubmissionInfo(id=candidate.id, method=candidate.method, title=candidate.title),
        inverses={name: info for name, (_, info) in job.loaded.items()},
        precision="float32",
        status=find_status(suite, scores),
        draft=lock.draft or suite.draft,
        images=len(job.ids),
        targets=summary.targets,
        score=summary.score,
        overall=summary.overall,
        cells=tuple(summary.cells),
        layers={name: result.layers for name, result in results.items() if result.layers},
        scores_sha256="0" * 64,
        audit_sha256="0" * 64,
        run=meter.finish(
            batch_size=options.batch_size,
            times={name: result.times for name, result in results.items()},
            recons=recons,
            keys={name: store.key for name, store in job.stores.items()},
        ),
    )
    audit = pa.concat_tables([result.audit for result in results.values()]).unify_dictionaries().combine_chunks()
    return Evaluation(record, scores_to_table(suite, scores), audit, tuple(r.chunks for r in results.values()))
