"""The page of the claims: the numbers of the command, the charts with their tables, text of others as text."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from boards import Page
from claiming import HOURS, enter_claim, layers_of, lock_for, small_suite
from click.testing import CliRunner

from benchmark.suites.lock import Lock
from benchmark.suites.spec import Suite
from cli import main
from leaderboard.data.board import Board
from leaderboard.data.claims.catalog import CLAIMS, ClaimReport
from leaderboard.data.claims.runs import TrainingRuns, add_runs
from leaderboard.data.claims.texts import interval_text, value_text
from leaderboard.data.entries import load_entries
from leaderboard.site.build import build_site
from leaderboard.site.claim_drawings import plan_claims, plan_seeds

Site = Any
EVIL = """<script>alert(1)</script>"><img src=x onerror=y>{{ 7*7 }}' &amp;</td>"""


@pytest.fixture(scope="module")
def few(mini: Suite) -> Suite:
    return small_suite(mini, 300)


@pytest.fixture(scope="module")
def pins(few: Suite) -> Lock:
    return lock_for(few)


@pytest.fixture(scope="module")
def board(few: Suite, pins: Lock, tmp_path_factory: pytest.TempPathFactory) -> Board:
    """A board on which every claim can be decided, with runs over seeds and a hostile device."""
    root = tmp_path_factory.mktemp("claims")
    layers = {"layers": layers_of(few, 0.05)}
    enter_claim(few, pins, root / "s", "modular")
    enter_claim(few, pins, root / "s", "modular_per_tap", seed=3, **layers)
    enter_claim(few, pins, root / "s", "end_to_end", seed=2, training=HOURS | {"device": EVIL})
    folders = [
        enter_claim(few, pins, root / "r", f"{method}-{seed}", method=method, seed=seed, only=["mini-vit"], layers={},
                    training=HOURS | {"seed": seed, "device": "GPU"})
        for method, first in (("modular", 1), ("end_to_end", 11)) for seed in range(first, first + 3)
    ]  # fmt: skip
    add_runs(root / "runs.json", few, pins, "equal_samples", folders)
    return Board(few, pins, load_entries(few, pins, [root / "s"]), root / "runs.json")


@pytest.fixture(scope="module")
def out(board: Board, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build_site([board], folder)
    return folder


def page_of(out: Path) -> Page:
    return Page((out / "mini-1" / "claims.html").read_text(encoding="utf-8"))


def rows_of(source: str, section: str) -> list[list[str]]:
    """Texts of the cells of the first table of a section."""
    (body,) = re.findall(rf'<section id="{section}".*?<tbody>(.*?)</tbody>', source, re.DOTALL)
    rows = [
        re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.DOTALL) for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    ]
    return [[unescape(re.sub(r"<[^>]*>", "", cell)).strip() for cell in row] for row in rows]


def check_page(source: str, report: ClaimReport) -> None:
    """Check that the tables of a page hold every number of a report."""
    assert [row[1] for row in rows_of(source, "verdicts")] == [claim.verdict for claim in report.claims]
    for claim in report.claims:
        rows = rows_of(source, claim.id)
        assert len(rows) == len(claim.findings)
        for row, finding in zip(rows, claim.findings, strict=True):
            assert row[1] == finding.part and row[3] == interval_text(finding)
            assert row[2].startswith(value_text(finding.value)) and row[5].startswith(finding.verdict)
            if finding.value is None:
                assert finding.reason in row[2]


def test_the_page_has_the_numbers_of_the_command(real: Site) -> None:
    done = CliRunner().invoke(main, ["claims", "--suite", "mini@1", "--json"])
    (found,) = json.loads(done.stdout)["suites"]
    report = ClaimReport.model_validate(found)
    check_page(real.pages["mini-1/claims.html"].source, report)
    assert ClaimReport.model_validate_json((real.out / "mini-1" / "data" / "claims.json").read_bytes()) == report
    overview = real.pages["mini-1/index.html"].source
    for claim in report.claims:
        assert f'<a href="claims.html#{claim.id}">' in overview
        assert f"<strong>{claim.verdict.capitalize()}.</strong>" in overview


def test_every_claim_and_the_comparison_over_seeds_are_shown(board: Board, out: Path) -> None:
    page, report = page_of(out), board.claims
    check_page(page.source, report)
    assert {claim.id for claim in CLAIMS} | {"verdicts", "rests", "seeds", "main"} <= set(page.ids)
    rows = rows_of(page.source, "seeds")
    assert [(row[0], row[2].lower(), row[4]) for row in rows] == [
        (item.target, item.axis, value_text(item.lead)) for item in report.seeds
    ]
    assert len(rows) == 4 and {row[3] for row in rows} == {"3 and 3"}
    for line in report.rests_on:
        assert line in page.text


def test_charts_stand_with_their_table_and_their_numbers_in_a_file(board: Board, out: Path) -> None:
    page = page_of(out)
    files = [src for src in page.values("src") if src.startswith("charts/")]
    expected = [plan.file for plans in plan_claims(board).values() for plan in plans]
    expected += [plan.file for plan in plan_seeds(board.claims.seeds)]
    assert sorted(files) == sorted(f"{file}.svg" for file in expected)
    for claim in board.claims.claims:
        with (out / "mini-1" / "charts" / f"claims-{claim.id}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        values = [None if row["value"] == "" else float(row["value"]) for row in rows]
        measured = [finding for finding in claim.findings if not finding.stated]
        assert values == [finding.value for finding in measured]
        assert [row["finding"] for row in rows] == [finding.verdict for finding in measured]
    assert "charts/claims-classic-stated.svg" in files, "numbers of training have a scale of their own"


def test_text_of_others_is_text(out: Path) -> None:
    page = page_of(out)
    assert "trained on different devices, Some GPU and <script>alert(1)</script>" in page.text
    assert "<script>" not in page.source and "{{ 7*7 }}" in page.text


def test_the_same_records_and_runs_give_the_same_bytes(board: Board, out: Path, tmp_path: Path) -> None:
    again = Board(board.suite, board.lock, board.loaded[::-1], board.runs)
    build_site([again], tmp_path)
    files = [path.relative_to(out) for path in out.rglob("*") if "claims" in path.name]
    assert len(files) > 20
    assert [str(name) for name in files if (out / name).read_bytes() != (tmp_path / name).read_bytes()] == []


def test_without_records_the_page_says_why_and_has_no_chart(few: Suite, pins: Lock, tmp_path: Path) -> None:
    build_site([Board(few, pins, [])], tmp_path)
    page = page_of(tmp_path)
    assert page.text.count("no record of modular") > 10
    assert not [src for src in page.values("src") if src.startswith("charts/")]
    assert "nan" not in page.text.lower() and "None" not in page.text


def test_runs_that_cannot_be_used_stop_no_site_and_name_no_folder(
    few: Suite, pins: Lock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from leaderboard.data import board as module

    path = tmp_path / "mini@1.json"
    runs = TrainingRuns(suite="mini@1", suite_digest="0" * 64, lock_digest="0" * 64, runs=())
    path.write_text(runs.model_dump_json(), encoding="utf-8")
    monkeypatch.setattr(module, "runs_file", lambda suite: path)
    build_site([Board(few, pins, [])], tmp_path / "out")
    page = page_of(tmp_path / "out")
    assert "The file of runs cannot be used: made for another text of mini@1." in page.text
    assert str(tmp_path) not in page.source


def test_a_build_without_charts_of_claims_removes_those_of_an_earlier_one(
    board: Board, few: Suite, pins: Lock, tmp_path: Path
) -> None:
    build_site([board], tmp_path)
    assert list((tmp_path / "mini-1" / "charts").glob("claims-*"))
    build_site([Board(few, pins, [])], tmp_path)
    assert not list((tmp_path / "mini-1" / "charts").glob("claims-*"))


Make = Callable[..., Board]


def test_a_suite_of_other_targets_has_the_page_too(tiny_board: Make, tmp_path: Path) -> None:
    build_site([tiny_board(("modular", 0.8), ("end_to_end", 0.5))], tmp_path)
    page = Page((tmp_path / "tiny-1" / "claims.html").read_text(encoding="utf-8"))
    assert "tiny@1 has no target of the family detr" in page.text
    assert "modular does not state its training samples, time and device on tiny-vit" in page.text
