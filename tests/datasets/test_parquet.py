"""Photographs in Parquet files: what is written is read back exactly, and what cannot be read is told in one line."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import numpy.typing as npt
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from datasets import Image as Encoded
from PIL import Image

from benchmark.datasets.base import ImageSet, Sample, resize
from benchmark.datasets.coco import open_coco
from benchmark.datasets.parquet import open_parquet, write_parquet
from benchmark.errors import IntegrityError, SpecError, UserError
from benchmark.suites.spec import CocoData, HubData

SIZE = (12, 16)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what `datasets` unpacks out of the user's cache."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")


def make_spec(images: int, *files: str) -> HubData:
    return HubData(
        source="hub", images=images, description="x", resize="pillow-bilinear", repo_id="me/data",
        files=files or ("test.parquet",),
    )  # fmt: skip


class Drawn(ImageSet):
    """Random photographs; the mask of every third is the whole frame."""

    def __init__(self, count: int, prefix: str = "image") -> None:
        self.ids = tuple(f"{prefix}-{index}" for index in range(count))

    def load(self, index: int, size: tuple[int, int]) -> Sample:
        draws = np.random.default_rng(index)
        image = draws.integers(0, 256, (20, 30, 3), dtype=np.uint8)
        mask = draws.random((20, 30)) < 0.7 if index % 3 else np.ones((20, 30), np.bool_)
        return Sample(self.ids[index], *resize(image, mask, size), focal_category=("", "cat", "dog")[index % 3])

    def files(self) -> dict[str, Path]:
        return {}


def assert_equal(found: ImageSet, wanted: ImageSet, size: tuple[int, int]) -> None:
    assert found.ids == wanted.ids
    for index in range(len(wanted.ids)):
        one, other = found.load(index, size), wanted.load(index, size)
        assert (one.id, one.focal_category) == (other.id, other.focal_category)
        assert (one.image.dtype, one.focal_mask.dtype) == (np.uint8, np.bool_)
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.focal_mask, other.focal_mask)


def png(pixels: npt.NDArray[Any], kind: str = "PNG", **options: Any) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return {"bytes": buffer.getvalue(), "path": None}


GRAY = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16)
RGB = np.stack([GRAY, GRAY.T.reshape(12, 16), 255 - GRAY], axis=-1)


def write_rows(path: Path, rows: Sequence[dict[str, Any]], **kinds: Any) -> Path:
    known = {"id": Value("string"), "image": Encoded(), "mask": Encoded(), "category": Value("string")} | kinds
    features = Features({name: known[name] for name in rows[0]})
    Dataset.from_list(list(rows), features=features).to_parquet(path)
    return path


def test_what_is_written_is_read_back_pixel_for_pixel(tmp_path: Path) -> None:
    images = Drawn(7)
    write_parquet(tmp_path / "below" / "test.parquet", images, SIZE)
    found = open_parquet(make_spec(7, "below/test.parquet"), tmp_path)
    assert_equal(found, images, SIZE)
    assert found.files() == {"me/data/below/test.parquet": tmp_path / "below/test.parquet"}
    assert found.resized
    assert [path.name for path in (tmp_path / "below").iterdir()] == ["test.parquet"]


def test_real_photographs_are_read_back_pixel_for_pixel(tmp_path: Path, assets: Path) -> None:
    folder = assets / "coco_val2017_sample"
    if not folder.exists():
        pytest.skip(f"{folder} is absent")
    spec = CocoData(
        source="coco", images=12, description="x", resize="pillow-bilinear", split="val2017", salt="coco@1:",
        share=(0.05, 0.6),
    )  # fmt: skip
    images = open_coco(spec, folder)
    write_parquet(tmp_path / "test.parquet", images, (224, 224))
    assert_equal(open_parquet(make_spec(12), tmp_path), images, (224, 224))


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_parquet(tmp_path / name, Drawn(5), SIZE)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_files_follow_each_other_in_the_order_of_the_suite(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", Drawn(2, "a"), SIZE)
    write_parquet(tmp_path / "b.parquet", Drawn(3, "b"), SIZE)
    found = open_parquet(make_spec(5, "b.parquet", "a.parquet"), tmp_path)
    assert found.ids == ("b-0", "b-1", "b-2", "a-0", "a-1")
    assert list(found.files()) == ["me/data/b.parquet", "me/data/a.parquet"]


def test_another_size_is_resized_as_photographs_are(tmp_path: Path) -> None:
    write_parquet(tmp_path / "test.parquet", Drawn(3), SIZE)
    found = open_parquet(make_spec(3), tmp_path)
    for index in range(3):
        stored = found.load(index, SIZE)
        pixels, mask = resize(stored.image, stored.focal_mask, (5, 9))
        other = found.load(index, (5, 9))
        np.testing.assert_array_equal(other.image, pixels)
        np.testing.assert_array_equal(other.focal_mask, mask)


def test_several_threads_read_the_same(tmp_path: Path) -> None:
    images = Drawn(40)
    write_parquet(tmp_path / "test.parquet", images, SIZE)
    found = open_parquet(make_spec(40), tmp_path)
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(lambda index: found.load(index % 40, SIZE), range(400)))
    for index, sample in enumerate(loaded):
        assert sample.id == images.ids[index % 40]
        np.testing.assert_array_equal(sample.image, images.load(index % 40, SIZE).image)


def test_viewers_of_datasets_see_images(tmp_path: Path) -> None:
    write_parquet(tmp_path / "test.parquet", Drawn(2), SIZE)
    rows = datasets.load_dataset("parquet", data_files=str(tmp_path / "test.parquet"), split="train")
    assert rows.features["image"] == Encoded() and rows.features["mask"] == Encoded()
    np.testing.assert_array_equal(np.array(rows[1]["image"]), Drawn(2).load(1, SIZE).image)
    np.testing.assert_array_equal(np.array(rows[1]["mask"]) > 0, Drawn(2).load(1, SIZE).focal_mask)


def test_without_a_mask_the_whole_frame_is_focal(tmp_path: Path) -> None:
    write_rows(tmp_path / "test.parquet", [{"id": "a", "image": png(RGB)}])
    sample = open_parquet(make_spec(1), tmp_path).load(0, SIZE)
    assert sample.focal_mask.shape == SIZE and sample.focal_mask.all()
    assert sample.focal_category == ""
    np.testing.assert_array_equal(sample.image, RGB)


def test_a_mask_is_true_where_a_channel_is_not_zero(tmp_path: Path) -> None:
    faint = np.zeros((12, 16, 3), np.uint8)
    faint[3:5, 2:9, 2] = 1
    bits = faint[..., 2] > 0
    rows = [
        {"id": str(k), "image": png(RGB), "mask": png(mask)}
        for k, mask in enumerate((faint, faint[..., 2], bits, bits * np.uint8(255)))
    ]
    write_rows(tmp_path / "test.parquet", rows)
    found = open_parquet(make_spec(4), tmp_path)
    for index in range(4):
        np.testing.assert_array_equal(found.load(index, SIZE).focal_mask, bits)


def test_photographs_and_masks_stay_as_stored_whatever_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    mask = (GRAY > 90).astype(np.uint8)
    write_rows(tmp_path / "test.parquet", [{"id": "a", "image": png(RGB, exif=exif), "mask": png(mask)}])
    sample = open_parquet(make_spec(1), tmp_path).load(0, SIZE)
    np.testing.assert_array_equal(sample.image, RGB)
    np.testing.assert_array_equal(sample.focal_mask, mask > 0)


def test_files_without_the_marks_of_datasets_are_read(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"id": ["a"], "image": [png(RGB)], "more": [1]}).replace_schema_metadata(None)
    pq.write_table(table, tmp_path / "test.parquet")
    np.testing.assert_array_equal(open_parquet(make_spec(1), tmp_path).load(0, SIZE).image, RGB)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image": {"bytes": b"junk", "path": None}}, "image 'a': not an image of a known format"),
        ({"image": {"bytes": png(RGB)["bytes"][:90], "path": None}}, "image 'a': cannot be read as an image"),
        ({"image": None}, "image 'a': has no pixels"),
        ({"mask": png(GRAY, "JPEG")}, "image 'a', its mask: JPEG does not keep"),
        ({"mask": {"bytes": b"junk", "path": None}}, "image 'a', its mask: not an image"),
    ],
)
def test_damaged_images_are_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    raw = Encoded(decode=False)
    path = write_rows(tmp_path / "test.parquet", [{"id": "a", "image": png(RGB)} | row], image=raw, mask=raw)
    images = open_parquet(make_spec(1), tmp_path)
    with pytest.raises(SpecError, match=rf"{path}: {message}"):
        images.load(0, SIZE)


def test_images_outside_of_the_file_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    cells = pa.array([{"bytes": None, "path": "/etc/passwd"}], kind)
    pq.write_table(pa.table({"id": ["a"], "image": cells}), tmp_path / "test.parquet")
    with pytest.raises(SpecError, match="image 'a': its image is a path, not an image"):
        open_parquet(make_spec(1), tmp_path).load(0, SIZE)


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "test.parquet", [{"id": "a", "image": png(RGB), "mask": png(GRAY[:5])}])
    with pytest.raises(IntegrityError, match="its mask: is 5x16 pixels, must be 12x16"):
        open_parquet(make_spec(1), tmp_path).load(0, SIZE)


def test_another_number_of_images_or_an_id_twice_is_refused(tmp_path: Path) -> None:
    rows = [{"id": name, "image": png(RGB)} for name in ("a", "b", "a")]
    write_rows(tmp_path / "test.parquet", rows)
    with pytest.raises(IntegrityError, match="holds 3 images, the suite says 4"):
        open_parquet(make_spec(4), tmp_path)
    with pytest.raises(IntegrityError, match="two images are named 'a'"):
        open_parquet(make_spec(3), tmp_path)
    write_rows(tmp_path / "none.parquet", [{"id": "a", "image": png(RGB)}, {"id": None, "image": png(RGB)}])
    with pytest.raises(SpecError, match="image 1 has no id"):
        open_parquet(make_spec(2, "none.parquet"), tmp_path)


def test_files_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"test\.parquet: no such file"):
        open_parquet(make_spec(1), tmp_path)
    path = tmp_path / "test.parquet"
    for content in (b"", b"PAR1 but not really PAR1"):
        path.write_bytes(content)
        with pytest.raises(SpecError, match=r"test\.parquet: cannot be read as Parquet with images: \S") as caught:
            open_parquet(make_spec(1), tmp_path)
        assert "\n" not in str(caught.value)
    write_rows(path, [{"id": "a", "category": "cat"}])
    with pytest.raises(SpecError, match=r"test\.parquet: has no column 'image'"):
        open_parquet(make_spec(1), tmp_path)
    write_rows(path, [{"id": "a", "image": 5}], image=Value("int32"))
    with pytest.raises(SpecError, match="cannot be read as Parquet with images"):
        open_parquet(make_spec(1), tmp_path)


class Failing(Drawn):
    def load(self, index: int, size: tuple[int, int]) -> Sample:
        if index == 2:
            raise SpecError("is damaged", where=self.ids[index])
        return super().load(index, size)


def test_a_failed_write_leaves_nothing_behind_and_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "test.parquet"
    write_parquet(path, Drawn(2), SIZE)
    before = path.read_bytes()
    with pytest.raises(SpecError, match="is damaged"):
        write_parquet(path, Failing(4), SIZE)
    assert path.read_bytes() == before
    assert list(tmp_path.glob("*.tmp")) == []
    with pytest.raises(UserError, match="cannot be written"):
        write_parquet(path / "below", Drawn(2), SIZE)


PEAK = """
import resource, sys
from pathlib import Path
import datasets
import numpy as np
from benchmark.datasets.base import ImageSet, Sample
from benchmark.datasets.parquet import open_parquet, write_parquet
from benchmark.suites.spec import HubData

folder, count = Path(sys.argv[1]), int(sys.argv[2])
datasets.config.HF_DATASETS_CACHE = folder

class Noise(ImageSet):
    ids = tuple(map(str, range(count)))

    def load(self, index, size):
        image = np.random.default_rng(index).integers(0, 256, (*size, 3), dtype=np.uint8)
        return Sample(self.ids[index], image, np.arange(size[1]) > np.arange(size[0])[:, None])

    def files(self):
        return {}

def peak():
    # In kB, and without the pages of mapped files, which the system takes back when it needs them.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["RssAnon"].split()[0])

spec = HubData(source="hub", images=count, description="x", resize="pillow-bilinear", repo_id="a/b", files=("t",))
most = 0
class Watched(Noise):
    def load(self, index, size):
        global most
        most = max(most, peak())
        return super().load(index, size)

write_parquet(folder / "t", Watched(), (240, 320))
images = open_parquet(spec, folder)
most = max(most, peak())
for index in range(count):
    images.load(index, (240, 320))
    most = max(most, peak())
print(most // 1024)
"""


@pytest.mark.nightly
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        folder = tmp_path / str(count)
        folder.mkdir()
        command = [sys.executable, "-c", PEAK, str(folder), str(count)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    grown = peak(800) - peak(100)
    assert grown < 100, f"{grown} MB more for 700 more images, which are 161 MB"


def test_class_labels_are_read_by_their_names_in_every_file(tmp_path: Path) -> None:
    names = {"a": ["cat", "dog", "07"], "b": ["07", "cat"]}
    labels: dict[str, list[int | None]] = {"a": [1, 0, 2, None], "b": [1, 0, -1]}
    for file, values in labels.items():
        rows = [{"id": f"{file}{k}", "image": png(RGB), "category": label} for k, label in enumerate(values)]
        write_rows(tmp_path / f"{file}.parquet", rows, category=ClassLabel(names=names[file]))
    found = open_parquet(make_spec(7, "a.parquet", "b.parquet"), tmp_path)
    categories = [found.load(index, SIZE).focal_category for index in range(7)]
    assert categories == ["dog", "cat", "07", "", "cat", "07", ""]


def test_categories_of_other_types_are_read_as_text(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "large": (pa.array(["cat", None], pa.large_string()), ["cat", ""]),
        "dictionary": (pa.array(["cat", "dog"]).dictionary_encode(), ["cat", "dog"]),
        "numbers": (pa.array([3, 14]), ["3", "14"]),
    }
    for name, (column, wanted) in columns.items():
        table = pa.table({"id": ["a", "b"], "image": [png(RGB), png(RGB)], "category": column})
        pq.write_table(table, tmp_path / f"{name}.parquet")
        found = open_parquet(make_spec(2, f"{name}.parquet"), tmp_path)
        assert [found.load(index, SIZE).focal_category for index in range(2)] == wanted


def test_files_with_and_without_masks_follow_each_other(tmp_path: Path) -> None:
    mask = (GRAY > 90).astype(np.uint8)
    write_rows(tmp_path / "a.parquet", [{"id": "a", "image": png(RGB), "mask": png(mask)}])
    write_rows(tmp_path / "b.parquet", [{"id": "b", "image": png(RGB)}])
    for files in (("a.parquet", "b.parquet"), ("b.parquet", "a.parquet")):
        found = open_parquet(make_spec(2, *files), tmp_path)
        for index, name in enumerate(found.ids):
            np.testing.assert_array_equal(found.load(index, SIZE).focal_mask, mask > 0 if name == "a" else True)


def test_what_score_refuses_is_refused_by_row(tmp_path: Path) -> None:
    hidden, deep = np.dstack([RGB, GRAY]), (GRAY.astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 3
    refused = {
        "image 'a': has transparent pixels": {"image": png(hidden)},
        "image 'a', its mask: has transparent pixels .save the mask without": {"mask": png(hidden)},
        "image 'a': has 16 bits a channel": {"image": png(deep)},
        "image 'a', its mask: lossy WebP does not": {"mask": png(GRAY, "WEBP")},
        "image 'a', its mask: TIFF with jpeg compression does not": {"mask": png(GRAY, "TIFF", compression="jpeg")},
        "image 'a': is a TIFF with orientation 3": {"image": png(RGB, "TIFF", exif=exif)},
        "image 'a': holds 2 frames": {"image": png(RGB, save_all=True, append_images=[Image.fromarray(255 - RGB)])},
        "image 'a': is a pointer of Git LFS": {
            "image": {"bytes": b"version https://git-lfs.github.com/spec/v1\n", "path": None}
        },
    }
    raw = Encoded(decode=False)
    for number, (message, row) in enumerate(refused.items()):
        name = f"{number}.parquet"
        write_rows(tmp_path / name, [{"id": "a", "image": png(RGB)} | row], image=raw, mask=raw)
        with pytest.raises(SpecError, match=rf"{name}: {message}"):
            open_parquet(make_spec(1, name), tmp_path).load(0, SIZE)


def test_a_pointer_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "test.parquet").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(SpecError, match=r"test\.parquet: is a pointer of Git LFS, .* \(fetch it: git lfs pull"):
        open_parquet(make_spec(1), tmp_path)
