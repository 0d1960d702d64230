"""The evaluation engine: the one module that wires all stages.

dataset -> perturbation -> target taps -> inverse -> metrics -> record.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from PIL import Image
from tqdm import tqdm

from benchmark.aggregate import TargetScores, scores_to_table, summarize
from benchmark.datasets.frozen import Sample, load_samples
from benchmark.errors import SpecError
from benchmark.inverses.base import Inverse, build_inverse, load_inverse
from benchmark.inverses.spec import InverseConfig, get_method
from benchmark.lock import check_lock
from benchmark.provenance import Meter
from benchmark.records import AUDIT_SCHEMA, INPUT, InverseInfo, Record, SubmissionInfo, write_record
from benchmark.runs import ChunkStore, code_digest
from benchmark.scoring import TILE, Invert, Scorer, get_reason_names, iter_tiles
from benchmark.spec import PACKAGE, Suite, TargetSpec, load_lock, lock_path, sha256_file
from benchmark.submissions import Submission
from benchmark.targets import load_target
from benchmark.targets.judge import load_judge
from benchmark.targets.taps import Features

__all__ = ["Evaluation", "Options", "evaluate", "load_suite_samples", "set_determinism"]


@dataclass(frozen=True)
class Options:
    """How to run: `device`; `batch_size` images kept and checkpointed together; only the first `limit` images."""

    device: torch.device
    batch_size: int = 16
    limit: int | None = None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What an evaluation yields: the unsealed record, its two tables, and the chunks it was put together from."""

    record: Record
    scores: pa.Table
    audit: pa.Table
    chunks: tuple[ChunkStore, ...]

    def write(self, folder: Path) -> Record:
        """Write the record to `folder`, drop the chunks, and return the sealed record."""
        record = write_record(folder, self.record, self.scores, self.audit)
        for store in self.chunks:
            store.clear()
        return record


def set_determinism() -> None:
    """Ask PyTorch for float32 without TF32 and for deterministic kernels."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def load_suite_samples(suite: Suite) -> list[Sample]:
    """Read the evaluation images of a suite."""
    if suite.dataset.source != "frozen":
        raise SpecError(f"unknown dataset source '{suite.dataset.source}'", where=suite.id)
    return load_samples(PACKAGE / suite.dataset.path, expected=suite.dataset.images)


def _load_for(submission: Submission, spec: TargetSpec, device: torch.device) -> tuple[Inverse, InverseInfo]:
    """Return the inverse of a submission for a target, and where it came from."""
    if not get_method(submission.method).trained:
        config = InverseConfig(
            method=submission.method, target=spec.id, target_sha256="0" * 64, input_size=spec.input_size, taps={}
        )
        return build_inverse(config).eval(), InverseInfo(files={}, parameters=0)
    if spec.id not in submission.weights:
        raise SpecError(
            f"no weights for target '{spec.id}'", where=f"submission '{submission.id}'", cure="add it under [weights]"
        )
    folder = submission.weights[spec.id].directory()
    inverse = load_inverse(folder, device)
    config = inverse.config
    weights = sha256_file(spec.source.directory() / "model.safetensors")
    if config.method != submission.method or config.target != spec.id:
        raise SpecError(f"is for method '{config.method}' on '{config.target}'", where=str(folder / "config.json"))
    if config.target_sha256 != weights:
        raise SpecError(
            f"was made for other weights of '{spec.id}'", where=str(folder / "config.json"), cure="train it again"
        )
    info = InverseInfo(
        files={name: sha256_file(folder / name) for name in ("config.json", "model.safetensors")},
        parameters=sum(tensor.numel() for tensor in inverse.parameters()),
        training=config.training,
    )
    return inverse, info


def _inverter(spec: TargetSpec, inverse: Inverse, device: torch.device) -> Invert:
    """Return what goes from seen images to recons: the target's features, then the inverse."""
    if get_method(inverse.config.method).needs_input:
        return lambda seen: inverse.invert({name: Features(seen) for name in (*spec.tap_names, INPUT)})
    target = load_target(spec, device)
    return lambda seen: inverse.invert(target.features(seen, spec.tap_names))


def _audit_table(suite: Suite, target: TargetSpec, images: Sequence[str], pixels: npt.NDArray[np.uint8]) -> pa.Table:
    rows: dict[str, list[Any]] = {name: [] for name in AUDIT_SCHEMA.names}
    for i, image in enumerate(images):
        for t, tap in enumerate((INPUT, *(tap.name for tap in target.taps))):
            for p, perturbation in enumerate(suite.perturbations):
                buffer = io.BytesIO()
                Image.fromarray(pixels[i, t, p]).save(buffer, "PNG", optimize=True)
                for name, value in zip(rows, (image, target.id, tap, perturbation, buffer.getvalue()), strict=True):
                    rows[name].append(value)
    columns = [pa.array(rows[field.name]).dictionary_encode() for field in AUDIT_SCHEMA]
    return pa.Table.from_arrays(columns, schema=AUDIT_SCHEMA)


def evaluate(suite: Suite, submission: Submission, options: Options) -> Evaluation:
    """Score a submission on a suite.

    An interrupted evaluation continues where it stood when it is called again with the same suite, weights,
    code and device; at most one chunk of `batch_size` images is lost.

    Raises:
        UserError: something that the user can cure; the message says what and how.
    """
    set_determinism()
    lock = load_lock(suite)
    samples = load_suite_samples(suite)
    check_lock(suite, lock, samples, where=lock_path(suite))
    samples = samples[: options.limit] if options.limit else samples
    device, meter = options.device, Meter(options.device)
    judge = load_judge(suite.judge, device) if suite.judge else None
    chunk = max(1, -(-options.batch_size // TILE)) * TILE
    ids = tuple(sample.id for sample in samples)
    audited = [image for image in ids if image in suite.audit_images]

    loaded = {target.id: _load_for(submission, target, device) for target in suite.targets}
    results, audits, ms_per_recon, stores = [], [], {}, []
    progress = tqdm(total=len(samples) * len(suite.targets), unit="image", desc=submission.id, mininterval=0.5)
    with progress as bar:
        for spec in suite.targets:
            inverse, info = loaded[spec.id]
            key = {
                "suite": suite.digest,
                "lock": lock.digest,
                "target": spec.id,
                "inverse": info.model_dump(mode="json"),
            }
            where = {
                "code": code_digest(),
                "torch": torch.__version__,
                "device": meter.device_name,
                "precision": "float32",
            }
            store = ChunkStore(key | where | {"method": submission.method})
            stores.append(store)
            scorer: Scorer | None = None
            parts: list[dict[str, npt.NDArray[Any]]] = []
            for start in range(0, len(samples), chunk):
                group = samples[start : start + chunk]
                name = f"{start:06d}-{len(group):04d}"
                arrays = store.load(name)
                if arrays is None:
                    scorer = scorer or Scorer(suite, spec.tap_names, _inverter(spec, inverse, device), judge)
                    tiles = [scorer.run(tile) for tile in iter_tiles(group, suite, device)]
                    arrays = {field: np.concatenate([tile[field] for tile in tiles]) for field in tiles[0]}
                    store.save(name, arrays)
                parts.append(arrays)
                bar.update(len(group))
            joined = {field: np.concatenate([part[field] for part in parts]) for field in parts[0]}
            audits.append(_audit_table(suite, spec, audited, joined.pop("audit")))
            results.append(TargetScores(spec, ids, **joined, reason_names=get_reason_names(suite)))
            if scorer:
                recons = len(samples) * len(suite.perturbations) * len(spec.taps)
                ms_per_recon[spec.id] = round(scorer.seconds / recons * 1e3, 4)

    targets, overall, cells = summarize(suite, lock, results)
    record = Record(
        suite=suite.id,
        suite_digest=suite.digest,
        lock_digest=lock.digest,
        submission=SubmissionInfo(id=submission.id, method=submission.method, title=submission.title),
        inverses={name: info for name, (_, info) in loaded.items()},
        code_version=meter.version,
        precision="float32",
        status="complete" if len(samples) == suite.dataset.images else "partial",
        draft=lock.draft,
        images=len(samples),
        targets=targets,
        overall=overall,
        cells=tuple(cells),
        scores_sha256="0" * 64,
        audit_sha256="0" * 64,
        run=meter.finish(batch_size=options.batch_size, ms_per_recon=ms_per_recon),
    )
    audit = pa.concat_tables(audits).unify_dictionaries().combine_chunks()
    return Evaluation(record, scores_to_table(suite, results), audit, tuple(stores))
