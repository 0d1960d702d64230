"""COCO 2017 photographs with the masks of one category each, in COCO's own layout.

`SPLIT/*.jpg` hold the photographs and `annotations/instances_SPLIT.json` the instances. Masks are drawn by COCO's own
library on the pixels as they are stored, so photographs are never turned by EXIF orientation.

What an annotation file may hold, and what becomes of it:

- a crowd annotation: its image is not eligible;
- a polygon of fewer than three points, or an empty list of polygons: covers nothing;
- no segmentation, a polygon with a stray coordinate, run lengths that do not fill the image or are of another size,
  an unknown image or category, two images or categories of one id: the file is refused;
- no license, or one that is not known: no picture of its image is published;
- `area` and `bbox`: not used.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from benchmark.datasets.annotations import (
    CORRECT,
    Annotation,
    Annotations,
    ListedImage,
    Runs,
    advise,
    annotation_file,
    read_annotations,
)
from benchmark.datasets.base import ImageSet, Sample, resize, stamp
from benchmark.datasets.decoding import read_image
from benchmark.datasets.files import find_file
from benchmark.errors import IntegrityError, SpecError
from benchmark.files.canonical import digest_of
from benchmark.suites.rights import Rights, find_license
from benchmark.suites.spec import CocoData

__all__ = [
    "ChosenImage", "check_ids", "find_rights", "iter_objects", "open_coco", "read_photograph", "select", "select_fresh",
]  # fmt: skip

_FLICKR = re.compile(
    r"https?://[a-z0-9]+\.static\.?flickr\.com/(?:[0-9]+/)?[0-9]+/([0-9]+)_[0-9a-f]+(?:_[a-z])?\.[a-z]+"
)
"""The address of a photograph's file, and its number, by which Flickr finds the page with its author."""
DAMAGED = "delete it; then: invbench data fetch coco"


@dataclass(frozen=True, eq=False)
class ChosenImage:
    """A chosen photograph of `height` x `width` pixels as stored, and the category that is its focus.

    `runs` are the lengths of its united masks' runs in columns, the first of zeros; `share` is what they cover of the
    image, in [0, 1].
    """

    image_id: int
    file_name: str
    height: int
    width: int
    category_id: int
    category: str
    share: float
    runs: tuple[int, ...]

    @property
    def id(self) -> str:
        """The image id as 12 digits."""
        return f"{self.image_id:012d}"

    def mask(self) -> npt.NDArray[np.bool_]:
        """Return the united masks of the focal category, bool (H, W)."""
        return _draw(self.runs, self.height, self.width)


def _draw(runs: Sequence[int], height: int, width: int) -> npt.NDArray[np.bool_]:
    """Return the mask of run lengths, bool (H, W)."""
    values = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(values, runs).reshape(width, height).T)


def _read_counts(text: str) -> list[int]:
    """Return the run lengths of COCO's text form: base 32 from '0' on, low digits first, differences from the third on.

    COCO's library reads and writes this form, but does not check what it reads, and has no call that lists the runs.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        digit = ord(character) - 48
        if not 0 <= digit < 64:
            raise ValueError(f"{character!r} has no meaning in run lengths")
        value |= (digit & 31) << shift
        shift += 5
        if not digit & 32:
            value -= (digit & 16) << (shift - 4)
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("the run lengths are cut short")
    return runs


def _encode_mask(segmentation: Sequence[Sequence[float]] | Runs, height: int, width: int) -> list[Any]:
    """Return COCO's run-length objects of an annotation, none if it covers nothing.

    Raises:
        ValueError: malformed; says why.
    """
    if isinstance(segmentation, Runs):
        if segmentation.size != (height, width):
            raise ValueError(f"run lengths of {segmentation.size[0]}x{segmentation.size[1]} on {height}x{width} pixels")
        counts = segmentation.counts
        runs = _read_counts(counts) if isinstance(counts, str) else counts
        if sum(runs) != height * width or min(runs) < 0:
            raise ValueError("the run lengths do not fill the image")
        return [coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)]
    if any(len(polygon) % 2 for polygon in segmentation):
        raise ValueError("a polygon has a stray coordinate")
    polygons = [polygon for polygon in segmentation if len(polygon) >= 6]
    return list(coco_mask.frPyObjects(polygons, height, width)) if polygons else []


def _encode(annotation: Annotation, image: ListedImage) -> list[Any]:
    """Return COCO's run-length objects of an annotation; see `_encode_mask`.

    Raises:
        IntegrityError: malformed.
    """
    try:
        return _encode_mask(annotation.segmentation, image.height, image.width)
    except ValueError as error:
        raise IntegrityError(str(error), where=f"annotation {annotation.id}") from None


def _find_focus(image: ListedImage, annotations: Iterable[Annotation]) -> tuple[int, int, Any] | None:
    """Return the category whose united masks cover most of an image (the lower id of two), their pixels and runs."""
    parts: dict[int, list[Any]] = defaultdict(list)
    for annotation in annotations:
        parts[annotation.category_id] += _encode(annotation, image)
    united = {category: coco_mask.merge(masks) for category, masks in sorted(parts.items()) if masks}
    areas = {category: int(coco_mask.area(mask)) for category, mask in united.items()}
    if not areas:
        return None
    category = max(areas, key=areas.__getitem__)
    return category, areas[category], united[category]


def check_ids(annotations: Annotations) -> None:
    """Refuse ids and files that are named twice, and annotations of what the file does not list."""
    known: dict[str, set[Any]] = {}
    for kind, names in (
        ("image", [image.id for image in annotations.images]),
        ("category", [category.id for category in annotations.categories]),
        ("file", [image.file_name for image in annotations.images]),
    ):
        known[kind] = set(names)
        if len(known[kind]) != len(names):
            twice = Counter(names).most_common(1)[0][0]
            raise IntegrityError(f"{kind} {twice} is listed twice")
    for item in annotations.annotations:
        if item.image_id not in known["image"]:
            raise IntegrityError(f"annotation {item.id} is of image {item.image_id}, which is not listed")
        if item.category_id not in known["category"]:
            raise IntegrityError(f"annotation {item.id} is of category {item.category_id}, which is not listed")


def _iter_eligible(annotations: Annotations, spec: CocoData, prefix: str) -> Iterator[ChosenImage]:
    """Yield the eligible photographs in the order of the SHA-256 of `prefix` and the image id, as far as asked for."""
    check_ids(annotations)
    names = {category.id: category.name for category in annotations.categories}
    of_image: dict[int, list[Annotation]] = defaultdict(list)
    for annotation in annotations.annotations:
        of_image[annotation.image_id].append(annotation)
    rank = {image.id: hashlib.sha256(f"{prefix}{image.id}".encode()).digest() for image in annotations.images}
    for image in sorted(annotations.images, key=lambda image: rank[image.id]):
        if any(annotation.iscrowd for annotation in of_image[image.id]):
            continue
        if (focus := _find_focus(image, of_image[image.id])) is None:
            continue
        category, pixels, mask = focus
        share = pixels / (image.height * image.width)
        if spec.share[0] <= share <= spec.share[1]:
            runs = tuple(_read_counts(mask["counts"].decode()))
            size = image.height, image.width
            yield ChosenImage(image.id, image.file_name, *size, category, names[category], share, runs)


def select(annotations: Annotations, spec: CocoData) -> tuple[ChosenImage, ...]:
    """Return the photographs that `spec` chooses, in order. Segmentations past the last one are not looked at.

    Raises:
        SpecError: fewer photographs are eligible than `spec.images`.
        IntegrityError: the annotations contradict themselves, or a segmentation is malformed.
    """
    choices = tuple(islice(_iter_eligible(annotations, spec, spec.salt), spec.images))
    if len(choices) < spec.images:
        listed = f"{len(annotations.images):,} photographs"
        raise SpecError(
            f"{len(choices):,} of {listed} are eligible, the suite takes {spec.images:,}",
            cure="let the suite take fewer images or a wider share of the frame, or annotate more",
        )
    return choices


def select_fresh(
    annotations: Annotations, spec: CocoData, chosen: Collection[int], seed: str, count: int
) -> tuple[ChosenImage, ...]:
    """Return up to `count` eligible photographs that are not `chosen`, by the SHA-256 of `seed`, a colon and their id.

    Raises:
        IntegrityError: see `select`.
    """
    order = _iter_eligible(annotations, spec, f"{seed}:")
    return tuple(islice((image for image in order if image.image_id not in chosen), count))


def read_photograph(folder: Path, split: str, listed: ListedImage | ChosenImage) -> npt.NDArray[np.uint8]:
    """Read a photograph of the size that the annotation file says; see `read_image`."""
    path = find_file(folder / split, listed.file_name)
    if path.exists():
        cure = advise(folder, "replace it, or correct what the annotation file says of it", DAMAGED)
    else:
        cure = advise(folder, "add it, or take it out of the annotation file")
    return read_image(path, shape=(listed.height, listed.width), cure=cure)


def iter_objects(image: ListedImage, annotations: Iterable[Annotation]) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
    """Yield the category and the mask, bool (H, W), of every object of an image that covers something; no crowds.

    Raises:
        IntegrityError: a segmentation is malformed.
    """
    for annotation in annotations:
        if annotation.iscrowd:
            continue
        if parts := _encode(annotation, image):
            runs = _read_counts(coco_mask.merge(parts)["counts"].decode())
            if (mask := _draw(runs, image.height, image.width)).any():
                yield annotation.category_id, mask


class _UnchosenImages(ImageSet):
    """The listed photographs of a folder, without masks of their own."""

    def __init__(self, folder: Path, split: str, images: list[ListedImage]) -> None:
        self.folder, self.split, self.images = folder, split, images
        self.ids = tuple(f"{image.id:012d}" for image in images)

    def source(self, index: int) -> Path:
        return find_file(self.folder / self.split, self.images[index].file_name)

    def load(self, index: int, size: tuple[int, int]) -> Sample:
        image = read_photograph(self.folder, self.split, self.images[index])
        pixels, mask = resize(image, np.ones(image.shape[:2], np.bool_), size)
        return Sample(self.ids[index], pixels, mask)

    def files(self) -> dict[str, Path]:
        return {}

    def fingerprint(self) -> str:
        return digest_of(stamp(self.source(index) for index in range(len(self.images))))


def find_rights(image: ListedImage, licenses: Sequence[Any]) -> Rights | None:
    """Return the rights to a photograph; None without a license that is known, or an address on Flickr.

    Args:
        licenses: those of the annotation file. Known is a license by its address: another file may number its own
            otherwise than COCO.
    """
    listed = [item for item in licenses if isinstance(item, dict) and item.get("id") == image.license]
    license = find_license(listed[0].get("url")) if len(listed) == 1 and type(image.license) is int else None
    photo = _FLICKR.fullmatch(image.flickr_url) if isinstance(image.flickr_url, str) else None
    if license is None or photo is None:
        return None
    page = f"https://www.flickr.com/photo.gne?id={photo[1]}"
    return Rights(image=f"{image.id:012d}", license=license.id, credit=f"photo {photo[1]} on Flickr", page=page)


class _Coco(ImageSet):
    def __init__(self, folder: Path, spec: CocoData, choices: tuple[ChosenImage, ...], listed: Annotations) -> None:
        self.folder, self.spec, self.split, self.choices = folder, spec, spec.split, choices
        self.images, self.licenses = listed.images, listed.licenses
        self.ids = tuple(choice.id for choice in choices)

    def rights(self, index: int) -> Rights | None:
        chosen = self.choices[index].image_id
        return find_rights(next(image for image in self.images if image.id == chosen), self.licenses)

    def unused(self) -> ImageSet:
        chosen = {choice.image_id for choice in self.choices}
        others = sorted((image for image in self.images if image.id not in chosen), key=lambda image: image.id)
        return _UnchosenImages(self.folder, self.split, others)

    def fresh(self, seed: str, count: int) -> ImageSet:
        chosen = {choice.image_id for choice in self.choices}
        found = _read_coco(self.spec, self.folder, lambda listed: select_fresh(listed, self.spec, chosen, seed, count))
        if (there := len(found.ids)) < count:
            message = f"the suite leaves out {there:,} eligible photographs, not {count:,}"
            raise SpecError(message, where=str(self.folder), cure="draw fewer: --images N")
        return found

    def source(self, index: int) -> Path:
        return find_file(self.folder / self.split, self.choices[index].file_name)

    def load(self, index: int, size: tuple[int, int]) -> Sample:
        choice = self.choices[index]
        image = read_photograph(self.folder, self.split, choice)
        pixels, mask = resize(image, choice.mask(), size)
        return Sample(choice.id, pixels, mask, focal_category=choice.category)

    def files(self) -> dict[str, Path]:
        name = annotation_file(self.split)
        return {name: self.folder / name}

    def fingerprint(self) -> str:
        return digest_of([super().fingerprint(), stamp(self.source(index) for index in range(len(self.choices)))])


def _read_coco(spec: CocoData, folder: Path, choose: Callable[[Annotations], tuple[ChosenImage, ...]]) -> ImageSet:
    """Return the photographs in `folder` that are chosen from its annotation file; see `open_coco`."""
    path = folder / annotation_file(spec.split)
    annotations = read_annotations(path)
    try:
        return _Coco(folder, spec, choose(annotations), annotations)
    except (SpecError, IntegrityError) as error:
        where = f"{path}: {error.where}" if error.where else str(path)
        raise type(error)(error.message, where=where, cure=advise(folder, error.cure or CORRECT)) from None


def open_coco(spec: CocoData, folder: Path) -> ImageSet:
    """Return the photographs that `spec` chooses of COCO in `folder`; their ids are COCO's, as 12 digits.

    Raises:
        SpecError: the annotation file is absent, or too few photographs are eligible.
        IntegrityError: the annotation file is malformed.
    """
    return _read_coco(spec, folder, lambda annotations: select(annotations, spec))
