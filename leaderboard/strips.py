"""Strips: what a target saw and its recons at every tap, from the audit images of the records."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.audit import check_png
from benchmark.errors import IntegrityError
from benchmark.records import INPUT, load_audit
from benchmark.spec import Suite, TargetSpec
from leaderboard.entries import Entry
from leaderboard.tables import reference_of

__all__ = ["ImageStore", "Picture", "Strip", "StripRow", "perturbation_words", "shown_entries", "strips"]

IMAGES = 3
PERTURBATIONS = ("identity", "hue_set_120", "hue_set_240", "gray")
FIRST_METHODS = ("modular", "ridge")
SIDE = 96


@dataclass(frozen=True)
class Picture:
    """An image file of the board: its path relative to the page, its shown size and its text alternative."""

    path: str
    width: int
    height: int
    alt: str


@dataclass(frozen=True)
class StripRow:
    """One perturbation: what the target saw, and per submission the recon of every tap (None: not recorded)."""

    perturbation: str
    words: str
    seen: Picture | None
    recons: tuple[tuple[str, tuple[Picture | None, ...]], ...]


@dataclass(frozen=True)
class Strip:
    """One audit image of one target."""

    image: str
    taps: tuple[str, ...]
    rows: tuple[StripRow, ...]


class ImageStore:
    """The folder of image files, each named by the SHA-256 of its bytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: set[str] = set()

    def add(self, png: bytes, size: tuple[int, int], where: str) -> str:
        """Write a PNG of `size` (height, width) once and return its path relative to the page.

        Raises:
            IntegrityError: not a plain PNG of that size; `where` names its origin.
        """
        try:
            check_png(png, size)
        except IntegrityError as error:
            raise IntegrityError(error.message, where=where) from None
        name = f"{hashlib.sha256(png).hexdigest()[:20]}.png"
        if name not in self._names:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(png)
            self._names.add(name)
        return f"{self.folder.name}/{name}"

    def prune(self) -> None:
        """Delete the images of earlier builds that were not added again."""
        for path in self.folder.glob("[0-9a-f]" * 20 + ".png"):
            if path.name not in self._names:
                path.unlink()


def perturbation_words(perturbation: str) -> str:
    """Return what a perturbation does to the image, in words."""
    kind, _, degrees = perturbation.rpartition("_")
    if kind == "hue_set":
        return f"object hue set to {degrees}°"
    if kind == "hue_shift":
        return f"object hue turned by {degrees}°"
    return "unchanged" if perturbation == "identity" else perturbation


def _order(entry: Entry) -> tuple[int, str]:
    method = entry.submission.method
    first = FIRST_METHODS.index(method) if method in FIRST_METHODS else len(FIRST_METHODS)
    return first, entry.submission.id


def shown_entries(target: TargetSpec, entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries that were evaluated on a target, in the order in which they are shown side by side.

    Reference points are left out (one repeats the input, the other is the same everywhere) unless there is
    nothing else to show.
    """
    found = sorted((entry for entry in entries if target.id in entry.record.targets), key=_order)
    return [entry for entry in found if reference_of(entry) is None] or found


def strips(suite: Suite, target: TargetSpec, entries: Sequence[Entry], store: ImageStore) -> list[Strip]:
    """Return the strips of a target and write their images.

    Raises:
        IntegrityError: audit images were changed or are no images.
    """
    shown = shown_entries(target, entries)
    images = _audit_images(suite, shown)[:IMAGES]
    kinds = [p for p in PERTURBATIONS if p in suite.perturbations]
    found: dict[tuple[str, str, str, str], str] = {}
    for entry in shown:
        found |= _collect(entry, target, images, kinds, store)
    height, width = SIDE, round(SIDE * target.input_size[1] / target.input_size[0])

    def picture(submission: str, image: str, tap: str, kind: str) -> Picture | None:
        path = found.get((submission, image, tap, kind))
        what = "what the target saw" if tap == INPUT else f"recon of {submission} at {tap}"
        return Picture(path, width, height, f"{image}, {perturbation_words(kind)}: {what}") if path else None

    result = []
    for image in images:
        rows = []
        for kind in kinds:
            seen = [picture(entry.submission.id, image, INPUT, kind) for entry in shown]
            recons = tuple(
                (name, tuple(picture(name, image, tap.name, kind) for tap in target.taps))
                for name in (entry.submission.id for entry in shown)
            )
            first = next((shot for shot in seen if shot), None)
            rows.append(StripRow(kind, perturbation_words(kind), first, recons))
        if any(row.seen or any(any(line) for _, line in row.recons) for row in rows):
            result.append(Strip(image, tuple(tap.name for tap in target.taps), tuple(rows)))
    return result


def _audit_images(suite: Suite, entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the audit images that the suite names, or else those that the records hold, in their order."""
    if isinstance(suite.audit_images, tuple):
        return suite.audit_images
    held = (
        image for entry in entries for image in load_audit(entry.folder, entry.record)["image"].unique().to_pylist()
    )
    return tuple(dict.fromkeys(held))


def _collect(
    entry: Entry, target: TargetSpec, images: Sequence[str], kinds: Sequence[str], store: ImageStore
) -> dict[tuple[str, str, str, str], str]:
    """Store the wanted images of one record; keys are (submission, image, tap, perturbation)."""
    audit, found = load_audit(entry.folder, entry.record), {}
    wanted = {INPUT, *(tap.name for tap in target.taps)}
    columns = (audit[name].to_pylist() for name in ("image", "target", "tap", "perturbation"))
    for row, (image, of, tap, kind) in enumerate(zip(*columns, strict=True)):
        if of == target.id and image in images and kind in kinds and tap in wanted:
            where = str(entry.folder / "audit.parquet")
            found[entry.submission.id, image, tap, kind] = store.add(
                audit["png"][row].as_py(), target.input_size, where
            )
    return found
