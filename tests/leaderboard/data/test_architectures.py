"""Every page takes the mean over targets in one way: within architectures, then over these."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import boards
import numpy as np
import pytest
from boards import lock_of, write_entry

from benchmark.errors import IntegrityError
from benchmark.records.consistency import check_predecessor
from benchmark.records.scores import ScoreArrays
from benchmark.suites.catalog import load_suite
from benchmark.suites.spec import Suite
from leaderboard.data.board import Board
from leaderboard.data.claims.findings import Question
from leaderboard.data.claims.reading import Columns, Evidence, by_target
from leaderboard.data.entries import load_entries
from leaderboard.data.equivalents import yardsticks_of
from leaderboard.data.pairs import pairs
from leaderboard.data.rankings import cost_of, make_table
from leaderboard.data.views import axes_of, shown_of
from leaderboard.site.pages.suite import suite_context

ARCHITECTURES = ("detr", "vit", "vit", "vit", "swin")
FACTORS = (1.0, 0.2, 0.4, 0.3, 0.8)
"""Each target's scores beside those of the first."""


def two_steps(values: tuple[float, ...]) -> float:
    return (values[0] + sum(values[1:4]) / 3 + values[4]) / 3


@pytest.fixture(scope="module")
def suite() -> Suite:
    mini = load_suite("mini@1")
    first = mini.targets[1]
    own = {"taps": first.taps[:2]}
    targets = tuple(
        first.model_copy(update=own | {"id": f"target-{n}", "architecture": kind, "input_size": (96 + n // 4 * 32, 96)})
        for n, kind in enumerate(ARCHITECTURES)
    )
    data = mini.dataset.model_copy(update={"images": boards.IMAGES})
    return mini.model_copy(update={"dataset": data, "targets": targets, "bootstrap_resamples": 200})


@pytest.fixture
def board(suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    make = boards.make_scores

    def scaled(suite: Suite, level: float, targets: list[str]) -> list[ScoreArrays]:
        factors = dict(zip((target.id for target in suite.targets), FACTORS, strict=True))
        return [
            replace(item, values=(item.values * factors[item.target.id]).astype(np.float32))
            for item in make(suite, level, targets)
        ]

    monkeypatch.setattr(boards, "make_scores", scaled)
    monkeypatch.setattr(boards, "_made", {})
    yardsticks = {
        size: {axis: {4: v, 8: 2 * v} for axis in suite.axes} for size, v in (("96x96", 0.1), ("128x96", 0.4))
    }
    lock = lock_of(suite).model_copy(update={"yardsticks": yardsticks})
    run = boards.RUN.model_copy(update={"ms_per_recon": {f"target-{n}": 10 * f for n, f in enumerate(FACTORS)}})
    for name, level in (("ridge", 0.5), ("modular", 0.8)):
        write_entry(suite, lock, tmp_path, name, level, run=run)
    return Board(suite, lock, load_entries(suite, lock, [tmp_path]))


def test_every_page_shows_the_mean_of_architectures(suite: Suite, board: Board) -> None:
    table = make_table(suite, board.entries)
    assert len(table.ranked) == 2
    expected = {}
    for row in table.ranked:
        record = row.entry.record
        for cell in row.cells:
            by_target = tuple(record.targets[t.id].axes[cell.axis].value or 0 for t in suite.targets)
            value = expected[row.entry.submission.id, cell.axis] = two_steps(by_target)
            assert cell.score is not None and cell.score.value == pytest.approx(value, abs=2e-6)
            assert value != pytest.approx(sum(by_target) / 5, abs=1e-3)
        assert row.score is not None and row.score.value == record.score.value
        shown = shown_of(suite, record, row.entry.views)[None]
        measured = row.entry.views.overall[0, :, 0] if row.entry.views else None
        assert shown[0, 0, :, 0] == pytest.approx(measured, abs=2e-6)
    (pair,) = pairs(suite, board.entries)
    for axis in axes_of(suite):
        difference = expected[pair.first, axis] - expected[pair.second, axis]
        assert pair.differences[axis].mean == pytest.approx(difference, abs=4e-6)


def test_weights_of_axes_and_of_targets_do_not_mix(suite: Suite, board: Board) -> None:
    row = make_table(suite, board.entries, weights={"detail": 3.0, "color": 1.0}).ranked[0]
    overall = row.entry.record.overall
    expected = (3 * (overall["detail"].value or 0) + (overall["color"].value or 0)) / 4
    assert row.score is not None and row.score.value == pytest.approx(expected, abs=2e-6)


def test_times_and_thumbnails_too(suite: Suite, board: Board) -> None:
    cost = cost_of(suite, board.entries[0].record, None)
    assert cost.ms_per_recon == pytest.approx(10 * two_steps(FACTORS))
    found = yardsticks_of(suite, board.lock, None)
    assert found["detail"] == pytest.approx({4: 0.2, 8: 0.4}), "two architectures of .1 and one of .4"


def test_claims_too(suite: Suite, board: Board) -> None:
    evidence = Evidence(suite, board.lock, {entry.submission.id: entry for entry in board.entries})
    reading = evidence.reading("modular")
    question = Question("mean detail")

    def columns(target: object) -> Columns:
        name = target.id  # type: ignore[attr-defined]
        return Columns(reading.axis(name, "detail"), lambda means: means.mean(1, keepdims=True), reading.bootstrap)

    *each, whole = by_target(evidence, [question], columns)
    assert whole.value == pytest.approx(two_steps(tuple(finding.value or 0 for finding in each)), abs=4e-6)


def test_a_superseded_record_may_be_older_than_the_architectures(suite: Suite, board: Board) -> None:
    entry = board.entries[0]

    def check(change: float, *, plain: bool) -> None:
        """Put to the check a record of another text, whose means over targets are plain or not, and moved."""
        overall = dict(entry.record.overall)
        for axis, score in overall.items():
            values = tuple(entry.record.targets[t.id].axes[axis].value or 0 for t in suite.targets)
            mean = sum(values) / len(values) if plain else two_steps(values)
            overall[axis] = score.model_copy(update={"value": round(mean + change, 6)})
        whole = sum(score.value or 0 for score in overall.values()) / len(overall)
        score = entry.record.score.model_copy(update={"value": round(whole, 6)})
        old = entry.record.model_copy(update={"suite_digest": "0" * 64, "overall": overall, "score": score})
        check_predecessor(suite, board.lock, entry.submission.id, entry.folder, old)

    for plain in (True, False):
        check(0, plain=plain)
        with pytest.raises(IntegrityError, match=r"field 'overall\.\w+\.value': is .* but follows as"):
            check(1e-4, plain=plain)


def test_every_page_says_how_targets_count(suite: Suite, board: Board, tmp_path: Path) -> None:
    site = boards.make_site([board], tmp_path / "site")
    first = "of one architecture"
    texts = {name: page.text for name, page in site.pages.items() if name.endswith(("index.html", "suite.html"))}
    assert len(texts) == 3
    for name, text in texts.items():
        assert first in text, name
        assert "targets count the same" not in text and "targets, which count the same" not in text, name
    told = json.loads((tmp_path / "site/board.json").read_text())["suites"][0]
    assert [target["architecture"] for target in told["targets"]] == list(ARCHITECTURES)
    entry = next(item for item in told["entries"] if item["submission"]["id"] == "ridge")
    assert entry["overall"]["score"]["value"] == board.tables[None].ranked[-1].entry.record.score.value


def test_the_page_of_the_suite_says_which_targets_are_averaged_first(suite: Suite, board: Board) -> None:
    words = suite_context(board, None)["architectures"]
    assert words == "detr (target-0); vit (target-1, target-2, target-3); swin (target-4)"
    mini = load_suite("mini@1")
    assert suite_context(Board(mini, lock_of(mini), []), None)["architectures"] == ""
