"""What stands beside a score: words for thumbnails and for scores that say nothing, pulls in sentences, counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from boards import IMAGES, PHOTOGRAPHS

from benchmark.records.equivalent import Equivalent
from benchmark.records.record import Estimate, PullScore
from benchmark.suites.spec import HUE_PERTURBATIONS
from leaderboard.data.board import Board
from leaderboard.data.pictures import pictured
from leaderboard.data.views import axes_of
from leaderboard.site.marks import NOTHING, Marks, thumbnail_words, units_words
from leaderboard.site.pages.overview import differences_words
from leaderboard.site.pages.pulls import answer_words, pull_answers, pull_of

Make = Callable[..., Board]
Site = Any
UNUSUAL = "objects in an unusual color"


@pytest.fixture(scope="module")
def board(tiny_board: Make) -> Board:
    return tiny_board(("one", 0.5), ("two", 0.8))


@pytest.mark.parametrize(
    ("equivalent", "words"),
    [
        (None, ""),
        (Equivalent("9x9", "7", "12"), "as good as a 9×9 thumbnail [7, 12]"),
        (Equivalent("9x9", None, None), "as good as a 9×9 thumbnail"),
        (Equivalent("< 2", "< 2", "2.5"), "worse than a 2×2 thumbnail [< 2, 2.5]"),
        (Equivalent("> 48", "> 48", "> 48"), "better than a 48×48 thumbnail"),
    ],
)
def test_thumbnails_in_words(equivalent: Equivalent | None, words: str) -> None:
    assert thumbnail_words(equivalent) == words


@pytest.mark.parametrize(
    ("value", "low", "high", "nothing"),
    [(0.01, -0.01, 0.03, True), (0.01, 0.0, 0.03, True), (-0.03, -0.05, -0.01, True), (0.02, 0.001, 0.04, False),
     (0.01, None, None, False)],
)  # fmt: skip
def test_a_score_whose_interval_contains_0_is_no_better_than_an_answer_that_ignores_the_image(
    board: Board, value: float, low: float | None, high: float | None, nothing: bool
) -> None:
    remarks = Marks(board, "tiny-vit").remarks("detail", Estimate(value=value, low=low, high=high))
    assert (NOTHING in remarks) == nothing
    assert remarks[-1].endswith(" thumbnail") or "thumbnail [" in remarks[-1]


def test_images_and_groups_are_counted(board: Board) -> None:
    assert units_words(board) == f"{IMAGES} images in {PHOTOGRAPHS} groups"
    images = {f"a{i}@8x8": "0" * 64 for i in range(6)}
    lock = board.lock.model_copy(update={"images": images, "groups": {"a0": "g", "a1": "g"}})
    assert units_words(replace(board, lock=lock)) == "6 images in 5 groups"
    assert units_words(replace(board, loaded=[])) == f"{IMAGES} images"


def test_the_page_says_which_axis_makes_the_differences_and_who_leads(board: Board) -> None:
    table = board.tables[None]
    shares, leads = differences_words(table)
    assert leads == "two leads on all axes."
    order = sorted(table.shares, key=lambda axis: -table.shares[axis])
    assert [shares.index(axis.upper()) for axis in order] == sorted(shares.index(axis.upper()) for axis in order)
    assert all(f"{axis.upper()} {100 * share:.0f}" in shares for axis, share in table.shares.items())
    assert differences_words(replace(table, leaders=()))[-1] == "No submission leads on all axes."
    assert differences_words(replace(table, leaders=("a", "b")))[-1] == "a and b share the lead on all axes."
    assert differences_words(replace(table, ranked=table.ranked[:1])) == []


def pulled(board: Board, *scores: tuple[float, float, float]) -> str:
    """Return the sentence for these pulls of unusual colors at the first taps."""
    entry, (target,) = board.loaded[0], board.suite.targets
    stated = entry.record.targets[target.id]
    taps = dict(stated.taps)
    for name, (value, low, high) in zip(target.tap_names, scores, strict=True):
        score = PullScore(value=value, low=low, high=high, images=8)
        taps[name] = taps[name].model_copy(update={"pull": {"recolored": score}})
    record = entry.record.model_copy(update={"targets": {target.id: stated.model_copy(update={"taps": taps})}})
    found = pull_of(replace(entry, record=record), target)
    assert found is not None and found.rows[0][1][1] is None, "none in their usual color"
    return found.sentence


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ((0.04, 0.02, 0.06), (0.03, 0.01, 0.05),
         f"{UNUSUAL} are drawn towards the usual color of their category at first (+0.040 [+0.020, +0.060]) and "
         "second (+0.030 [+0.010, +0.050])."),
        ((0.04, 0.02, 0.06), (0.01, -0.01, 0.03),
         f"{UNUSUAL} are drawn towards the usual color of their category at first (+0.040 [+0.020, +0.060]), and no "
         "pull to the usual color is found at second (the 95 % interval contains 0)."),
        ((-0.04, -0.06, -0.02), (0.01, -0.01, 0.03),
         f"{UNUSUAL} are drawn away from their usual color at first (−0.040 [−0.060, −0.020]), and no pull to the "
         "usual color is found at second (the 95 % interval contains 0)."),
        ((0.0, -0.02, 0.02), (0.01, -0.01, 0.03),
         f"for {UNUSUAL}, no pull to the usual color is found at any tap (the 95 % interval contains 0)."),
    ],
)  # fmt: skip
def test_one_sentence_says_what_is_found_whichever_way_it_comes_out(
    board: Board, first: tuple[float, float, float], second: tuple[float, float, float], told: str
) -> None:
    assert pulled(board, first, second) == f"one on tiny-vit: {told}"


def test_the_color_page_sets_pulls_beside_answers_that_invert_nothing(rich: Site) -> None:
    (board,) = rich.boards
    for target in board.suite.targets:
        page = rich.pages[f"{board.folder}/target-{target.id}.html"]
        for entry in board.charted(target.id):
            pull = pull_of(entry, target)
            assert pull is not None and pull.sentence in page.text
        for name, values in pull_answers(board.lock, target):
            assert page.text.count(name) >= len(board.charted(target.id))
            assert all(value is None or f"{value:.3f}" in page.text for value in values)
        assert page.text.count("training mean") >= 2 * len(board.charted(target.id)), "beside gains and pulls"


def test_the_protocol_shows_the_yardsticks_and_the_answers_of_the_lock(rich: Site) -> None:
    (board,) = rich.boards
    text = rich.pages[f"{board.folder}/suite.html"].text
    for by_axis in board.lock.yardsticks.values():
        for scores in by_axis.values():
            assert all(f"{score:.3f}" in text for score in scores.values())
    for answers in board.lock.answers.values():
        for name, answer in answers.items():
            assert answer_words(name) in text
            assert all(metric in text and f"{value:.3f}" in text for metric, value in answer.metrics.items())
    assert units_words(board) in text
    assert not [word for word in ("anchor", "trivial answer") if word in text.lower()]


def test_answers_in_words() -> None:
    assert answer_words("training_mean") == "training mean image"
    assert answer_words("thumbnail_8") == "8×8 thumbnail"
    assert answer_words("prototype_30") == "image with objects blended by 30 % with the usual color"
    assert answer_words("something_else") == "something else"


def test_pictures_of_every_hue_kind_show_the_one_score_of_color_and_others_none(rich: Site) -> None:
    (board,) = rich.boards
    suite, (target, *_) = board.suite, board.suite.targets
    entry = next(entry for entry in board.entries if entry.views is not None)
    images = entry.views.images[target.id]
    found, axes = pictured(suite, images), axes_of(suite)
    for k, kind in enumerate(suite.perturbations):
        expected = images[:, 1 + k].copy()
        if kind in HUE_PERTURBATIONS:
            expected[axes.index("color")] = images[axes.index("color"), 0]
        assert np.array_equal(found[:, k], expected, equal_nan=True), kind
        assert np.isnan(found[axes.index("color"), k]).all() == (kind not in HUE_PERTURBATIONS)
