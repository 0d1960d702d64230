"""Whatever others write into a submission, record, receipt or review ends as text on the board and in comments.

Threats: T7, T18.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from forge import SMALL, TARGET, World, edit_json, make_world, reseal, write_submission

from benchmark.engine.rescore import make_receipt
from benchmark.records.history import supersede, withdraw
from benchmark.records.receipts import Difference, write_receipt
from benchmark.records.record import Record, load_record
from benchmark.submissions.markdown import code, plain
from benchmark.submissions.review import Review, ReviewFinding
from benchmark.submissions.submission import load_submission_folder
from leaderboard.comment import render_comment
from leaderboard.data.board import Board
from leaderboard.data.entries import Entry, load_entries
from leaderboard.site.build import build_site

EVIL = (
    "zap<script>alert(1)</script>", '"zap onmouseover="alert(1)', "'zap onfocus='alert(1)",
    "<img src=zap onerror=alert(1)>",
    "</td></table><iframe src=//zap>", "{{ zap.__class__ }}{% raw %}", "]]><svg/onload=zap>", "&lt;zap&gt;&#60;b&#62;",
    "javascript:zap()", "[zap](javascript:alert(1))", "![zap](https://evil.example/x.png)", "@zap #1 :zap: `zap`",
    "`` zap ` | zap || \\| \\`", "<!-- zap --> -->", "zap &amp; <a href='https://evil.example'>zap</a>",
    "https://evil.example/zap",
)  # fmt: skip
_TAGS = """
a abbr body button caption code dd details div dl dt em figcaption figure footer form h1 h2 h3 h4 head header html img
input label li line link main meta nav ol option output p path pre rect script section select span strong summary svg
table tbody td th thead title tr ul wbr
"""
KNOWN_TAGS = set(_TAGS.split())
KNOWN_ATTRIBUTES = re.compile(
    r"alt|aria-(current|hidden|label|labelledby)|charset|class|colspan|content|d|data-(axis|cost|family|id|own)|"
    r"data-(place|sort|stage|trust|value)|decoding|defer|download|focusable|height|hidden|href|http-equiv|id|lang|"
    r"loading|max|min|name|open|rel|role|rowspan|scope|src|step|tabindex|title|type|value|viewbox|width|[xy][12]?"
)


class Page(HTMLParser):
    """Gathers tags, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.comments: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


def evil(content: dict[str, Any], text: str) -> None:
    """Put a text wherever a record takes one."""
    content["submission"]["title"] = text
    content["run"] |= dict.fromkeys(("code_version", "device", "device_name", "python"), text)
    content["run"] |= {"packages": {text: text}}
    content["inverses"][TARGET]["training"] = {text: text, "data": text, "device": text}
    content["inverses"][TARGET]["files"] = {text: "a" * 64}


def spoil(entry: Entry, text: str) -> Entry:
    """Put a text where only a record takes one that does not follow from its scores, and is left out for that."""
    content = json.loads(entry.record.model_dump_json())
    content["cells"][0]["unscored"] = {text: 1}
    content["cells"][1] |= {"value": None, "unscored": {text: 5}}
    content["overall"]["color"] |= {"value": None, "low": None, "high": None}
    return replace(entry, record=Record.model_validate(content))


def enter(world: World, root: Path, text: str, cpu: torch.device) -> None:
    """Enter a submission that says `text` wherever it may: a superseded record, a withdrawn one and a receipt too."""
    place = world.write(root)
    toml = dict.fromkeys(("title", "description", "trained_on"), json.dumps(text)) | {"authors": json.dumps([text] * 2)}
    write_submission(root / SMALL, **toml)
    load_submission_folder(root / SMALL)
    reseal(place, lambda content: evil(content, text))
    suite = world.suite.id
    new = world.write(root.parent / "new")
    reseal(new, lambda content: evil(content, text) or content["inverses"][TARGET].update(parameters=7))
    supersede(root / SMALL, suite, text, load_record(new).digest, date(2025, 1, 1))
    for name in ("record.json", "scores.parquet", "audit.parquet"):
        (new / name).rename(place / name)
    withdraw(root / SMALL, suite, text, date(2025, 1, 2))
    record = load_record(place)
    same = Difference(compared=1, equal=1, largest=0, beyond=0, unmatched=0)
    receipt = make_receipt("reproduced", record, dict.fromkeys(world.suite.metrics, same), cpu, text, record.images)
    where = receipt.environment.model_copy(update={"device_name": text, "device": text, "packages": {text: text}})
    write_receipt(place, receipt.model_copy(update={"environment": where}))


@pytest.mark.parametrize("text", EVIL)
def test_on_the_board_the_text_of_others_is_text(world: World, tmp_path: Path, cpu: torch.device, text: str) -> None:
    root = tmp_path / "submissions"
    enter(world, root, text, cpu)
    entries = [spoil(entry, text) for entry in load_entries(world.suite, world.lock, [root])]
    assert len(entries) == 1
    build_site([Board(world.suite, world.lock, entries, left_out=(f"{text}: {text}",))], tmp_path / "board")
    shown = ""
    for page in sorted((tmp_path / "board").rglob("*.html")):
        html = Page(page.read_text(encoding="utf-8"))
        assert not html.tags - KNOWN_TAGS, html.tags - KNOWN_TAGS
        assert all(KNOWN_ATTRIBUTES.fullmatch(name) for _, name, _ in html.attributes), html.attributes
        assert not html.comments
        shown += " ".join("".join(html.text).split())
        for tag, name, value in html.attributes:
            if tag == "script" and name == "src":
                assert re.fullmatch(r"\.\./static/\w+\.js|data/[\w.-]+\.js", value or ""), value
            if name in {"href", "src"}:
                assert "zap" not in value, (tag, name, value)
                assert re.match(r"[\w./@#&=-]+$|https://example\.org/", value), (tag, name, value)
    assert shown.count(" ".join(text.split())) >= 8, "title, description, authors, data, receipt, history, weights"
    for script in (tmp_path / "board").rglob("data/*.js"):
        assert not re.search(r"[<>\u2028\u2029]", script.read_text(encoding="utf-8"))
    json.loads((tmp_path / "board" / "board.json").read_text(encoding="utf-8"))


def test_records_cannot_put_markup_into_names_of_images(world: World, tmp_path: Path) -> None:
    place = world.write(tmp_path / "submissions")
    edit_json(place / "record.json", lambda content: content["layers"][TARGET][0].update(stage="<b>"))
    found: list[Exception] = []
    assert load_entries(world.suite, world.lock, [tmp_path / "submissions"], found.append) == []
    assert "layers.mini-vit.0.stage" in str(found[0])


SPAN = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)")


def outside(line: str) -> str:
    """Return what of a line of Markdown lies outside of code."""
    return SPAN.sub("", line)


@pytest.mark.parametrize(
    "text", [*EVIL, "a\nb", "- a\n# b\n\n<c>", "a\r\n\r\n```\nb", "\u202e", "``", "`", "``` ` ``", "|", "\\", "\\`", ""]
)
def test_in_markdown_code_is_one_span_of_one_line(text: str) -> None:
    for found in (code(text), f"| {code(text)} | {code(text)} |"):
        assert "\n" not in found
        assert "\r" not in found
        assert outside(found).strip(" |") == ""
        assert found.count("|") == (0 if found == code(text) else 3)
    assert "\n" not in plain(text)


@pytest.mark.parametrize("text", EVIL)
def test_in_comments_the_text_of_others_is_text(text: str) -> None:
    finding = ReviewFinding(severity="error", message=text, where=f"{text}/record.json", cure=text)
    suite = {
        "suite": "mini@1", "digest": "a" * 64, "status": "complete", "draft": False, "axes": {"detail": 0.5},
        "rescored": "agrees", "rerun": "not run",
    }  # fmt: skip
    review = Review.model_validate({"submission": "mine", "findings": (finding, finding), "suites": (suite,)})
    comment = render_comment(review, "a" * 40)
    lines = comment.splitlines()
    assert comment.count("zap") >= 6
    assert lines[0] == "<!-- invbench review -->"
    for line in lines[1:]:
        rest = outside(line).replace("mini@1", "")
        assert "zap" not in rest
        assert not set("<>[]!@`&") & set(rest), rest
        assert "http" not in rest
    table = [line for line in lines if line.startswith("|")]
    assert len(table) >= 6
    assert {line.count("|") for line in table} == {6}


@pytest.mark.parametrize("name", ["submission", "suite", "digest", "status", "rescored"])
@pytest.mark.parametrize("text", EVIL[:4])
def test_what_a_review_states_outside_of_findings_is_of_fixed_form(name: str, text: str) -> None:
    suite = {"suite": "mini@1", "digest": "a" * 64, "status": "complete", "draft": False, "axes": {},
             "rescored": "agrees", "rerun": "not run"}  # fmt: skip
    whole: dict[str, Any] = {"submission": "mine", "suites": (suite,)}
    (whole if name == "submission" else suite)[name] = text
    with pytest.raises(ValueError, match=name):
        Review.model_validate(whole)
