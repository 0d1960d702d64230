"""Pictures of photographs are shown only where the lock of the suite allows it, and never without attribution."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boards import HOSTILE, lock_of, write_entry

from benchmark.suites.lock import Lock
from benchmark.suites.rights import LICENSES, Rights
from benchmark.suites.spec import CocoData, ImagenetData, Suite
from leaderboard.data.board import Board
from leaderboard.data.credits import credits_of, withheld_of
from leaderboard.data.entries import load_entries
from leaderboard.data.pictures import ImageStore, make_gallery

Site = Any
AUDIT = ("shown", "forbidden", "unknown")
PAGES = ("index.html", "tiny-1/gallery-tiny-vit.html", "tiny-1/method-one.html", "tiny-1/suite.html",
         "tiny-1/compare.html")  # fmt: skip


def rights_to(image: str, license: str, credit: str = "somebody") -> Rights:
    return Rights(image=image, license=license, credit=credit, page=f"https://example.org/{image}?a=1&b=2")


def photographs(tiny_suite: Suite, *rights: Rights) -> tuple[Suite, Lock]:
    """The tiny suite as if its images were photographs, with these rights to them in its lock."""
    data = CocoData(
        source="coco", split="val2017", images=tiny_suite.dataset.images, salt="x", share=(0, 1), description="x",
        resize="pillow-bilinear",
    )  # fmt: skip
    suite = tiny_suite.model_copy(update={"dataset": data, "audit_images": AUDIT})
    return suite, lock_of(suite).model_copy(update={"rights": rights})


def board_of(suite: Suite, lock: Lock, folder: Path) -> Board:
    for name, level in (("one", 0.5), ("two", 0.8)):
        write_entry(suite, lock, folder, name, level)
    return Board(suite, lock, load_entries(suite, lock, [folder]))


@pytest.fixture(scope="module")
def site(tiny_suite: Suite, build: Callable[..., Site], tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site of records that hold one photograph that may be shown, and two that may not."""
    suite, lock = photographs(
        tiny_suite, rights_to("shown", "cc-by-nc-2.0", HOSTILE), rights_to("forbidden", "cc-by-nd-2.0")
    )
    folder = tmp_path_factory.mktemp("photographs")
    return build([board_of(suite, lock, folder)], folder / "out")


@pytest.mark.parametrize("license", [*LICENSES, "cc-by-9.9", None])
def test_only_a_license_that_allows_derivatives_shows_pictures(
    tiny_suite: Suite, tmp_path: Path, license: str | None
) -> None:
    suite, lock = photographs(tiny_suite, *([rights_to("shown", license)] if license else []))
    board = board_of(suite, lock, tmp_path)
    (gallery,) = make_gallery(suite, lock, board.entries, ImageStore(tmp_path / "images")).values()
    allowed = license in LICENSES and LICENSES[license].derivatives
    assert {image for _, image, _, _ in gallery.files} == ({"shown"} if allowed else set())
    assert [credit.image for credit in gallery.credits] == (["shown"] if allowed else [])
    assert bool(list((tmp_path / "images").iterdir())) == allowed
    assert {image for image, _ in gallery.withheld} == {*AUDIT} - ({"shown"} if allowed else set())


def test_nothing_is_shown_of_what_publishes_nothing(tiny_suite: Suite, tmp_path: Path) -> None:
    suite, lock = photographs(tiny_suite, rights_to("shown", "cc-by-2.0"))
    data = ImagenetData(
        source="imagenet", images=suite.dataset.images, description="x", resize="pillow-bilinear", salt="x", pool=99
    )
    suite = suite.model_copy(update={"dataset": data})
    board = board_of(suite, lock, tmp_path)
    (gallery,) = make_gallery(suite, lock, board.entries, ImageStore(tmp_path / "images")).values()
    assert not gallery.files and not list((tmp_path / "images").iterdir())
    assert credits_of(suite, lock, set(AUDIT)) == ()
    assert {why for _, why in gallery.withheld} == {"tiny@1 publishes no pictures of its images"}


def test_images_of_the_projects_own_need_no_credit(tiny_suite: Suite) -> None:
    lock = lock_of(tiny_suite)
    assert credits_of(tiny_suite, lock, set(AUDIT)) == withheld_of(tiny_suite, lock, AUDIT) == ()


def test_a_forbidden_photograph_is_on_no_page_and_the_gallery_says_why(site: Site) -> None:
    (board,) = site.boards
    texts = [path.read_text(encoding="utf-8") for path in site.out.rglob("*.html")]
    texts += [path.read_text(encoding="utf-8") for path in site.out.rglob("gallery-*.js")]
    assert len(texts) > len(PAGES)
    for text in texts:
        assert 'alt="forbidden' not in text and 'alt="unknown' not in text and '"forbidden"' not in text
    gallery = site.pages["tiny-1/gallery-tiny-vit.html"]
    assert "No picture of image forbidden is shown: CC BY-ND 2.0 allows no derivatives." in gallery.text
    assert "No picture of image unknown is shown: the lock of tiny@1 states no license for it." in gallery.text
    # One picture of what was seen under each perturbation, and each recon, of the one image and nothing else.
    one = 1 + 2 * len(board.suite.targets[0].taps)
    assert 0 < len(list((site.out / "images").iterdir())) <= one * len(board.suite.perturbations)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_with_pictures_credits_them(site: Site, name: str) -> None:
    page = site.pages[name]
    links = [attributes["href"] for tag, attributes, _ in page.tags if tag == "a"]
    assert "https://example.org/shown?a=1&b=2" in links
    assert LICENSES["cc-by-nc-2.0"].url in links
    assert "CC BY-NC 2.0, non-commercial use only" in page.text
    assert "forbidden?a=1" not in page.source


def test_credits_are_text_and_link_to_the_web_alone(site: Site) -> None:
    for name in PAGES:
        page = site.pages[name]
        assert HOSTILE in page.text and "<script>alert" not in page.source
        assert all("onerror" not in attributes for _, attributes, _ in page.tags)
    index = json.loads((site.out / "board.json").read_text(encoding="utf-8"))
    (listed,) = index["suites"][0]["photographs"]
    assert listed == {
        "image": "shown", "credit": HOSTILE, "page": "https://example.org/shown?a=1&b=2",
        "license": "CC BY-NC 2.0", "license_url": LICENSES["cc-by-nc-2.0"].url, "notice": "non-commercial use only",
    }  # fmt: skip
