"""Annotation files in the format of COCO's instances, read in slices: a file of 450 MB takes about as much memory."""

from __future__ import annotations

from array import array
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, ValidationError
from pydantic.dataclasses import dataclass

from benchmark.errors import IntegrityError, SpecError, first_line
from benchmark.files.cache import coco_folder
from benchmark.files.declarations import explain
from benchmark.files.json_slices import iter_slices
from benchmark.files.pointers import refuse_pointer

__all__ = [
    "CORRECT", "Annotation", "Annotations", "ListedImage", "Runs", "advise", "annotation_file", "read_annotations",
]  # fmt: skip

AGAIN = "get it again with: invbench data fetch coco, which also takes a copy that you have, with --coco-dir"
CORRECT = "correct it in that file"
Side = Annotated[int, Field(gt=0, le=1 << 14)]
# Far beyond any image: COCO's library allocates memory by the length of a polygon's sides.
Coordinate = Annotated[float, Field(ge=-(1 << 16), le=1 << 16, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=-(1 << 32), le=1 << 32)]
# Numbers in arrays take a quarter of the memory that they take in lists.
Polygon = Annotated[list[Coordinate], AfterValidator(partial(array, "d"))]
Counts = Annotated[list[Count], AfterValidator(partial(array, "q"))]


def _encodable(text: str) -> str:
    """Refuse half a pair of UTF-16, which JSON can escape and nothing can print."""
    text.encode()
    return text


class _Category(BaseModel):
    id: int
    name: Annotated[str, AfterValidator(_encodable)]


class ListedImage(BaseModel):
    """A photograph of `height` x `width` pixels as stored; `file_name` has no folder.

    `license` is the number of one of the file's licenses, `flickr_url` where the photograph is from; they are kept as
    the file has them, and decide nothing but whether pictures are shown.
    """

    id: int = Field(ge=0)
    file_name: str = Field(pattern=r"^[^/\\\x00]+$")
    height: Side
    width: Side
    license: Any = None
    flickr_url: Any = None


class Runs(BaseModel):
    """Run lengths in columns, the first of zeros; `counts` as a list or in COCO's text form."""

    size: tuple[int, int]
    counts: Counts | str


@dataclass(slots=True, kw_only=True)
class Annotation:
    """An object; its segmentation is polygons of x and y in turn (pixels), or runs."""

    id: int
    image_id: int
    category_id: int
    iscrowd: Literal[0, 1] = 0
    segmentation: list[Polygon] | Runs


class Annotations(BaseModel):
    """What is read of an annotation file of COCO's instances; it may lack `licenses`."""

    images: list[ListedImage]
    categories: list[_Category]
    annotations: list[Annotation]
    licenses: list[Any] = []


def advise(folder: Path, own: str, official: str = AGAIN) -> str:
    """Return what to do about a fault in a folder: it is what was fetched, or a copy or a data set of the user's."""
    return official if folder.resolve() == coco_folder().resolve() else f"{own}; if it is COCO's own: {official}"


def annotation_file(split: str) -> str:
    """Return the path of a split's annotation file in COCO's layout."""
    return f"annotations/instances_{split}.json"


def _read(path: Path) -> Annotations:
    fields: dict[str, list[Any]] = {key: [] for key in Annotations.model_fields}
    found = set()
    for part in iter_slices(path):
        if part.key not in fields or (part.key == "licenses" and not isinstance(part.value, list)):
            continue
        found.add(part.key)
        try:
            valid = Annotations.model_validate({key: [] for key in fields} | {part.key: part.value})
        except ValidationError as error:
            counted = f", counted from item {part.start:,} on" if part.start else ""
            raise ValueError(explain(error, str(path)).message + counted) from None
        fields[part.key] += getattr(valid, part.key)
    for key in sorted(fields.keys() - found - {"licenses"}):
        raise ValueError(f"field '{key}': Field required")
    return Annotations.model_construct(None, **fields)


def read_annotations(path: Path) -> Annotations:
    """Read an annotation file in the format of COCO's instances.

    Raises:
        SpecError: absent, or a pointer of Git LFS.
        IntegrityError: not such a file; names the field.
    """
    folder = path.parents[1]
    refuse_pointer(path)
    try:
        return _read(path)
    except OSError as error:
        cure = advise(folder, "--data-dir takes the folder that holds annotations/ beside the photographs'")
        raise SpecError(f"cannot be read: {error.strerror}", where=str(path), cure=cure) from None
    except ValueError as error:
        raise IntegrityError(first_line(error), where=str(path), cure=advise(folder, CORRECT)) from None
