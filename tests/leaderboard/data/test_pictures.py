"""Which images a board shows and why, and that they are the pixels of the records and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from boards import audit_table
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import IntegrityError
from benchmark.records.audit import decode_png, encode_png
from benchmark.records.columns import AUDIT_SCHEMA
from benchmark.records.record import load_audit
from benchmark.suites.lock import Lock
from benchmark.suites.spec import INPUT, Suite
from leaderboard.data.board import Board
from leaderboard.data.entries import Entry, load_entries
from leaderboard.data.pictures import (
    CHOICE_RULE,
    FULL,
    ImageStore,
    choose,
    gallery_data,
    kind_words,
    make_gallery,
    picture_scores,
)
from leaderboard.data.rankings import reference_of
from leaderboard.data.views import AS_DEFINED, Views, axes_of, kinds_of
from leaderboard.site.pages.strips import own_scores

Enter = Callable[..., Path]
Make = Callable[..., Board]
Site = Any
Images = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def board(tiny_board: Make) -> Board:
    return tiny_board(("copy", 1.0), ("mean", 0.0), ("one", 0.5), ("two", 0.8))


@pytest.fixture(scope="module")
def entry(board: Board) -> Entry:
    return next(entry for entry in board.loaded if entry.submission.id == "one")


def scored(entry: Entry, target: str, scores: Sequence[Sequence[Sequence[float | None]]]) -> Entry:
    """Return an entry with these scores (axes, taps, images) as the axes define them, and under identity."""
    values = np.array(scores, np.float32)
    images = np.full((values.shape[0], 5, *values.shape[1:]), np.nan, np.float32)
    images[:, 0] = images[:, 1] = values
    names = tuple(f"i{number}" for number in range(values.shape[-1]))
    return replace(entry, images=names, views=Views({}, np.zeros(0, np.float32), {target: images}))


SCORES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(-1, 1, width=32))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_choice_follows_its_rule(entry: Entry, data: st.DataObject) -> None:
    count, methods = data.draw(st.integers(3, 7)), data.draw(st.integers(1, 3))
    axis = st.lists(st.lists(SCORES, min_size=count, max_size=count), min_size=2, max_size=2)
    scores = data.draw(st.lists(st.lists(axis, min_size=3, max_size=3), min_size=methods, max_size=methods))
    names = [f"i{number}" for number in range(count)]
    shown = data.draw(st.permutations(names).map(lambda order: order[: max(3, count - 2)]))
    mean = {}
    for name in shown:
        number = int(name[1:])
        each = [statistics.fmean(tap[number] for axis in method for tap in axis) for method in scores]
        mean[name] = statistics.fmean(each)
    found = choose([scored(entry, "t", method) for method in scores], "t", shown)
    assert found.scores == pytest.approx(mean, abs=1e-6)
    chosen = {role: mean[name] for role, name in found.images}
    assert list(chosen) == ["best", "median", "worst"]
    assert len({name for _, name in found.images}) == 3
    assert chosen["best"] == pytest.approx(max(mean.values()), abs=1e-6)
    assert chosen["median"] == pytest.approx(statistics.median_low(mean.values()), abs=1e-6)
    assert chosen["worst"] == pytest.approx(min(mean.values()), abs=1e-6)
    again = choose([scored(entry, "t", method) for method in scores], "t", sorted(shown))
    assert again.images == found.images, "the order of the images has no say"


def test_ties_go_by_the_name_of_the_image(entry: Entry) -> None:
    alike = scored(entry, "t", [[[0.5] * 4]] * 3)
    found = choose([alike], "t", ["i3", "i1", "i0", "i2"])
    assert found.images == (("best", "i0"), ("median", "i2"), ("worst", "i3"))


def test_two_images_have_no_median_and_one_no_role(entry: Entry) -> None:
    two = scored(entry, "t", [[[0.25, 0.5]]] * 3)
    assert choose([two], "t", ["i0", "i1"]).images == (("best", "i1"), ("worst", "i0"))
    assert choose([two], "t", ["i1"]).images == (("", "i1"),)
    assert choose([two], "t", []).images == ()


def test_without_scores_the_first_three_images_are_chosen_without_a_role(entry: Entry) -> None:
    unscored = replace(entry, views=None, images=())
    found = choose([unscored], "t", ["c", "a", "b", "d"])
    assert (found.images, found.scores) == ((("", "c"), ("", "a"), ("", "b")), {})
    other = scored(entry, "another target", [[[0.25, 0.5]]] * 3)
    assert choose([other], "t", ["i0", "i1"]).images == (("", "i0"), ("", "i1"))


def test_entries_without_scores_have_no_say(entry: Entry) -> None:
    own = scored(entry, "t", [[[0.25, 0.5, 0.75]]] * 3)
    images = ["i0", "i1", "i2"]
    assert choose([own, replace(entry, views=None)], "t", images) == choose([own], "t", images)


def test_taps_that_are_not_scored_are_left_out_of_the_mean(entry: Entry) -> None:
    nan = float("nan")
    part = scored(entry, "t", [[[0.2, 0.4, 0.9], [0.4, nan, 0.1]], [[nan] * 3] * 2, [[nan] * 3] * 2])
    assert choose([part], "t", ["i0", "i1", "i2"]).scores == pytest.approx({"i0": 0.3, "i1": 0.4, "i2": 0.5})


def test_the_rule_is_written_as_it_is_done() -> None:
    assert all(word in CHOICE_RULE for word in ("best", "median", "worst", "mean", "methods", "axes", "taps"))


def test_reference_points_are_shown_only_where_there_is_nothing_else(
    board: Board, tiny_board: Make, tmp_path: Path
) -> None:
    (gallery,) = make_gallery(board.suite, board.lock, board.entries, ImageStore(tmp_path / "a")).values()
    assert gallery.methods == ("two", "one")
    alone = tiny_board(("copy", 1.0), ("mean", 0.0))
    (gallery,) = make_gallery(alone.suite, alone.lock, alone.entries, ImageStore(tmp_path / "b")).values()
    assert gallery.methods == ("copy", "mean")


def test_only_the_first_methods_are_shown_under_every_perturbation(tiny_board: Make, tmp_path: Path) -> None:
    parts = [tiny_board(*((f"m{n:02d}", 0.9 - n / 50) for n in numbers)) for numbers in (range(7), range(7, 14))]
    suite = parts[0].suite
    board = Board(suite, parts[0].lock, [entry for part in parts for entry in part.loaded])
    (gallery,) = make_gallery(suite, board.lock, board.entries, ImageStore(tmp_path)).values()
    assert (len(gallery.methods), gallery.full) == (14, FULL)
    kinds = {name: {kind for method, _, _, kind in gallery.files if method == name} for name in gallery.methods}
    assert all(kinds[name] == set(suite.perturbations) for name in gallery.methods[:FULL])
    assert all(kinds[name] == {"identity"} for name in gallery.methods[FULL:])
    (target,) = suite.targets
    data = gallery_data(suite, gallery, {entry.submission.id: entry for entry in board.entries})
    for method in data["methods"]:
        shape = (len(data["images"]), len(target.taps), len(data["kinds"]))
        absent = (np.array(method["files"]).reshape(shape) == -1).any((0, 1))
        assert dict(zip(data["kinds"], absent, strict=True)) == {
            kind: kind not in kinds[method["id"]] for kind in suite.perturbations
        }


def bytes_of(entry: Entry) -> dict[tuple[str, str, str, str], bytes]:
    audit = load_audit(entry.folder, entry.record)
    columns = [audit.column(name).to_pylist() for name in ("image", "target", "tap", "perturbation", "png")]
    return {key: png for *key_, png in zip(*columns, strict=True) if (key := tuple(key_))}


@pytest.mark.parametrize("which", ["rich", "real"])
def test_every_picture_is_the_one_of_the_record(which: str, request: pytest.FixtureRequest) -> None:
    site = request.getfixturevalue(which)
    (board,) = site.boards
    entries = {entry.submission.id: entry for entry in board.loaded}
    audits = {name: bytes_of(entry) for name, entry in entries.items()}
    compared = 0
    for target in board.suite.targets:
        text = (site.out / board.folder / "data" / f"gallery-{target.id}.js").read_text(encoding="utf-8")
        data = json.loads(text.partition(").gallery=")[2].removesuffix(";\n"))
        assert (data["kinds"], data["taps"]) == (list(board.suite.perturbations), list(target.tap_names))
        assert data["axes"] == list(axes_of(board.suite)) and data["size"] == [96, 96]

        def same(
            index: int,
            png: bytes,
            names: Sequence[str] = data["names"],
            size: tuple[int, int] = target.input_size,
        ) -> None:
            shown = (site.out / "images" / f"{names[index]}.png").read_bytes()
            assert np.array_equal(decode_png(shown, size), decode_png(png, size))

        first = audits[data["methods"][0]["id"]]
        seen = iter(data["seen"])
        for image in data["images"]:
            for kind in data["kinds"]:
                same(next(seen), first[image, target.id, INPUT, kind])
        for number, method in enumerate(data["methods"]):
            files = iter(method["files"])
            for image in data["images"]:
                for tap in data["taps"]:
                    for kind in data["kinds"]:
                        index = next(files)
                        assert (index == -1) == (kind != "identity" and number >= data["full"])
                        if index >= 0:
                            same(index, audits[method["id"]][image, target.id, tap, kind])
                            compared += 1
    assert compared > 100


def shown_under(suite: Suite, axis: int, kind: str) -> str:
    """The kind whose score stands below a picture: that of color is the one that all hue kinds have together."""
    return AS_DEFINED if axes_of(suite)[axis] == "color" and kind.startswith("hue") else kind


def test_scores_below_pictures_are_those_of_the_images(board: Board, tmp_path: Path) -> None:
    suite = board.suite
    (gallery,) = make_gallery(suite, board.lock, board.entries, ImageStore(tmp_path)).values()
    entry = next(entry for entry in board.entries if entry.submission.id == "two")
    images = [image for _, image in gallery.choice.images]
    found = picture_scores(suite, gallery, entry, images)
    assert entry.views is not None
    for axis, row in enumerate(found):
        scores = iter(row)
        for image in images:
            for tap in range(len(gallery.target.taps)):
                for kind in suite.perturbations:
                    place = kinds_of(suite).index(shown_under(suite, axis, kind))
                    value = entry.views.images[gallery.target.id][axis, place, tap, entry.images.index(image)]
                    score = next(scores)
                    assert score is None if np.isnan(value) else score == pytest.approx(100 * value, abs=0.501)
    assert picture_scores(suite, gallery, replace(entry, views=None), images) == []


def test_images_are_named_by_what_they_hold(board: Board, tmp_path: Path) -> None:
    store = ImageStore(tmp_path / "images")
    galleries = make_gallery(board.suite, board.lock, board.entries, store)
    held = {name for gallery in galleries.values() for name in gallery.files.values()}
    assert held == {path.stem for path in store.folder.iterdir()}
    for path in store.folder.iterdir():
        assert re.fullmatch(r"[0-9a-f]{20}\.png", path.name)
        size = board.suite.targets[0].input_size
        pixels = decode_png(path.read_bytes(), size).tobytes()
        assert path.stem == hashlib.sha256(repr(size).encode() + pixels).hexdigest()[:20]


def test_stale_images_go_and_other_files_stay(board: Board, tmp_path: Path) -> None:
    stale, photo, other = (tmp_path / name for name in (f"{'0' * 20}.png", "photo.png", f"{'0' * 20}.svg"))
    for path in (stale, photo, other):
        path.write_bytes(b"old")
    store = ImageStore(tmp_path)
    make_gallery(board.suite, board.lock, board.entries, store)
    store.prune()
    assert not stale.exists() and photo.exists() and other.exists()
    assert len(list(tmp_path.iterdir())) > 2


def test_what_is_no_image_is_refused(suite: Suite, lock: Lock, root: Path, enter: Enter, tmp_path: Path) -> None:
    row = {"image": suite.audit_images[0], "target": "mini-vit", "tap": "input", "perturbation": "identity"}  # type: ignore[index]
    table = pa.Table.from_pylist([row | {"png": b"<html>"}], schema=AUDIT_SCHEMA)
    pq.write_table(table, enter("hostile", 0.9) / "audit.parquet")
    with pytest.raises(IntegrityError) as caught:
        make_gallery(suite, lock, load_entries(suite, lock, [root]), ImageStore(tmp_path / "images"))
    assert caught.value.where == str(root / "hostile" / "records" / suite.id / "audit.parquet")
    assert not (tmp_path / "images").exists() or not list((tmp_path / "images").iterdir())


def test_pictures_are_encoded_anew_and_hold_nothing_but_their_pixels(
    suite: Suite, lock: Lock, root: Path, enter: Enter, tmp_path: Path
) -> None:
    def loaded(suite: Suite, level: float) -> pa.Table:
        rows = audit_table(suite, level).to_pylist()
        for row in rows:
            head, data = row["png"][:33], row["png"][41:-16]
            row["png"] = head + chunk(b"IDAT", data, b"evil") + chunk(b"IDAT", b"", b"more") + row["png"][-12:]
        return pa.Table.from_pylist(rows, schema=AUDIT_SCHEMA)

    folder = enter("ridge", 0.5, images=loaded)
    assert b"evil" in (folder / "audit.parquet").read_bytes()
    store = ImageStore(tmp_path / "images")
    make_gallery(suite, lock, load_entries(suite, lock, [root]), store)
    written = list((tmp_path / "images").iterdir())
    assert len(written) == len(store.names) > 5
    for path in written:
        png = path.read_bytes()
        assert png == encode_png(decode_png(png, suite.targets[0].input_size)) and b"evil" not in png


def chunk(name: bytes, content: bytes, checksum: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + name + content + checksum


def test_an_image_of_another_size_is_refused(board: Board, tmp_path: Path) -> None:
    target = board.suite.targets[0].model_copy(update={"input_size": (9, 8)})
    suite = board.suite.model_copy(update={"targets": (target,)})
    with pytest.raises(IntegrityError) as caught:
        make_gallery(suite, board.lock, board.entries, ImageStore(tmp_path))
    assert str(caught.value.where).endswith("audit.parquet")


def test_audit_images_that_were_changed_are_refused(
    suite: Suite, lock: Lock, root: Path, enter: Enter, tmp_path: Path
) -> None:
    folder = enter("first", 0.9)
    (folder / "audit.parquet").write_bytes((enter("second", 0.4) / "audit.parquet").read_bytes())
    with pytest.raises(IntegrityError, match=re.escape(str(folder / "audit.parquet"))):
        make_gallery(suite, lock, load_entries(suite, lock, [root]), ImageStore(tmp_path / "images"))


def test_a_suite_that_only_counts_its_audit_images_shows_those_of_the_records(board: Board, tmp_path: Path) -> None:
    counting = board.suite.model_copy(update={"audit_images": 1})
    (gallery,) = make_gallery(counting, board.lock, board.entries, ImageStore(tmp_path)).values()
    assert [image for _, image in gallery.choice.images] == list(board.suite.audit_images)  # type: ignore[arg-type]
    (nothing,) = make_gallery(counting, board.lock, [], ImageStore(tmp_path)).values()
    assert (nothing.methods, nothing.choice.images, nothing.files) == ((), (), {})


def test_what_was_not_recorded_is_not_shown(board: Board, tmp_path: Path) -> None:
    (gallery,) = make_gallery(board.suite, board.lock, board.entries, ImageStore(tmp_path)).values()
    assert gallery.seen(board.suite.audit_images[0], "identity")  # type: ignore[index]
    assert gallery.seen("another", "identity") is None


def test_a_method_has_images_chosen_by_its_own_scores_too(real: Site, tmp_path: Path) -> None:
    (board,) = real.boards
    galleries = make_gallery(board.suite, board.lock, board.entries, ImageStore(tmp_path))
    entries = {entry.submission.id: entry for entry in board.loaded}
    for target, gallery in galleries.items():
        assert gallery.own.keys() == set(gallery.methods)
        for name, choice in gallery.own.items():
            assert choice == choose([entries[name]], target, board.suite.audit_images)
            for _, image in choice.images:
                assert all(gallery.files[name, image, tap, "identity"] for tap in gallery.target.tap_names)


PICTURE = re.compile(r'alt="(\S+), ([^:"]+): recon of (\S+) at (\S+)"[^>]*><span class="own">([^<]+)</span>')


def test_under_every_picture_of_a_strip_stand_its_own_scores(real: Site) -> None:
    (board,) = real.boards
    suite, entries = board.suite, {entry.submission.id: entry for entry in board.loaded}
    kinds = {kind_words(kind): kind for kind in suite.perturbations}
    for target in suite.targets:
        page = (real.out / f"mini-1/gallery-{target.id}.html").read_text(encoding="utf-8")
        found = PICTURE.findall(page)
        assert len(found) == page.count(": recon of ")
        entered = [name for name, entry in entries.items() if reference_of(entry) is None]
        assert {name for _, _, name, _, _ in found} == set(entered) and len(entered) >= 6
        for image, words, name, tap, text in found:
            entry = entries[name]
            tap_index, column = target.tap_names.index(tap), entry.images.index(image)
            expected = [
                entry.views.images[target.id][
                    axis, kinds_of(suite).index(shown_under(suite, axis, kinds[words])), tap_index, column
                ]
                for axis in range(len(axes_of(suite)))
            ]
            shown = [float("nan") if part == "–" else float(part.replace("−", "-")) for part in text.split()]
            assert shown == pytest.approx(expected, abs=0.00501, nan_ok=True), (target.id, image, words, name, tap)


def test_scores_under_a_picture_lose_their_zero_and_nothing_else(board: Board, entry: Entry, tmp_path: Path) -> None:
    (gallery,) = make_gallery(board.suite, board.lock, board.entries, ImageStore(tmp_path)).values()
    nan = float("nan")
    values = {".46": 0.456, "1.00": 1.0, "–": nan, ".00": -0.001, "−.46": -0.456, "−10.46": -10.456, "20.50": 20.5}
    for text, value in values.items():
        alike = scored(entry, gallery.target.id, [[[value]]] * 3)
        assert own_scores(board.suite, gallery, alike, "i0", 0, "identity") == f"{text} {text} {text}"


def test_perturbations_in_words() -> None:
    words = [kind_words(kind) for kind in ("identity", "gray", "hue_set_120", "hue_shift_240", "axes")]
    assert len(set(words)) == 5
    assert "120°" in words[2] and "240°" in words[3]
    assert kind_words("something_new") == "something_new"
