"""Folders of photographs: any layout, links and capitals; the list is the same wherever the folder lies."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from photographs import draw_photograph, write_photographs
from PIL import Image

from benchmark.datasets.folders import ChosenPhotographs, open_folder
from benchmark.errors import SpecError


def test_photographs_are_found_at_any_depth_whatever_their_extension(tmp_path: Path) -> None:
    names = ["b.JPEG", "a.jpg", "n01440764/x.JPEG", "n01440764/y.webp", "n02/deep/z.PNG"]
    for number, name in enumerate(names):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_photograph(number).save(path)
    for name in (".hidden.jpg", "._a.jpg", "notes.txt", ".cache/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    images = open_folder(tmp_path)
    assert images.ids == tuple(sorted(names))
    sample = images.load(0, (24, 32))
    assert sample.image.shape == (24, 32, 3) and sample.focal_mask.all()
    assert images.source(0) == tmp_path / "a.jpg"


def test_links_are_followed_once_even_in_a_circle(tmp_path: Path) -> None:
    write_photographs(tmp_path / "real", 2)
    folder = tmp_path / "train"
    folder.mkdir()
    (folder / "first").symlink_to(tmp_path / "real")
    (folder / "second").symlink_to(tmp_path / "real")
    (folder / "circle").symlink_to(folder)
    (folder / "one.jpg").symlink_to(tmp_path / "real" / "0000.jpg")
    (folder / "nowhere.jpg").symlink_to(tmp_path / "absent.jpg")
    ids = open_folder(folder).ids
    assert len(ids) == 4 and {"one.jpg", "nowhere.jpg"} < set(ids)
    with pytest.raises(SpecError, match=r"nowhere\.jpg: no such file"):
        open_folder(folder).load(ids.index("nowhere.jpg"), (8, 8))


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "RGBA", "1"])
def test_colors_of_other_kinds_become_rgb(tmp_path: Path, mode: str) -> None:
    draw_photograph(1).convert(mode).save(tmp_path / ("a.jpg" if mode in ("L", "CMYK") else "a.png"))
    assert open_folder(tmp_path).load(0, (8, 8)).image.shape == (8, 8, 3)


def test_a_photograph_is_read_as_it_is_stored_and_a_single_pixel_is_one(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    draw_photograph(1).save(tmp_path / "a.jpg", exif=turned)
    draw_photograph(1).save(tmp_path / "b.jpg")
    Image.new("RGB", (1, 1), (9, 9, 9)).save(tmp_path / "c.png")
    first, second, third = (open_folder(tmp_path).load(index, (48, 64)).image for index in range(3))
    assert (first == second).all() and (third == 9).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an image of a known format"),
        (b"not an image", "not an image of a known format"),
        ("cut", "cannot be read as an image: .*[Tt]runcated"),
        ("deep", "has 16 bits a channel, not 8"),
    ],
)
def test_what_cannot_be_read_is_one_line_that_names_the_file(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "some.jpg"
    if content == "cut":
        (whole,) = write_photographs(tmp_path / "whole", 1)
        path.write_bytes(whole.read_bytes()[:600])
    elif content == "deep":
        Image.fromarray(np.full((8, 8), 3000, np.uint16)).save(path, "PNG")
    else:
        path.write_bytes(bytes(content))  # type: ignore[call-overload]
    images = open_folder(tmp_path)
    with pytest.raises(SpecError, match=rf"some\.jpg: {message}"):
        images.load(images.ids.index("some.jpg"), (8, 8))


def test_an_empty_folder_and_one_without_rights_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpecError, match=r"holds no photographs .known extensions: .jpg"):
        open_folder(tmp_path)

    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(SpecError, match="cannot be listed: Permission denied"):
        open_folder(tmp_path)


def test_the_fingerprint_tells_photographs_by_name_size_and_time(tmp_path: Path) -> None:
    paths = write_photographs(tmp_path / "one", 3) + write_photographs(tmp_path / "two", 3)
    for path in paths:
        os.utime(path, ns=(1, 1))
    one, two = open_folder(tmp_path / "one"), open_folder(tmp_path / "two")
    assert one.fingerprint() == two.fingerprint()
    some = ChosenPhotographs(one, np.array([0, 2]))
    assert some.ids == ("0000.jpg", "0002.jpg")
    assert (some.load(1, (8, 8)).image == one.load(2, (8, 8)).image).all()
    prints = {one.fingerprint(), some.fingerprint()}
    os.utime(paths[0], ns=(1, 2))
    prints |= {one.fingerprint(), some.fingerprint()}
    paths[0].unlink()
    prints.add(some.fingerprint())
    assert len(prints) == 5
