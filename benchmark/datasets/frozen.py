"""Frozen images: one Parquet file with images, masks and labels, written and read with `datasets`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.datasets.scenes import CATEGORIES, make_scene
from benchmark.errors import IntegrityError, SpecError

__all__ = ["Sample", "freeze_scenes", "load_samples"]


@dataclass(frozen=True, eq=False)
class Sample:
    """One evaluation image.

    `image` is uint8 RGB (H, W, 3), `focal_mask` bool (H, W), `labels` the ids of the visible categories;
    `classes` and `boxes` (x0, y0, x1, y1 in pixels) list the visible instances.
    """

    id: str
    image: npt.NDArray[np.uint8]
    focal_mask: npt.NDArray[np.bool_]
    focal_category: str
    classes: tuple[int, ...]
    boxes: tuple[tuple[int, int, int, int], ...]

    @property
    def labels(self) -> tuple[int, ...]:
        """The ids of the visible categories, ascending."""
        return tuple(sorted(set(self.classes)))


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


def load_samples(path: Path, *, expected: int) -> list[Sample]:
    """Read all samples of a frozen file.

    Raises:
        SpecError: the file is absent.
        IntegrityError: it holds another number of images than the suite says.
    """
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
    if len(samples) != expected:
        raise IntegrityError(f"holds {len(samples)} images, the suite says {expected}", where=str(path))
    return samples
