"""A synthetic load for the board: many submissions with made-up but well-formed records, to measure with."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w
from PIL import Image

from benchmark.metrics.spec import get_metric
from benchmark.records.aggregate import summarize
from benchmark.records.audit import audit_digest
from benchmark.records.columns import AUDIT_SCHEMA, table_digest
from benchmark.records.history import supersede, withdraw
from benchmark.records.receipts import Difference, Environment, Receipt, write_receipt
from benchmark.records.record import InverseInfo, Matrix, Record, Run, StageLayers, SubmissionInfo
from benchmark.records.scores import (
    NOT_APPLICABLE,
    SCORED,
    ScoreArrays,
    applies,
    find_status,
    get_reason_names,
    scores_to_table,
)  # fmt: skip
from benchmark.records.statistics import masked_mean
from benchmark.records.store import record_folder
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import Answer, Lock, Wear
from benchmark.suites.spec import AXES, INPUT, Suite, TapSpec, TargetSpec

__all__ = ["make_yardstick", "write_load"]

_TODAY = date(2026, 1, 1)
_STAGES = ("stem", "middle", "head")
_METHODS = ("ridge", "modular", "unet", "transformer", "diffusion", "gan")
_LEVELS = (0.45, 0.5, 0.6)
"""How good the methods are at the first tap; entries of one level have the same scores."""
_UNSCORED = 0.02
"""Share of values that the scoring declined."""
_PHOTOGRAPHS = 11
"""So many groups the images are of."""
_FAULTS = {4: "partial", 5: "bfloat16", 6: "withdrawn", 7: "superseded"}
"""What befalls the submissions of these numbers; 0 and 1 are the ceiling and the floor."""


def _make_suite(targets: int, taps: int, images: int) -> Suite:
    """Return mini@1 with other targets, as `load@1`; its networks are never opened."""
    mini = load_suite("mini@1")
    stages = [_STAGES[len(_STAGES) * index // taps] for index in range(taps)]
    specs = tuple(
        mini.targets[number % len(mini.targets)].model_copy(
            update={
                "id": f"target-{number + 1}",
                "title": f"Target {number + 1}",
                "taps": tuple(
                    TapSpec(name=f"{stage}.{index}", stage=stage, depth=round(index / max(taps - 1, 1), 3))
                    for index, stage in enumerate(stages)
                ),
            }
        )
        for number in range(targets)
    )
    return mini.model_copy(
        update={
            "name": "load",
            "title": "load: a synthetic load",
            "summary": "Made-up scores, to measure how the board grows.",
            "dataset": mini.dataset.model_copy(update={"images": images}),
            "targets": specs,
            "audit_images": 4,
            "bootstrap_resamples": 1000,
        }
    )


def _make_lock(suite: Suite) -> Lock:
    """Return a lock with made-up images of a few photographs, yardsticks and answers."""
    names = [f"image-{number:04d}" for number in range(suite.dataset.images)]
    wears: tuple[Wear, ...] = ("canonical", "recolored")
    sizes = {"x".join(map(str, target.input_size)): target.input_size[0] for target in suite.targets}
    return Lock(
        suite=suite.id,
        suite_digest=suite.digest,
        files={},
        images={name: hashlib.sha256(name.encode()).hexdigest() for name in names},
        perturbed={},
        groups={name: f"photograph-{index % _PHOTOGRAPHS:02d}" for index, name in enumerate(names)},
        wear={name: wears[index % 2] for index, name in enumerate(names) if index % 3},
        yardsticks={size: dict.fromkeys(AXES, make_yardstick(height)) for size, height in sizes.items()},
        answers={size: {"training_mean": Answer(pull={"recolored": 0.0})} for size in sizes},
    )


def make_yardstick(height: int) -> dict[int, float]:
    """Return made-up scores of thumbnails by their rows: from 0.1 at two rows to 0.9 at half of `height`."""
    rows = [2, *(count for step in range(2, 10) for count in (2**step * 3 // 4, 2**step))]
    return {k: round(0.1 + 0.8 * float(np.log2(k / 2) / np.log2(height / 4)), 6) for k in rows if 2 * k <= height}


def _make_scores(suite: Suite, lock: Lock, target: TargetSpec, level: float, seed: int) -> ScoreArrays:
    """Return scores that fall from `level` (0 trivial, 1 the input itself) with depth, and differ between images."""
    names = tuple(lock.images)
    shape = (len(names), len(target.taps), len(suite.conditions), len(suite.metrics))
    generator = np.random.default_rng(seed)
    depth = np.array([tap.depth for tap in target.taps])[:, None, None]
    spread = 0.1 * level * (1 - level)
    relative = level * (1 - 0.6 * depth * (level < 1)) + spread * generator.standard_normal(shape, np.float32)
    low, high = np.array([get_metric(name).range for name in suite.metrics], np.float64).T
    trivial, best = np.array([_limits(name, name in suite.ranked_metrics) for name in suite.metrics]).T
    values = np.fmin(np.fmax(trivial + (best - trivial) * relative, low), high).astype(np.float32)
    reasons = np.full(shape, SCORED, np.uint8)
    # Whether an image is scored depends on the original alone: it is the same for all entries and taps.
    declined = np.random.default_rng(len(target.taps)).random((shape[0], 1, 1, shape[3]), np.float32) < _UNSCORED
    reasons += (declined * np.arange(2, 2 + len(suite.metrics))).astype(np.uint8)
    fits = np.array([[applies(metric, kind) for metric in suite.metrics] for kind in suite.conditions])
    reasons[:, :, ~fits] = NOT_APPLICABLE
    values[reasons != SCORED] = np.nan
    clamped = np.full((*shape[:2], len(suite.perturbations)), 0.01, np.float32)
    return ScoreArrays(target, names, values, reasons, clamped, get_reason_names(suite))


def _limits(metric: str, ranked: bool) -> tuple[float, float]:
    """Return the values of an answer that ignores the image and of the input itself, made up where none is ranked."""
    if ranked:
        return 0.0, 1.0
    low, high = get_metric(metric).range
    return 0.0 if low is None else low, 40.0 if high is None else high


def _png(color: tuple[int, int, int], size: tuple[int, int]) -> bytes:
    """Return a PNG of one color; `size` is (height, width)."""
    buffer = io.BytesIO()
    Image.new("RGB", size[::-1], color).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _make_audit(suite: Suite, scores: Sequence[ScoreArrays], shade: int) -> pa.Table:
    """Return audit images of one color each: what the targets saw is the same for all `shade`s, recons are not."""
    columns: dict[str, list[Any]] = {name: [] for name in AUDIT_SCHEMA.names}
    for number, item in enumerate(scores):
        for row, image in enumerate(suite.audit_ids(item.images)):
            for tap_index, tap in enumerate((INPUT, *item.target.tap_names)):
                for kind_index, kind in enumerate(suite.perturbations):
                    own = 0 if tap == INPUT else 1 + shade % 255
                    color = (own, (16 * number + tap_index) % 256, 32 * row + kind_index)
                    cells = (image, item.target.id, tap, kind, _png(color, item.target.input_size))
                    for name, cell in zip(columns, cells, strict=True):
                        columns[name].append(cell)
    arrays = [
        pa.array(columns[field.name], field.type.value_type).dictionary_encode()
        for field in AUDIT_SCHEMA
    ]  # fmt: skip
    return pa.Table.from_arrays(arrays, schema=AUDIT_SCHEMA)


def _make_layers(suite: Suite, scores: ScoreArrays) -> tuple[StageLayers, ...]:
    """Return a comparison of the taps of each stage whose diagonal is the scores' own."""
    stages, target = [], scores.target
    count = min(suite.layer_images, len(scores.images))
    by_tap = masked_mean(scores.values[:count, :, 0, suite.metrics.index("frc")].astype(np.float64))
    for stage in dict.fromkeys(tap.stage for tap in target.taps):
        own = np.array([value for value, tap in zip(by_tap, target.taps, strict=True) if tap.stage == stage])
        taps = tuple(tap.name for tap in target.taps if tap.stage == stage)
        if len(taps) < 2:
            continue
        away = np.abs(np.subtract.outer(np.arange(len(taps)), np.arange(len(taps))))
        stages.append(
            StageLayers(
                stage=stage, taps=taps, images=count, transfer=_rows(own * 0.4**away), normalized=_rows(0.4**away),
                neighbors=0.4, half_distance=0.833333, asymmetry=0.0, cka=_rows(0.9**away),
            )
        )  # fmt: skip
    return tuple(stages)


def _rows(matrix: npt.NDArray[np.float64]) -> Matrix:
    return tuple(tuple(round(float(value), 6) for value in row) for row in matrix)


def _make_record(suite: Suite, lock: Lock, scores: Sequence[ScoreArrays]) -> Record:
    """Return the record that scores give, of no submission yet."""
    summary = summarize(suite, lock, scores)
    run = Run(
        code_version="1.0.0", device="cpu", device_name="Made-up CPU", threads=2, batch_size=16,
        started="2026-11-23T00:00:00+00:00", wall_s=75.0, peak_memory_mib=512.0,
        ms_per_recon=dict.fromkeys(summary.targets, 1.5), python="3.12.0",
        packages={"torch": "2.9.0"}, git_commit="0" * 40, git_dirty=False,
    )  # fmt: skip
    return Record(
        suite=suite.id, suite_digest=suite.digest, lock_digest=lock.digest,
        submission=SubmissionInfo(id="nobody", method="none", title="Nobody"),
        inverses={name: InverseInfo(files={}, parameters=0) for name in summary.targets},
        precision="float32", status=find_status(suite, scores), draft=False, images=len(lock.images),
        targets=summary.targets, score=summary.score, overall=summary.overall, cells=tuple(summary.cells),
        scores_sha256="0" * 64, audit_sha256="0" * 64, run=run,
    )  # fmt: skip


def _fill_record(
    suite: Suite, record: Record, scores: Sequence[ScoreArrays], number: int, name: str, method: str
) -> Record:
    """Return a record as that of a submission: who, which inverses, how they were trained, how layers compare."""
    training: dict[str, str | int | float] = {
        "data": "made-up images", "device": "Made-up GPU", "device_hours": round(0.5 * 1.05**number, 3),
        "samples": 1000 * (number + 1), "seed": number,
    }  # fmt: skip
    trained = method not in {"copy", "mean"}
    inverse = InverseInfo(
        files={"model.safetensors": hashlib.sha256(name.encode()).hexdigest()} if trained else {},
        parameters=10_000 * (number + 1) if trained else 0,
        training=training if trained else {},
    )
    layers = {item.target.id: _make_layers(suite, item) for item in scores} if number % 3 else {}
    return record.model_copy(
        update={
            "submission": SubmissionInfo(id=name, method=method, title=_title(name)),
            "inverses": dict.fromkeys(record.targets, inverse),
            "layers": layers if trained else {},
            "precision": "bfloat16" if _FAULTS.get(number) == "bfloat16" else "float32",
        }
    )


def _title(name: str) -> str:
    return f"{name.capitalize()}, a made-up method"


def _render_submission(suite: Suite, name: str, method: str) -> str:
    """Return the text of a `submission.toml`."""
    fields = {
        "id": name,
        "method": method,
        "title": _title(name),
        "description": "Made up, to measure how the board grows.",
        "authors": ["A. Author", "B. Author"],
        "accounts": ["a-author"],
        "contact": "https://example.org",
        "license": "Apache-2.0",
        "trained_on": "nothing",
        "suites": [suite.id],
    }
    return tomli_w.dumps(fields)


def _write_receipt(folder: Path, record: Record, kind: Literal["rescored", "reproduced"]) -> None:
    same = Difference(compared=record.images, equal=record.images, largest=0, beyond=0, unmatched=0)
    receipt = Receipt(
        kind=kind, submission=record.submission.id, suite=record.suite, suite_digest=record.suite_digest,
        lock_digest=record.lock_digest, record_digest=record.digest, by="C. Reader", date=_TODAY,
        rerun_digest=record.digest if kind == "reproduced" else None,
        environment=Environment(device="cpu", device_name="Made-up CPU", python="3.12.0", packages={}),
        images=record.images if kind == "reproduced" else 4,
        differences=dict.fromkeys(sorted({cell.metric for cell in record.cells}), same),
    )  # fmt: skip
    write_receipt(folder, receipt)


class _Load:
    """Writes the submissions of a load below `root`; those of one level share the bytes of their scores."""

    def __init__(self, root: Path, suite: Suite, lock: Lock, seed: int) -> None:
        self.root, self.suite, self.lock, self.seed = root, suite, lock, seed
        self._scored: dict[tuple[float, int], tuple[Path, Record, list[ScoreArrays]]] = {}

    def _score(self, level: float, targets: int) -> tuple[Path, Record, list[ScoreArrays]]:
        """Return a file of scores, their record and the scores themselves, of the first `targets` targets."""
        key = level, targets
        if key not in self._scored:
            seed = self.seed + 1000 * len(self._scored)
            scores = [_make_scores(self.suite, self.lock, target, level, seed + number)
                      for number, target in enumerate(self.suite.targets[:targets])]  # fmt: skip
            path = self.root / f"scores-{len(self._scored)}.parquet"
            table = scores_to_table(self.suite, scores)
            pq.write_table(table, path, compression="zstd")
            record = _make_record(self.suite, self.lock, scores)
            self._scored[key] = path, record.model_copy(update={"scores_sha256": table_digest(table)}), scores
        return self._scored[key]

    def write(self, number: int) -> None:
        """Write a submission with its record, and what befell it."""
        method = ("copy", "mean")[number] if number < 2 else _METHODS[number % len(_METHODS)]
        name = method if number < 2 else f"{method}-{number:03d}"
        level = (1.0, 0.0)[number] if number < 2 else _LEVELS[number % len(_LEVELS)]
        fault = _FAULTS.get(number)
        count = len(self.suite.targets)
        path, record, scores = self._score(level, max(1, count // 2) if fault == "partial" else count)
        record = _fill_record(self.suite, record, scores, number, name, method)
        audit = _make_audit(self.suite, scores, number)
        record = record.model_copy(update={"audit_sha256": audit_digest(audit)})
        submission, folder = self.root / name, record_folder(self.root, name, self.suite.id)
        folder.mkdir(parents=True)
        (submission / "submission.toml").write_text(_render_submission(self.suite, name, method), encoding="utf-8")
        if fault == "superseded":
            info = record.submission.model_copy(update={"title": "Earlier"})
            self._write_files(folder, record.model_copy(update={"submission": info}).sealed(), path, audit)
            supersede(submission, self.suite.id, "A made-up reason.", record.sealed().digest, _TODAY)
        record = record.sealed()
        self._write_files(folder, record, path, audit)
        if number % 3:
            _write_receipt(folder, record, "rescored" if number % 3 == 1 else "reproduced")
        if fault == "withdrawn":
            withdraw(submission, self.suite.id, "A made-up reason.", _TODAY)

    def _write_files(self, folder: Path, record: Record, scores: Path, audit: pa.Table) -> None:
        shutil.copyfile(scores, folder / "scores.parquet")
        pq.write_table(audit, folder / "audit.parquet", compression="zstd")
        (folder / "record.json").write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")

    def close(self) -> None:
        """Delete what is not part of a submission."""
        for path, _, _ in self._scored.values():
            path.unlink()


def write_load(root: Path, entries: int, targets: int, taps: int, images: int, seed: int) -> tuple[Suite, Lock]:
    """Write made-up submissions with well-formed records to the empty folder `root`; the same seed gives the same.

    The suite is mini@1 with other targets and images. Among the submissions are the ceiling and the floor; the
    fifth is partial, the sixth in bfloat16, the seventh withdrawn, and the eighth superseded an earlier record.

    Args:
        root: created where it is absent.
        entries: submissions.
        targets, taps: targets of the suite, and taps of each in three stages.
        images: scored images, at least four.

    Returns:
        The suite `load@1` and its lock.
    """
    suite = _make_suite(targets, taps, images)
    lock = _make_lock(suite)
    root.mkdir(parents=True, exist_ok=True)
    load = _Load(root, suite, lock, seed)
    for number in range(entries):
        load.write(number)
    load.close()
    return suite, lock
