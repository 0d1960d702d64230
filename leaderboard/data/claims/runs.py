"""Runs of several training seeds: what a suite's file of them holds, and how records are added to it.

The weights of these runs are not kept; what is kept says what each cost and scored, and which record states it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator

from benchmark.errors import IntegrityError, SpecError
from benchmark.files.canonical import readable_json
from benchmark.files.declarations import Frozen, explain, read_json
from benchmark.files.fields import Amount, Cost, Count, Id, Line, Sha256, SuiteId
from benchmark.files.paths import resource
from benchmark.files.storing import write_text
from benchmark.records.consistency import check_record
from benchmark.records.record import Record, load_record
from benchmark.records.scores import NOT_FINITE
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Axis, Suite

__all__ = ["CONDITIONS", "Equal", "TrainingRun", "TrainingRuns", "add_runs", "load_runs", "runs_file"]

Equal = Literal["equal_samples", "equal_time"]
CONDITIONS: dict[Equal, str] = {
    "equal_samples": "at equal training samples",
    "equal_time": "at equal training time on one device",
}
"""What runs that are compared have in common, in words."""
_MAX_RUNS = 1000
_STATED = ("seed", "steps", "samples", "device_hours")


class TrainingRun(Frozen):
    """One training of one method on one target, and what its evaluation on the suite gave."""

    model_config = ConfigDict(allow_inf_nan=False)

    method: Id
    """the method, such as modular."""
    target: Id
    """the target that was inverted."""
    condition: Equal
    """what it has in common with the runs that it is compared with."""
    seed: Count
    """of the training."""
    steps: Count
    """of the training."""
    samples: Count
    """images that the training saw, each time counted."""
    device_hours: Cost
    """of the training."""
    device: Line
    """that it was trained on."""
    weights: Sha256
    """of model.safetensors."""
    record: Sha256
    """digest of the record that states the scores."""
    scores: dict[Axis, Amount] = Field(min_length=1)
    """by axis, the mean over images and taps."""

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What no two runs of a file share."""
        return self.target, self.condition, self.method, self.seed

    @property
    def training(self) -> tuple[str, int, int, int, float, str]:
        """What runs with the same weights share."""
        return self.method, self.seed, self.steps, self.samples, self.device_hours, self.device


class TrainingRuns(Frozen):
    """The runs on one suite, ordered by target, condition, method and seed."""

    schema_version: Literal[1] = 1
    suite: SuiteId
    suite_digest: Sha256
    lock_digest: Sha256
    runs: tuple[TrainingRun, ...] = Field(max_length=_MAX_RUNS)

    @model_validator(mode="after")
    def _apart(self) -> TrainingRuns:
        keys = [run.key for run in self.runs]
        if keys != sorted(set(keys)):
            raise ValueError("runs are not in order, or one is listed twice")
        by_weights: dict[tuple[str, str], TrainingRun] = {}
        by_record: dict[tuple[str, str], TrainingRun] = {}
        for run in self.runs:  # one training may take part in both comparisons
            if by_weights.setdefault((run.target, run.weights), run).training != run.training:
                raise ValueError(f"two runs on {run.target} have the same weights, but are not one training")
            same = by_record.setdefault((run.target, run.record), run)
            if (same.weights, same.scores) != (run.weights, run.scores):
                raise ValueError(f"two runs on {run.target} rest on the same record")
        return self


def runs_file(suite: Suite) -> Path:
    """Where the package keeps the runs on a suite; there need not be any."""
    return resource(f"assets/claims/{suite.id}.json")


def load_runs(path: Path, suite: Suite, lock: Lock) -> TrainingRuns:
    """Read a file of runs.

    Raises:
        SpecError: absent, malformed, or of another suite.
        IntegrityError: of another text or lock of the suite.
    """
    runs = read_json(path, TrainingRuns)
    if runs.suite != suite.id:
        raise SpecError(f"holds runs on {runs.suite}, not on {suite.id}", where=str(path))
    if runs.suite_digest != suite.digest:
        raise IntegrityError(f"made for another text of {suite.id}", where=str(path), cure="add the runs again")
    if runs.lock_digest != lock.digest:
        raise IntegrityError(f"made under another lock of {suite.id}", where=str(path), cure="add the runs again")
    known = {target.id for target in suite.targets}
    for run in runs.runs:
        if run.target not in known or run.scores.keys() != suite.axes.keys():
            message = (
                f"run {run.method}, seed {run.seed}: on an unknown target, or not scored on the axes of {suite.id}"
            )
            raise SpecError(message, where=str(path))
    return runs


def _check_usable(suite: Suite, lock: Lock, record: Record, where: str) -> None:
    if record.suite != suite.id:
        raise SpecError(f"is a record on {record.suite}, not on {suite.id}", where=where, cure="name its --suite")
    if record.suite_digest != suite.digest or record.lock_digest != lock.digest:
        raise IntegrityError(f"made for another text or lock of {suite.id}", where=where, cure="evaluate again")
    if record.draft or record.exploratory:
        raise SpecError("is a draft, or not in the official arithmetic", where=where, cure="evaluate as for the board")
    if record.images != suite.dataset.images:
        message = f"is scored on {record.images} of {suite.dataset.images} images"
        raise SpecError(message, where=where, cure="evaluate without --limit")


def _runs_of(suite: Suite, record: Record, condition: Equal, where: str) -> Iterator[TrainingRun]:
    """The runs that a record states: one for each target that it was evaluated on."""
    for target, scores in record.targets.items():
        inverse = record.inverses[target]
        values = {axis: scores.axes[axis].value for axis in suite.axes if axis in scores.axes}
        stated = dict(inverse.training)
        for name in (*_STATED, "device"):
            if name not in stated:
                message = f"the training on {target} does not state '{name}'"
                raise SpecError(message, where=where, cure="train with: invbench train inverse")
        if len(values) < len(suite.axes) or None in values.values():
            raise SpecError(f"an axis is not scored on {target}", where=where, cure="evaluate all images")
        if any(NOT_FINITE in cell.unscored for cell in record.cells if cell.target == target):
            raise SpecError(f"a {NOT_FINITE} on {target}", where=where)
        if "model.safetensors" not in inverse.files:
            raise SpecError(f"names no weights 'model.safetensors' on {target}", where=where)
        fields = {name: stated[name] for name in (*_STATED, "device")} | {
            "method": record.submission.method, "target": target, "condition": condition, "scores": values,
            "weights": inverse.files["model.safetensors"], "record": record.digest,
        }  # fmt: skip
        try:
            yield TrainingRun.model_validate(fields)
        except ValidationError as error:
            raise explain(error, where, TrainingRun) from None


def add_runs(path: Path, suite: Suite, lock: Lock, condition: Equal, folders: Sequence[Path]) -> TrainingRuns:
    """Add what records state to a file of runs, which is created where it is absent; all of them or none.

    Every record is checked as `invbench validate` does: its scores follow from its own tables. A run that the file
    holds already is left as it is.

    Args:
        path: the file.
        folders: folders of records, or their `record.json`.

    Raises:
        SpecError, IntegrityError: a record or the file cannot be used, or another run of that method, target,
            condition and seed is there; names the file.
    """
    held: tuple[TrainingRun, ...] = load_runs(path, suite, lock).runs if path.exists() else ()
    runs = {run.key: run for run in held}
    for folder in folders:
        folder = folder.parent if folder.name == "record.json" else folder
        where = str(folder / "record.json")
        record = load_record(folder)
        _check_usable(suite, lock, record, where)
        check_record(suite, lock, record.submission.id, folder, record)
        for run in _runs_of(suite, record, condition, where):
            if runs.setdefault(run.key, run) != run:
                message = f"another run of {run.method} on {run.target}, {condition}, seed {run.seed} is in {path}"
                raise SpecError(message, where=where, cure="remove that run from the file first")
    ordered = tuple(runs[key] for key in sorted(runs))
    head = {"suite": suite.id, "suite_digest": suite.digest, "lock_digest": lock.digest}
    try:
        result = TrainingRuns.model_validate(head | {"runs": [run.model_dump() for run in ordered]})
    except ValidationError as error:
        raise explain(error, str(path), TrainingRuns) from None
    write_text(path, readable_json(result))
    return result
