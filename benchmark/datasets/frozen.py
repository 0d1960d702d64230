"""Frozen images: one Parquet file with images, masks and labels, written and read with `datasets`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.datasets.base import ImageSet, Sample
from benchmark.datasets.scenes import CANONICAL_HUE_DEG, CATEGORIES, Instance, Scene, make_scene
from benchmark.errors import IntegrityError, SpecError
from benchmark.files.paths import key_of
from benchmark.suites.spec import FrozenData

__all__ = ["freeze_scenes", "open_frozen", "sample_of"]


def _prototypes(image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]) -> tuple[float, ...]:
    """CIELAB hue angles of all canonical hues at the mean HSV saturation and value inside `mask`, degrees [0, 360)."""
    from skimage.color import hsv2rgb, rgb2hsv, rgb2lab

    _, saturation, value = rgb2hsv(image[mask]).mean(axis=0)
    colors = [(CANONICAL_HUE_DEG[name] / 360, saturation, value) for name in CATEGORIES]
    lab = rgb2lab(hsv2rgb(np.array(colors)))
    return tuple((np.degrees(np.arctan2(lab[:, 2], lab[:, 1])) % 360).tolist())


def sample_of(scene: Scene, image_id: str) -> Sample:
    """The evaluation image that a scene is, read from a file or freshly made; alone in its group if the scene is."""
    focal = scene.focal_category
    mask = scene.category_mask(focal)
    hues = {item.canonical for item in scene.instances if item.category == focal}
    return Sample(
        id=image_id,
        image=scene.image,
        focal_mask=mask,
        focal_category=focal,
        classes=tuple(CATEGORIES.index(item.category) for item in scene.instances),
        boxes=tuple(item.box for item in scene.instances),
        group=scene.group or image_id,
        canonical=hues.pop() if len(hues) == 1 else None,
        prototypes_deg=_prototypes(scene.image, mask),
        category=CATEGORIES.index(focal),
    )


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
        sample = sample_of(scene, f"scene-{index:04d}")
        rows.append(
            {
                "id": sample.id,
                "group": sample.group,
                "image": {"bytes": _png(scene.image), "path": None},
                "instance_map": {"bytes": _png(scene.instance_map), "path": None},
                "focal_mask": {"bytes": _png(sample.focal_mask.astype(np.uint8) * 255), "path": None},
                "focal_category": sample.focal_category,
                "classes": list(sample.classes),
                "boxes": [list(box) for box in sample.boxes],
                "hues_deg": [item.hue_deg for item in scene.instances],
                "canonical_hue_deg": [CANONICAL_HUE_DEG[item.category] for item in scene.instances],
                "canonical": [item.canonical for item in scene.instances],
            }
        )
    features = Features(
        {
            "id": Value("string"),
            "group": Value("string"),
            "image": Image(),
            "instance_map": Image(),
            "focal_mask": Image(),
            "focal_category": Value("string"),
            "classes": List(Value("int32")),
            "boxes": List(List(Value("int32"))),
            "hues_deg": List(Value("float32")),
            "canonical_hue_deg": List(Value("float32")),
            "canonical": List(Value("bool")),
        }
    )
    Dataset.from_list(rows, features=features).to_parquet(path)


def _iter_samples(path: Path) -> Iterator[Sample]:
    from datasets import load_dataset

    for row in load_dataset("parquet", data_files=str(path), split="train", streaming=True):
        objects = zip(row["classes"], row["hues_deg"], row["canonical"], row["boxes"], strict=True)
        instances = tuple(Instance(CATEGORIES[k], hue, own, tuple(box)) for k, hue, own, box in objects)
        scene = Scene(np.array(row["image"]), np.array(row["instance_map"]), instances, row["group"])
        yield sample_of(scene, row["id"])


class _Scenes(ImageSet):
    """Scenes in memory, and the file that they are of or follow."""

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
        return {}


class _Frozen(_Scenes):
    def files(self) -> dict[str, Path]:
        return {key_of(self.path): self.path}

    def fresh(self, seed: str, count: int) -> ImageSet:
        scenes = (make_scene("challenge", int(seed, 16), index) for index in range(count))
        return _Scenes(self.path, [sample_of(scene, f"fresh-{index:04d}") for index, scene in enumerate(scenes)])


def open_frozen(spec: FrozenData, folder: Path) -> ImageSet:
    """Return all images of the frozen file `spec.path` below `folder`.

    Raises:
        SpecError: the file is absent.
        IntegrityError: it holds another number of images than the suite says.
    """
    path = folder / spec.path
    if not path.exists():
        raise SpecError("no such file", where=str(path), cure="install the package again")
    samples = list(_iter_samples(path))
    if len(samples) != spec.images:
        raise IntegrityError(f"holds {len(samples)} images, the suite says {spec.images}", where=str(path))
    return _Frozen(path, samples)
