"""Frozen models of everything that a suite fixes, and its content digest.

Import-light: reading a suite needs neither torch nor transformers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from math import lcm
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, model_validator

from benchmark.errors import SpecError, did_you_mean
from benchmark.files.canonical import digest_of
from benchmark.files.declarations import Frozen, unset
from benchmark.files.fields import Id, RepoId, Revision, Size
from benchmark.files.paths import SUITES, resource

__all__ = [
    "AXES",
    "HUE_PERTURBATIONS",
    "INPUT",
    "POOLED",
    "AuditCells",
    "Axis",
    "CocoData",
    "Condition",
    "DatasetSpec",
    "FrozenData",
    "HubData",
    "ImagenetData",
    "Perturbation",
    "Pictures",
    "Source",
    "Suite",
    "TapSpec",
    "TargetSpec",
]

Axis = Literal["detail", "shape", "color"]
AXES: tuple[Axis, ...] = ("detail", "shape", "color")
Perturbation = Literal["identity", "hue_set_0", "hue_set_120", "hue_set_240", "hue_shift_120", "hue_shift_240", "gray"]
HUE_PERTURBATIONS: tuple[Perturbation, ...] = (
    "hue_set_0", "hue_set_120", "hue_set_240", "hue_shift_120", "hue_shift_240",
)  # fmt: skip
POOLED: Literal["hues"] = "hues"
"""Name of the condition under which a score stands that is taken over all hue kinds together."""
Condition = Perturbation | Literal["hues"]
INPUT = "input"
"""Name that stands for the tap where an audit row holds what the target saw."""


class TapSpec(Frozen):
    """A named place in a target: its stage, and its depth in [0, 1] (0 the first tap, 1 the last)."""

    name: Id
    stage: Id
    depth: float = Field(ge=0, le=1)


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
    def _one_source(self) -> Source:
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
    """A frozen network to invert; `input_size` is (height, width) in pixels; `taps` from shallow to deep.

    `family` names the adapter that reads the network. Targets of one `architecture` are averaged before the mean over
    all targets is taken; a target that states none stands for itself.
    """

    id: Id
    title: str
    family: Id
    architecture: Id | None = Field(default=None, exclude_if=unset)
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


Pictures = Literal["all", "licensed", "none"]
"""Of which images pictures may be published: of all, of those whose license allows it, or of none."""


class FrozenData(Frozen):
    """Images, masks and labels in one Parquet file inside the package, used at their own size."""

    source: Literal["frozen"]
    path: str
    images: int = Field(gt=0)
    description: str

    @property
    def pictures(self) -> Pictures:
        """Of which images pictures may be published: they are the project's own."""
        return "all"


class _PhotographData(Frozen):
    """Photographs resized to every target's input size: bilinear with antialiasing (Pillow), masks by area."""

    images: int = Field(gt=0)
    description: str
    resize: Literal["pillow-bilinear"]


class CocoData(_PhotographData):
    """Photographs of COCO 2017 with the masks of one category each, chosen from the annotation file alone.

    Eligible: no crowd annotation, and the focal category (the one whose united masks cover most; the lower id
    of two) covers a share of the image within `share`. The first `images` in the order of the SHA-256 of
    `salt` followed by the image id. `pictures` may be published of those whose license, as the annotation file has
    it, allows derivatives; or of none.
    """

    source: Literal["coco"]
    split: Literal["val2017", "train2017"]
    salt: str
    share: tuple[float, float]
    pictures: Literal["licensed", "none"] = Field(default="licensed", exclude_if=lambda value: value == "licensed")


class ImagenetData(_PhotographData):
    """ImageNet photographs in class folders; the focal mask is the whole frame.

    The first photograph of every class, then the first `images` of these, both in the order of the SHA-256 of
    `salt` followed by the file's name without extension. `pool` is how many photographs the folders hold.
    """

    source: Literal["imagenet"]
    salt: str
    pool: int = Field(gt=0)

    @property
    def pictures(self) -> Pictures:
        """Of which images pictures may be published: ImageNet does not hold the rights to its photographs."""
        return "none"


class HubData(_PhotographData):
    """Parquet files with `id`, `image` and `mask` in a dataset repository of the Hub, in their order."""

    source: Literal["hub"]
    repo_id: RepoId
    revision: Revision | None = None
    files: tuple[str, ...] = Field(min_length=1)

    @property
    def pictures(self) -> Pictures:
        """Of which images pictures may be published: their licenses are not known."""
        return "none"


DatasetSpec = Annotated[FrozenData | CocoData | ImagenetData | HubData, Field(discriminator="source")]


class AuditCells(Frozen):
    """Cells of the audit set: at `taps` of `targets`, under `perturbations`, of the first `images` audit images.

    The tap `input` stands for what the target saw.
    """

    targets: tuple[Id, ...] = Field(min_length=1)
    images: int = Field(gt=0)
    taps: tuple[Id, ...] = Field(min_length=1)
    perturbations: tuple[Perturbation, ...] = Field(min_length=1)


class Suite(Frozen):
    """A frozen, versioned protocol; see the suite files for the meaning of every field.

    Layers are compared on the first `layer_images` images, and the judge sees the first `judged_images`. Records store
    pictures of the `audit_images` (those named, or so many), all of them or where it is given those of `audit_cells`.
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
    audit_cells: tuple[AuditCells, ...] = Field(default=(), exclude_if=unset)
    layer_images: int = Field(gt=0)
    judged_images: int = Field(default=0, ge=0)
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
        for target in self.targets:
            if self.judge and (target.source.repo_id, target.source.path) == (self.judge.repo_id, self.judge.path):
                raise ValueError(f"the judge is the network of target '{target.id}'; take one that is no target")
        for cells in self.audit_cells:
            self._check_cells(cells)
        return self

    def _check_cells(self, cells: AuditCells) -> None:
        """Refuse cells of what the suite does not have, and recons that cannot be scored alone."""
        taps = {target.id: (INPUT, *target.tap_names) for target in self.targets}
        if unknown := sorted({*cells.perturbations} - {*self.perturbations}):
            raise ValueError(f"'audit_cells' names the perturbation '{unknown[0]}', which the suite does not have")
        for name in cells.targets:
            for tap in cells.taps:
                if tap not in taps.get(name, ()):
                    raise ValueError(f"'audit_cells' names the tap '{tap}' of '{name}', which the suite does not have")
                plain = (
                    c for c in self.audit_cells if name in c.targets and tap in c.taps and c.images >= cells.images
                )
                if tap != INPUT and not any("identity" in c.perturbations for c in plain):
                    raise ValueError(f"'audit_cells' takes '{tap}' of '{name}' without the perturbation 'identity'")

    @property
    def id(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def file(self) -> Path | None:
        """The file that it was read from, if any."""
        return self._file

    @property
    def lock_path(self) -> Path:
        """Where the lock of the suite lies: beside its file."""
        folder = self._file.parent if self._file else SUITES
        return folder / f"{self.name}-{self.version}.lock.json"

    @property
    def argument(self) -> str:
        """How commands name the suite: `name@version` where it ships with the package, else the path of its file."""
        return self.id if self._file is None or self._file.parent == SUITES else str(self._file)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric of the suite: those of the axes, then those only reported."""
        return tuple(m for axis in AXES for m in self.axes.get(axis, ())) + self.report

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What scores can stand under: every perturbation, then `hues` where there are hue kinds to pool."""
        if not set(HUE_PERTURBATIONS) & set(self.perturbations):
            return self.perturbations
        return (*self.perturbations, POOLED)

    @property
    def ranked_metrics(self) -> frozenset[str]:
        """The metrics that enter an axis, and so the ranks."""
        return frozenset(metric for metrics in self.axes.values() for metric in metrics)

    def target_weights(self, names: Collection[str] | None = None) -> dict[str, int]:
        """What each target counts in the mean over some of them, as the least whole numbers that say it.

        Targets of one architecture share what a target without one counts alone, so that their number does not matter.

        Args:
            names: targets that the mean is over (None: all); one that the suite does not have stands for itself.
        """
        chosen = [target.id for target in self.targets] if names is None else list(names)
        stated = {target.id: target.architecture for target in self.targets}
        groups = [("architecture", kind) if (kind := stated.get(name)) else ("target", name) for name in chosen]
        sizes = Counter(groups)
        whole = lcm(*sizes.values())
        return {name: whole // sizes[group] for name, group in zip(chosen, groups, strict=True)}

    @property
    def networks(self) -> tuple[Source, ...]:
        """Where every network of the suite lies, each once: those of the targets, then the judge's."""
        sources = [target.source for target in self.targets] + ([self.judge] if self.judge else [])
        return tuple(dict.fromkeys(sources))

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of the suite."""
        return digest_of(self.model_dump(mode="json"))

    def audit_ids(self, image_ids: Sequence[str]) -> tuple[str, ...]:
        """Return the audit images among `image_ids`: those named, or the first so many."""
        if isinstance(self.audit_images, int):
            return tuple(image_ids[: self.audit_images])
        return tuple(image for image in image_ids if image in self.audit_images)

    def audit_depth(self, target: TargetSpec) -> int | None:
        """Return how many audit images, from the first, are audited on a target; None: all."""
        return max((cells.images for cells in self.audit_cells if target.id in cells.targets), default=None)

    def target(self, target_id: str) -> TargetSpec:
        """Return the target `target_id`; raises NotFoundError with the nearest name."""
        for target in self.targets:
            if target.id == target_id:
                return target
        raise did_you_mean(f"target of {self.id}", target_id, [t.id for t in self.targets])
