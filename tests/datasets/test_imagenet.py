"""ImageNet: the rule of choice, and photographs as they are stored."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from benchmark.datasets.decoding import read_image
from benchmark.datasets.imagenet import open_imagenet
from benchmark.errors import IntegrityError, SpecError
from benchmark.suites.spec import ImagenetData


def make_spec(images: int, pool: int) -> ImagenetData:
    return ImagenetData(
        source="imagenet", images=images, description="x", resize="pillow-bilinear", salt="imagenet@1:", pool=pool
    )


def encode(pixels: npt.NDArray[Any], kind: str = "JPEG", mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def rank(stem: str) -> str:
    return hashlib.sha256(f"imagenet@1:{stem}".encode()).hexdigest()


@pytest.fixture
def pixels() -> npt.NDArray[np.uint8]:
    down, right = np.mgrid[0:10, 0:20]
    return np.stack([25 * down, 12 * right, 5 * (down + right)], axis=-1).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path, pixels: npt.NDArray[np.uint8]) -> Path:
    """Four classes of five photographs."""
    for label in range(4):
        place = tmp_path / "val" / f"n{label:08d}"
        place.mkdir(parents=True)
        for number in range(5):
            (place / f"ILSVRC2012_val_{5 * label + number + 1:08d}.JPEG").write_bytes(encode(pixels))
    return tmp_path / "val"


@pytest.fixture(scope="module")
def real(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample in class folders."""
    source = assets / "imagenet_sample"
    if not source.exists():
        pytest.skip(f"{source} is absent")
    folder = tmp_path_factory.mktemp("imagenet")
    for path in source.glob("*.JPEG"):
        place = folder / path.name.partition("_")[0]
        place.mkdir()
        (place / path.name).symlink_to(path)
    return folder


def test_real_photographs_are_read_as_torchvision_reads_them(real: Path) -> None:
    from torchvision.datasets import ImageFolder

    images = open_imagenet(make_spec(100, 100), real)
    reference = {Path(path).stem: path for path, _ in ImageFolder(str(real)).imgs}
    assert images.ids == tuple(sorted(reference, key=rank))
    loader = ImageFolder(str(real)).loader
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda index: images.load(index, (224, 224)), range(100)))
    for name, sample in zip(images.ids, found, strict=True):
        wanted = loader(reference[name]).resize((224, 224), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(sample.image, np.array(wanted))
        assert sample.id == name
        assert sample.focal_category == name.partition("_")[0]
        assert sample.focal_mask.shape == (224, 224) and sample.focal_mask.all()
    assert images.files() == {}


def test_first_of_every_class_then_the_first_of_these(folder: Path) -> None:
    firsts = [min((path.stem for path in place.iterdir()), key=rank) for place in folder.iterdir()]
    for count in (1, 3, 4):
        assert open_imagenet(make_spec(count, 20), folder).ids == tuple(sorted(firsts, key=rank)[:count])


def test_other_files_and_folders_do_not_count(folder: Path) -> None:
    ids = open_imagenet(make_spec(4, 20), folder).ids
    (folder / "n00000000" / "notes.txt").write_text("x")
    (folder / "n00000000" / "._ILSVRC2012_val_00000001.JPEG").write_text("x")
    (folder / "n00000009").mkdir()
    (folder / "other").mkdir()
    (folder / "valprep.sh").write_text("x")
    assert open_imagenet(make_spec(4, 20), folder).ids == ids


@pytest.mark.parametrize("spec", [make_spec(4, 19), make_spec(4, 50_000)])
def test_another_number_of_photographs_is_named(folder: Path, spec: ImagenetData) -> None:
    message = rf"val: holds 20 photographs in 4 class folders, the suite draws from {spec.pool:,} \(give the whole"
    with pytest.raises(SpecError, match=message):
        open_imagenet(spec, folder)


def test_too_few_classes_are_named(folder: Path) -> None:
    with pytest.raises(SpecError, match="holds 4 classes, the suite takes one photograph of each of 5"):
        open_imagenet(make_spec(5, 20), folder)


def test_two_photographs_of_one_name_are_refused(folder: Path) -> None:
    path = folder / "n00000000" / "ILSVRC2012_val_00000001.JPEG"
    path.rename(folder / "n00000000" / "ILSVRC2012_val_00000020.JPEG")
    with pytest.raises(SpecError, match="two photographs are named 'ILSVRC2012_val_00000020'"):
        open_imagenet(make_spec(4, 20), folder)


def test_a_flat_folder_as_the_archive_unpacks_gets_its_own_message(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"ILSVRC2012_val_{number:08d}.JPEG").write_bytes(b"x")
    with pytest.raises(SpecError, match=r"holds 3 photographs without class folders.*sort them"):
        open_imagenet(make_spec(3, 3), tmp_path)


def test_wrong_folders_are_one_line(folder: Path) -> None:
    with pytest.raises(SpecError, match=rf"no class folders with photographs \(give {folder}\)"):
        open_imagenet(make_spec(4, 20), folder.parent)
    empty = folder / "empty"
    empty.mkdir()
    with pytest.raises(SpecError, match="give the folder that holds n01440764"):
        open_imagenet(make_spec(4, 20), empty)
    with pytest.raises(SpecError, match="absent: cannot be listed: No such file"):
        open_imagenet(make_spec(4, 20), folder / "absent")


def load_first(tmp_path: Path, content: bytes, size: tuple[int, int] = (10, 20)) -> npt.NDArray[np.uint8]:
    place = tmp_path / "n01440764"
    place.mkdir()
    (place / "ILSVRC2012_val_00000293.JPEG").write_bytes(content)
    return open_imagenet(make_spec(1, 1), tmp_path).load(0, size).image


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "P")])
def test_formats_are_told_by_content_and_become_rgb(
    tmp_path: Path, pixels: npt.NDArray[np.uint8], kind: str, mode: str
) -> None:
    content = encode(pixels, kind, mode)
    wanted = np.array(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(load_first(tmp_path, content), wanted)


def test_exif_orientation_is_not_applied(tmp_path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    np.testing.assert_array_equal(
        load_first(tmp_path, encode(pixels, exif=exif)), np.array(Image.open(io.BytesIO(encode(pixels))))
    )


def test_the_first_frame_of_a_camera_file_counts(tmp_path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    second = Image.fromarray(255 - pixels)
    content = encode(pixels, "MPO", save_all=True, append_images=[second])
    with Image.open(io.BytesIO(content)) as image:
        assert image.n_frames == 2
        first = np.array(image.convert("RGB"))
    np.testing.assert_array_equal(load_first(tmp_path, content), first)


@pytest.mark.parametrize("content", [b"", b"text", b"\xff\xd8\xff", b"GIF89a"])
def test_damaged_photographs_are_one_line(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SpecError, match=r"_00000293\.JPEG: .*image.*ILSVRC2012_img_val.tar again") as caught:
        load_first(tmp_path, content)
    assert "\n" not in str(caught.value)


def test_photographs_that_vanish_are_one_line(folder: Path) -> None:
    images = open_imagenet(make_spec(4, 20), folder)
    for path in folder.glob("*/*.JPEG"):
        path.unlink()
    with pytest.raises(SpecError, match="JPEG: no such file"):
        images.load(0, (10, 20))


def test_photographs_cut_short_are_refused(tmp_path: Path, real: Path) -> None:
    content = next(real.glob("*/*.JPEG")).read_bytes()
    with pytest.raises(SpecError, match=r"cannot be read as an image: .*truncated"):
        load_first(tmp_path, content[:-2000])


def huge_png(side: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_bombs_are_refused_by_their_header(tmp_path: Path, side: int) -> None:
    with pytest.raises(SpecError, match="limit against decompression bombs"):
        load_first(tmp_path, huge_png(side))


def test_deep_samples_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((10, 20), 3000, np.uint16)).save(buffer, "PNG")
    with pytest.raises(SpecError, match="has 16 bits a channel, not 8"):
        load_first(tmp_path, buffer.getvalue())


def test_content_in_memory_and_a_demanded_shape_are_served(pixels: npt.NDArray[np.uint8]) -> None:
    content = encode(pixels, "PNG")
    np.testing.assert_array_equal(read_image(content, "x", shape=(10, 20)), pixels)
    with pytest.raises(IntegrityError, match="x: is 10x20 pixels, must be 20x10"):
        read_image(content, "x", shape=(20, 10))


def test_threads_leave_the_filters_of_warnings_alone(pixels: npt.NDArray[np.uint8]) -> None:
    content, filters = encode(pixels), list(warnings.filters)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: read_image(content, "x"), range(2000)))
    assert warnings.filters == filters
