"""Frozen models of everything that a suite fixes, their loading and their content digest.

Import-light: reading a suite needs neither torch nor transformers.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.errors import IntegrityError, SpecError, did_you_mean

__all__ = [
    "AXES",
    "HUE_PERTURBATIONS",
    "TRAINING_MEAN",
    "Anchor",
    "Axis",
    "DatasetSpec",
    "Lock",
    "Perturbation",
    "Source",
    "Suite",
    "TapSpec",
    "TargetSpec",
    "canonical_json",
    "digest_of",
    "explain",
    "list_suites",
    "load_lock",
    "load_suite",
    "sha256_file",
]

Axis = Literal["detail", "shape", "color"]
AXES: tuple[Axis, ...] = ("detail", "shape", "color")
Perturbation = Literal["identity", "hue_set_0", "hue_set_120", "hue_set_240", "hue_shift_120", "hue_shift_240", "gray"]
HUE_PERTURBATIONS: tuple[Perturbation, ...] = (
    "hue_set_0", "hue_set_120", "hue_set_240", "hue_shift_120", "hue_shift_240",
)  # fmt: skip
Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
TRAINING_MEAN = "training_mean"
PACKAGE = Path(__file__).parent
SUITES = PACKAGE / "suites"


class Frozen(BaseModel):
    """Base of every declaration: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TapSpec(Frozen):
    """A named place in a target: its stage, and its depth in [0, 1] (0 the first tap, 1 the last)."""

    name: Id
    stage: Id
    depth: float = Field(ge=0, le=1)


class Source(Frozen):
    """Where a network lies: embedded in the package (`path`), or on the Hub (`repo_id` and full `revision`)."""

    path: str | None = None
    repo_id: str | None = None
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        if (self.path is None) == (self.repo_id is None):
            raise ValueError("give either 'path' or 'repo_id'")
        return self

    def directory(self) -> Path:
        """Return the directory of an embedded network."""
        if self.path is None:
            raise SpecError(f"'{self.repo_id}' is not embedded", cure="load it through the Hub")
        return PACKAGE / self.path


class TargetSpec(Frozen):
    """A frozen network to invert; `input_size` is (height, width) in pixels; `taps` from shallow to deep."""

    id: Id
    title: str
    family: Id
    source: Source
    input_size: tuple[int, int]
    taps: tuple[TapSpec, ...] = Field(min_length=1)

    @property
    def tap_names(self) -> tuple[str, ...]:
        """The names of the taps, from shallow to deep."""
        return tuple(tap.name for tap in self.taps)

    def tap(self, name: str) -> TapSpec:
        """Return the tap `name`; raises NotFoundError with the nearest name."""
        for tap in self.taps:
            if tap.name == name:
                return tap
        raise did_you_mean(f"tap of {self.id}", name, [tap.name for tap in self.taps])


class DatasetSpec(Frozen):
    """The evaluation images: the `source` module that reads them, its file, and how many there are."""

    source: Id
    path: str
    images: int = Field(gt=0)
    description: str


class Suite(Frozen):
    """A frozen, versioned protocol; see the suite files for the meaning of every field."""

    schema_version: Literal[1]
    name: Id
    version: int = Field(ge=1)
    title: str
    summary: str
    dataset: DatasetSpec
    targets: tuple[TargetSpec, ...] = Field(min_length=1)
    judge: Source | None = None
    perturbations: tuple[Perturbation, ...]
    axes: dict[Axis, tuple[Id, ...]]
    report: tuple[Id, ...] = ()
    audit_images: tuple[str, ...]
    bootstrap_resamples: int = Field(gt=0)
    bootstrap_seed: int

    @model_validator(mode="after")
    def _consistent(self) -> Suite:
        if self.perturbations[:1] != ("identity",):
            raise ValueError("the first perturbation must be 'identity'")
        for names, what in (
            ([t.id for t in self.targets], "targets"),
            (list(self.perturbations), "perturbations"),
            (list(self.metrics), "metrics"),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"{what} name something twice")
        return self

    @property
    def id(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric of the suite: those of the axes, then those only reported."""
        return tuple(m for axis in AXES for m in self.axes.get(axis, ())) + self.report

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of the suite."""
        return digest_of(self.model_dump(mode="json"))

    def target(self, target_id: str) -> TargetSpec:
        """Return the target `target_id`; raises NotFoundError with the nearest name."""
        for target in self.targets:
            if target.id == target_id:
                return target
        raise did_you_mean(f"target of {self.id}", target_id, [t.id for t in self.targets])


class Anchor(Frozen):
    """Score of the best trivial `answer` to a metric: what an anchored score calls 0; `ceiling` is called 1.

    `answers` holds the score of every trivial answer.
    """

    answer: str
    floor: float
    ceiling: float
    answers: dict[str, float] = {}


class Lock(Frozen):
    """Content of everything a suite refers to, by SHA-256; `gaps` names what is not pinned yet."""

    suite: str
    suite_digest: Sha256
    files: dict[str, Sha256]
    images: dict[str, Sha256]
    perturbed: dict[str, Sha256]
    anchors: dict[str, dict[str, Anchor]]
    gaps: tuple[str, ...] = ()

    @property
    def draft(self) -> bool:
        """Whether something is not pinned, so that records of the suite are never ranked."""
        return bool(self.gaps)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of the lock."""
        return digest_of(self.model_dump(mode="json"))


def canonical_json(value: Any) -> str:
    """Return `value` as JSON with sorted keys, no spaces and no NaN: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """Return the SHA-256 (hex) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def explain(error: ValidationError, where: str) -> SpecError:
    """Return a one-line error that names file, field and fault of a failed validation."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"]) or "(whole file)"
    more = f" and {error.error_count() - 1} more" if error.error_count() > 1 else ""
    return SpecError(f"field '{field}': {first['msg']}{more}", where=where)


def list_suites() -> list[str]:
    """Return the ids of all suites, by name and version."""
    suites = [load_suite_file(path) for path in SUITES.glob("*.toml")]
    return [suite.id for suite in sorted(suites, key=lambda suite: (suite.name, suite.version))]


def load_suite_file(path: Path) -> Suite:
    """Read a suite from a TOML file.

    Raises:
        SpecError: not a suite; names the field.
    """
    try:
        return Suite.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise explain(error, str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"not valid TOML: {error}", where=str(path)) from None


def load_suite(suite_id: str) -> Suite:
    """Read the suite `name@version` that ships with the package.

    Raises:
        NotFoundError: no such suite; names the nearest.
    """
    known = list_suites()
    if suite_id not in known:
        raise did_you_mean("suite", suite_id, known)
    return load_suite_file(SUITES / f"{suite_id.replace('@', '-')}.toml")


def lock_path(suite: Suite) -> Path:
    """Return where the lock of a suite lies."""
    return SUITES / f"{suite.name}-{suite.version}.lock.json"


def load_lock(suite: Suite) -> Lock:
    """Read the lock beside a suite.

    Raises:
        SpecError: there is none, or it is not a lock.
        IntegrityError: it was made for another text of the suite.
    """
    path = lock_path(suite)
    if not path.exists():
        raise SpecError("no lock", where=str(path), cure=f"write it with: invbench suite lock {suite.id}")
    try:
        lock = Lock.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise explain(error, str(path)) from None
    if lock.suite_digest != suite.digest:
        raise IntegrityError(
            f"made for another text of {suite.id}", where=str(path), cure=f"run: invbench suite lock {suite.id}"
        )
    return lock
