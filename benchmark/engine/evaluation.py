"""The evaluation engine: the one module that wires all stages.

dataset -> perturbation -> target taps -> inverse -> metrics -> record.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmark.content.content import Content
from benchmark.engine.chunks import ChunkStore
from benchmark.engine.computing import compute
from benchmark.engine.confinement import available
from benchmark.engine.jobs import Chunk, Job, Options, open_job
from benchmark.engine.layer_transfer import find_groups, summarize_layers
from benchmark.engine.provenance import Meter, Times
from benchmark.engine.run_lock import run_lock
from benchmark.engine.stopwatch import STAGES
from benchmark.errors import SpecError, located
from benchmark.inverses.base import Inverter
from benchmark.metrics.layers import COMPARED
from benchmark.records.aggregate import summarize
from benchmark.records.audit import audit_to_table
from benchmark.records.record import Record, StageLayers, SubmissionInfo, write_record
from benchmark.records.scores import ScoreArrays, find_status, get_reason_names, scores_to_table
from benchmark.submissions.candidates import Candidate
from benchmark.suites.audit import audit_images, stored_images
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Suite, TargetSpec

__all__ = ["Audited", "Evaluation", "assemble", "evaluate", "evaluate_share", "find_keys"]

Audited = tuple[tuple[str, ...], npt.NDArray[np.uint8]]
"""The ids of the audit images of a target, and their pixels, (images, 1 + taps, perturbations, H, W, 3)."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What an evaluation yields: the unsealed record, its two tables, and the chunks it was put together from.

    `audited` holds by target the whole audit images, of which `audit` has what may be stored.
    """

    record: Record
    scores: pa.Table
    audit: pa.Table
    audited: Mapping[str, Audited]
    chunks: tuple[ChunkStore, ...]

    def write(self, folder: Path) -> Record:
        """Write the record to `folder`, and return it sealed. Its chunks stay until `clear`."""
        return write_record(folder, self.record, self.scores, self.audit)

    def clear(self) -> None:
        """Remove the chunks, once the record is where it belongs."""
        for store in self.chunks:
            store.clear()


@dataclass(frozen=True, eq=False)
class _TargetResult:
    """What the evaluation of one target yields, and how long it took."""

    scores: ScoreArrays
    layers: tuple[StageLayers, ...]
    audited: Audited
    audit: pa.Table
    times: Times
    micro_batch: int


_Parts = list[tuple[str, dict[str, npt.NDArray[Any]]]]


def _load(stores: Sequence[ChunkStore], chunks: Sequence[Chunk]) -> _Parts:
    """Path and arrays of every chunk, from the first of the stores that has it; those that none has are left out."""
    found = []
    for chunk in chunks:
        for store in stores:
            if (arrays := store.load(chunk.name)) is not None:
                found.append((str(store.path(chunk.name)), arrays))
                break
    return found


def _load_all(job: Job, stores: Mapping[str, Sequence[ChunkStore]]) -> dict[str, _Parts]:
    """By target, path and arrays of every chunk.

    Raises:
        SpecError: some are missing; says how many.
    """
    parts = {name: _load(own, job.chunks) for name, own in stores.items()}
    total, there = len(job.chunks) * len(job.loaded), sum(map(len, parts.values()))
    if there < total:
        cure = "finish all shards, with the same options; name the caches of other machines with --from"
        raise SpecError(f"{total - there} of {total} chunks are missing", cure=cure)
    return parts


def _join(
    suite: Suite,
    lock: Lock,
    images: Sequence[str],
    spec: TargetSpec,
    inverse: Inverter,
    ids: tuple[str, ...],
    parts: _Parts,
    computed: Collection[str],
) -> _TargetResult:
    earlier = sum(float(arrays["times"][0, 1]) for path, arrays in parts if path not in computed)
    joined = {field: np.concatenate([arrays[field] for _, arrays in parts]) for field in parts[0][1]}
    chosen = audit_images(suite, lock, images, spec)
    audited = tuple(image for image in ids if image in chosen)
    stored, pixels = stored_images(suite, lock, audited), joined.pop("audit")
    audit = audit_to_table(suite, spec, stored, pixels[[audited.index(image) for image in stored]])
    layers: tuple[StageLayers, ...] = ()
    transfer, hsics = joined.pop("transfer", None), joined.pop("hsic", None)
    if transfer is not None and hsics is not None and COMPARED in suite.metrics:
        own = joined["values"][: len(transfer), :, 0, suite.metrics.index(COMPARED)]
        layers = summarize_layers(find_groups(spec, inverse.config.taps), spec.tap_names, own, transfer, hsics)
    times, micro_batch = joined.pop("times"), int(joined.pop("micro_batch").min())
    scores = ScoreArrays(spec, ids, **joined, reason_names=get_reason_names(suite))
    seconds = dict(zip(STAGES, times[:, 2:].sum(0).tolist(), strict=True))
    return _TargetResult(
        scores, layers, (audited, pixels), audit, Times(float(times[:, 0].min()), earlier, seconds), micro_batch
    )


def find_keys(content: Content, candidate: Candidate, options: Options) -> dict[str, str]:
    """Return what `Run.keys` of the record would be: a digest, by target, of all that could change its scores.

    Raises:
        UserError: see `evaluate`.
    """
    return {name: store.key for name, store in open_job(content, candidate, options).stores.items()}


def assemble(
    content: Content,
    candidate: Candidate,
    job: Job,
    stores: Mapping[str, Sequence[ChunkStore]],
    options: Options,
    meter: Meter,
    computed: Collection[str] = (),
) -> Evaluation:
    """Put the chunks of an evaluation together.

    Args:
        stores: by target, where its chunks may lie.
        computed: paths of the chunks that this process computed, whose times the meter has measured itself.

    Raises:
        SpecError: chunks are missing; says how many.
    """
    suite, lock = content.suite, content.lock
    with located(candidate.id):
        parts = _load_all(job, stores)
    results = {
        name: _join(suite, lock, content.images.ids, suite.target(name), inverse, job.ids, parts[name], computed)
        for name, (inverse, _) in job.loaded.items()
    }
    scores = [result.scores for result in results.values()]
    summary = summarize(suite, lock, scores)
    record = Record(
        suite=suite.id,
        suite_digest=suite.digest,
        lock_digest=lock.digest,
        submission=SubmissionInfo(id=candidate.id, method=candidate.method, title=candidate.title),
        inverses={name: info for name, (_, info) in job.loaded.items()},
        precision=options.arithmetic.precision,
        compiled=options.arithmetic.compiled,
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
            micro_batch={name: result.micro_batch for name, result in results.items()},
            times={name: result.times for name, result in results.items()},
            recons={t.id: len(job.ids) * len(suite.perturbations) * len(t.taps) for t in suite.targets},
            keys={name: own[0].key for name, own in stores.items()},
            isolation=available() if candidate.isolated else None,
        ),
    )
    audit = pa.concat_tables([result.audit for result in results.values()]).unify_dictionaries().combine_chunks()
    chunks = tuple(store for own in stores.values() for store in own)
    audited = {name: result.audited for name, result in results.items()}
    return Evaluation(record, scores_to_table(suite, scores), audit, audited, chunks)


def evaluate(content: Content, candidate: Candidate, options: Options) -> Evaluation:
    """Score a candidate on a suite, on the targets that it has inverses of.

    An interrupted evaluation continues where it stood when it is called again with the same suite, weights,
    code and device; at most one chunk of `batch_size` images is lost.

    Raises:
        UserError: something that the user can cure; the message says what and how.
    """
    meter = Meter(options.device)
    job = open_job(content, candidate, options)
    with run_lock(job.stores.values(), options.share):
        computed = compute(content, job, options, candidate.id)
        return assemble(content, candidate, job, {n: [s] for n, s in job.stores.items()}, options, meter, computed)


def evaluate_share(content: Content, candidate: Candidate, options: Options) -> tuple[int, int]:
    """Compute the share of an evaluation that `options.share` states, and leave its chunks in the cache.

    Returns:
        How many chunks were computed now, and how many the share has.

    Raises:
        UserError: see `evaluate`.
    """
    job = open_job(content, candidate, options)
    with run_lock(job.stores.values(), options.share):
        computed = compute(content, job, options, f"{candidate.id} {options.share}")
    return len(computed), len(job.shared(options.share)) * len(job.loaded)
