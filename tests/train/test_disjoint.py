"""No evaluated image is trained on: renamed, saved again, scaled or recolored; what cannot be read is left out, too."""

from __future__ import annotations

import io
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from photographs import draw_photograph, write_photographs
from PIL import Image, ImageOps

from benchmark.content.content import Content
from benchmark.datasets.base import Sample
from benchmark.datasets.folders import open_folder
from benchmark.datasets.scenes import make_scene
from benchmark.errors import SpecError, UserError
from benchmark.train import disjoint
from benchmark.train.disjoint import Remaining, hold_out, keep_disjoint
from benchmark.train.drawing import draw_images
from benchmark.train.images import Scenes
from benchmark.train.traits import examine, find_pattern, hash_pixels

SIZE = 48, 64


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def compare(root: Path, workers: int = 0) -> Remaining:
    return keep_disjoint(open_folder(root / "train"), open_folder(root / "evaluated"), SIZE, workers)


def test_copies_of_evaluated_images_are_left_out_however_they_were_saved(tmp_path: Path) -> None:
    evaluated = write_photographs(tmp_path / "evaluated", 6, first=100)
    write_photographs(tmp_path / "train", 20)
    photograph = Image.open(evaluated[0])
    copies = {
        "renamed.jpg": evaluated[0].read_bytes(),
        "lossless.png": saved(photograph, "PNG"),
        "again.jpg": saved(photograph, "JPEG", quality=40),
        "gray.png": saved(photograph.convert("L"), "PNG"),
        "large.png": saved(photograph.resize((256, 192), Image.Resampling.LANCZOS), "PNG"),
        "pale.png": saved(photograph.point([128 + v // 2 for v in range(256)] * 3), "PNG"),
    }
    for name, content in copies.items():
        (tmp_path / "train" / name).write_bytes(content)
    (tmp_path / "train" / "cropped.png").write_bytes(saved(photograph.crop((0, 0, 50, 36)), "PNG"))
    found = compare(tmp_path)
    assert found.same == [("lossless.png", "0100.jpg"), ("renamed.jpg", "0100.jpg")]
    assert {name for name, _ in found.alike} == copies.keys() - {"lossless.png", "renamed.jpg"}
    assert len(found.images.ids) == 21 and "cropped.png" in found.images.ids, "cropped copies are not looked for"
    same, alike = found.lines("some@1")
    assert same.startswith("2 of the photographs show an image that some@1 evaluates and are left out: lossless.png = ")
    assert alike.endswith("...") and "4 of the photographs look like" in alike


@pytest.mark.parametrize("turn", list(Image.Transpose))
def test_mirrored_and_turned_copies_are_left_out(tmp_path: Path, turn: Image.Transpose) -> None:
    evaluated = write_photographs(tmp_path / "evaluated", 6, first=100)
    write_photographs(tmp_path / "train", 20)
    turned = Image.open(evaluated[2]).transpose(turn)
    (tmp_path / "train" / "turned.jpg").write_bytes(saved(turned, "JPEG", quality=50))
    oriented = Image.open(evaluated[3])
    oriented.getexif()[274] = 6
    oriented.save(tmp_path / "train" / "oriented.jpg", quality=90, exif=oriented.getexif())
    upright = ImageOps.exif_transpose(Image.open(tmp_path / "train" / "oriented.jpg"))
    (tmp_path / "train" / "upright.png").write_bytes(saved(upright, "PNG"))
    found = compare(tmp_path)
    assert found.alike == [("oriented.jpg", "0103.jpg"), ("turned.jpg", "0102.jpg"), ("upright.png", "0103.jpg")]
    assert len(found.images.ids) == 20


def saved(image: Image.Image, kind: str, **settings: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def test_what_cannot_be_read_is_left_out_with_a_line_that_names_it(tmp_path: Path) -> None:
    write_photographs(tmp_path / "evaluated", 1, first=100)
    (first, second, *_) = write_photographs(tmp_path / "train", 12)
    first.write_bytes(second.read_bytes()[:700])
    (tmp_path / "train" / "empty.png").touch()
    (tmp_path / "train" / "nowhere.jpg").symlink_to(tmp_path / "absent")
    found = compare(tmp_path)
    assert len(found.images.ids) == 11
    (line,) = found.lines("some@1")
    assert line.startswith("3 of the photographs cannot be read and are left out: 0000.jpg: cannot be read as an image")
    assert "empty.png: not an image of a known format, nowhere.jpg: No such file or directory" in line


def test_where_nothing_is_left_there_is_no_training(tmp_path: Path) -> None:
    write_photographs(tmp_path / "evaluated", 3)
    write_photographs(tmp_path / "train", 3)
    with pytest.raises(SpecError, match=r"none of 3 photographs can be trained on, such as 0000\.jpg"):
        compare(tmp_path)


def test_photographs_are_read_once_until_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photographs(tmp_path / "evaluated", 2, first=100)
    paths = write_photographs(tmp_path / "train", 70)
    read: list[str] = []

    def count(path: Path, size: tuple[int, int]) -> object:
        read.append(path.name)
        return examine(path, size)

    monkeypatch.setattr(disjoint, "examine", count)
    first = compare(tmp_path)
    assert len(read) == 70
    again = compare(tmp_path)
    assert len(read) == 70 and again.images.ids == first.images.ids
    draw_photograph(100).save(paths[3], quality=92)
    assert compare(tmp_path).same == [("0003.jpg", "0100.jpg")]
    assert read[70:] == ["0003.jpg"]
    keep_disjoint(open_folder(tmp_path / "train"), open_folder(tmp_path / "evaluated"), (24, 32), 0)
    assert len(read) == 141, "another size"


def test_what_had_no_rights_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photographs(tmp_path / "evaluated", 1, first=100)
    write_photographs(tmp_path / "train", 3)
    allowed = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "0001.jpg":
            raise PermissionError(13, "Permission denied", str(path))
        return allowed(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert compare(tmp_path).unreadable == [("0001.jpg", "Permission denied")]
    monkeypatch.undo()
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    assert compare(tmp_path).unreadable == []


def test_a_damaged_cache_is_one_line(tmp_path: Path, cache: Path) -> None:
    write_photographs(tmp_path / "evaluated", 1, first=100)
    write_photographs(tmp_path / "train", 2)
    compare(tmp_path)
    (table,) = cache.glob("photographs-*.sqlite")
    table.write_bytes(b"not a table" * 100)
    with pytest.raises(UserError, match=r"photographs-.*\.sqlite: cannot be used: .*delete it"):
        compare(tmp_path)
    table.unlink()
    with sqlite3.connect(table) as connection:
        connection.execute("CREATE TABLE photographs (other TEXT)")
    with pytest.raises(UserError, match="cannot be used: no such column"):
        compare(tmp_path)


@pytest.mark.slow
def test_other_processes_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photographs(tmp_path / "evaluated", 2, first=3)
    write_photographs(tmp_path / "train", 70)
    own = compare(tmp_path)
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "other"))
    others = compare(tmp_path, workers=1)
    assert own.images.ids == others.images.ids and own[2:] == others[2:]
    assert np.array_equal(own.shown, others.shown)


def test_flat_images_are_like_none(tmp_path: Path) -> None:
    for name, level in (("evaluated/a.png", 40), ("train/b.png", 90), ("train/c.png", 40)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 48), (level, 0, 0)).save(path)
    found = compare(tmp_path)
    assert (found.images.ids, found.same, found.alike) == (("b.png",), [("c.png", "a.png")], [])


def test_what_is_held_out_depends_on_the_names_alone(tmp_path: Path) -> None:
    write_photographs(tmp_path, 40)
    images = open_folder(tmp_path)
    shown = np.arange(40, dtype=np.uint64)
    training, held = hold_out(images, shown, 64)
    assert len(held.ids) == 4 and sorted(training.ids + held.ids) == sorted(images.ids)
    (tmp_path / held.ids[0]).unlink()
    training, fewer = hold_out(open_folder(tmp_path), shown[1:], 64)
    assert set(held.ids[1:]) <= set(fewer.ids) | {max(fewer.ids)}
    write_photographs(tmp_path / "few", 9)
    assert hold_out(open_folder(tmp_path / "few"), shown[:9], 64)[1].ids == ()


def test_copies_of_what_is_held_out_are_not_trained_on(tmp_path: Path) -> None:
    write_photographs(tmp_path / "evaluated", 1, first=100)
    paths = write_photographs(tmp_path / "train", 20)
    first = compare(tmp_path)
    held = hold_out(first.images, first.shown, 64)[1].ids
    for path in paths:
        path.with_name(f"{path.stem}-linked.jpg").symlink_to(path)
        (tmp_path / "train" / f"{path.stem}-copied.png").write_bytes(saved(Image.open(path), "PNG"))
    found = compare(tmp_path)
    training, held = hold_out(found.images, found.shown, 64)
    names = [{name[:4] for name in part.ids} for part in (training, held)]
    assert len(held.ids) == 6 and names[1] and not names[0] & names[1]
    assert len(training.ids) + 3 * len(names[1]) == 60
    assert [len(part.ids) for part in hold_out(found.images, np.zeros(60, np.uint64), 64)] == [60, 0]


def test_the_frozen_images_of_the_suite_are_recognized(tmp_path: Path, content: Content, samples: list[Sample]) -> None:
    write_photographs(tmp_path / "train", 3)
    Image.fromarray(samples[5].image).save(tmp_path / "train" / "x.png")
    Image.fromarray(samples[6].image).save(tmp_path / "train" / "y.jpg", quality=60)
    found = keep_disjoint(open_folder(tmp_path / "train"), content.images, (96, 96), 0)
    assert found.same == [("x.png", samples[5].id)]
    assert found.alike == [("y.jpg", samples[6].id)]


def test_no_evaluated_scene_is_trained_or_validated_on(samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated = {hash_pixels(sample.image) for sample in samples}
    trained = {hash_pixels(image) for image in draw_images(201, 64, 0)}
    assert len(evaluated) == len(samples) and not evaluated & trained
    asked = []

    def watch(purpose: str, seed: int, index: int) -> object:
        asked.append((purpose, index))
        return make_scene("train", 1, 0)

    monkeypatch.setattr("benchmark.train.drawing.make_scene", watch)
    list(Scenes(1, None).batches(2, range(3, 5)))  # type: ignore[arg-type]
    assert asked == [("train", index) for index in range(6, 10)]


def test_real_photographs_are_unlike_each_other_and_like_their_copies(assets: Path) -> None:
    folder = assets / "coco_val2017_sample" / "val2017"
    if not folder.is_dir():
        pytest.skip(f"no photographs of COCO in {folder}")
    originals, again = [], []
    for path in sorted(folder.iterdir())[:60]:
        image = Image.open(path).convert("RGB")
        for kept, shown in ((originals, image), (again, Image.open(io.BytesIO(saved(image, "JPEG", quality=50))))):
            kept.append(find_pattern(np.asarray(shown.resize((224, 224), Image.Resampling.BILINEAR))))
    words = [np.frombuffer(b"".join(patterns), np.uint64).reshape(len(patterns), 4) for patterns in (originals, again)]
    differing = np.bitwise_count(words[0][:, None] ^ words[1]).sum(2)
    assert np.diag(differing).max() <= disjoint.NEAR_BITS
    assert differing[~np.eye(len(originals), dtype=bool)].min() > disjoint.NEAR_BITS
