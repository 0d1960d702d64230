"""Data for the pages' scripts: what they unpack is what the records hold, and no text ends a script."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmark.records.bootstrap import widening
from benchmark.records.equivalent import FLAT_COLOR
from benchmark.records.statistics import masked_mean
from leaderboard.data.board import Board
from leaderboard.data.equivalents import yardsticks_of
from leaderboard.data.views import AS_DEFINED, Views, axes_of, columns_of, kinds_of, scopes_of
from leaderboard.site.marks import NOTHING
from leaderboard.site.scripts import (
    PACK_SCALE,
    compare_script,
    iter_packs,
    pack_script,
    script,
    views_script,
)

Make = Callable[..., Board]
Site = Any
HEAD = "(window.invbench=window.invbench||{})"


@pytest.fixture(scope="module")
def board(tiny_board: Make) -> Board:
    return tiny_board(("copy", 1.0), ("one", 0.5), ("two", 0.8))


def value_of(text: str, name: str) -> Any:
    """Return what a script sets; the script must be one statement."""
    found = re.fullmatch(rf"{re.escape(HEAD)}\.{name}=(.*);\n", text)
    assert found
    return json.loads(found[1])


Numbers = npt.NDArray[np.float64]


def unpack(text: str, shape: tuple[int, ...]) -> tuple[str, Numbers, Numbers]:
    """Return the key of a pack, its scores and their means, NaN where there are none, as `compare.js` reads them."""
    found = re.fullmatch(r'window\.invbench\.packs\[("[^"\\]+")\]=(.*);\n', text)
    assert found
    pack = json.loads(found[2])
    assert pack.keys() == {"scores", "means"} and re.fullmatch("[A-Za-z0-9+/=]*", pack["scores"])
    numbers = np.frombuffer(base64.b64decode(pack["scores"]), "<i2").astype(np.float64).reshape(shape)
    means = np.array(pack["means"], np.float64).reshape(shape[:-1])
    return json.loads(found[1]), np.where(numbers == -32768, np.nan, numbers * 1e-4), means


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1000, 1000), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=10), inner, max_size=4)),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(JSON)
@example("</script><script>alert(1)</script>")
@example("<!--<script>")
@example("]]>&lt;")
@example({"\u2028": "\u2029\\u003c\\"})
@example("'\";//\n\r\\")
def test_no_text_ends_a_script_or_a_line_of_it(value: Any) -> None:
    text = script("anything", value)
    assert value_of(text, "anything") == value
    body = text.removeprefix(HEAD)
    assert not re.search("[<>&\u2028\u2029\r]", body)
    assert body.count("\n") == 1 and body.endswith("\n")


def test_what_is_no_number_in_json_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        script("anything", float("nan"))


@pytest.mark.parametrize("which", ["rich", "real"])
def test_packs_hold_the_scores_of_every_image(which: str, request: pytest.FixtureRequest) -> None:
    site: Site = request.getfixturevalue(which)
    (board,) = site.boards
    suite, folder = board.suite, site.out / board.folder / "data"
    columns, found = columns_of(suite), set()
    for entry in (entry for entry in board.loaded if entry.views is not None):
        for target in suite.targets:
            shape = (len(columns), len(target.taps), len(entry.images))
            text = (folder / f"images-{entry.submission.id}-{target.id}.js").read_text(encoding="utf-8")
            key, scores, means = unpack(text, shape)
            assert key == f"{entry.submission.id}/{target.id}"
            images = entry.views.images[target.id]
            for number, (axis, kind) in enumerate(columns):
                expected = images[axes_of(suite).index(axis), kinds_of(suite).index(kind)]
                assert scores[number] == pytest.approx(np.clip(expected, -3.2, 3.2), abs=PACK_SCALE, nan_ok=True)
                whole = masked_mean(expected.T.astype(np.float64))
                assert means[number] == pytest.approx(whole, abs=1e-12, nan_ok=True), "not rounded"
            found.add(key)
    assert len(found) == len(list(folder.glob("images-*.js"))) > 0
    data = value_of(
        (folder / "compare.js").read_text(encoding="utf-8").partition("window.invbench.packs")[0], "compare"
    )
    assert {f"{name}/{target}" for name in data["names"] for target in data["targets"]} == found


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_scores_survive_packing(board: Board, data: st.DataObject) -> None:
    suite, entry = board.suite, board.entries[0]
    (target,) = suite.targets
    shape = (len(axes_of(suite)), len(kinds_of(suite)), len(target.taps), 3)
    number = st.one_of(st.just(float("nan")), st.floats(-5, 5, width=32))
    images = data.draw(arrays(np.float32, shape, elements=number, fill=number))
    other = replace(entry, views=Views({}, np.zeros(0, np.float32), {target.id: images}))
    columns = columns_of(suite)
    _, scores, means = unpack(pack_script(suite, other, target), (len(columns), *shape[2:]))
    places = [(axes_of(suite).index(axis), kinds_of(suite).index(kind)) for axis, kind in columns]
    expected: npt.NDArray[np.float64] = np.stack([images[place] for place in places]).astype(np.float64)
    assert np.array_equal(np.isnan(scores), np.isnan(expected)), "absent stays absent, and nothing becomes absent"
    assert scores == pytest.approx(np.clip(expected, -3.2, 3.2), abs=PACK_SCALE, nan_ok=True)
    assert means == pytest.approx(np.ma.masked_invalid(expected).mean(-1).filled(np.nan), abs=1e-12, nan_ok=True)


def test_columns_name_everything_once_that_an_image_is_scored_by(board: Board) -> None:
    suite = board.suite
    columns = columns_of(suite)
    assert len(columns) == len(set(columns))
    assert [axis for axis, kind in columns if kind == AS_DEFINED] == list(axes_of(suite))
    entry = next(entry for entry in board.entries if entry.views is not None)
    assert entry.views is not None
    (target,) = suite.targets
    scored = np.any(~np.isnan(entry.views.images[target.id]), axis=(2, 3))  # (axes, kinds)
    for a, axis in enumerate(axes_of(suite)):
        kinds = {kind for k, kind in enumerate(kinds_of(suite)) if scored[a, k]}
        left_out = kinds - {kind for of, kind in columns if of == axis}
        assert left_out <= {"identity"}, "which is the axis as defined"
        if left_out:
            same = entry.views.images[target.id][a]
            assert np.array_equal(same[0], same[kinds_of(suite).index("identity")], equal_nan=True)


def test_views_are_whole_thousandths(board: Board) -> None:
    suite = board.suite
    for target in (None, *suite.targets):
        data = value_of(views_script(board, target), "views")
        assert (data["kinds"], data["axes"]) == (list(kinds_of(suite)), list(axes_of(suite)))
        assert data["scopes"] == (["*"] if target is None else list(scopes_of(target)))
        for entry in board.entries:
            views = entry.shown[target.id if target else None]
            found = np.array(data["rows"][entry.submission.id], np.float64).reshape(views.shape) / 1000
            assert found == pytest.approx(views, abs=0.00051, nan_ok=True)


def test_scores_below_0_stay_below_0_in_views(board: Board) -> None:
    (target,) = board.suite.targets
    entry = board.entries[0]
    low = np.where(np.isnan(entry.shown[target.id]), np.nan, np.float32(-0.001))
    other = replace(entry, shown={**entry.shown, target.id: low})
    below = replace(board, loaded=[other if one is entry else one for one in board.loaded])
    found = value_of(views_script(below, target), "views")["rows"][entry.submission.id]
    assert set(found) == ({-1} | ({None} if np.isnan(low).any() else set()))


def test_views_hold_the_yardsticks_that_python_measures_by(board: Board) -> None:
    for target in (None, *board.suite.targets):
        data = value_of(views_script(board, target), "views")
        expected = yardsticks_of(board.suite, board.lock, target.id if target else None)
        assert {axis: dict(own) for axis, own in data["yardsticks"].items()} == expected
        assert all(len(own) > 1 for own in expected.values())
        assert (data["flat"], data["nothing"]) == (FLAT_COLOR, NOTHING)


def test_whole_targets_and_single_taps_are_what_the_record_states(real: Site) -> None:
    (board,) = real.boards
    axes, compared = axes_of(board.suite), 0
    for target in board.suite.targets:
        data = value_of(views_script(board, target), "views")
        shape = (len(data["scopes"]), len(data["kinds"]), len(axes), 3)
        for entry in board.loaded:
            stated = entry.record.targets[target.id]
            numbers = np.array(data["rows"][entry.submission.id]).reshape(shape)
            for scope, scores in {"*": stated.axes, **{tap: score.axes for tap, score in stated.taps.items()}}.items():
                for axis, score in scores.items():
                    assert score.value is not None and score.low is not None and score.high is not None
                    expected = [round(1000 * end) for end in (score.value, score.low, score.high)]
                    found = numbers[data["scopes"].index(scope), :, axes.index(axis)]
                    assert np.abs(found[0] - expected).max() <= 1, "half a thousandth may go either way"
                    assert found[0] / 1000 == pytest.approx([score.value, score.low, score.high], abs=0.000501)
                    if axis != "color":
                        assert np.array_equal(found[data["kinds"].index("identity")], found[0])
                    compared += 1
    assert compared > 200


def test_what_is_not_ranked_shows_what_its_record_states_and_no_more(rich: Site) -> None:
    (board,) = rich.boards
    (target, *_), kinds = board.suite.targets, kinds_of(board.suite)
    entry = next(entry for entry in board.loaded if entry.submission.id == "half-precision")
    assert not entry.rankable and entry.views is None
    shown, scopes = entry.shown[target.id], list(scopes_of(target))
    for tap, score in entry.record.targets[target.id].taps.items():
        stated = [[a.value, a.low, a.high] for a in (score.axes[axis] for axis in axes_of(board.suite))]
        assert shown[scopes.index(tap), 0] == pytest.approx(np.array(stated, float), nan_ok=True)
    there = {(s, kinds[k]) for s, k in np.argwhere(~np.isnan(shown[..., 0]).all(-1))}
    assert {kind for _, kind in there} == {AS_DEFINED, "identity"}
    assert not [scope for s, scope in enumerate(scopes) if scope.startswith("stage:") and (s, AS_DEFINED) in there]
    page = rich.pages["mini-1/method-half-precision.html"].text
    assert f"Axes by tap and perturbation on {target.id}" in page


def test_what_may_not_be_ranked_has_no_scores_of_images_in_scripts(rich: Site) -> None:
    (board,) = rich.boards
    ranked = {entry.submission.id for entry in board.loaded if entry.rankable}
    assert {"partial", "draft", "withdrawn", "half-precision"}.isdisjoint(ranked)
    assert {name.split("-mini-")[0].removeprefix("images-") for name, _ in iter_packs(board)} == ranked


def test_the_comparison_resamples_as_the_board_does(board: Board) -> None:
    text = compare_script(board)
    first, _, second = text.partition(";\nwindow.invbench.packs=")
    assert second == "{};\n"
    data = value_of(f"{first};\n", "compare")
    assert data["seed"] == board.suite.bootstrap_seed
    groups = next(entry.groups for entry in board.entries if entry.views is not None)
    pairs = set(zip(groups, data["members"], strict=True))
    assert len(pairs) == len(set(groups)) == len(set(data["members"])) == len(data["widening"]) - 1
    assert data["widening"][:2] == [None, None]
    assert data["widening"][2:] == pytest.approx(widening(np.arange(2, len(data["widening"]))).tolist(), abs=1e-6)
    assert (data["scale"], data["absent"]) == (PACK_SCALE, -32768)
    assert data["names"] == ["two", "one", "copy"]
    assert data["columns"] == [list(column) for column in columns_of(board.suite)]
