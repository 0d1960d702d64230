"""The gallery: which recons of which images a board shows, from the audit images that every record stores."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmark.errors import IntegrityError
from benchmark.records.audit import decode_png, encode_png, load_audit_file
from benchmark.records.scores import applies
from benchmark.records.statistics import masked_mean
from benchmark.suites.audit import find_withheld
from benchmark.suites.lock import Lock
from benchmark.suites.spec import HUE_PERTURBATIONS, INPUT, POOLED, Suite, TargetSpec
from leaderboard.data.credits import Credit, credits_of, withheld_of
from leaderboard.data.entries import Entry
from leaderboard.data.rankings import reference_of
from leaderboard.data.views import axes_of

__all__ = [
    "CHOICE_RULE", "FULL", "Choice", "Gallery", "ImageStore", "choose", "gallery_data", "kind_words", "make_gallery",
    "picture_scores", "pictured",
]  # fmt: skip

FULL = 8
"""So many methods of a target are shown under every perturbation; the others with one unperturbed image."""

CHOICE_RULE = (
    "Of the images whose recons every record stores, the best, the median and the worst by the mean score over "
    "methods, axes and taps of the target."
)


class ImageStore:
    """The folder of image files, each named by the SHA-256 of its pixels and encoded here: pixels are all they hold."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.names: set[str] = set()
        self._known: dict[bytes, str] = {}

    def add(self, png: bytes, size: tuple[int, int], where: str) -> str:
        """Write the pixels of an image of (height, width) once; return its name without suffix.

        Raises:
            IntegrityError: it is no plain PNG of that size.
        """
        source = hashlib.sha256(png).digest()
        if source in self._known:
            return self._known[source]
        try:
            pixels = decode_png(png, size)
        except IntegrityError as error:
            raise IntegrityError(error.message, where=where) from None
        name = hashlib.sha256(repr(size).encode() + pixels.tobytes()).hexdigest()[:20]
        self._known[source] = name
        if name not in self.names:
            with open(f"{self.folder}/{name}.png", "wb") as file:  # noqa: PTH123 (tens of thousands of them)
                file.write(encode_png(pixels))
            self.names.add(name)
        return name

    def prune(self) -> None:
        """Delete the images of earlier builds that are not among `names`."""
        for path in self.folder.glob("[0-9a-f]" * 20 + ".png"):
            if path.stem not in self.names:
                path.unlink()


def kind_words(kind: str) -> str:
    """The effect of a perturbation on the image, in words."""
    name, _, degrees = kind.rpartition("_")
    if name == "hue_set":
        return f"object hue set to {degrees}°"
    if name == "hue_shift":
        return f"object hue turned by {degrees}°"
    return {"identity": "unchanged", "gray": "turned gray", "axes": "as the axis defines"}.get(kind, kind)


@dataclass(frozen=True)
class Choice:
    """Images chosen by their scores: (role, image), the best first; roles are `best`, `median` and `worst`."""

    images: tuple[tuple[str, str], ...]
    scores: Mapping[str, float]

    @property
    def typical(self) -> tuple[tuple[str, str], ...]:
        """The median alone, or else the first image."""
        return tuple(item for item in self.images if item[0] == "median") or self.images[:1]


def _means(entry: Entry, target: str, images: Sequence[str]) -> npt.NDArray[np.float64] | None:
    """Return the mean over axes and taps of each image's scores, NaN where it has none; None without scores."""
    if entry.views is None or target not in entry.views.images:
        return None
    position = {image: index for index, image in enumerate(entry.images)}
    scores = entry.views.images[target][:, 0][:, :, [position[image] for image in images]].astype(np.float64)
    return masked_mean(scores.reshape(scores.shape[0] * scores.shape[1], len(images)))


def choose(entries: Sequence[Entry], target: str, images: Sequence[str]) -> Choice:
    """Return the best, the median (the lower of two) and the worst of `images` by the mean score over `entries`.

    Entries without scores have no say, and images without any are not chosen; where fewer than two have some, the
    first three images are chosen, without a role.
    """
    means = [m for entry in entries if (m := _means(entry, target, images)) is not None]
    total = masked_mean(np.stack(means)) if means else np.full(len(images), np.nan)
    scores = {image: float(mean) for image, mean in zip(images, total, strict=True) if not np.isnan(mean)}
    if len(scores) < 2:
        return Choice(tuple(("", image) for image in images[:3]), {})
    order = sorted(scores, key=lambda image: (-scores[image], image))
    chosen = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    if len(order) == 2:
        del chosen["median"]
    return Choice(tuple(chosen.items()), scores)


Key = tuple[str, str, str, str]
"""Method, image, tap and perturbation of a picture; what the target saw has the tap `input` and the method ""."""


@dataclass(frozen=True, eq=False)
class Gallery:
    """The pictures of a target.

    Attributes:
        choice: the images that all methods are shown with.
        own: by method, the images on its page: chosen by its own scores alone, or for those not shown in full the
            typical one of `choice`.
        methods: the ids of the methods in the order shown.
        full: how many of them, from the first, are shown under every perturbation.
        files: names (no suffix) of the pictures.
        credits: what has to stand beside the pictures of each image.
        withheld: images that the records hold and that may not be shown, each with the reason.
    """

    target: TargetSpec
    choice: Choice
    own: Mapping[str, Choice]
    methods: tuple[str, ...]
    full: int
    files: Mapping[Key, str]
    credits: tuple[Credit, ...] = ()
    withheld: tuple[tuple[str, str], ...] = ()

    def credited(self, images: Collection[str]) -> tuple[Credit, ...]:
        """Return the credits of some images."""
        return tuple(credit for credit in self.credits if credit.image in images)

    def seen(self, image: str, kind: str) -> str | None:
        """Return the file of what the target saw."""
        return self.files.get(("", image, INPUT, kind))


def _held(suite: Suite, lock: Lock, entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the audit images that may be shown, in their order.

    Those that the suite names, or its lock, or else those that the first record holds.
    """
    named = suite.audit_images if isinstance(suite.audit_images, tuple) else tuple(r.image for r in lock.rights)
    if suite.dataset.pictures == "all" and not named:
        for entry in entries:
            if entry.audit is not None:
                audit = load_audit_file(entry.audit, entry.record.audit_sha256)
                return tuple(dict.fromkeys(audit.column("image").to_pylist()))
    return tuple(image for image in named if find_withheld(suite, lock, image) is None)


def _plan_gallery(target: TargetSpec, entries: Sequence[Entry], held: Sequence[str]) -> Gallery:
    """Return the gallery of a target, still without files; of it the records hold `held`."""
    there = [entry for entry in entries if entry.audit is not None and target.id in entry.record.targets]
    shown = [entry for entry in there if reference_of(entry) is None] or there
    images = [image for image in held if all(image in entry.images for entry in shown if entry.images)]
    choice = choose([entry for entry in shown if entry.rankable], target.id, images)
    methods = tuple(entry.submission.id for entry in shown)
    own = {entry.submission.id: choose([entry] if entry.rankable else [], target.id, images) for entry in shown[:FULL]}
    own |= {name: Choice(choice.typical, {}) for name in methods[FULL:]}
    return Gallery(target, choice, own, methods, min(FULL, len(methods)), {})


@dataclass(frozen=True)
class _Needed:
    """What is shown of one target: images under every perturbation, and images that are shown unperturbed."""

    size: tuple[int, int]
    full: frozenset[str]
    plain: frozenset[str]


@dataclass(frozen=True)
class _Job:
    """The pictures of one record that are shown, by target."""

    method: str
    path: Path
    sha256: str
    wanted: Mapping[str, _Needed]


def _make_job(entry: Entry, path: Path, galleries: Mapping[str, Gallery]) -> _Job:
    name, wanted = entry.submission.id, {}
    for target, gallery in galleries.items():
        if name in gallery.methods:
            whole = name in gallery.methods[: gallery.full]
            full = frozenset(image for _, image in gallery.choice.images if whole)
            own = frozenset(image for _, image in gallery.own[name].images)
            wanted[target] = _Needed(gallery.target.input_size, full, full | own)
    return _Job(name, path, entry.record.audit_sha256, wanted)


def _extract(job: _Job, store: ImageStore) -> tuple[dict[str, dict[Key, str]], list[str]]:
    """Write the pictures of a record; return their names by target, and the images that the record holds."""
    names = {target: dict[Key, str]() for target in job.wanted}
    audit = load_audit_file(job.path, job.sha256)
    labels = [audit.column(name).cast(pa.string()).to_pylist() for name in ("image", "target", "tap", "perturbation")]
    pngs = audit.column("png")
    for row, (image, target, tap, kind) in enumerate(zip(*labels, strict=True)):
        wanted = job.wanted.get(target)
        if wanted is not None and image in (wanted.plain if kind == "identity" else wanted.full):
            key = ("" if tap == INPUT else job.method, image, tap, kind)
            names[target][key] = store.add(pngs[row].as_py(), wanted.size, str(job.path))
    return names, sorted(set(labels[0]))


def make_gallery(suite: Suite, lock: Lock, entries: Sequence[Entry], store: ImageStore) -> dict[str, Gallery]:
    """Return the gallery of every target, and write its images: of those alone that may be shown.

    `entries` are in the order in which they are shown. Reference points are left out (one repeats the input, the
    other is the same everywhere) unless there is nothing else to show; records without pictures always. What may be
    shown follows from the suite and its lock, whatever the records hold.

    Raises:
        IntegrityError: audit images were changed or are no images.
    """
    held = _held(suite, lock, entries)
    galleries = {t.id: _plan_gallery(t, entries, held[: suite.audit_depth(t)]) for t in suite.targets}
    jobs = [_make_job(entry, entry.audit, galleries) for entry in entries if entry.audit is not None]
    files: dict[str, dict[Key, str]] = {target: {} for target in galleries}
    found = set[str]()
    for job in (job for job in jobs if job.wanted):
        # One after the other: processes that create files in one folder wait for each other.
        by_target, images = _extract(job, store)
        found.update(images)
        for target, names in by_target.items():
            for key, name in names.items():
                files[target].setdefault(key, name)
    withheld = withheld_of(suite, lock, sorted(found))
    return {
        name: replace(
            gallery,
            files=files[name],
            credits=credits_of(suite, lock, {image for _, image, _, _ in files[name]}),
            withheld=withheld,
        )
        for name, gallery in galleries.items()
    }


def gallery_data(suite: Suite, gallery: Gallery, entries: Mapping[str, Entry]) -> dict[str, Any]:
    """Input of the gallery's script: files and scores by method, image, tap and perturbation.

    Files are indices into `names`, -1 where there is none; scores are per axis in hundredths, null where there is
    none, in the order image, tap, perturbation.
    """
    kinds, taps = list(suite.perturbations), [tap.name for tap in gallery.target.taps]
    images = [image for _, image in gallery.choice.images]
    names: dict[str, int] = {}

    def index(key: Key) -> int:
        name = gallery.files.get(key)
        return -1 if name is None else names.setdefault(name, len(names))

    seen = [index(("", image, INPUT, kind)) for image in images for kind in kinds]
    methods = []
    for name in gallery.methods:
        files = [index((name, image, tap, kind)) for image in images for tap in taps for kind in kinds]
        methods.append({"id": name, "files": files, "scores": picture_scores(suite, gallery, entries[name], images)})
    height, width = gallery.target.input_size
    return {
        "target": gallery.target.id, "taps": taps, "kinds": kinds, "words": [kind_words(kind) for kind in kinds],
        "images": images, "roles": [role for role, _ in gallery.choice.images], "axes": list(axes_of(suite)),
        "size": [width, height], "names": list(names), "seen": seen, "methods": methods, "full": gallery.full,
    }  # fmt: skip


def pictured(suite: Suite, images: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scores of pictures, (axes, perturbations, taps, images), from those of `Views.images`.

    An axis that is scored over all hue kinds together has this one score under each of them.
    """
    scores = images[:, 1:].copy()
    pooled = [a for a, axis in enumerate(axes_of(suite)) if all(applies(m, POOLED) for m in suite.axes[axis])]
    hues = [k for k, kind in enumerate(suite.perturbations) if kind in HUE_PERTURBATIONS]
    if pooled and hues:
        scores[np.ix_(pooled, hues)] = images[pooled, :1]
    return scores


def picture_scores(suite: Suite, gallery: Gallery, entry: Entry, images: Sequence[str]) -> list[list[int | None]]:
    """Return by axis the scores of single pictures in hundredths, in the order image, tap, perturbation."""
    if entry.views is None or gallery.target.id not in entry.views.images:
        return []
    columns = [entry.images.index(image) for image in images]
    scores = pictured(suite, entry.views.images[gallery.target.id][:, :, :, columns])
    flat = scores.transpose(0, 3, 2, 1).reshape(len(scores), -1)
    return [[None if np.isnan(v) else round(100 * float(v)) for v in row] for row in flat]
