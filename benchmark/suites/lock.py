"""The lock of a suite: the content of everything that the suite refers to, by SHA-256. Import-light."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from benchmark.errors import IntegrityError, SpecError
from benchmark.files.canonical import digest_of
from benchmark.files.declarations import Frozen, read_json, unset
from benchmark.files.fields import Id, Revision, Sha256
from benchmark.suites.rights import Rights
from benchmark.suites.spec import Axis, Suite

__all__ = ["MAX_LOCK_BYTES", "Answer", "CategoryHue", "Hues", "Lock", "Wear", "load_lock"]

MAX_LOCK_BYTES = 64_000_000


Wear = Literal["canonical", "recolored"]
"""Whether all focal objects of an image wear the canonical hue of their category, or none does."""


class Answer(Frozen):
    """What an answer that inverts nothing scores: reported metrics by id, and `prototype_pull` by what objects wear."""

    metrics: dict[Id, float] = {}
    pull: dict[Wear, float] = {}


class CategoryHue(Frozen):
    """What color the objects of a category have, each pixel weighted by its CIELAB chroma; crowds are left out."""

    hue_deg: float | None
    """the canonical hue, an angle of CIELAB in degrees, [0, 360); None where there is none."""
    resultant: float
    """how well the hues of the pixels agree: length of their mean direction, in [0, 1]."""
    objects: int
    colored: int
    """of these, objects whose mean a* and b* have a chroma of at least 5."""
    reason: str = ""
    """why there is no canonical hue."""

    @property
    def spread_deg(self) -> float:
        """Circular standard deviation of the hues, in degrees; infinite where they have no common direction."""
        return math.degrees(math.sqrt(max(0.0, -2 * math.log(self.resultant)))) if self.resultant else math.inf


class Hues(Frozen):
    """Canonical hues of a suite's categories, by name, and the data that they were measured on."""

    split: str
    annotations_sha256: Sha256
    images: int
    left_out: int
    """photographs that cannot be read."""
    objects: int
    categories: dict[str, CategoryHue]


class Lock(Frozen):
    """Content of everything a suite refers to, by SHA-256; `gaps` names what is not pinned yet."""

    suite: str
    suite_digest: Sha256
    files: dict[str, Sha256]
    """by name: a path inside the package, or `repo_id/file` on the Hub, or a file of the dataset."""
    images: dict[str, Sha256]
    """by image id (`id@HxW` where photographs are resized): pixels and focal mask."""
    perturbed: dict[str, Sha256]
    """by image (as above), a slash and the perturbation: pixels."""
    groups: dict[str, str] = {}
    """by image id, the group of those that share a source; an image that is not named is a group of its own."""
    wear: dict[str, Wear] = {}
    """by image id, what its focal objects wear, where they all wear the same and the source knows it."""
    yardsticks: dict[str, dict[Axis, dict[int, float]]] = {}
    """by input size (`HxW`) and axis, the scores of thumbnails of the image of so many rows."""
    answers: dict[str, dict[Id, Answer]] = {}
    """by input size, what the training mean image, a thumbnail, a red frame and a blend with the prototype score."""
    hues: Hues | None = Field(default=None, exclude_if=unset)
    """canonical hues of the categories of photographs, measured on those to train on."""
    gaps: tuple[str, ...] = ()
    revisions: dict[str, Revision] = Field(default={}, exclude_if=unset)
    """by repository, the commit of those that the suite names without one."""
    rights: tuple[Rights, ...] = Field(default=(), exclude_if=unset)
    """to the audit images, chosen by their licenses, in their order; empty where the suite asks for no licenses."""

    @property
    def draft(self) -> bool:
        """Whether something is not pinned, so that records of the suite are never ranked."""
        return bool(self.gaps)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of the lock."""
        return digest_of(self.model_dump(mode="json"))


def load_lock(suite: Suite) -> Lock:
    """Read the lock beside a suite.

    Raises:
        SpecError: there is none, or it is not a lock.
        IntegrityError: it was made for another text of the suite.
    """
    path = suite.lock_path
    if not path.exists():
        raise SpecError("no lock", where=str(path), cure=f"write it with: invbench suite lock {suite.argument}")
    lock = read_json(path, Lock, MAX_LOCK_BYTES)
    if lock.suite_digest != suite.digest:
        raise IntegrityError(
            f"made for another text of {suite.id}", where=str(path), cure=f"run: invbench suite lock {suite.argument}"
        )
    return lock
