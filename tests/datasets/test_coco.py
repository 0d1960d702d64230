"""COCO: the rule of choice, masks against COCO's own and another rasterization, photographs as they are stored."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from skimage.draw import polygon2mask

from benchmark.datasets.annotations import Annotations
from benchmark.datasets.base import resize
from benchmark.datasets.coco import open_coco, select
from benchmark.errors import IntegrityError, SpecError
from benchmark.suites.spec import CocoData

# COCO's library decodes with a call that NumPy 2 deprecates; the benchmark decodes run lengths without it.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

HEIGHT, WIDTH = 10, 20
ELIGIBLE = 67


def make_spec(images: int = 1, share: tuple[float, float] = (0.05, 0.6)) -> CocoData:
    return CocoData(
        source="coco", images=images, description="x", resize="pillow-bilinear", split="val2017", salt="coco@1:",
        share=share,
    )  # fmt: skip


def box(x: int, y: int, width: int, height: int) -> list[list[float]]:
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def make_annotations(*parts: tuple[int, int, Any], images: tuple[int, ...] = (1,), **more: Any) -> dict[str, Any]:
    """An annotation file of (image, category, segmentation)."""
    return {
        "images": [{"id": i, "file_name": f"{i:012d}.jpg", "height": HEIGHT, "width": WIDTH} for i in images],
        "categories": [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}, {"id": 3, "name": "cup"}],
        "annotations": [
            {"id": k, "image_id": image, "category_id": category, "segmentation": segmentation, **more}
            for k, (image, category, segmentation) in enumerate(parts, start=100)
        ],
    }


def choose(annotations: dict[str, Any], images: int = 1, share: tuple[float, float] = (0.05, 0.6)) -> Any:
    return select(Annotations.model_validate(annotations), make_spec(images, share))


def eligible(annotations: dict[str, Any]) -> set[int]:
    for count in range(len(annotations["images"]), 0, -1):
        with contextlib.suppress(SpecError):
            return {choice.image_id for choice in choose(annotations, count)}
    return set()


def write_folder(folder: Path, annotations: dict[str, Any], photographs: dict[str, bytes]) -> Path:
    (folder / "annotations").mkdir(parents=True)
    (folder / "val2017").mkdir()
    (folder / "annotations/instances_val2017.json").write_text(json.dumps(annotations))
    for name, content in photographs.items():
        (folder / "val2017" / name).write_bytes(content)
    return folder


def jpeg(pixels: npt.NDArray[Any], mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


@pytest.fixture
def pixels() -> npt.NDArray[np.uint8]:
    """A smooth picture whose corners differ."""
    down, right = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([25 * down, 12 * right, 5 * (down + right)], axis=-1).astype(np.uint8)


ONE = make_annotations((1, 7, box(2, 3, 8, 5)))
ONE_FILE = "000000000001.jpg"


def open_one(folder: Path, content: bytes, annotations: dict[str, Any] = ONE) -> Any:
    return open_coco(make_spec(), write_folder(folder, annotations, {ONE_FILE: content}))


@pytest.fixture(scope="module")
def sample(assets: Path) -> Path:
    folder = assets / "coco_val2017_sample"
    if not folder.exists():
        pytest.skip(f"{folder} is absent")
    return folder


@pytest.fixture(scope="module")
def reference(sample: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(sample / "annotations/instances_val2017.json")


def test_choice_among_real_annotations_is_that_of_a_plain_rule_on_cocos_own_masks(
    sample: Path, reference: COCO
) -> None:
    wanted = []
    for image_id in sorted(reference.imgs, key=lambda i: hashlib.sha256(f"coco@1:{i}".encode()).hexdigest()):
        annotations = reference.imgToAnns[image_id]
        if not annotations or any(a["iscrowd"] for a in annotations):
            continue
        united: dict[int, npt.NDArray[np.bool_]] = {}
        for a in annotations:
            mask = reference.annToMask(a) > 0
            united[a["category_id"]] = united.get(a["category_id"], np.zeros_like(mask)) | mask
        focus = min(united, key=lambda c: (-united[c].sum(), c))
        if 0.05 <= united[focus].mean() <= 0.6:
            wanted.append((f"{image_id:012d}", reference.cats[focus]["name"], united[focus]))
    assert len(wanted) == ELIGIBLE

    images = open_coco(make_spec(ELIGIBLE), sample)
    assert images.ids == tuple(name for name, _, _ in wanted)
    for index, (name, category, mask) in enumerate(wanted):
        found = images.load(index, mask.shape)
        assert (found.id, found.focal_category) == (name, category)
        np.testing.assert_array_equal(found.focal_mask, mask)
        stored = np.array(Image.open(sample / "val2017" / f"{name}.jpg").convert("RGB"))
        np.testing.assert_array_equal(found.image, stored)


def test_masks_agree_with_another_rasterization_up_to_the_border(sample: Path, reference: COCO) -> None:
    raw = json.loads((sample / "annotations/instances_val2017.json").read_text())
    for choice in select(Annotations.model_validate(raw), make_spec(ELIGIBLE)):
        drawn = np.zeros((choice.height, choice.width), np.bool_)
        border = 0
        for a in reference.imgToAnns[choice.image_id]:
            if a["category_id"] == choice.category_id:
                for polygon in a["segmentation"]:
                    points = np.array(polygon).reshape(-1, 2)
                    drawn |= polygon2mask(drawn.shape, points[:, ::-1] - 0.5)
                    border += np.abs(np.diff(points, axis=0, append=points[:1])).sum()
        assert (drawn ^ choice.mask()).sum() <= 0.5 * border


def test_too_few_eligible_photographs_are_an_error_with_the_numbers(sample: Path) -> None:
    with pytest.raises(SpecError, match=r"instances_val2017.json: 67 of 96 .* eligible, the suite takes 68"):
        open_coco(make_spec(68), sample)


def test_real_photographs_are_resized_as_the_suite_says_and_from_several_threads(sample: Path) -> None:
    images = open_coco(make_spec(24), sample)
    filters = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda index: images.load(index, (120, 160)), range(24)))
    assert warnings.filters == filters
    for index, one in enumerate(found):
        stored = Image.open(sample / "val2017" / f"{images.ids[index]}.jpg").convert("RGB")
        full = images.load(index, (stored.height, stored.width))
        pixels, mask = resize(np.array(stored), full.focal_mask, (120, 160))
        np.testing.assert_array_equal(one.image, pixels)
        np.testing.assert_array_equal(one.focal_mask, mask)


def test_order_is_that_of_the_sha256_of_salt_and_plain_image_id() -> None:
    ids = (1, 2, 30, 139, 4000)
    annotations = make_annotations(*((i, 7, box(0, 0, 10, 10)) for i in ids), images=ids)
    wanted = sorted(ids, key=lambda i: hashlib.sha256(f"coco@1:{i}".encode()).hexdigest())
    assert [c.image_id for c in choose(annotations, 5)] == wanted
    assert [c.image_id for c in choose(annotations, 2)] == wanted[:2]
    shuffled = annotations | {"images": annotations["images"][::-1]}
    assert [c.image_id for c in choose(shuffled, 5)] == wanted
    assert next(c.id for c in choose(annotations, 5) if c.image_id == 139) == "000000000139"


def test_images_with_a_crowd_or_without_annotations_are_not_eligible() -> None:
    annotations = make_annotations(*((i, 7, box(0, 0, 10, 10)) for i in (1, 2)), images=(1, 2, 3))
    crowd = {"size": [HEIGHT, WIDTH], "counts": [0, 5, 195]}
    annotations["annotations"].append(
        {"id": 1, "image_id": 2, "category_id": 9, "iscrowd": 1, "segmentation": crowd},
    )
    assert eligible(annotations) == {1}


@pytest.mark.parametrize(("area", "inside"), [(9, False), (10, True), (120, True), (121, False)])
def test_both_ends_of_the_share_are_eligible(area: int, inside: bool) -> None:
    runs = {"size": [HEIGHT, WIDTH], "counts": [0, area, HEIGHT * WIDTH - area]}
    assert eligible(make_annotations((1, 7, runs))) == ({1} if inside else set())


def test_focus_is_the_category_that_covers_most_and_the_lower_id_of_two() -> None:
    small, large = box(0, 0, 4, 4), box(8, 0, 6, 6)
    assert choose(make_annotations((1, 3, small), (1, 9, large)))[0].category == "dog"
    assert choose(make_annotations((1, 9, large), (1, 7, box(0, 0, 6, 6))))[0].category == "cat"
    assert choose(make_annotations((1, 7, box(0, 0, 6, 6)), (1, 9, large)))[0].category == "cat"


def test_instances_of_a_category_count_together_and_overlap_once() -> None:
    apart = make_annotations((1, 9, box(0, 0, 5, 4)), (1, 9, box(10, 0, 5, 4)), (1, 3, box(0, 5, 6, 5)))
    (choice,) = choose(apart)
    assert (choice.category, choice.share) == ("dog", 40 / 200)
    over = make_annotations((1, 9, box(0, 0, 6, 5)), (1, 9, box(2, 0, 6, 5)), (1, 3, box(0, 5, 9, 5)))
    (choice,) = choose(over)
    assert (choice.category, choice.share) == ("cup", 45 / 200)
    parts = make_annotations((1, 9, box(0, 0, 5, 4) + box(3, 0, 5, 4)))
    assert choose(parts)[0].share == 32 / 200


def test_stated_areas_are_not_trusted() -> None:
    assert choose(make_annotations((1, 7, box(0, 0, 5, 4)), area=1e9))[0].share == 0.1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=HEIGHT * WIDTH, max_size=HEIGHT * WIDTH))
def test_all_forms_of_run_lengths_give_the_mask_that_they_encode(values: list[bool]) -> None:
    mask = np.array(values).reshape(HEIGHT, WIDTH)
    text = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    columns = mask.T.ravel()
    ends = np.flatnonzero(np.diff(columns)) + 1
    counts = np.diff([0, *ends, columns.size]).tolist()
    counts = [0, *counts] if columns[0] else counts
    if not mask.any():
        return
    for form in (text, counts):
        (choice,) = choose(make_annotations((1, 7, {"size": [HEIGHT, WIDTH], "counts": form})), share=(0, 1))
        np.testing.assert_array_equal(choice.mask(), mask)
        assert choice.share == mask.mean()


def test_long_run_lengths_in_text_form_are_read_as_coco_reads_them() -> None:
    mask = np.zeros((600, 700), np.uint8)
    mask[100:500, 3:650] = 1
    mask[::97, ::5] = 1
    coded = coco_mask.encode(np.asfortranarray(mask))
    annotations = make_annotations((1, 7, {"size": [600, 700], "counts": coded["counts"].decode()}))
    annotations["images"][0] |= {"height": 600, "width": 700}
    np.testing.assert_array_equal(choose(annotations, share=(0, 1))[0].mask(), coco_mask.decode(coded))


@pytest.mark.parametrize("nothing", [[], [[]], [[1, 1, 9, 9]], [[5, 5]], [[1, 1, 5, 5, 9, 9]]])
def test_degenerate_polygons_cover_nothing(nothing: list[list[float]]) -> None:
    assert eligible(make_annotations((1, 7, nothing))) == set()
    (choice,) = choose(make_annotations((1, 7, nothing + box(0, 0, 5, 4)), (1, 9, nothing)))
    assert (choice.category, choice.share) == ("cat", 0.1)


def test_polygons_that_leave_the_image_are_cut_at_its_border() -> None:
    assert choose(make_annotations((1, 7, box(-5, -5, 10, 50))))[0].share == 0.25


FULL = HEIGHT * WIDTH


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[1, 1, 5, 1, 5, 5, 1]], "annotation 100: a polygon has a stray coordinate"),
        ({"size": [WIDTH, HEIGHT], "counts": [0, FULL]}, "annotation 100: run lengths of 20x10 on 10x20 pixels"),
        ({"size": [HEIGHT, WIDTH], "counts": [5, 10]}, "do not fill the image"),
        ({"size": [HEIGHT, WIDTH], "counts": []}, "do not fill the image"),
        ({"size": [HEIGHT, WIDTH], "counts": [0, FULL + 1]}, "do not fill the image"),
        ({"size": [HEIGHT, WIDTH], "counts": [300, -200, 100]}, "do not fill the image"),
        ({"size": [HEIGHT, WIDTH], "counts": "5:"}, "do not fill the image"),
        ({"size": [HEIGHT, WIDTH], "counts": "5:\n"}, "has no meaning in run lengths"),
        ({"size": [HEIGHT, WIDTH], "counts": "5P"}, "are cut short"),
        ([[1, 1, float("inf"), 1, 5, 5]], "segmentation"),
        ([[1, 1, 1e12, 1, 5, 5]], "segmentation"),
        ("mask", "segmentation"),
        (None, "segmentation"),
    ],
)
def test_malformed_segmentations_are_refused(tmp_path: Path, segmentation: Any, message: str) -> None:
    folder = write_folder(tmp_path / "coco", make_annotations((1, 7, segmentation)), {})
    with pytest.raises(IntegrityError, match=message) as caught:
        open_coco(make_spec(), folder)
    assert "instances_val2017.json" in str(caught.value) and "invbench data fetch coco" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_annotations_without_segmentation_are_refused(tmp_path: Path) -> None:
    annotations = make_annotations((1, 7, box(0, 0, 5, 4)))
    del annotations["annotations"][0]["segmentation"]
    with pytest.raises(IntegrityError, match=r"annotations\.0\.segmentation.*required"):
        open_coco(make_spec(), write_folder(tmp_path / "coco", annotations, {}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotations": make_annotations((5, 7, box(0, 0, 5, 4)))["annotations"]}, "of image 5, which is not listed"),
        ({"annotations": make_annotations((1, 8, box(0, 0, 5, 4)))["annotations"]}, "of category 8, which is not"),
        ({"images": make_annotations(images=(1, 1))["images"]}, "image 1 is listed twice"),
        ({"categories": [{"id": 7, "name": "cat"}, {"id": 7, "name": "dog"}]}, "category 7 is listed twice"),
        ({"images": [{"id": 1, "file_name": "../1.jpg", "height": 9, "width": 9}]}, "file_name"),
        ({"images": [{"id": 1, "file_name": "1.jpg", "height": 0, "width": 9}]}, "height"),
        ({"images": 5}, "images"),
    ],
)
def test_files_that_contradict_themselves_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(IntegrityError, match=message):
        open_coco(make_spec(), write_folder(tmp_path / "coco", ONE | change, {}))


def test_absent_and_broken_annotation_files_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"No such file.*invbench data fetch coco"):
        open_coco(make_spec(), tmp_path)
    folder = write_folder(tmp_path / "coco", ONE, {})
    (folder / "annotations/instances_val2017.json").write_text('{"images": [')
    with pytest.raises(IntegrityError, match="JSON"):
        open_coco(make_spec(), folder)


def test_a_lock_pins_the_annotation_file(tmp_path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    images = open_one(tmp_path / "coco", jpeg(pixels))
    name = "annotations/instances_val2017.json"
    assert images.files() == {name: tmp_path / "coco" / name}
    assert images.name(images.ids[0], (4, 5)) == "000000000001@4x5"


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grayscale_and_cmyk_photographs_become_rgb(tmp_path: Path, pixels: npt.NDArray[np.uint8], mode: str) -> None:
    found = open_one(tmp_path / "coco", jpeg(pixels, mode)).load(0, (HEIGHT, WIDTH))
    wanted = np.array(Image.fromarray(pixels).convert(mode).convert("RGB")).astype(int)
    assert found.image.shape == (HEIGHT, WIDTH, 3) and found.image.dtype == np.uint8
    assert np.abs(found.image - wanted).max() < 16
    np.testing.assert_array_equal(found.focal_mask, choose(ONE)[0].mask())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_stay_on_their_masks_whatever_exif_says(
    tmp_path: Path, pixels: npt.NDArray[np.uint8], orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = open_one(tmp_path / "coco", jpeg(pixels, exif=exif)).load(0, (HEIGHT, WIDTH))
    plain = np.array(Image.open(io.BytesIO(jpeg(pixels))))
    np.testing.assert_array_equal(turned.image, plain)


def test_damaged_exif_data_do_not_matter(tmp_path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x09"
    content = jpeg(pixels)
    broken = content[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + content[20:]
    with pytest.warns(UserWarning, match="Corrupt EXIF"):
        Image.open(io.BytesIO(broken))
    found = open_one(tmp_path / "coco", broken).load(0, (HEIGHT, WIDTH))
    np.testing.assert_array_equal(found.image, np.array(Image.open(io.BytesIO(content))))


def test_photographs_of_another_size_than_the_annotations_say_are_refused(
    tmp_path: Path, pixels: npt.NDArray[np.uint8]
) -> None:
    images = open_one(tmp_path / "coco", jpeg(np.ascontiguousarray(pixels.transpose(1, 0, 2))))
    with pytest.raises(IntegrityError, match=r"000000000001\.jpg: is 20x10 pixels, must be 10x20"):
        images.load(0, (HEIGHT, WIDTH))


def test_absent_photographs_are_named_with_a_cure(tmp_path: Path) -> None:
    images = open_coco(make_spec(), write_folder(tmp_path / "coco", ONE, {}))
    with pytest.raises(SpecError, match=r"000000000001\.jpg: no such file .*invbench data fetch coco"):
        images.load(0, (HEIGHT, WIDTH))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.9, 0.999])
def test_photographs_cut_short_are_never_padded(sample: Path, tmp_path: Path, share: float) -> None:
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    images = open_coco(make_spec(), sample)
    content = (sample / "val2017" / f"{images.ids[0]}.jpg").read_bytes()
    raw = json.loads((sample / "annotations/instances_val2017.json").read_text())
    cut = {f"{images.ids[0]}.jpg": content[: int(share * len(content))]}
    broken = open_coco(make_spec(), write_folder(tmp_path / "coco", raw, cut))
    with pytest.raises(SpecError, match=rf"{images.ids[0]}\.jpg: (cannot be read as|not) an image") as caught:
        broken.load(0, (48, 64))
    assert "delete it; then: invbench data fetch coco" in str(caught.value)


def test_masks_are_resized_by_area(tmp_path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    found = open_one(tmp_path / "coco", jpeg(pixels)).load(0, (5, 10))
    blocks = choose(ONE)[0].mask().reshape(5, 2, 10, 2).mean((1, 3))
    np.testing.assert_array_equal(found.focal_mask, blocks >= 0.5)
