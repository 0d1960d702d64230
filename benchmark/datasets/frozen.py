"""Frozen images: one Parquet file with images, masks and labels, written and read with `datasets`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.datasets.base import ImageSet, Sample
from benchmark.datasets.scenes import CATEGORIES, make_scene
from benchmark.errors import IntegrityError, SpecError
from benchmark.files.paths import key_of
from benchmark.suites.spec import FrozenData

__all__ = ["freeze_scenes", "open_frozen"]


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def freeze_scenes(path: Path, *, seed: int, count: int) -> None:
    """Write the first `count` test scenes of `seed` to a Parquet file."""
    from datasets import Dataset, Features, Image, List, Value

    rows = []
    for index in range(count):
        scene = make_scene("test", seed, index)
        focal = scene.focal_category
        rows.append(
            {
                "id": f"scene-{index:04d}",
                "image": {"bytes": _png(scene.image), "path": None},
                "instance_map": {"bytes": _png(scene.instance_map), "path": None},
                "focal_mask": {"bytes": _png(scene.category_mask(focal).astype(np.uint8) * 255), "path": None},
                "focal_category": focal,
                "classes": [CATEGORIES.index(item.category) for item in scene.instances],
                "boxes": [list(item.box) for item in scene.instances],
                "hues_deg": [item.hue_deg for item in scene.instances],
                "canonical": [item.canonical for item in scene.instances],
            }
        )
    features = Features(
        {
            "id": Value("string"),
            "image": Image(),
            "instance_map": Image(),
            "focal_mask": Image(),
            "focal_category": Value("string"),
            "classes": List(Value("int32")),
            "boxes": List(List(Value("int32"))),
            "hues_deg": List(Value("float32")),
            "canonical": List(Value("bool")),
        }
    )
    Dataset.from_list(rows, features=features).to_parquet(path)


def _iter_rows(path: Path) -> Iterator[dict[str, object]]:
    from datasets import load_dataset

    yield from load_dataset("parquet", data_files=str(path), split="train", streaming=True)


class _Frozen(ImageSet):
    resized = False

    def __init__(self, path: Path, samples: list[Sample]) -> None:
        self.path, self.samples = path, samples
        self.ids = tuple(sample.id for sample in samples)

    def load(self, index: int, size: tuple[int, int]) -> Sample:
        sample = self.samples[index]
        if sample.focal_mask.shape != size:
            shape = "x".join(map(str, sample.focal_mask.shape))
            raise SpecError(f"image '{sample.id}' is {shape}, not {size[0]}x{size[1]}", where=str(self.path))
        return sample

    def files(self) -> dict[str, Path]:
        return {key_of(self.path): self.path}


def open_frozen(spec: FrozenData, folder: Path) -> ImageSet:
    """Return all images of the frozen file `spec.path` below `folder`.

    Raises:
        SpecError: the file is absent.
        IntegrityError: it holds another number of images than the suite says.
    """
    path = folder / spec.path
    if not path.exists():
        raise SpecError("no such file", where=str(path), cure="install the package again")
    samples = [
        Sample(
            id=str(row["id"]),
            image=np.array(row["image"]),
            focal_mask=np.asarray(row["focal_mask"]) > 0,
            focal_category=str(row["focal_category"]),
            classes=tuple(row["classes"]),  # type: ignore[arg-type]
            boxes=tuple(tuple(box) for box in row["boxes"]),  # type: ignore[attr-defined]
        )
        for row in _iter_rows(path)
    ]
    if len(samples) != spec.images:
        raise IntegrityError(f"holds {len(samples)} images, the suite says {spec.images}", where=str(path))
    return _Frozen(path, samples)
