"""Every page of a site: what it refers to, what it may run, how it reads, and what others wrote in it."""

from __future__ import annotations

import csv
import json
import posixpath
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from xml.etree import ElementTree

import pytest

from benchmark.metrics.spec import METRICS
from benchmark.records.record import Estimate
from benchmark.submissions.submission import Submission
from leaderboard.data.board import Board
from leaderboard.data.rankings import DASH
from leaderboard.site.board_json import BoardIndex
from leaderboard.site.build import build_site
from leaderboard.site.citation import BENCHMARK
from leaderboard.site.templating import (
    along,
    breakable,
    duration,
    ends_beyond,
    figure,
    make_environment,
    percent,
    sided,
    signed,
    size,
)

Site = Any
"""See `Site` and `Page` of the fixtures."""
STATE = {"m0", "m1", "m2", "m3", "target"}
"""What an address may say after `#` beside the id of a place."""


@pytest.fixture(params=["rich", "real"])
def site(request: pytest.FixtureRequest) -> Site:
    """A made-up site that holds everything, and the one of the committed records."""
    return request.getfixturevalue(request.param)


def data_of(path: Path) -> dict[str, Any]:
    """Return what a script of data sets."""
    found = re.match(r"\(window\.invbench=window\.invbench\|\|\{\}\)\.\w+=(.*);\n", path.read_text(encoding="utf-8"))
    assert found
    value: dict[str, Any] = json.loads(found[1])
    return value


def links_of(submission: Submission) -> set[str]:
    return {link for link in (submission.contact, *submission.links.model_dump().values()) if link}


def test_every_page_is_there(site: Site) -> None:
    expected = {"index.html", "metrics.html"}
    for board in site.boards:
        names = {"index", "claims", "compare", "suite", "downloads"}
        names |= {f"{kind}-{target.id}" for target in board.suite.targets for kind in ("target", "gallery")}
        names |= {f"method-{entry.submission.id}" for entry in board.loaded}
        expected |= {f"{board.folder}/{name}.html" for name in names}
    assert site.pages.keys() == expected


def test_every_reference_exists_and_none_leaves_the_folder(site: Site) -> None:
    outward = {link for board in site.boards for entry in board.loaded for link in links_of(entry.submission)}
    for name, page in site.pages.items():
        for reference in set(page.values("href", "src", "srcset", "action", "poster", "data")) - outward:
            file, _, place = reference.partition("#")
            assert re.fullmatch(r"[\w./-]*", file), f"{name} refers to {reference}"
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), file)) if file else name
            assert not path.startswith(("/", "..")), f"{name} leaves the site by {reference}"
            assert (site.out / path).is_file(), f"{name} refers to {reference}"
            if "=" in place:
                state = parse_qs(place, strict_parsing=True)
                assert state.keys() <= STATE
                names = {entry.submission.id for board in site.boards for entry in board.loaded}
                names |= {target.id for board in site.boards for target in board.suite.targets}
                assert {value for values in state.values() for value in values} <= names
            elif place:
                assert place in site.pages[path].ids, f"{name} refers to {reference}"


def test_what_describes_or_labels_something_exists(site: Site) -> None:
    for name, page in site.pages.items():
        linked = {part for value in page.values("aria-labelledby", "aria-describedby", "for") for part in value.split()}
        assert linked <= set(page.ids), name


def test_ids_are_there_once(site: Site) -> None:
    for name, page in site.pages.items():
        assert len(page.ids) == len(set(page.ids)), name


def test_only_links_of_submissions_lead_outward_and_pass_nothing_on(site: Site) -> None:
    submissions = {
        f"{board.folder}/method-{entry.submission.id}.html": entry.submission
        for board in site.boards
        for entry in board.loaded
    }
    for name, page in site.pages.items():
        found = [attrs for attrs in page.all("a") if re.match(r"[a-z]+:|//", attrs.get("href") or "")]
        assert all(attrs["rel"] == "nofollow noopener" for attrs in found), name
        links = {attrs["href"] for attrs in found}
        assert (
            links == {link for link in links_of(submissions[name]) if "@" not in link}
            if name in submissions
            else (links == set())
        ), name
        others = [attrs for tag, attrs, _ in page.tags if tag != "a" for value in attrs.values() if value]
        assert not [a for a in others for k in ("href", "src") if re.match(r"[a-z]+:|//", a.get(k) or "")], name


def test_the_policy_lets_nothing_in(site: Site) -> None:
    for name, page in site.pages.items():
        (policy,) = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
        rules = dict(rule.strip().split(" ", 1) for rule in (policy or "").split(";"))
        assert rules.keys() >= {"default-src", "script-src", "img-src", "style-src", "base-uri", "form-action"}, name
        assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
        assert {word for rule in rules.values() for word in rule.split()} <= {"'none'", "'self'", "file:"}
        before = page.tags.index(next(t for t in page.tags if t[1].get("http-equiv") == "Content-Security-Policy"))
        assert {tag for tag, _, _ in page.tags[:before]} <= {"html", "head", "meta"}, "it comes before what it governs"
        assert {"name": "referrer", "content": "no-referrer"} in page.all("meta")


def test_scripts_and_styles_are_files_of_the_site(site: Site) -> None:
    own = {f"static/{path.name}" for path in (site.out / "static").iterdir()}
    for name, page in site.pages.items():
        assert page.all("style") == page.all("iframe") == page.all("object") == page.all("base") == [], name
        assert not [a for _, attrs, _ in page.tags for a in attrs if a.startswith("on") or a == "style"], name
        assert len(re.findall(r"<script", page.source)) == len(page.all("script"))
        assert re.findall(r"<script[^>]*>", page.source) == re.findall(r"<script[^>]*>(?=</script>)", page.source)
        for attrs in page.all("script"):
            assert attrs.keys() == {"defer", "src"}, name
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), attrs["src"] or ""))
            assert path in own or re.fullmatch(r"[\w.-]+/data/[\w.-]+\.js", path), name
    for source in (site.out / "static").iterdir():
        text = source.read_text(encoding="utf-8")
        assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg\b)", text), source.name
        assert not re.search(r"url\(|@import|outerHTML|insertAdjacentHTML|document\.write", text), source.name
        assert set(re.findall(r"innerHTML\s*\+?=\s*([^;]*)", text)) <= {"row.kept[axis]"}, "what the page held itself"
        assert not re.search(r"\beval\(|new Function|\bfetch\(|XMLHttpRequest|localStorage|cookie", text), source.name


def test_tables_have_captions_and_their_headings_a_scope(site: Site) -> None:
    for name, page in site.pages.items():
        assert len(page.all("caption")) == len(page.all("table")), name
        assert all(th.get("scope") in ("col", "row", "colgroup", "rowgroup") for th in page.all("th")), name


def test_headings_skip_no_level(site: Site) -> None:
    for name, page in site.pages.items():
        levels = [int(tag[1]) for tag, _, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
        assert levels.count(1) == 1 and levels[0] == 1, name
        assert all(after <= before + 1 for before, after in pairwise(levels)), name


def test_pages_can_be_told_apart_and_read_aloud(site: Site) -> None:
    titles = set()
    for name, page in site.pages.items():
        (html,) = page.all("html")
        assert html["lang"] == "en"
        assert len(page.all("main")) == len(page.all("title")) == 1, name
        titles.add(re.findall(r"<title>(.*?)</title>", page.source)[0])
        assert next(m["content"] for m in page.all("meta") if m.get("name") == "description"), name
        for tag, attrs, parents in page.tags:
            if tag in ("select", "input"):
                assert "label" in parents or attrs.get("aria-label"), name
            if tag in ("nav", "form"):
                assert attrs.get("aria-label"), name
            if tag == "svg":
                assert attrs.get("aria-hidden") == "true", name
    assert len(titles) == len(site.pages)


def test_images_are_lazy_sized_and_described(site: Site) -> None:
    (board,) = site.boards
    sides = {str(side) for target in board.suite.targets for side in target.input_size}
    count = 0
    for name, page in site.pages.items():
        for image in page.all("img"):
            assert image["alt"] and image["loading"] == "lazy", name
            assert float(image["width"] or 0) > 0 and float(image["height"] or 0) > 0, name
            if "images/" in (image["src"] or ""):
                assert {image["width"], image["height"]} <= sides, name
                count += 1
    assert count > 0


def test_nothing_weighs_too_much(site: Site) -> None:
    assert all(len(page.source.encode()) < 1_000_000 for page in site.pages.values())


def test_the_feed_and_the_index_refer_to_what_is_there(site: Site) -> None:
    feed = ElementTree.parse(site.out / "feed.xml")
    hrefs = [element.attrib["href"] for element in feed.iter() if "href" in element.attrib]
    assert len(hrefs) > 2
    index = BoardIndex.model_validate_json((site.out / "board.json").read_text(encoding="utf-8"))
    paths = [index.page, index.feed, index.citation]
    for suite in index.suites:
        paths += [*suite.pages.model_dump().values(), *(entry.page for entry in suite.entries)]
        paths += [path for target in suite.targets for path in (target.page, target.gallery)]
        files = [file for download in suite.downloads for file in download.files]
        assert all((site.out / file.path).stat().st_size == file.bytes for file in files)
        paths += [file.path for file in files]
    for path in (*hrefs, *paths):
        assert not path.startswith(("/", "..")) and ":" not in path
        assert (site.out / path).is_file(), path


def test_every_metric_is_explained(site: Site) -> None:
    page = site.pages["metrics.html"]
    assert METRICS.keys() <= set(page.ids)
    for metric in METRICS.values():
        assert metric.formula in page.text
        assert metric.source in page.text


def test_what_others_wrote_stays_text_on_every_page(rich: Site, hostile: str) -> None:
    (board,) = rich.boards
    shown = {name for name, page in rich.pages.items() if hostile in page.text}
    assert f"{board.folder}/method-hostile.html" in shown
    page = rich.pages[f"{board.folder}/method-hostile.html"]
    # Title, description, author, data, device, files, training, reasons, receipt, history, citation.
    assert page.text.count(hostile) > 12
    for name, page in rich.pages.items():
        assert not [image for image in page.all("img") if "onerror" in image or image["src"] == "x"], name
        assert "<script>" not in page.source, name
        # Citations name braces as LaTeX does.
        assert not re.search(r"onerror=y>(?!\{\{ 7|\{.textbraceleft)", page.text), "templates within texts are not run"
    method = rich.pages[f"{board.folder}/method-hostile.html"]
    assert hostile in (next(m["content"] for m in method.all("meta") if m.get("name") == "description") or "")


def test_what_others_wrote_stays_text_in_files(rich: Site, hostile: str) -> None:
    (board,) = rich.boards
    folder = rich.out / board.folder
    scripts = list((folder / "data").glob("*.js"))
    assert scripts
    for path in scripts:
        text = path.read_text(encoding="utf-8")
        assert not re.search("[<>&\u2028\u2029]", text.replace("window.invbench=window.invbench||", "")), path.name
        if not path.name.startswith("images-"):
            data_of(path)
    feed = ElementTree.parse(rich.out / "feed.xml")
    assert any(hostile in (element.text or "") for element in feed.iter())
    with (folder / "data" / "methods.csv").open(encoding="utf-8", newline="") as file:
        (row,) = (row for row in csv.DictReader(file) if row["submission"] == "hostile")
    assert hostile in row.values()
    for path in folder.glob("charts/*.svg"):
        tree = ElementTree.parse(path)
        assert not [e for e in tree.iter() if e.tag.endswith(("}script", "}foreignObject", "}a"))], path.name
        assert not [k for e in tree.iter() for k in e.attrib if k.startswith("on")], path.name


@pytest.mark.parametrize(
    ("name", "badge"),
    [("partial", "partial"), ("draft", "draft"), ("half-precision", "bfloat16"), ("withdrawn", "withdrawn")],
)
def test_what_is_not_ranked_says_why(rich: Site, name: str, badge: str) -> None:
    (board,) = rich.boards
    marked = re.compile(rf'<span class="badge">{badge}</span>')
    tables = ["index", *(f"target-{target.id}" for target in board.suite.targets)]
    for table in tables:
        source = rich.pages[f"{board.folder}/{table}.html"].source
        (row,) = re.findall(rf'<tr data-id="{name}".*?</tr>', source, re.DOTALL)
        assert marked.search(row)
        # A partial record is ranked where it is complete: on the first target.
        complete = name == "partial" and table == tables[1]
        assert ('data-place=""' in row) != complete
        assert len(marked.findall(source)) == 1
    assert marked.search(rich.pages[f"{board.folder}/method-{name}.html"].source)
    index = json.loads((rich.out / "board.json").read_text(encoding="utf-8"))
    (entry,) = (e for e in index["suites"][0]["entries"] if e["submission"]["id"] == name)
    assert entry["rankable"] is False
    assert entry["overall"]["place"] is None
    assert {"bf16": "bfloat16"}.get(entry["badges"][0], entry["badges"][0]) == badge


def test_the_front_page_shows_all_parts_of_the_table(rich: Site) -> None:
    rows = [tr["data-id"] for tr in rich.pages["index.html"].all("tr") if "data-id" in tr]
    ranked, unranked = ["twin", "modular", "hostile", "ridge"], ["draft", "half-precision", "partial", "withdrawn"]
    assert rows == [*ranked, *unranked, "copy", "mean"]


def test_missing_is_a_dash_with_its_reason(rich: Site) -> None:
    (board,) = rich.boards
    first, second = (target.id for target in board.suite.targets)
    for page, reason in (("index", f"not evaluated on {second}"), (f"target-{second}", "target not evaluated")):
        source = rich.pages[f"{board.folder}/{page}.html"].source
        (row,) = re.findall(r'<tr data-id="partial".*?</tr>', source, re.DOTALL)
        assert row.count(DASH) == 2 + len(board.suite.axes) + 3, "the place, the score, the axes, and three costs"
        assert row.count(f'class="why">{reason}') == 1 + len(board.suite.axes)
        assert row.count(f'title="{reason}"') == 3
    assert board.suite.targets[0].id == first
    index = json.loads((rich.out / "board.json").read_text(encoding="utf-8"))
    (entry,) = (e for e in index["suites"][0]["entries"] if e["submission"]["id"] == "partial")
    assert entry["targets"][second]["axes"]["shape"]["value"] is None
    assert entry["targets"][second]["axes"]["shape"]["reason"] == "target not evaluated"


def test_ties_are_marked(rich: Site) -> None:
    (board,) = rich.boards
    source = rich.pages[f"{board.folder}/index.html"].source
    for name, other, place in (("twin", "modular", 1), ("modular", "twin", 2)):
        (row,) = re.findall(rf'<tr data-id="{name}".*?</tr>', source, re.DOTALL)
        assert f'data-place="{place}"' in row
        assert f'<span class="value">{place}=</span><span class="range">' in row
        assert f'<span class="unseen">possible places </span>1{DASH}2<' in row
        assert row.count(f"</span>{place}=</span>") == len(board.suite.axes)
        assert row.count(f"not significantly different from {other}") == len(board.suite.axes)
    (row,) = re.findall(r'<tr data-id="ridge".*?</tr>', source, re.DOTALL)
    assert '<span class="value">4</span>' in row and "possible places" not in row


FILTERS: list[tuple[Callable[..., str], Any, str]] = [
    (along, 0.4567, "45.7%"), (along, -0.02, "-2.0%"), (along, -3.0, "-6.0%"), (along, 1.5, "106.0%"),
    (percent, None, "0.0%"), (percent, 1.2, "100.0%"), (percent, 0.4567, "45.7%"),
    (duration, 3.21, "3.2 s"), (duration, 75, "1 min 15 s"), (duration, 7500, "2 h 5 min"), (duration, 59.99, "60.0 s"),
    (figure, 12345.0, "12,345"), (figure, 1.0, "1.000"), (figure, 0.25, "0.250"),
    (sided, -0.000162, "\N{MINUS SIGN}0.0002"), (sided, 0.25, "+0.250"), (sided, 4e-6, "+0.000004"),
    (sided, 0.0, "0.000"), (sided, 4e-8, "0.000"),
    (signed, 0.25, "+0.250"), (signed, -0.25, "\N{MINUS SIGN}0.250"), (signed, -0.0001, "0.000"),
    (size, 0, DASH), (size, 999, "999 B"), (size, 12345, "12 kB"), (size, 1_234_567, "1.2 MB"),
    (breakable, "a_<b>", "a_<wbr>&lt;b&gt;"),
]  # fmt: skip


def test_an_interval_that_goes_on_is_marked_where_it_is_cut_off() -> None:
    assert ends_beyond(-0.05, 1.05) == ()
    assert ends_beyond(-0.2, 0.4) == ("-6.0%",)
    assert ends_beyond(-0.2, 1.4) == ("-6.0%", "106.0%")
    bar = make_environment().get_template("macros.html.j2").module.bar  # type: ignore[attr-defined]
    assert bar(Estimate(value=0.1, low=-0.2, high=0.4)).count('class="beyond" aria-hidden="true" x="-6.0%"') == 1
    assert "beyond" not in bar(Estimate(value=0.1, low=0.0, high=0.4))


def test_pages_lead_to_the_repository_where_it_is_known(
    tiny_board: Callable[..., Board], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "https://example.org/invbench"
    monkeypatch.setattr("leaderboard.site.build.BENCHMARK", replace(BENCHMARK, repository=address))
    build_site([tiny_board(("one", 0.5))], tmp_path)
    for page in tmp_path.rglob("*.html"):
        assert f'<a href="{address}" rel="nofollow noopener">Repository</a>' in page.read_text(encoding="utf-8")


def test_every_page_leads_to_how_to_submit_and_cite(site: Site) -> None:
    for name, page in site.pages.items():
        ends = {posixpath.basename(reference) for reference in page.values("href")}
        assert {"suite.html#run", "citation.bib"} <= ends, name


@pytest.mark.parametrize(("filtered", "value", "text"), FILTERS)
def test_numbers_in_words(filtered: Callable[..., str], value: Any, text: str) -> None:
    assert filtered(value) == text
