"""ImageNet-1k photographs in class folders, `n01440764/*.JPEG`; the focal mask is the whole frame.

Photographs are read as torchvision's image folders read them: the format is told from the content (some files named
.JPEG are PNG), grayscale and CMYK become RGB, and EXIF orientation is not applied, because the classifiers of the field
were trained and tested that way.
"""

from __future__ import annotations

import hashlib
import re
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmark.datasets.base import ImageSet, Sample, resize, stamp
from benchmark.datasets.decoding import read_image
from benchmark.errors import SpecError
from benchmark.files.canonical import digest_of
from benchmark.suites.spec import ImagenetData

__all__ = ["open_imagenet"]

CLASS = re.compile(r"n\d{8}", re.ASCII)
GET_AGAIN = "take it from ILSVRC2012_img_val.tar again"
SORT = "sort them into one folder a class (n01440764, ...): torchvision.datasets.ImageNet does so from the two archives"


class _Imagenet(ImageSet):
    def __init__(self, paths: list[Path], others: list[Path]) -> None:
        self.paths, self.others, self.ids = paths, others, tuple(path.stem for path in paths)

    def unused(self) -> ImageSet:
        return _Imagenet(self.others, [])

    def source(self, index: int) -> Path:
        return self.paths[index]

    def load(self, index: int, size: tuple[int, int]) -> Sample:
        path = self.paths[index]
        image = read_image(path, cure=GET_AGAIN)
        pixels, mask = resize(image, np.ones(image.shape[:2], np.bool_), size)
        return Sample(path.stem, pixels, mask, focal_category=path.parent.name)

    def files(self) -> dict[str, Path]:
        return {}

    def fingerprint(self) -> str:
        return digest_of([path.parent.name for path in self.paths] + stamp(self.paths))


def _list_photographs(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix.upper() == ".JPEG" and not path.name.startswith(".")]


def _list_classes(folder: Path) -> dict[str, list[Path]]:
    """Return the photographs by class folder; classes without any are left out."""
    classes = {path.name: path for path in folder.iterdir() if CLASS.fullmatch(path.name) and path.is_dir()}
    photographs = {name: paths for name in sorted(classes) if (paths := _list_photographs(classes[name]))}
    if photographs:
        return photographs
    if flat := len(_list_photographs(folder)):
        message = f"holds {flat:,} photographs without class folders, as the official archive unpacks"
        raise SpecError(message, where=str(folder), cure=SORT)
    below = [path for path in sorted(folder.iterdir()) if path.is_dir() and any(path.glob("n????????/*.JPEG"))]
    cure = f"give {below[0]}" if below else "give the folder that holds n01440764 and so on"
    raise SpecError("holds no class folders with photographs", where=str(folder), cure=cure)


def open_imagenet(spec: ImagenetData, folder: Path) -> ImageSet:
    """Return the photographs that `spec` chooses among the class folders in `folder`.

    The ids are the files' names without extension, the focal categories the names of the class folders.

    Raises:
        SpecError: the folder is absent, has no class folders, another number of photographs than `spec.pool`, fewer
            classes than `spec.images`, or two photographs of one name.
    """
    try:
        classes = _list_classes(folder)
    except OSError as error:
        raise SpecError(f"cannot be listed: {error.strerror}", where=str(folder)) from None
    count = sum(map(len, classes.values()))
    if count != spec.pool:
        message = f"holds {count:,} photographs in {len(classes):,} class folders, the suite draws from {spec.pool:,}"
        raise SpecError(message, where=str(folder), cure="give the whole validation set, and nothing else")
    if len(classes) < spec.images:
        message = f"holds {len(classes):,} classes, the suite takes one photograph of each of {spec.images:,}"
        raise SpecError(message, where=str(folder), cure=SORT)
    rank = {path: hashlib.sha256(f"{spec.salt}{path.stem}".encode()).digest() for c in classes.values() for path in c}
    if len(set(rank.values())) != count:
        names = sorted(path.stem for path in rank)
        twice = next(a for a, b in pairwise(names) if a == b)
        raise SpecError(f"two photographs are named '{twice}'", where=str(folder), cure="keep the one of its class")
    firsts = (min(paths, key=rank.__getitem__) for paths in classes.values())
    chosen = sorted(firsts, key=rank.__getitem__)[: spec.images]
    return _Imagenet(chosen, sorted(rank.keys() - set(chosen), key=rank.__getitem__))
