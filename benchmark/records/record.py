"""Records: the stored outcome of one submission on one suite. Torch-free.

A record is a folder of three files:

- `record.json`: aggregates with intervals, what was left unscored and why, provenance, and the digest;
- `scores.parquet`: one row per image, target, tap, perturbation and metric;
- `audit.parquet`: a handful of images, what the target saw and every recon of it, as lossless PNG.

The *digest* covers everything that the same evaluation reproduces anywhere (protocol, weights, scores, pixels of the
audit images) and leaves out the `run` section (device, times, versions).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import ConfigDict, Field, model_validator

from benchmark.errors import IntegrityError, SpecError
from benchmark.files.canonical import digest_of, readable_json
from benchmark.files.declarations import Frozen, read_json, unset
from benchmark.files.fields import (
    Amount,
    Commit,
    Cost,
    Count,
    Id,
    Line,
    Moment,
    RepoId,
    Revision,
    Seconds,
    Sha256,
    Share,
    SuiteId,
    Text,
    Training,
)
from benchmark.files.foreign import write_table
from benchmark.files.storing import replacing, write_text
from benchmark.files.tables import read_table
from benchmark.records.audit import audit_digest, load_audit_file
from benchmark.records.columns import SCORE_SCHEMA, table_digest
from benchmark.suites.lock import Lock, Wear
from benchmark.suites.spec import Axis, Condition, Suite

__all__ = [
    "MAX_RECORD_BYTES",
    "AxisScore",
    "Cell",
    "Estimate",
    "InverseInfo",
    "Matrix",
    "PullScore",
    "Record",
    "Run",
    "StageLayers",
    "SubmissionInfo",
    "TapScore",
    "TargetScore",
    "check_origin",
    "load_audit",
    "load_record",
    "load_scores",
    "write_record",
]


MAX_RECORD_BYTES = 32_000_000


class _RecordPart(Frozen):
    """A part of a record; its numbers are finite, as JSON asks for."""

    model_config = ConfigDict(allow_inf_nan=False)


class SubmissionInfo(_RecordPart):
    """Who entered: the submission's id, its method and a title for readers."""

    id: Id
    method: Id
    title: Line


class InverseInfo(_RecordPart):
    """The weights that inverted one target: file hashes, size and how they were trained."""

    files: dict[Line, Sha256] = Field(max_length=64)
    parameters: Count
    repo_id: RepoId | None = None
    revision: Revision | None = None
    training: Training = {}


class Estimate(_RecordPart):
    """A mean over images with its 95 % interval; None: no score, or too few groups for an interval."""

    value: Amount | None
    low: Amount | None = None
    high: Amount | None = None


class AxisScore(Estimate):
    """The score of an axis (0 for every answer that ignores the image, 1 the image itself), and of its metrics."""

    parts: dict[Id, Amount | None]


class PullScore(Estimate):
    """`prototype_pull` over the images of one kind, of which `images` have a score."""

    images: Count


class TapScore(_RecordPart):
    """The axes at one tap, and the mean share of recon values that had to be clamped to [0, 1].

    `pull` holds `prototype_pull`, apart for images whose focal objects all wear the canonical hue and those of which
    none does, where the suite knows.
    """

    axes: dict[Axis, AxisScore]
    clamped: Share
    pull: dict[Wear, PullScore] = Field(default={}, exclude_if=unset)


class TargetScore(_RecordPart):
    """One target: the axes (unweighted means over its taps), their mean, and each tap."""

    score: Estimate
    axes: dict[Axis, AxisScore]
    taps: dict[Id, TapScore]


class Cell(_RecordPart):
    """One metric at one tap under one perturbation, or over all hue kinds: its mean (or declared median) over images.

    `scored` images have a score; `unscored` counts the others by reason.
    """

    target: Id
    tap: Id
    perturbation: Condition
    metric: Id
    value: Amount | None
    low: Amount | None
    high: Amount | None
    scored: Count
    unscored: dict[Text, Count] = {}


Matrix = tuple[tuple[Amount | None, ...], ...]


class StageLayers(_RecordPart):
    """The taps of a stage compared: the inverse of one fed the features of another. None: not scored."""

    stage: Id
    taps: tuple[Id, ...]
    """taps of one shape, from shallow to deep."""
    images: Count
    """how many it was measured on."""
    transfer: Matrix
    """mean `frc`; rows: the tap that the features are from, columns: that of the inverse."""
    normalized: Matrix
    """transfer over the diagonal of its column; not scored where that is under .05."""
    neighbors: Amount | None
    """the normalized matrix summed up; see `metrics.layers.TransferSummary`."""
    half_distance: Amount | None
    """the normalized matrix summed up; see `metrics.layers.TransferSummary`."""
    asymmetry: Amount | None
    """the normalized matrix summed up; see `metrics.layers.TransferSummary`."""
    cka: Matrix
    """linear CKA of the same taps."""

    @model_validator(mode="after")
    def _square(self) -> StageLayers:
        for name in ("transfer", "normalized", "cka"):
            rows = getattr(self, name)
            if len(rows) != len(self.taps) or any(len(row) != len(self.taps) for row in rows):
                raise ValueError(f"'{name}' is no matrix of {len(self.taps)} taps")
        return self


class Run(_RecordPart):
    """Circumstances of the run, outside the digest; `code_version` is that of this package.

    Times add up over the legs of an interrupted run; `ms_per_recon` is target and inverse time, `stages_s` the seconds
    of each stage. `micro_batch` is, by target, how many images the networks saw at once: fewer than 8 where memory was
    short, or where it was asked for. `keys` holds, by target, a digest of all that could change its scores (code,
    weights, suite, libraries, device, threads): a run with the same keys yields the same scores. `isolation` holds,
    where the inverse ran in a worker, what that worker was kept from: none where the machine offered nothing.
    """

    code_version: Text
    device: Text
    device_name: Text
    threads: Annotated[int, Field(ge=1, le=10**5)]
    batch_size: Annotated[int, Field(ge=1, le=10**6)]
    micro_batch: dict[Id, Annotated[int, Field(ge=1, le=8)]] = Field(default={}, exclude_if=unset)
    started: Moment
    wall_s: Seconds
    peak_memory_mib: Cost
    ms_per_recon: dict[Id, Cost]
    stages_s: dict[Id, Seconds] = Field(default={}, exclude_if=unset)
    keys: dict[Id, Sha256] = Field(default={}, exclude_if=unset)
    isolation: Annotated[tuple[Line, ...], Field(max_length=8)] | None = Field(default=None, exclude_if=unset)
    python: Text
    packages: dict[Line, Text] = Field(max_length=256)
    git_commit: Commit | None
    git_dirty: bool | None


class Record(_RecordPart):
    """One submission on one suite; see the module for the files beside it.

    `score` is the mean of the axes in `overall`. `layers` holds the layer comparison by target, for methods that read
    features.
    """

    schema_version: Literal[1] = 1
    suite: SuiteId
    suite_digest: Sha256
    lock_digest: Sha256
    submission: SubmissionInfo
    inverses: dict[Id, InverseInfo]
    precision: Literal["float32", "bfloat16"]
    compiled: bool = Field(default=False, exclude_if=unset)
    status: Literal["complete", "partial"]
    draft: bool
    images: Count
    targets: dict[Id, TargetScore]
    score: Estimate
    overall: dict[Axis, AxisScore]
    cells: tuple[Cell, ...]
    layers: dict[Id, tuple[StageLayers, ...]] = {}
    scores_sha256: Sha256
    audit_sha256: Sha256
    digest: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    run: Run
    run_sha256: Sha256 | None = Field(default=None, exclude_if=unset)

    @property
    def rankable(self) -> bool:
        """Whether the record may be ranked: complete, of a locked suite, in the official arithmetic."""
        return self.status == "complete" and not self.draft and not self.exploratory

    @property
    def exploratory(self) -> bool:
        """Whether the networks computed in another arithmetic than that of official scores."""
        return self.compiled or self.precision != "float32"

    def __reduce__(self) -> tuple[Callable[[str], Record], tuple[str]]:
        """Travel between processes as JSON: smaller and faster than thousands of pickled cells."""
        return type(self).model_validate_json, (self.model_dump_json(),)

    def content_digest(self) -> str:
        """Return the SHA-256 of what the same evaluation reproduces: all but `run` and the digest itself."""
        return digest_of(self.model_dump(mode="json", exclude={"run", "run_sha256", "digest"}))

    def sealed(self) -> Record:
        """Return the record with its digest, and the hash of `run`, filled in."""
        run = digest_of(self.run.model_dump(mode="json"))
        return self.model_copy(update={"digest": self.content_digest(), "run_sha256": run})


def check_origin(suite: Suite, lock: Lock, submission_id: str, record: Record, where: str) -> None:
    """Check that a record is of a submission, and was made for this text and lock of a suite.

    Raises:
        SpecError: it is of another submission or suite.
        IntegrityError: it was made for another text or lock.
    """
    if record.submission.id != submission_id:
        raise SpecError(f"is the record of '{record.submission.id}', not of '{submission_id}'", where=where)
    if record.suite != suite.id:
        raise SpecError(f"is a record on {record.suite!r:.80}, not on {suite.id}", where=where)
    cure = f"run: invbench eval --submission {submission_id} --suite {suite.id}"
    if record.suite_digest != suite.digest:
        raise IntegrityError(f"made for another text of {suite.id}", where=where, cure=cure)
    if record.lock_digest != lock.digest:
        raise IntegrityError(f"made under another lock of {suite.id}", where=where, cure=cure)


def _write_table(path: Path, table: pa.Table) -> None:
    with replacing(path) as temporary:
        write_table(table, temporary)


def write_record(folder: Path, record: Record, scores: pa.Table, audit: pa.Table) -> Record:
    """Seal `record` and write the three files of a record to `folder`; return the sealed record."""
    record = record.model_copy(
        update={"scores_sha256": table_digest(scores), "audit_sha256": audit_digest(audit)}
    ).sealed()
    _write_table(folder / "scores.parquet", scores)
    _write_table(folder / "audit.parquet", audit)
    write_text(folder / "record.json", readable_json(record))
    return record


def load_record(folder: Path) -> Record:
    """Read and check `record.json` of a record folder.

    Raises:
        SpecError: absent or not a record; names the field.
        IntegrityError: the content does not have the digest that it states.
    """
    path = folder / "record.json"
    record = read_json(path, Record, MAX_RECORD_BYTES)
    if record.content_digest() != record.digest:
        raise IntegrityError("the digest does not match the content", where=str(path), cure="evaluate again")
    if record.run_sha256 not in (None, digest_of(record.run.model_dump(mode="json"))):
        message = "field 'run_sha256': section 'run' was changed"
        raise IntegrityError(message, where=str(path), cure="evaluate again")
    return record


def _check_digest(path: Path, digest: str, stated: str) -> None:
    if digest != stated:
        raise IntegrityError("differs from what record.json states", where=str(path), cure="evaluate again")


def load_scores(folder: Path, record: Record, rows: int | None = None) -> pa.Table:
    """Read `scores.parquet` (SCORE_SCHEMA) of a record folder, checked against the record; see `read_table`."""
    path = folder / "scores.parquet"
    table = read_table(path, SCORE_SCHEMA, rows)
    _check_digest(path, table_digest(table), record.scores_sha256)
    return table


def load_audit(folder: Path, record: Record, rows: int | None = None) -> pa.Table:
    """Read `audit.parquet` of a record folder, checked against the record; see `load_audit_file`."""
    return load_audit_file(folder / "audit.parquet", record.audit_sha256, rows)
