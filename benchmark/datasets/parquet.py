"""Photographs in Parquet files, as they are published on the Hub: read as a suite's images, and written from any.

Columns: `id` (text), `image` (encoded bytes), `mask` (encoded bytes; true where a channel is not zero; null or no such
column: the whole frame), and `category` (text, or class labels with names; may be absent). Images are encoded and
decoded one at a time, by the reader and the rules of image files.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmark.datasets.base import ImageSet, Sample, resize
from benchmark.datasets.decoding import read_image, read_mask
from benchmark.errors import IntegrityError, SpecError, first_line
from benchmark.files.pointers import refuse_pointer
from benchmark.files.storing import replacing
from benchmark.suites.spec import HubData

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["open_parquet", "write_parquet"]

ROWS_A_GROUP = 50


def _read_cell(row: dict[str, Any], column: str, where: str) -> bytes | None:
    """Return the bytes of an encoded image, None if there is none."""
    cell = row.get(column)
    if cell is None:
        return None
    if cell["bytes"] is None:
        raise SpecError(f"its {column} is a path, not an image", where=where, cure="write the files with the images in")
    return bytes(cell["bytes"])


class _Parquet(ImageSet):
    def __init__(self, rows: Dataset, categories: list[str], files: dict[str, Path], where: str) -> None:
        self._rows, self._categories, self._files, self._where = rows, categories, files, where
        self.ids = tuple(rows["id"])

    def load(self, index: int, size: tuple[int, int]) -> Sample:
        row = self._rows[index]
        where = f"{self._where}: image '{row['id']}'"
        content = _read_cell(row, "image", where)
        if content is None:
            raise SpecError("has no pixels", where=where)
        image = read_image(content, where)
        shape = (image.shape[0], image.shape[1])
        covered = _read_cell(row, "mask", where)
        mask = np.ones(shape, np.bool_) if covered is None else read_mask(covered, f"{where}, its mask", shape=shape)
        pixels, mask = resize(image, mask, size)
        return Sample(row["id"], pixels, mask, focal_category=self._categories[index])

    def files(self) -> dict[str, Path]:
        return dict(self._files)


def _read_categories(rows: Dataset) -> list[str]:
    """Return the categories of the rows of one file: of class labels the names that the file gives them."""
    from datasets import ClassLabel, Value

    if "category" not in rows.column_names:
        return [""] * len(rows)
    kind = rows.features["category"]
    if isinstance(kind, ClassLabel):
        return ["" if label is None or label < 0 else kind.names[label] for label in rows["category"]]
    return [category or "" for category in rows.cast_column("category", Value("string"))["category"]]


def _open_file(path: Path) -> tuple[Dataset, list[str]]:
    """Return the rows of a Parquet file with the known columns, images not decoded, and their categories."""
    from datasets import Image as Encoded
    from datasets import Value, load_dataset

    if not path.is_file():
        raise SpecError("no such file", where=str(path))
    refuse_pointer(path)
    rows = load_dataset("parquet", data_files=[str(path)], split="train")
    categories = _read_categories(rows)
    kinds = {"id": Value("string"), "image": Encoded(decode=False)}
    if absent := sorted(kinds.keys() - set(rows.column_names)):
        raise SpecError(f"has no column '{absent[0]}'", where=str(path))
    kinds |= {"mask": Encoded(decode=False)}
    rows = rows.select_columns([name for name in kinds if name in rows.column_names])
    for name in rows.column_names:
        if rows.features[name] != kinds[name]:
            rows = rows.cast_column(name, kinds[name])
    return rows, categories


def _open_rows(paths: list[Path], where: str) -> tuple[Dataset, list[str]]:
    """Return the rows of Parquet files, one file after the other, and their categories."""
    from datasets import concatenate_datasets

    try:
        parts = [_open_file(path) for path in paths]
        return concatenate_datasets([rows for rows, _ in parts]), [name for _, names in parts for name in names]
    except SpecError:
        raise
    except Exception as error:  # The readers of Parquet and Arrow fail in many ways on damaged files.
        reason = first_line(error.__cause__ or error)
        raise SpecError(f"cannot be read as Parquet with images: {reason}", where=where) from None


def open_parquet(spec: HubData, folder: Path) -> ImageSet:
    """Return the images of the Parquet files `spec.files` below `folder`, in their order.

    Raises:
        SpecError: a file is absent, is not Parquet, lacks a column, or an id is missing.
        IntegrityError: there are more or fewer images than `spec.images`, or two of one id.
    """
    paths = {name: folder / name for name in spec.files}
    where = f"{folder}/{spec.files[0]}" if len(spec.files) == 1 else f"{len(spec.files)} files in {folder}"
    rows, categories = _open_rows(list(paths.values()), where)
    if len(rows) != spec.images:
        raise IntegrityError(f"holds {len(rows)} images, the suite says {spec.images}", where=where)
    images = _Parquet(rows, categories, {f"{spec.repo_id}/{name}": path for name, path in paths.items()}, where)
    if None in images.ids:
        raise SpecError(f"image {images.ids.index(None)} has no id", where=where)
    if len(set(images.ids)) != len(images.ids):
        twice = next(name for name in images.ids if images.ids.count(name) > 1)
        raise IntegrityError(f"two images are named '{twice}'", where=where)
    return images


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _iter_rows(images: ImageSet, size: tuple[int, int]) -> Iterator[dict[str, Any]]:
    for index in range(len(images.ids)):
        sample = images.load(index, size)
        mask = None if sample.focal_mask.all() else _png(sample.focal_mask.astype(np.uint8) * 255)
        yield {
            "id": sample.id,
            "image": {"bytes": _png(sample.image), "path": None},
            "mask": mask and {"bytes": mask, "path": None},
            "category": sample.focal_category or None,
        }


def write_parquet(path: Path, images: ImageSet, size: tuple[int, int]) -> None:
    """Write images at one size (height, width) to a Parquet file that `open_parquet` reads back pixel for pixel.

    Pixels and masks are PNG. Equal content gives equal bytes with the same versions of Pillow and pyarrow. The file
    gets its name when it is whole.

    Raises:
        SpecError, IntegrityError: an image cannot be loaded.
        SpecError: the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Features, Value
    from datasets import Image as Encoded
    from tqdm import tqdm

    features = Features({"id": Value("string"), "image": Encoded(), "mask": Encoded(), "category": Value("string")})
    schema = features.arrow_schema
    # PNG cannot be compressed further.
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="none") as file:
        group: list[dict[str, Any]] = []
        for row in tqdm(_iter_rows(images, size), total=len(images.ids), desc="write", unit="image", mininterval=0.5):
            group.append(row)
            if len(group) == ROWS_A_GROUP:
                file.write_table(pa.Table.from_pylist(group, schema))
                group = []
        if group:
            file.write_table(pa.Table.from_pylist(group, schema))
