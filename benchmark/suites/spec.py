"""Frozen models of everything that a suite fixes, their loading and their content digest.

Import-light: reading a suite needs neither torch nor transformers.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator
from pydantic.fields import FieldInfo

from benchmark.errors import IntegrityError, SpecError, did_you_mean
from benchmark.files.paths import SUITES, resource

__all__ = [
    "AXES",
    "HUE_PERTURBATIONS",
    "TRAINING_MEAN",
    "Anchor",
    "Axis",
    "CocoData",
    "DatasetSpec",
    "FrozenData",
    "HubData",
    "ImagenetData",
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
    "read_json",
    "read_toml",
    "sha256_file",
    "unset",
]

Model = TypeVar("Model", bound=BaseModel)
Axis = Literal["detail", "shape", "color"]
AXES: tuple[Axis, ...] = ("detail", "shape", "color")
Perturbation = Literal["identity", "hue_set_0", "hue_set_120", "hue_set_240", "hue_shift_120", "hue_shift_240", "gray"]
HUE_PERTURBATIONS: tuple[Perturbation, ...] = (
    "hue_set_0", "hue_set_120", "hue_set_240", "hue_shift_120", "hue_shift_240",
)  # fmt: skip
Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RepoId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$", max_length=96)]
Revision = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Size = tuple[Annotated[int, Field(gt=0, le=4096)], Annotated[int, Field(gt=0, le=4096)]]
TRAINING_MEAN = "training_mean"
MAX_TEXT_BYTES = 1_000_000
MAX_ITEMS = 150_000
MAX_LOCK_BYTES = 64_000_000
_LONG_KEY = re.compile(rb"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){24}""")
"""A dotted key whose parsing would take time and memory with the square of its length."""


class Frozen(BaseModel):
    """Base of every declaration: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TapSpec(Frozen):
    """A named place in a target: its stage, and its depth in [0, 1] (0 the first tap, 1 the last)."""

    name: Id
    stage: Id
    depth: float = Field(ge=0, le=1)


def unset(value: Any) -> bool:
    """Leave an optional field out of the dump while it is not set: a field added later changes no older digest."""
    return value in (None, False, {})


class Source(Frozen):
    """Where a network lies: embedded in the package (`path`), or on the Hub (`repo_id` and full `revision`).

    A Hub repository without a revision is a gap: its suite stays a draft until a lock names one. `megabytes` is
    about how large the files are (10**6 bytes), where that is known.
    """

    path: str | None = None
    repo_id: RepoId | None = None
    revision: Revision | None = None
    megabytes: int | None = Field(default=None, gt=0, exclude_if=unset)

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        if (self.path is None) == (self.repo_id is None):
            raise ValueError("give either 'path' or 'repo_id'")
        if self.path is not None and (self.path.startswith("/") or "\\" in self.path or ".." in self.path.split("/")):
            raise ValueError("'path' must stay inside the package")
        return self

    def directory(self) -> Path:
        """Return the directory of an embedded network."""
        if self.path is None:
            raise SpecError(f"'{self.repo_id}' is not embedded", cure="load it through the Hub")
        return resource(self.path)


class TargetSpec(Frozen):
    """A frozen network to invert; `input_size` is (height, width) in pixels; `taps` from shallow to deep."""

    id: Id
    title: str
    family: Id
    source: Source
    input_size: Size
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


class FrozenData(Frozen):
    """Images, masks and labels in one Parquet file inside the package, used at their own size."""

    source: Literal["frozen"]
    path: str
    images: int = Field(gt=0)
    description: str


class _Photographs(Frozen):
    """Photographs resized to every target's input size: bilinear with antialiasing (Pillow), masks by area."""

    images: int = Field(gt=0)
    description: str
    resize: Literal["pillow-bilinear"]


class CocoData(_Photographs):
    """Photographs of COCO 2017 with the masks of one category each, chosen from the annotation file alone.

    Eligible: no crowd annotation, and the focal category (the one whose united masks cover most; the lower id
    of two) covers a share of the image within `share`. The first `images` in the order of the SHA-256 of
    `salt` followed by the image id.
    """

    source: Literal["coco"]
    split: Literal["val2017", "train2017"]
    salt: str
    share: tuple[float, float]


class ImagenetData(_Photographs):
    """ImageNet photographs in class folders; the focal mask is the whole frame.

    The first photograph of every class, then the first `images` of these, both in the order of the SHA-256 of
    `salt` followed by the file's name without extension. `pool` is how many photographs the folders hold.
    """

    source: Literal["imagenet"]
    salt: str
    pool: int = Field(gt=0)


class HubData(_Photographs):
    """Parquet files with `id`, `image` and `mask` in a dataset repository of the Hub, in their order."""

    source: Literal["hub"]
    repo_id: RepoId
    revision: Revision | None = None
    files: tuple[str, ...] = Field(min_length=1)


DatasetSpec = Annotated[FrozenData | CocoData | ImagenetData | HubData, Field(discriminator="source")]


class Suite(Frozen):
    """A frozen, versioned protocol; see the suite files for the meaning of every field.

    Records of a `draft` are never ranked, even if its lock is whole.
    """

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
    audit_images: tuple[str, ...] | Annotated[int, Field(gt=0)]
    bootstrap_resamples: int = Field(gt=0)
    bootstrap_seed: int
    draft: bool = Field(default=False, exclude_if=unset)
    _file: Path | None = PrivateAttr(default=None)

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
    def lock_path(self) -> Path:
        """Where the lock of the suite lies: beside its file."""
        folder = self._file.parent if self._file else SUITES
        return folder / f"{self.name}-{self.version}.lock.json"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric of the suite: those of the axes, then those only reported."""
        return tuple(m for axis in AXES for m in self.axes.get(axis, ())) + self.report

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of the suite."""
        return digest_of(self.model_dump(mode="json"))

    def audit_ids(self, image_ids: Sequence[str]) -> tuple[str, ...]:
        """Return the audit images among `image_ids`: those named, or the first so many."""
        if isinstance(self.audit_images, int):
            return tuple(image_ids[: self.audit_images])
        return tuple(image for image in image_ids if image in self.audit_images)

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
    """Content of everything a suite refers to, by SHA-256; `gaps` names what is not pinned yet.

    Attributes:
        files: by name: a path inside the package, or `repo_id/file` on the Hub, or a file of the dataset.
        images: by image id (`id@HxW` where photographs are resized): pixels and focal mask.
        perturbed: by image (as above), a slash and the perturbation: pixels.
        anchors: by target and metric.
        revisions: by repository, the commit of those that the suite names without one.
    """

    suite: str
    suite_digest: Sha256
    files: dict[str, Sha256]
    images: dict[str, Sha256]
    perturbed: dict[str, Sha256]
    anchors: dict[str, dict[str, Anchor]]
    gaps: tuple[str, ...] = ()
    revisions: dict[str, Revision] = Field(default={}, exclude_if=unset)

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
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
    )


def readable_json(model: BaseModel) -> str:
    """Return the text of a JSON file: a field a line, sorted keys, no NaN; equal models give equal text."""
    data = model.model_dump(mode="json")
    return json.dumps(data, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def digest_of(value: Any) -> str:
    """Return the SHA-256 (hex) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cure(kind: str, loc: tuple[int | str, ...], model: type[BaseModel] | None) -> str | None:
    """Return what to write instead, from the declaration of the field that `loc` leads to."""
    if model is None or not loc:
        return None
    field: FieldInfo | None = None
    for part in loc:
        if model is None:
            break
        if kind == "extra_forbidden" and part == loc[-1]:
            near = difflib.get_close_matches(str(part), model.model_fields, n=1, cutoff=0.5)
            return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(model.model_fields)}"
        if part in model.model_fields:
            field = model.model_fields[str(part)]
            inner = [t for t in (field.annotation, *get_args(field.annotation)) if isinstance(t, type)]
            model = next((t for t in inner if issubclass(t, BaseModel)), None)
    if field is None or not field.description:
        return None
    return f"{field.description}, such as {field.examples[0]!r}" if field.examples else field.description


def _show(value: Any) -> str:
    """Return a value as a message shows it; integers too long to be written are not."""
    huge = isinstance(value, int) and value.bit_length() > 256
    return "a number of more than 77 digits" if huge else _short(repr(value))


def explain(error: ValidationError, where: str, model: type[BaseModel] | None = None) -> SpecError:
    """Return a one-line error that names file, field, value, fault and (from the declarations of `model`) the cure."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "(whole file)"
    value = first.get("input")
    shown = isinstance(value, str | int | float) and first["type"] != "missing"
    got = f", not {_show(value)}" if shown else ""
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    message = first["msg"].removeprefix("Value error, ")
    cure = _cure(first["type"], first["loc"], model)
    return SpecError(f"field {_short(repr(field))}: {message}{got}{more}", where=where, cure=cure)


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:96]}...{text[-1]}"


def _read(path: Path, max_bytes: int) -> bytes:
    """Return the content of a regular file of at most `max_bytes` and MAX_ITEMS: every one may become an error."""
    try:
        if not path.is_file() and path.exists():
            raise SpecError("is no regular file", where=str(path))
        if path.stat().st_size > max_bytes:
            raise SpecError(f"is larger than the {max_bytes:,} bytes allowed", where=str(path))
        data = path.read_bytes()
        if max(data.count(b","), data.count(b"\n")) > MAX_ITEMS:
            raise SpecError(f"holds more than the {MAX_ITEMS:,} items allowed", where=str(path))
        return data
    except FileNotFoundError:
        raise SpecError("no such file", where=str(path)) from None
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}", where=str(path)) from None


def read_toml(path: Path, model: type[Model], max_bytes: int = MAX_TEXT_BYTES) -> Model:
    """Read a declaration from a TOML file.

    Raises:
        SpecError: absent, too large, not TOML or not what `model` asks for; names file, field, value and cure.
    """
    data = _read(path, max_bytes)
    if _LONG_KEY.search(data):
        raise SpecError("not valid TOML: a key has too many parts", where=str(path))
    try:
        return model.model_validate(tomllib.loads(data.decode()))
    except ValidationError as error:
        raise explain(error, str(path), model) from None
    except (ValueError, RecursionError) as error:
        raise SpecError(f"not valid TOML: {str(error).splitlines()[0]}", where=str(path)) from None


def read_json(path: Path, model: type[Model], max_bytes: int = MAX_TEXT_BYTES) -> Model:
    """Read a declaration from a JSON file; see `read_toml`."""
    data = _read(path, max_bytes)
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise explain(error, str(path), model) from None


def list_suites() -> list[str]:
    """Return the ids of all suites, by name and version."""
    suites = [load_suite_file(path) for path in SUITES.glob("*.toml")]
    return [suite.id for suite in sorted(suites, key=lambda suite: (suite.name, suite.version))]


def load_suite_file(path: Path) -> Suite:
    """Read a suite from a TOML file.

    Raises:
        SpecError: absent or not a suite; names the field.
    """
    suite = read_toml(path, Suite)
    suite._file = path
    return suite


def load_suite(suite_id: str) -> Suite:
    """Read the suite `name@version` that ships with the package, or the suite file that a path to a `.toml` names.

    Raises:
        NotFoundError: no such suite; names the nearest.
        SpecError: the file is absent or not a suite.
    """
    if suite_id.endswith(".toml"):
        return load_suite_file(Path(suite_id))
    name = suite_id.replace("@", "-")
    path = next((path for path in SUITES.glob("*.toml") if path.stem == name), None)
    suite = load_suite_file(path) if path else None
    if suite is None or suite.id != suite_id:
        raise did_you_mean("suite", suite_id, list_suites())
    return suite


def load_lock(suite: Suite) -> Lock:
    """Read the lock beside a suite.

    Raises:
        SpecError: there is none, or it is not a lock.
        IntegrityError: it was made for another text of the suite.
    """
    path = suite.lock_path
    if not path.exists():
        name = suite._file if suite._file and suite._file.parent != SUITES else suite.id
        raise SpecError("no lock", where=str(path), cure=f"write it with: invbench suite lock {name}")
    lock = read_json(path, Lock, MAX_LOCK_BYTES)
    if lock.suite_digest != suite.digest:
        raise IntegrityError(
            f"made for another text of {suite.id}", where=str(path), cure=f"run: invbench suite lock {suite.id}"
        )
    return lock
