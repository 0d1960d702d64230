"""What single pages show, and some of them letter by letter beside `golden/`.

After a wanted change of the templates, write them anew with INVBENCH_UPDATE_GOLDEN=1 and read the difference.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boards import write_receipts

from benchmark.records.equivalent import FLAT_COLOR
from benchmark.records.history import Event
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import Lock, load_lock
from benchmark.suites.spec import CocoData, ImagenetData, Suite
from leaderboard.data.board import OWN_CHARTS, STYLES, Board
from leaderboard.data.entries import load_entries
from leaderboard.data.rankings import DASH, MINUS, render_number
from leaderboard.data.views import axes_of
from leaderboard.site.citation import cite_submission
from leaderboard.site.pages.compare import SHOWN, compare_context
from leaderboard.site.pages.suite import suite_context

GOLDEN = Path(__file__).parents[1] / "golden"
Make = Callable[..., Board]
Site = Any


@pytest.fixture(scope="module")
def tiny(tiny_board: Make, build: Callable[..., Site], tmp_path_factory: pytest.TempPathFactory) -> Site:
    return build([tiny_board(("alpha", 0.8), ("beta", 0.5))], tmp_path_factory.mktemp("tiny-site"))


def steady(source: str) -> str:
    """Return a page without what depends on the versions of libraries: names of images, sizes of Parquet files."""
    source = re.sub(r"images/[0-9a-f]{20}\.png", "images/HASH.png", source)
    return re.sub(r'(\.parquet" download>.*?</a>) [\d.,]+ k?M?B', r"\1 SIZE", source)


@pytest.mark.parametrize("name", ["index", "tiny-1/index", "tiny-1/compare", "tiny-1/downloads"])
def test_pages_are_as_the_golden_files_have_them(tiny: Site, name: str) -> None:
    found, path = steady(tiny.pages[f"{name}.html"].source), GOLDEN / f"{name.replace('/', '-')}.html"
    if os.environ.get("INVBENCH_UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(found, encoding="utf-8", newline="\n")
    held = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = difflib.unified_diff(held.splitlines(), found.splitlines(), f"golden/{path.name}", "built", "", "", 1, "")
    cure = "If the change is wanted, run the test with INVBENCH_UPDATE_GOLDEN=1 and commit what it writes."
    if held != found:
        pytest.fail("\n".join([*lines, cure]), pytrace=False)


def test_there_is_no_golden_file_that_nothing_is_compared_with() -> None:
    pages = {"index", "tiny-1-index", "tiny-1-compare", "tiny-1-downloads"}
    assert {path.stem for path in GOLDEN.iterdir()} == pages


def rows_of(source: str) -> list[str]:
    return re.findall(r"<tr data-id=.*?</tr>", source, re.DOTALL)


@pytest.mark.parametrize("which", ["rich", "real"])
def test_rankings_show_every_score_of_the_table(which: str, request: pytest.FixtureRequest) -> None:
    site: Site = request.getfixturevalue(which)
    (board,) = site.boards
    for target, table in board.tables.items():
        name = f"target-{target}" if target else "index"
        rows = rows_of(site.pages[f"{board.folder}/{name}.html"].source)
        assert [re.findall(r'data-id="([^"]*)"', row) for row in rows] == [[r.entry.submission.id] for r in table.rows]
        for text, row in zip(rows, table.rows, strict=True):
            assert f'data-place="{row.place or ""}"' in text
            cells = re.findall(r'<td class="axis" data-axis="(\w+)">(.*?)</td>', text, re.DOTALL)
            assert [axis for axis, _ in cells] == ["score", *(cell.axis for cell in row.cells)]
            score = row.score
            assert (score is None) == any(cell.score is None for cell in row.cells)
            assert DASH in cells[0][1] if score is None else render_number(score.value) in cells[0][1]
            for (_, shown), cell in zip(cells[1:], row.cells, strict=True):
                if cell.score is None:
                    assert DASH in shown and cell.reason in shown
                else:
                    span = f"{render_number(cell.score.low)} to {render_number(cell.score.high)}"
                    assert render_number(cell.score.value) in shown
                    assert (span in shown) == (row.reference is None)
                    assert " thumbnail" in shown or (cell.axis == "color" and cell.score.value > FLAT_COLOR)


def test_the_page_of_a_target_has_its_charts_with_their_numbers(real: Site) -> None:
    (board,) = real.boards
    for target in board.suite.targets:
        page = real.pages[f"{board.folder}/target-{target.id}.html"]
        charts = [src for src in page.values("src") if src.startswith("charts/")]
        kinds = [Path(src).name.split("-")[0] for src in charts]
        axes = len(axes_of(board.suite))
        assert kinds.count("depth") == axes
        assert kinds.count("parameters") == kinds.count("time") == axes
        for kind in ("hue", "heat", "layers"):
            assert 0 < kinds.count(kind) <= OWN_CHARTS
        hrefs = set(page.values("href"))
        assert {src.replace(".svg", ".csv") for src in charts} | set(charts) <= hrefs
        assert page.source.count("<figure") == len(charts) == page.source.count('<p class="files">')


def test_layers_are_shown_with_reasons_for_what_is_missing(rich: Site) -> None:
    (board,) = rich.boards
    target = board.suite.targets[0].id
    for name in (f"target-{target}", "method-modular"):
        page = rich.pages[f"{board.folder}/{name}.html"]
        (figure,) = re.findall(r"<figure(?:(?!</figure>).)*charts/layers-.*?</figure>", page.source, re.DOTALL)
        assert "0.800" in figure and "0.910" in figure
        assert figure.count(DASH) == 2 and figure.count("no score") >= 2
    assert "charts/layers-" not in rich.pages[f"{board.folder}/target-{board.suite.targets[1].id}.html"].source


def test_the_page_of_a_submission_says_who_made_it_and_what_it_costs(real: Site) -> None:
    (board,) = real.boards
    for entry in board.loaded:
        page = real.pages[f"{board.folder}/method-{entry.submission.id}.html"]
        s, r = entry.submission, entry.record
        for text in (s.title, s.description, *s.authors, s.license, s.trained_on, r.digest, r.lock_digest, entry.trust):
            assert text in page.text
        for inverse in r.inverses.values():
            assert f"{inverse.parameters:,}" in page.text
            assert all(sha in page.source for sha in inverse.files.values())
            words = {"data": "data", "samples": "samples seen", "device_hours": "device hours", "device": "device"}
            stated = {words.get(name, name): value for name, value in inverse.training.items()}
            assert all(f"{name} {value}" in page.text for name, value in stated.items())
            assert not inverse.training or words.keys() <= inverse.training.keys()
        assert page.text.count("agrees") >= len(entry.receipts)
        assert {target.id for target in board.suite.targets} <= set(page.ids)
        assert f"invbench verify {s.id} --suite {board.suite.id}" in page.text
        assert cite_submission(s) in page.text


def test_history_and_withdrawal_are_told_with_their_reasons(rich: Site, hostile: str) -> None:
    (board,) = rich.boards
    page = rich.pages[f"{board.folder}/method-hostile.html"]
    entry = next(entry for entry in board.loaded if entry.submission.id == "hostile")
    ((event, old),) = entry.superseded
    assert f"superseded on {event.date}: {hostile}" in page.text
    assert old.digest in page.source and entry.record.digest in page.source
    gone = rich.pages[f"{board.folder}/method-withdrawn.html"]
    assert re.search(rf"Withdrawn\s+on 2026-01-31: {re.escape(hostile)}", gone.text)


def test_a_challenge_is_shown_with_its_beacon_and_every_comparison(rich: Site, hostile: str) -> None:
    (board,) = rich.boards
    page = rich.pages[f"{board.folder}/method-hostile.html"]
    entry = next(entry for entry in board.loaded if entry.submission.id == "hostile")
    (receipt,) = [receipt for receipt in entry.receipts if receipt.challenge]
    assert receipt.challenge is not None and receipt.challenge.beacon == hostile
    (table,) = re.findall(r"<caption><span>Challenge of.*?</table>", page.source, re.DOTALL)
    assert f"on the {entry.record.images} images of the suite and on 32 fresh ones" in table
    rows = re.findall(r"<tr><th scope=.row.>(.*?)</th><td>(.*?)</td><td>(.*?)</td>", table)
    stated = {(name, axis): s.value for name, t in entry.record.targets.items() for axis, s in t.axes.items()}
    assert {(name, axis): value for name, axis, value in rows} == {k: f"{v:.3f}" for k, v in stated.items()}
    assert table.count("<td>+0.013</td>") + table.count("<td>+0.012</td>") == len(stated)
    assert page.text.count(" ".join(hostile.split())) >= 8
    assert "32 fresh" in page.text and "passes" in page.text
    assert entry.trust == "self-reported", "by its author"


def test_trust_is_challenged_where_others_reran_and_challenged_a_record(
    suite: Suite, lock: Lock, four: Path, build: Callable[..., Site], tmp_path: Path
) -> None:
    write_receipts(four / "ridge/records/mini@1", "B. Reader", "0123456789abcdef" * 4)
    board = Board(suite, lock, load_entries(suite, lock, [four]))
    site = build([board], tmp_path / "site")
    assert {e.submission.id: e.trust for e in board.loaded}["ridge"] == "challenged"
    for name in ("index", "method-ridge"):
        assert '<span class="badge challenged">challenged</span>' in site.pages[f"{board.folder}/{name}.html"].source
    assert "<option>challenged</option>" in site.pages[f"{board.folder}/index.html"].source


def test_recons_of_a_submission_are_beside_what_the_target_saw(rich: Site) -> None:
    (board,) = rich.boards
    page = rich.pages[f"{board.folder}/method-modular.html"]
    images = [image for image in page.all("img") if "images/" in (image["src"] or "")]
    expected = sum(1 + len(target.taps) for target in board.suite.targets) * len(board.suite.audit_images)
    assert len(images) == expected
    taps = [image["alt"] for image in images if "recon of modular at" in (image["alt"] or "")]
    assert len(taps) == expected - len(board.suite.targets) * len(board.suite.audit_images)


def test_the_comparison_offers_those_with_scores_and_shows_their_differences(rich: Site) -> None:
    (board,) = rich.boards
    page = rich.pages[f"{board.folder}/compare.html"]
    context = compare_context(board, {})
    assert context["names"] == [e.submission.id for e in board.entries if e.rankable]
    assert (
        re.findall(r"<option>([\w-]+)</option>", page.source.split('name="m0"')[1].split("</select>")[0])
        == context["names"]
    )
    ranked = len(board.tables[None].ranked)
    assert ranked <= SHOWN
    assert len(context["pairs"]) == ranked * (ranked - 1) // 2 == page.source.count("&amp;m1=")
    for pair in context["pairs"]:
        for difference in pair.differences.values():
            assert difference.low <= difference.mean <= difference.high
    (apart,) = (p for p in context["pairs"] if (p.first, p.second) == ("modular", "ridge"))
    assert apart.differences["detail"].mean == pytest.approx(0.21, abs=0.001)


def shown_number(text: str) -> float:
    """Return a number as a page shows it."""
    return float(text.replace(MINUS, "-"))


def test_the_comparison_shows_the_rounded_difference_of_two_scores(rich: Site) -> None:
    (board,) = rich.boards
    source = rich.pages[f"{board.folder}/compare.html"].source
    rows, compared = {row.entry.submission.id: row for row in board.tables[None].ranked}, 0
    for row in re.findall(r"<tr><th scope=\"row\">.*?</tr>", source, re.DOTALL):
        (first,), (second,) = re.findall(r'row">([\w-]+)<', row), re.findall(r"m1=([\w-]+)", row)
        shown = re.findall(rf"<td[^>]*>([+{MINUS}]?\d\.\d+)<", row)
        assert len(shown) == 1 + len(axes_of(board.suite))
        for number, column in enumerate(shown):
            a, b = ((one.score if number == 0 else one.cells[number - 1].score) for one in (rows[first], rows[second]))
            assert shown_number(column) == pytest.approx(round(a.value - b.value, 3), abs=1e-9)
            compared += 1
    assert compared == len(rows) * (len(rows) - 1) // 2 * (1 + len(axes_of(board.suite)))


def test_where_an_axis_is_scored_on_no_image_nothing_is_ranked_or_compared(
    tiny_board: Make, build: Any, tmp_path: Path
) -> None:
    board = tiny_board(("alpha", 0.8), ("beta", 0.5))
    loaded = []
    for entry in board.loaded:
        axes = {**entry.image_axes["tiny-vit"], "color": np.full(len(entry.images), np.nan)}
        loaded.append(replace(entry, image_axes={"tiny-vit": axes}))
    site = build([replace(board, loaded=loaded)], tmp_path)
    assert "Fewer than two records are ranked." in site.pages["tiny-1/compare.html"].text
    assert "nan" not in site.pages["tiny-1/compare.html"].text.lower()
    assert "No record can be ranked yet." in site.pages["tiny-1/index.html"].text


def test_colors_are_the_same_on_every_page(rich: Site) -> None:
    (board,) = rich.boards
    for name, page in rich.pages.items():
        for row in rows_of(page.source):
            (who,) = re.findall(r'data-id="([^"]*)"', row)
            style = board.styles[who]
            expected = "reference" if style is None else f"s{style % STYLES}"
            assert f'class="key {expected}"' in row, name


def test_the_protocol_names_everything_that_a_suite_fixes(real: Site) -> None:
    (board,) = real.boards
    suite, lock = board.suite, board.lock
    page = real.pages[f"{board.folder}/suite.html"]
    for text in (suite.digest, lock.digest, *suite.perturbations, *suite.metrics, suite.summary):
        assert text in page.text
    for target in suite.targets:
        assert all(text in page.text for text in (target.id, target.title, *target.tap_names))
    assert all(sha in page.text for sha in lock.files.values())
    for name, value in (("suite", suite), ("lock", lock)):
        assert f"data/{name}.json" in page.values("href")
        held = json.loads((real.out / "mini-1" / "data" / f"{name}.json").read_text(encoding="utf-8"))
        assert type(value).model_validate(held).digest == value.digest
    assert len([src for src in page.values("src") if "images/" in src]) == len(suite.perturbations)
    assert suite_context(board, None)["changes"] is None


def test_a_later_version_says_what_changed(suite: Suite, lock: Lock) -> None:
    later = load_suite("mini@1").model_copy(update={"version": 2, "bootstrap_resamples": 7000})
    context = suite_context(Board(later, lock, []), None)
    assert context["before"] == "mini@1"
    assert context["changes"] == [("bootstrap_resamples", "5000", "7000")]


@pytest.mark.parametrize(("suite_id", "kind"), [("coco@1", CocoData), ("imagenet@1", ImagenetData)])
def test_protocols_of_photographs_say_how_they_were_chosen_and_what_is_open(suite_id: str, kind: type) -> None:
    suite = load_suite(suite_id)
    assert isinstance(suite.dataset, kind)
    board = Board(suite, load_lock(suite), [])
    context = suite_context(board, None)
    assert "SHA-256" in context["selection"] and f"{suite.dataset.images}" in context["selection"]
    assert any("draft" in limit for limit in context["limits"]) == (board.lock.draft or suite.draft)
    assert any("recolor the whole frame" in limit for limit in context["limits"]) == (kind is ImagenetData)
    for target in suite.targets:
        assert context["address"](target.source)


def test_a_withdrawn_record_stays_on_its_page_and_leaves_the_ranks(
    tiny_board: Make, build: Any, tmp_path: Path
) -> None:
    board = tiny_board(("alpha", 0.8), ("beta", 0.5))
    record = board.loaded[0].record
    event = Event.model_validate({"kind": "withdrawn", "suite": "tiny@1", "record": record.digest, "reason": "A leak.",
                                  "date": "2026-01-31"})  # fmt: skip
    found = [replace(board.loaded[0], withdrawal=event), board.loaded[1]]
    site = build([Board(board.suite, board.lock, found)], tmp_path)
    assert "A leak." in site.pages["tiny-1/method-alpha.html"].text
    rows = rows_of(site.pages["tiny-1/index.html"].source)
    assert ['data-id="beta"' in rows[0], 'data-id="alpha"' in rows[1]] == [True, True]
    assert 'data-place=""' in rows[1]
