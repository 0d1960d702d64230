"""A small suite and an honest record of it, cut from the committed ones, and ways to make them dishonest."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.engine.rescore import select_images
from benchmark.errors import IntegrityError
from benchmark.files.canonical import readable_json
from benchmark.files.paths import submissions_root
from benchmark.metrics.layers import COMPARED, normalized_transfer, summarize_transfer
from benchmark.records.aggregate import summarize
from benchmark.records.audit import audit_digest, audit_to_table
from benchmark.records.columns import AUDIT_SCHEMA, table_digest
from benchmark.records.consistency import check_record
from benchmark.records.record import Record, StageLayers, SubmissionInfo, load_record, write_record
from benchmark.records.scores import ScoreArrays, find_status, scores_from_table, scores_to_table
from benchmark.records.statistics import masked_mean
from benchmark.records.store import record_folder
from benchmark.submissions.findings import Finding
from benchmark.submissions.validate import validate
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import Lock, load_lock
from benchmark.suites.spec import Suite

__all__ = [
    "IMAGES", "SMALL", "TARGET", "World", "edit_json", "edit_toml", "errors", "hash_of_audit", "make_world",
    "only_error", "reseal", "title_of", "write_submission", "write_tables",
]  # fmt: skip

SMALL, TARGET = "small", "mini-vit"
IMAGES = ("scene-0009", "scene-0017", "scene-0000", "scene-0001", "scene-0002")
METHOD = "modular_per_tap"
_TAPS = ("encoder.0", "encoder.1")


def title_of(name: str) -> str:
    """Return the title of a submission that tests write."""
    return f"The title of {name}"


class World:
    """A suite of one target, its lock, and the record of `modular_per_tap` cut down to it: five images, two audited."""

    def __init__(self, suite: Suite, lock: Lock, record: Record, scores: list[ScoreArrays], audit: pa.Table) -> None:
        self.suite, self.lock, self.record, self.scores, self.audit = suite, lock, record, scores, audit
        self.table = scores_to_table(suite, scores)

    def write(self, root: Path, name: str = SMALL) -> Path:
        """Write the honest submission below `root`, and return the folder of its record."""
        write_submission(root / name)
        folder = record_folder(root, name, self.suite.id)
        info = SubmissionInfo(id=name, method="modular_per_tap", title=title_of(name))
        write_record(folder, self.record.model_copy(update={"submission": info}), self.table, self.audit)
        return folder

    def check(self, folder: Path, name: str = SMALL) -> Any:
        """Check the record in `folder`."""
        return check_record(self.suite, self.lock, name, folder, load_record(folder))

    def summarized(self, scores: list[ScoreArrays]) -> dict[str, Any]:
        """Return the fields of a record that follow from scores, as a forger who knows how would fill them in."""
        summary = summarize(self.suite, self.lock, scores)
        fields = ("targets", "score", "overall")
        return {name: getattr(summary, name) for name in fields} | {"cells": tuple(summary.cells)}


def _layers(suite: Suite, scores: ScoreArrays) -> tuple[StageLayers, ...]:
    own = masked_mean(scores.values[:, :, 0, suite.metrics.index(COMPARED)].astype(np.float64))
    matrix = np.array([[own[0], own[1] * 0.9], [own[0] * 0.8, own[1]]])
    normalized = normalized_transfer(matrix)
    summary = summarize_transfer(normalized)

    def rows(values: Any) -> Any:
        return tuple(tuple(round(float(v), 6) for v in row) for row in values)

    numbers = {name: None if v is None else round(v, 6) for name, v in summary._asdict().items()}
    return (
        StageLayers(
            stage="encoder", taps=_TAPS, images=len(scores.images), transfer=rows(matrix), normalized=rows(normalized),
            cka=((1.0, 0.9), (0.9, 1.0)), **numbers,
        ),
    )  # fmt: skip


@cache
def make_world() -> World:
    """Return the small suite with its honest record; everything is cut from the committed one of `modular_per_tap`."""
    full = load_suite("mini@1")
    lock, folder = load_lock(full), record_folder(submissions_root(), METHOD, full.id)
    record = load_record(folder)
    table, pixels = (
        pq.read_table(folder / "scores.parquet"),
        check_record(full, lock, METHOD, folder, record)[1],
    )

    order = [target.id for target in full.targets if target.id in record.targets]
    whole = scores_from_table(full, table, record.targets.keys(), record.images)[order.index(TARGET)]
    target = full.target(TARGET)
    taps = [target.tap_names.index(tap) for tap in _TAPS]
    cut = target.model_copy(update={"taps": tuple(target.taps[tap] for tap in taps)})
    suite = full.model_copy(
        update={
            "targets": (cut,),
            "audit_images": IMAGES[:2],
            "bootstrap_resamples": 50,
        }
    )
    own = lock.model_copy(
        update={
            "suite_digest": suite.digest,
            "perturbed": {k: v for k, v in lock.perturbed.items() if k.startswith(IMAGES[:2])},
        }
    )
    chosen = select_images(whole, IMAGES)
    scores = [
        replace(
            chosen, target=cut, values=chosen.values[:, taps], reasons=chosen.reasons[:, taps],
            clamped=np.zeros((len(IMAGES), len(taps), len(suite.perturbations)), np.float32),
        )
    ]  # fmt: skip
    audited = full.audit_ids(whole.images)
    seen = pixels[order.index(TARGET)][[audited.index(name) for name in IMAGES[:2]]]
    audit = audit_to_table(suite, cut, IMAGES[:2], seen[:, [0, *(1 + tap for tap in taps)]])
    summary = summarize(suite, own, scores)
    update = {
        "suite_digest": suite.digest,
        "lock_digest": own.digest,
        "inverses": {TARGET: record.inverses[TARGET]},
        "status": find_status(suite, scores),
        "images": len(IMAGES),
        "targets": summary.targets,
        "score": summary.score,
        "overall": summary.overall,
        "cells": tuple(summary.cells),
    }
    small = record.model_copy(update=update)
    small = small.model_copy(update={"layers": {TARGET: _layers(suite, scores[0])}})

    return World(suite, own, small, scores, audit)


def write_submission(folder: Path, **changes: str) -> Path:
    """Write a valid `submission.toml` into `folder`; `changes` are fields as TOML, an empty one leaves a field out."""
    weights = {
        t: f'{{ path = "assets/mini/inverses/modular_per_tap/{t}" }}' for t in ("mini-detr", "mini-vit", "mini-swin")
    }
    fields = {
        "id": json.dumps(folder.name),
        "method": '"modular_per_tap"',
        "title": json.dumps(title_of(folder.name)),
        "description": '"What it does."',
        "authors": '["A. Author"]',
        "accounts": '["a-author"]',
        "contact": '"https://example.org/me"',
        "license": '"Apache-2.0"',
        "trained_on": '"scenes"',
        "suites": '["mini@1"]',
        "weights": f"{{ {', '.join(f'{name} = {value}' for name, value in weights.items())} }}",
    } | changes
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{name} = {value}\n" for name, value in fields.items() if value)
    (folder / "submission.toml").write_text(text, encoding="utf-8")
    return folder


def edit_toml(folder: Path, old: str, new: str) -> None:
    """Replace a text in `submission.toml`, which must be there."""
    path = folder / "submission.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def edit_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the JSON in a file and nothing else: digests stay what they were."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def hash_of_audit(table: pa.Table) -> str:
    """State the hash of audit images, or of anything for what is no image."""
    try:
        return audit_digest(table)
    except IntegrityError:
        return "0" * 64


def reseal(folder: Path, change: Callable[[dict[str, Any]], None] | None = None) -> None:
    """Change `record.json`, then state the hashes of the tables as they are now, and the digests that follow."""
    path = folder / "record.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["scores_sha256"] = table_digest(pq.read_table(folder / "scores.parquet"))
    content["audit_sha256"] = hash_of_audit(pq.read_table(folder / "audit.parquet", schema=AUDIT_SCHEMA))
    if change is not None:
        change(content)
    record = Record.model_validate_json(json.dumps(content)).sealed()
    path.write_text(readable_json(record), encoding="utf-8", newline="\n")


def write_tables(folder: Path, **tables: pa.Table) -> None:
    """Write `scores` or `audit` over the tables of a record."""
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet", compression="zstd")


def errors(folder: Path) -> list[Finding]:
    """What keeps the submission in a folder out."""
    return [finding for finding in validate(folder) if finding.severity == "error"]


def only_error(folder: Path) -> Finding:
    """The one thing that keeps the submission in a folder out."""
    found = errors(folder)
    assert len(found) == 1, found
    return found[0]


def at(content: Any, path: str) -> tuple[Any, Any]:
    """Return the container that a path of keys leads to, and the last key."""
    *parts, last = path.split("/")
    for part in parts:
        content = content[int(part) if part.isdigit() else part]
    return content, int(last) if last.isdigit() else last


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change that puts a value at a path, or what a function makes of the value there."""

    def change(content: dict[str, Any]) -> None:
        holder, last = at(content, path)
        holder[last] = value(holder[last]) if callable(value) else value

    return change
