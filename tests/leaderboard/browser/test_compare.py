"""The comparison and the gallery in a real browser: the numbers are Python's, the pictures those of the records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from browsing import Reader

from benchmark.records.bootstrap import GroupBootstrap
from benchmark.records.pairs import paired_differences
from benchmark.records.statistics import masked_mean
from leaderboard.data.board import Board
from leaderboard.data.pairs import pairs
from leaderboard.data.pictures import Gallery, ImageStore, kind_words, make_gallery, pictured
from leaderboard.data.views import axes_of, columns_of, kinds_of
from leaderboard.site.marks import units_words

pytestmark = pytest.mark.slow  # starts a browser

Open = Callable[..., Reader]
Site = Any
Scores = Mapping[str, npt.NDArray[np.float64]]

NAMES = ("modular_per_tap", "ridge", "mean", "copy")
TARGET = "mini-detr"
NEITHER = "Choose two to four different submissions."
CELLS = """
(table) => [...table.tBodies[0].rows].map((row) => [row.cells[0].textContent, [...row.cells].slice(1).map((cell) => {
  const range = cell.querySelector('.range');
  return range ? [cell.firstChild.textContent, range.textContent] : null;
})])
"""
# The shown digits, and the resolution of the scores that the page reads.
EXACT = 0.0005 + 0.0001


def number(text: str) -> float:
    """Return a number that is shown with its sign."""
    return float(text.replace("−", "-"))


def lines(reader: Reader, name: str) -> dict[str, list[Any]]:
    """Return the cells of a table, named by a part of its caption, by line."""
    return dict(reader.page.locator("#result table", has_text=name).first.evaluate(CELLS))


def check(shown: Sequence[Any], scores: Scores, names: Sequence[str], bootstrap: GroupBootstrap) -> None:
    """Check the cells of a line against the differences that Python finds."""
    expected = paired_differences({name: scores[name][:, None] for name in names}, [1.0], bootstrap, 0)
    assert len(shown) == len(names) - 1
    for cell, other in zip(shown, names[1:], strict=True):
        difference = expected[names[0], other]
        if np.isnan(difference.mean):
            assert cell is None
            continue
        mean, (low, high) = number(cell[0]), map(number, cell[1].split(" to "))
        assert mean == pytest.approx(difference.mean, abs=EXACT)
        assert low == pytest.approx(difference.low, abs=0.02)
        assert high == pytest.approx(difference.high, abs=0.02)
        assert low <= mean <= high


@pytest.fixture(scope="module")
def board(real: Site) -> Board:
    return real.boards[0]


@pytest.fixture(scope="module")
def galleries(board: Board, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Gallery]:
    return make_gallery(board.suite, board.lock, board.entries, ImageStore(tmp_path_factory.mktemp("images")))


@pytest.mark.parametrize("names", [NAMES[:2], NAMES])
def test_differences_are_those_that_python_finds(names: Sequence[str], board: Board, real: Site, visit: Open) -> None:
    reader, suite = visit(real), board.suite
    chosen = "&".join(f"m{i}={name}" for i, name in enumerate(names))
    reader.open(f"mini-1/compare.html#target={TARGET}&{chosen}")
    entries = {entry.submission.id: entry for entry in board.entries}
    axes, kinds = axes_of(suite), kinds_of(suite)
    images = {name: entries[name].views.images[TARGET].astype(np.float64) for name in names}  # type: ignore[union-attr]
    bootstrap = GroupBootstrap(entries["ridge"].groups, suite.bootstrap_resamples, suite.bootstrap_seed)
    units = f"{len(bootstrap.members)} images in {bootstrap.groups} groups"
    assert reader.text("#status") == f"modular_per_tap against {', '.join(names[1:])} on {units} of {TARGET}."

    whole = lines(reader, "by axis: the mean over taps")
    assert list(whole) == [axis.upper() for axis in axes]
    for axis in axes:
        scores = {name: entries[name].image_axes[TARGET][axis] for name in names}
        check(whole[axis.upper()], scores, names, bootstrap)  # type: ignore[arg-type]
    for a, axis in enumerate(axes):
        taps = lines(reader, f"{axis.upper()} on {TARGET} at every tap")
        for t, tap in enumerate(board.suite.targets[0].tap_names):
            check(taps.pop(tap), {name: images[name][a, 0, t] for name in names}, names, bootstrap)
        assert not taps
    reader.page.locator("#result summary").click()
    parts = lines(reader, "under each perturbation")
    for axis, kind in columns_of(suite):
        label = f"{axis.upper()}, {'standard' if kind == 'axes' else kind}"
        scores = {name: masked_mean(images[name][axes.index(axis), kinds.index(kind)]) for name in names}
        if label in parts:
            check(parts.pop(label), scores, names, bootstrap)
    assert not parts


@pytest.mark.parametrize("kind", ["hue_set_120", "gray"])
def test_differences_at_every_tap_under_one_perturbation(
    kind: str, board: Board, galleries: dict[str, Gallery], real: Site, visit: Open
) -> None:
    reader, suite, names = visit(real), board.suite, NAMES[:2]
    reader.open(f"mini-1/compare.html#target={TARGET}&m0={names[0]}&m1={names[1]}")
    reader.page.locator("select[name=kind]").select_option(kind)
    reader.page.locator("#result table", has_text=f"under {kind} at every tap").first.wait_for()
    assert f"kind={kind}" in reader.state
    entries = {entry.submission.id: entry for entry in board.entries}
    images = {name: entries[name].views.images[TARGET].astype(np.float64) for name in names}  # type: ignore[union-attr]
    bootstrap = GroupBootstrap(entries["ridge"].groups, suite.bootstrap_resamples, suite.bootstrap_seed)
    axes, at = [axis for axis, its in columns_of(suite) if its == kind], kinds_of(suite).index(kind)
    whole = lines(reader, f"on {TARGET} under {kind}, by axis: the mean over taps")
    assert list(whole) == [axis.upper() for axis in axes]
    for axis in axes:
        a = axes_of(suite).index(axis)
        check(whole[axis.upper()], {name: masked_mean(images[name][a, at]) for name in names}, names, bootstrap)
        taps = lines(reader, f"{axis.upper()} on {TARGET} under {kind} at every tap")
        for t, tap in enumerate(suite.targets[0].tap_names):
            check(taps.pop(tap), {name: images[name][a, at, t] for name in names}, names, bootstrap)
        assert not taps
    pictures = [text.split(", ")[1] for text in reader.texts(".trios li > p")]
    places = [entries["ridge"].images.index(image) for _, image in galleries[TARGET].choice.images]
    first, second = (pictured(suite, images[name])[:, at - 1] for name in names)
    both = first - second
    scored = ~np.isnan(both[:, :, places]).all(axis=1)
    assert pictures == [kind_words(kind)] * int(scored.sum()) != []
    reader.page.reload()
    reader.page.locator("#result table", has_text=f"under {kind} at every tap").first.wait_for()
    assert reader.page.locator("select[name=kind]").input_value() == kind


def test_words_say_who_is_ahead(board: Board, real: Site, visit: Open) -> None:
    reader = visit(real)
    reader.open(f"mini-1/compare.html#target={TARGET}&m0=modular_per_tap&m1=ridge&m2=copy")
    cells, axes = lines(reader, "by axis"), ("DETAIL", "SHAPE", "COLOR")
    for index, name in enumerate(("ridge", "copy")):
        ends = {axis: tuple(map(number, cells[axis][index][1].split(" to "))) for axis in axes}
        ahead = ", ".join(axis for axis in axes if ends[axis][0] > 0) or "no axis"
        behind = ", ".join(axis for axis in axes if ends[axis][1] < 0) or "none"
        assert f"Against {name}, modular_per_tap is ahead on {ahead}, behind on {behind}" in reader.text(
            "#result > p >> nth=0"
        )


def test_the_table_for_reading_alone_holds_the_pairs_over_all_targets(board: Board, real: Site, visit: Open) -> None:
    reader = visit(real, scripts=False)
    reader.open("mini-1/compare.html")
    found = pairs(board.suite, board.entries)
    assert len(found) > 1
    cells = reader.page.locator("#pairs tbody td .range").all()
    assert reader.texts("#pairs tbody th")[0] == found[0].first
    differences = [difference for pair in found for difference in (pair.score, *pair.differences.values())]
    for cell, difference in zip(cells, differences, strict=True):
        mean = str(cell.evaluate("(one) => one.parentElement.firstChild.textContent"))
        assert number(mean) == pytest.approx(difference.mean, abs=0.00051)
        low, high = map(number, cell.inner_text().split(" to "))
        assert (low, high) == pytest.approx((difference.low, difference.high), abs=0.00051)


def picked(reader: Reader) -> list[str]:
    return [reader.page.locator(f"select[name=m{i}]").input_value() for i in range(4)]


def test_two_are_compared_before_anyone_chooses(board: Board, real: Site, visit: Open) -> None:
    reader = visit(real)
    reader.open("mini-1/compare.html")
    first, second = (entry.submission.id for entry in board.entries[:2])
    assert picked(reader) == [first, second, "", ""]
    reader.page.locator("#pairs tbody a").first.click()  # the same page with a state
    reader.settle()
    assert reader.state == f"target={board.suite.targets[0].id}&m0={first}&m1={second}"
    reader.open("mini-1/target-mini-vit.html")
    reader.page.get_by_role("link", name="compare submissions image by image").click()
    reader.settle()
    status = reader.text("#status")
    assert " against " in status and status.endswith(f" on {units_words(board)} of mini-vit.")


def test_fewer_than_two_are_not_compared(real: Site, visit: Open) -> None:
    reader = visit(real)
    reader.open("mini-1/compare.html")
    first = picked(reader)[0]
    for name, value in (("m1", ""), ("m1", first), ("m0", "")):
        reader.page.locator(f"select[name={name}]").select_option(value)
        assert reader.text("#status") == NEITHER, (name, value)
        assert reader.page.locator("#result > *").count() == 0
    assert picked(reader) == ["", first, "", ""], "none can be chosen too"
    reader.page.reload()
    assert (reader.text("#status"), picked(reader)) == (NEITHER, ["", first, "", ""])
    reader.page.locator("select[name=m3]").select_option("copy")
    reader.page.locator("select[name=m0]").select_option(first)
    reader.page.locator("#result table").first.wait_for()
    assert reader.text("#status").startswith(f"{first} against copy on"), "one that is chosen twice counts once"
    assert reader.state == f"target={TARGET}&m0={first}&m1={first}&m3=copy"


def test_they_are_shown_where_they_differ_most(
    board: Board, galleries: dict[str, Gallery], real: Site, visit: Open
) -> None:
    reader, suite = visit(real), board.suite
    reader.open("mini-1/compare.html#target=mini-vit&m0=ridge&m1=modular_per_tap")
    reader.page.locator("select[name=target]").select_option(TARGET)
    reader.page.locator("#result h3", has_text="differ most").wait_for()
    gallery, axes, kinds = galleries[TARGET], axes_of(suite), kinds_of(suite)
    chosen = [next(e for e in board.entries if e.submission.id == name) for name in ("ridge", "modular_per_tap")]
    taps, found = gallery.target.tap_names, []
    for axis in axes:
        for index, (_, image) in enumerate(gallery.choice.images):
            at = chosen[0].images.index(image)
            p, q = (
                100 * pictured(suite, e.views.images[TARGET])[axes.index(axis), :, :, at].T.astype(float)  # type: ignore[union-attr]
                for e in chosen
            )
            size = np.nan_to_num(np.abs(np.round(p) - np.round(q)), nan=-1)
            tap, kind = np.unravel_index(int(size.argmax()), size.shape)
            place = -int(size.max()), index, tap, kind
            found.append((place, (axis, image, kinds[1 + kind], taps[tap], p[tap, kind] / 100, q[tap, kind] / 100)))
    found.sort(key=lambda item: item[0])
    items = reader.page.locator(".trios li").all()
    assert len(items) == len(found) == len(axes) * len(gallery.choice.images)
    for item, (_, (axis, image, kind, tap, p, q)) in zip(items, found, strict=True):
        words, difference = item.locator("p").inner_text().rsplit(": ", 1)
        shown = [number(label.split()[1]) for label in item.locator("figcaption").all_inner_texts()[1:]]
        assert number(difference) == pytest.approx(shown[0] - shown[1], abs=1e-9), "of the scores that are shown"
        assert number(difference) == pytest.approx(p - q, abs=0.0101)
        assert words == f"{axis.upper()} {image}, {kind_words(kind)}, {tap}"
        sources = [one.get_attribute("src") for one in item.locator("img").all()]
        keys = [("ridge", image, tap, kind), ("modular_per_tap", image, tap, kind)]
        files = [gallery.seen(image, kind), *(gallery.files[key] for key in keys)]
        assert sources == [f"../images/{file}.png" for file in files]
        labels = [label.split() for label in item.locator("figcaption").all_inner_texts()]
        assert [label[0] for label in labels] == ["input", "ridge", "modular_per_tap"]
        assert shown == pytest.approx([p, q], abs=0.00501)
    first = items[0].locator("img").first
    first.scroll_into_view_if_needed()
    assert first.evaluate("(one) => one.decode().then(() => one.naturalWidth)") == 96


# --- The gallery


@pytest.mark.parametrize("target", [0, 1])
def test_the_gallery_shows_the_pictures_that_were_chosen(
    target: int, board: Board, galleries: dict[str, Gallery], real: Site, visit: Open
) -> None:
    reader, suite = visit(real), board.suite
    gallery = galleries[suite.targets[target].id]
    of, axes, kinds = gallery.target.id, axes_of(suite), kinds_of(suite)
    entries = {entry.submission.id: entry for entry in board.entries}
    reader.open(f"mini-1/gallery-{of}.html")
    images, taps = [image for _, image in gallery.choice.images], gallery.target.tap_names
    for image, tap, kind in [
        (images[0], taps[0], "identity"), (images[1], taps[-1], "hue_set_240"), (images[2], taps[2], "gray")
    ]:  # fmt: skip
        for name, value in (("image", image), ("tap", tap), ("kind", kind)):
            reader.page.locator(f"select[name={name}]").select_option(value)
        tiles = reader.page.locator("#tiles li").all()
        assert len(tiles) == 1 + len(gallery.methods)
        source = f"../images/{gallery.seen(image, kind)}.png"
        assert [one.get_attribute("src") for one in tiles[0].locator("img").all()] == [source]
        for tile, method in zip(tiles[1:], gallery.methods, strict=True):
            own = f"../images/{gallery.files[method, image, tap, kind]}.png"
            assert [one.get_attribute("src") for one in tile.locator("img").all()] == [own, source]
            name, *shown = tile.locator("> span").inner_text().replace(" · ", " ").split()
            assert (name, shown[::2]) == (method, list(axes))
            at = entries[method].images.index(image)
            for axis, text in zip(axes, shown[1::2], strict=True):
                scores = pictured(suite, entries[method].views.images[of])  # type: ignore[union-attr]
                value = scores[axes.index(axis), kinds.index(kind) - 1, taps.index(tap), at]
                assert (text == "–") == bool(np.isnan(value))
                assert text == "–" or number(text) == pytest.approx(float(value), abs=0.00501)
    state = reader.state
    assert all(part in state for part in (f"image={images[2]}", f"tap={taps[2]}", "kind=gray"))
    before = reader.page.locator("#tiles").inner_html()
    reader.page.reload()
    assert reader.page.locator("#tiles").inner_html() == before


def test_the_gallery_orders_by_the_scores_of_the_pictures(real: Site, visit: Open) -> None:
    reader = visit(real)
    reader.open("mini-1/gallery-mini-vit.html")
    for tap in ("embeddings", "encoder.0", "encoder.5"):
        for axis in ("detail", "shape", "color"):
            reader.page.locator("select[name=tap]").select_option(tap)
            reader.page.locator("select[name=order]").select_option(axis)
            texts = [text.replace(f"{axis} ", "@") for text in reader.texts("#tiles li > span")[1:]]
            scores = [number(text.split("@")[1].split()[0].replace("–", "-1")) for text in texts]
            assert scores == sorted(scores, reverse=True), (tap, axis)


def test_links_to_the_galleries_of_other_targets_keep_what_they_share(real: Site, visit: Open) -> None:
    reader = visit(real)
    reader.open("mini-1/gallery-mini-vit.html")
    for name, value in (("tap", "encoder.5"), ("kind", "gray"), ("order", "detail")):
        reader.page.locator(f"select[name={name}]").select_option(value)
    reader.page.locator("nav.targets").get_by_role("link", name="mini-swin").click()
    reader.page.wait_for_url("**/gallery-mini-swin.html*")
    reader.settle()
    assert reader.state == "kind=gray&order=detail"
    assert reader.page.locator("select[name=kind]").input_value() == "gray"
    assert reader.page.locator("select[name=tap]").input_value() == "embeddings"


def test_the_original_is_wiped_over_the_recon(real: Site, visit: Open) -> None:
    reader = visit(real)
    reader.open("mini-1/gallery-mini-vit.html")
    tile = reader.page.locator("#tiles li").nth(1)
    slider, above = tile.get_by_role("slider"), tile.locator("img.above")
    clip = "(one) => getComputedStyle(one).clipPath"
    assert above.evaluate(clip) == "inset(0px 100% 0px 0px)", "first the recon alone"
    slider.fill("40")
    assert tile.locator(".wipe").evaluate("(one) => one.style.getPropertyValue('--cut')") == "40%"
    assert above.evaluate(clip) == "inset(0px 60% 0px 0px)"
    slider.focus()
    for key, left in (("ArrowRight", "59%"), ("End", "0%"), ("Home", "100%")):
        reader.page.keyboard.press(key)
        assert above.evaluate(clip).replace("0px)", "0px 0px)").split()[1] == left, key
    below = tile.locator("img").first
    assert below.bounding_box() == above.bounding_box(), "both lie exactly over each other"
    assert str(slider.get_attribute("aria-label")).startswith("Show the input over the recon: ")


def test_strips_lead_through_the_taps(board: Board, galleries: dict[str, Gallery], real: Site, visit: Open) -> None:
    reader, gallery = visit(real, scripts=False), galleries[TARGET]
    reader.open(f"mini-1/gallery-{TARGET}.html")
    strips = reader.page.locator("table.strips").all()
    kinds = ("identity", "hue_set_120", "hue_set_240")
    places = [(image, kind) for _, image in gallery.choice.images for kind in kinds]
    for strip, (image, kind) in zip(strips, places, strict=True):
        keys = [(method, image, tap, kind) for method in gallery.methods for tap in gallery.target.tap_names]
        files = [gallery.files[key] for key in keys]
        files.insert(0, str(gallery.seen(image, kind)))
        assert strip.locator("img").evaluate_all("(all) => all.map((one) => one.getAttribute('src'))") == [
            f"../images/{file}.png" for file in files
        ]
        assert [Path(real.out / "images" / f"{file}.png").is_file() for file in files] == [True] * len(files)
