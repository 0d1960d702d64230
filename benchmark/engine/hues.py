"""Canonical hues: the colors that the objects of each category usually have, measured over photographs with masks."""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from pathlib import Path

import torch
from pydantic import BaseModel, Field, ValidationError
from tqdm import tqdm

from benchmark.datasets.annotations import (
    CORRECT,
    Annotation,
    ListedImage,
    advise,
    annotation_file,
    read_annotations,
)
from benchmark.datasets.base import stamp
from benchmark.datasets.coco import check_ids, iter_objects, read_photograph
from benchmark.datasets.files import find_file
from benchmark.errors import IntegrityError, SpecError, first_line
from benchmark.files.cache import cache_root
from benchmark.files.canonical import digest_of, sha256_file
from benchmark.files.pixels import to_tensor
from benchmark.files.storing import ANOTHER_CACHE, write_text
from benchmark.metrics.cielab import srgb_to_lab
from benchmark.suites.lock import CategoryHue, Hues

__all__ = ["measure_hues"]

VERSION = 1
"""Of the definition: what another version measured is not resumed."""
MIN_RESULTANT = 0.3
MIN_COLORED = 30
MIN_CHROMA = 5
SAVED_EVERY = 500


class _ColorSums(BaseModel):
    """Sums over the pixels of a category's objects: a*, b* and chroma; and how many objects there were."""

    a: float = 0
    b: float = 0
    chroma: float = 0
    objects: int = 0
    colored: int = 0

    def add(self, a: torch.Tensor, b: torch.Tensor) -> None:
        """Add an object of pixels (N,), float64."""
        sum_a, sum_b = float(a.sum()), float(b.sum())
        self.a += sum_a
        self.b += sum_b
        self.chroma += float(torch.hypot(a, b).sum())
        self.objects += 1
        self.colored += math.hypot(sum_a, sum_b) >= MIN_CHROMA * len(a)

    def summarize(self) -> CategoryHue:
        resultant = math.hypot(self.a, self.b) / self.chroma if self.chroma else 0.0
        reason = ""
        if self.colored < MIN_COLORED:
            reason = f"{self.colored} of {self.objects} objects are colored, {MIN_COLORED} are needed"
        elif resultant < MIN_RESULTANT:
            reason = f"the hues scatter: resultant {resultant:.2f}, {MIN_RESULTANT} is needed"
        hue = None if reason else round(math.degrees(math.atan2(self.b, self.a)) % 360, 3) % 360
        return CategoryHue(
            hue_deg=hue, resultant=round(resultant, 4), objects=self.objects, colored=self.colored, reason=reason
        )


class _State(BaseModel):
    """What was measured so far, on the first `images` images."""

    images: int = Field(default=0, ge=0)
    left_out: int = 0
    sums: dict[int, _ColorSums] = {}


def _load(path: Path) -> _State:
    try:
        return _State.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return _State()


def _place(folder: Path, split: str, images: list[ListedImage], annotations_sha256: str) -> Path:
    """Return where the state of a measurement is kept: other photographs or annotations have another place.

    Raises:
        SpecError: a photograph is absent.
    """
    paths = [find_file(folder / split, image.file_name) for image in images]
    stamps = stamp(paths)
    for path, state in zip(paths, stamps, strict=True):
        if len(state) == 1:
            cure = advise(folder, "add it, or take it out of the annotation file")
            raise SpecError("no such file", where=str(path), cure=cure)
    key = digest_of([VERSION, annotations_sha256, str(folder.resolve()), stamps])
    return cache_root() / "hues" / f"{key}.json"


def _add_image(state: _State, folder: Path, split: str, image: ListedImage, annotations: list[Annotation]) -> None:
    """Add the objects of an image; a photograph that cannot be read is left out.

    Raises:
        IntegrityError: a segmentation is malformed.
    """
    state.images += 1
    try:
        pixels = read_photograph(folder, split, image)
    except (SpecError, IntegrityError) as error:
        tqdm.write(f"left out: {first_line(error)}", file=sys.stderr)
        state.left_out += 1
        return
    colors = srgb_to_lab(to_tensor(pixels[None]))[0, 1:].double()
    for category, mask in iter_objects(image, annotations):
        state.sums.setdefault(category, _ColorSums()).add(*colors[:, torch.from_numpy(mask)])


def measure_hues(folder: Path, split: str) -> Hues:
    """Measure the canonical hue of every category over the photographs of a folder in COCO's layout.

    The hue of a category is the direction of the sum of (a*, b*) over the pixels of its objects, crowds left out: the
    circular mean of their hues, weighted by chroma. Its resultant is the length of that sum over the sum of chromas.
    A category has no hue if fewer than 30 objects are colored, or the resultant is less than .3. What was measured is
    kept in the cache, every 500 images; a later call resumes there.

    Raises:
        SpecError: the annotation file or a photograph is absent.
        IntegrityError: the annotation file is malformed.
        UserError: the cache cannot be written to.
    """
    path = folder / annotation_file(split)
    listed = read_annotations(path)
    images = sorted(listed.images, key=lambda image: image.id)
    digest = sha256_file(path)
    kept = _place(folder, split, images, digest)
    of_image: dict[int, list[Annotation]] = defaultdict(list)
    for annotation in listed.annotations:
        of_image[annotation.image_id].append(annotation)
    state = _load(kept)
    try:
        check_ids(listed)
        if len({item.name for item in listed.categories}) < len(listed.categories):
            raise IntegrityError("two categories have the same name")
        for image in tqdm(images[state.images :], "hues", len(images), initial=state.images, unit="image"):
            _add_image(state, folder, split, image, of_image[image.id])
            if state.images % SAVED_EVERY == 0 or state.images == len(images):
                write_text(kept, state.model_dump_json(), ANOTHER_CACHE)
    except IntegrityError as error:
        where = f"{path}: {error.where}" if error.where else str(path)
        raise IntegrityError(error.message, where=where, cure=advise(folder, CORRECT)) from None
    found = {item.name: state.sums.get(item.id, _ColorSums()).summarize() for item in listed.categories}
    return Hues(
        split=split,
        annotations_sha256=digest,
        images=state.images,
        left_out=state.left_out,
        objects=sum(item.objects for item in found.values()),
        categories=found,
    )
