"""Places on a board: by score, tied where the groups of images do not separate, per target and overall."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boards import FOUR, write_again, write_entry
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import SpecError
from benchmark.records.record import load_record, load_scores
from benchmark.records.scores import NOT_FINITE, get_reason_names, scores_from_table
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Suite
from leaderboard.data.board import Board
from leaderboard.data.entries import Entry, load_entries
from leaderboard.data.pairs import pairs
from leaderboard.data.rankings import Row, Table, make_table
from leaderboard.data.scores import scores_of
from leaderboard.data.views import axes_of

Enter = Callable[..., Path]
Make = Callable[..., Board]
AXES = ("detail", "shape", "color")


def rows_of(table: Table) -> dict[str, Row]:
    return {row.entry.submission.id: row for row in table.rows}


def places(table: Table) -> dict[str, int]:
    return {row.entry.submission.id: row.place for row in table.ranked if row.place}


@pytest.fixture(scope="module")
def entries(suite: Suite, lock: Lock, tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    folder = tmp_path_factory.mktemp("entries")
    for name, level in (*FOUR, ("near", 0.7995), ("low", 0.3)):
        write_entry(suite, lock, folder, name, level)
    return load_entries(suite, lock, [folder])


def with_scores(entry: Entry, name: str, change: Callable[[np.ndarray], np.ndarray]) -> Entry:
    """The entry under another name, with other scores of its images."""
    axes = {t: {a: change(values) for a, values in its.items()} for t, its in entry.image_axes.items()}
    return replace(entry, submission=entry.submission.model_copy(update={"id": name}), image_axes=axes)


def test_a_place_follows_the_mean_of_the_axes(suite: Suite, entries: Sequence[Entry]) -> None:
    for target in (None, *(target.id for target in suite.targets)):
        names = [target] if target else [item.id for item in suite.targets]
        table = make_table(suite, entries, target)
        means = {
            row.entry.submission.id: np.mean(
                [np.nanmean(row.entry.image_axes[name][axis]) for name in names for axis in AXES]
            )
            for row in table.rows
        }
        ranked = [row.entry.submission.id for row in table.ranked]
        assert ranked == sorted(ranked, key=lambda name: -means[name])
        assert sorted(ranked) == ["low", "modular", "near", "ridge"]
        assert [row.place for row in table.ranked] == [1, 2, 3, 4]
        for row in table.rows:
            assert row.score is not None and row.score.low is not None and row.score.high is not None
            assert row.score.value == pytest.approx(means[row.entry.submission.id], abs=1e-6)
            assert row.score.low <= row.score.value <= row.score.high


def test_neighbors_that_the_images_do_not_separate_are_marked(suite: Suite, entries: Sequence[Entry]) -> None:
    table = make_table(suite, entries)
    assert [row.place_label for row in table.ranked] == ["1=", "2=", "3", "4"]
    assert [(row.standing.best, row.standing.worst) for row in table.ranked if row.standing] == [
        (1, 2), (1, 2), (3, 3), (4, 4)
    ]  # fmt: skip
    close = {"modular": ("near",), "near": ("modular",), "ridge": (), "low": ()}
    assert {row.entry.submission.id: row.cells[0].tied for row in table.ranked} == close
    assert all(row.place_label == "" for row in table.references)


def test_copies_tie_and_the_next_place_is_skipped(suite: Suite, entries: Sequence[Entry]) -> None:
    held = {entry.submission.id: entry for entry in entries}
    copy = with_scores(held["ridge"], "twin", np.copy)
    table = make_table(suite, [held["ridge"], copy, held["low"]])
    assert places(table) == {"ridge": 1, "twin": 1, "low": 3}
    assert [row.place_label for row in table.ranked] == ["1=", "1=", "3"]
    (pair,) = pairs(suite, [held["ridge"], copy])
    assert (pair.score.mean, pair.score.p_value, pair.score.separated) == (0, 1, False)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 0.3))
def test_neither_noise_on_one_entry_nor_near_copies_change_the_order_of_two(
    suite: Suite, entries: Sequence[Entry], seed: int, size: float
) -> None:
    generator = np.random.default_rng(seed)
    held = {entry.submission.id: entry for entry in entries}
    noisy = with_scores(held["low"], "low", lambda values: values + size * generator.standard_normal(values.shape))
    near = [with_scores(held["near"], f"near-{i}", lambda v: v + 1e-5 * generator.standard_normal()) for i in range(3)]
    found = places(make_table(suite, [held["modular"], held["near"], noisy, *near]))
    alone = places(make_table(suite, [held["modular"], held["near"]]))
    assert (found["modular"] < found["near"]) == (alone["modular"] < alone["near"])


@pytest.mark.parametrize("target", [None, "mini-detr"])
def test_the_difference_of_two_scores_is_the_paired_difference(
    suite: Suite, entries: Sequence[Entry], target: str | None
) -> None:
    scores, held = scores_of(suite, entries, target), {entry.submission.id: entry for entry in entries}
    assert scores is not None
    found = pairs(suite, entries, target)
    assert len(found) == 6
    names = [target] if target else [item.id for item in suite.targets]
    for pair in found:
        first, second = (held[name].image_axes for name in (pair.first, pair.second))
        by_axis = {
            axis: np.mean([np.nanmean(first[name][axis] - second[name][axis]) for name in names]) for axis in AXES
        }
        for axis, difference in pair.differences.items():
            shares = scores.shares({axis: 1.0})[:, None]
            values = [
                float(scores.bootstrap.estimate_mixed(scores.parts[name], shares).value[0])
                for name in (pair.first, pair.second)
            ]
            assert difference.mean == pytest.approx(by_axis[axis], abs=1e-9)
            assert values[0] - values[1] == pytest.approx(by_axis[axis], abs=1e-9)
        assert pair.score.mean == pytest.approx(np.mean(list(by_axis.values())), abs=1e-9)


def test_a_table_says_which_axis_makes_the_differences_and_who_leads(suite: Suite, entries: Sequence[Entry]) -> None:
    held = {entry.submission.id: entry for entry in entries}
    table = make_table(suite, [held["ridge"], held["low"]])
    assert table.leaders == ("ridge",)
    assert set(table.shares) == set(AXES) and sum(table.shares.values()) == pytest.approx(1)
    color = {t: its | {"color": its["color"] - 0.6} for t, its in held["ridge"].image_axes.items()}
    table = make_table(suite, [replace(held["ridge"], image_axes=color), held["low"]])
    assert table.leaders == ()
    assert max(table.shares, key=lambda axis: table.shares[axis]) == "color"
    assert make_table(suite, []).shares == {}
    assert [row.place_label for row in make_table(suite, [held["ridge"]]).ranked] == ["1"]


def test_readers_can_weigh_the_axes(suite: Suite, entries: Sequence[Entry]) -> None:
    held = {entry.submission.id: entry for entry in entries}
    color = {t: its | {"color": its["color"] - 0.6} for t, its in held["ridge"].image_axes.items()}
    both = [replace(held["ridge"], image_axes=color), held["low"]]
    assert places(make_table(suite, both, weights={"color": 1.0})) == {"low": 1, "ridge": 2}
    table = make_table(suite, both, weights={"detail": 1.0, "shape": 3.0})
    assert places(table) == {"ridge": 1, "low": 2}
    axes = held["low"].image_axes
    expected = np.mean([(its["detail"].mean() + 3 * its["shape"].mean()) / 4 for its in axes.values()])
    score = rows_of(table)["low"].score
    assert score is not None and score.value == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("count", "label"), [(7, "1="), (8, "1")])
def test_groups_of_images_decide_what_is_separated(
    suite: Suite, lock: Lock, entries: Sequence[Entry], root: Path, count: int, label: str
) -> None:
    """Sixteen images of seven sources separate nothing, whatever the difference."""
    groups = {name: f"source-{index % count}" for index, name in enumerate(entries[0].images)}
    grouped = lock.model_copy(update={"groups": groups})
    for name, level in FOUR:
        write_entry(suite, grouped, root, name, level)
    table = make_table(suite, load_entries(suite, grouped, [root]))
    assert (table.images, table.groups) == (16, count)
    assert table.ranked[0].place_label == label


def test_entries_that_were_scored_on_other_images_are_refused(suite: Suite, entries: Sequence[Entry]) -> None:
    def lose(values: np.ndarray) -> np.ndarray:
        return np.where(np.arange(len(values)) == 3, np.nan, values)

    held = {entry.submission.id: entry for entry in entries}
    with pytest.raises(SpecError, match="'ridge' and 'other' are not scored on the same images"):
        make_table(suite, [held["ridge"], with_scores(held["low"], "other", lose)])


def test_an_image_that_is_scored_for_nobody_is_left_out(suite: Suite, entries: Sequence[Entry]) -> None:
    def lose(values: np.ndarray) -> np.ndarray:
        return np.where(np.arange(len(values)) == 3, np.nan, values)

    held = [with_scores(entry, entry.submission.id, lose) for entry in entries]
    table = make_table(suite, held)
    assert [row.place for row in table.ranked] == [1, 2, 3, 4]
    nothing = [with_scores(entry, entry.submission.id, lambda values: values * np.nan) for entry in entries]
    assert make_table(suite, nothing).ranked == ()


def unanswered(suite: Suite, lock: Lock, root: Path, name: str, target: str) -> None:
    """Write `name` again with one recon of a target that is not finite."""
    folder = root / name / "records" / suite.id
    record = load_record(folder)
    names = [item.id for item in suite.targets]
    scores = scores_from_table(suite, load_scores(folder, record), names, record.images)
    item = scores[names.index(target)]
    code = 1 + get_reason_names(suite).index(NOT_FINITE)
    gone = item.reasons[2] == 0
    item.reasons[2][gone], item.values[2][gone] = code, np.nan
    write_again(suite, lock, folder, scores, status="partial")


def test_an_entry_is_ranked_on_the_targets_that_it_is_complete_on(
    suite: Suite, lock: Lock, four: Path, enter: Enter
) -> None:
    whole = suite.model_copy(update={"dataset": suite.dataset.model_copy(update={"images": 16})})
    whole_lock = lock.model_copy(update={"suite_digest": whole.digest})
    for name in ("copy", "mean", "ridge", "modular", "broken", "half"):
        changes: dict[str, Any] = {"suite_digest": whole.digest, "lock_digest": whole_lock.digest}
        write_entry(whole, whole_lock, four, name, 0.9 if name in ("broken", "half") else dict(FOUR)[name], **changes)
    first, second = (target.id for target in suite.targets)
    unanswered(whole, whole_lock, four, "broken", second)
    half = load_record(four / "half" / "records" / suite.id)
    write_entry(whole, whole_lock, four, "half", 0.85, status="partial", targets={first: half.targets[first]},
                suite_digest=whole.digest, lock_digest=whole_lock.digest)  # fmt: skip
    entries = load_entries(whole, whole_lock, [four])
    assert list(places(make_table(whole, entries, first))) == ["broken", "half", "modular", "ridge"]
    for target in (second, None):
        table = make_table(whole, entries, target)
        assert list(places(table)) == ["modular", "ridge"]
        assert {row.entry.submission.id for row in table.unranked} == {"broken", "half"}
    assert {pair.first for pair in pairs(whole, entries, first)} == {"broken", "half", "modular"}
    assert [(pair.first, pair.second) for pair in pairs(whole, entries)] == [("modular", "ridge")]


def test_all_pairs_of_ranked_entries_are_there(suite: Suite, entries: Sequence[Entry]) -> None:
    ranked = sorted(["modular", "near", "ridge", "low"])
    found = pairs(suite, entries)
    assert [(pair.first, pair.second) for pair in found] == list(combinations(ranked, 2))
    assert all(tuple(pair.differences) == axes_of(suite) for pair in found)
    assert pairs(suite, []) == []
