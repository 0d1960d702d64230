"""The feed of changes: valid Atom (RFC 4287), stable, and text stays text."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmark.records.history import Event, withdraw
from benchmark.records.receipts import Difference, Environment, Receipt
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Suite
from leaderboard.data.entries import Entry, load_entries
from leaderboard.site.feed import MAX_ENTRIES, render_feed

Enter = Callable[..., Path]
TODAY = datetime.date(2026, 11, 24)
ATOM = "{http://www.w3.org/2005/Atom}"
# RFC 3339 with the upper-case T and Z that RFC 4287 (3.3) asks for.
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
ONCE_IN_FEED = {"id", "title", "updated", "generator", "icon", "logo", "rights", "subtitle"}
ONCE_IN_ENTRY = {"id", "title", "updated", "content", "published", "rights", "source", "summary"}
MANY_IN_FEED = {"author", "category", "contributor", "link", "entry"}
MANY_IN_ENTRY = {"author", "category", "contributor", "link"}


@pytest.fixture
def entries(suite: Suite, lock: Lock, enter: Enter, root: Path) -> list[Entry]:
    enter("copy", 1.0)
    enter("ridge", 0.5, draft=True)
    return load_entries(suite, lock, [root])


def tags(element: ElementTree.Element) -> list[str]:
    assert all(child.tag.startswith(ATOM) for child in element)
    return [child.tag.removeprefix(ATOM) for child in element]


def text(element: ElementTree.Element, tag: str) -> str:
    found = element.find(ATOM + tag)
    assert found is not None and found.text
    return found.text


def check_common(element: ElementTree.Element) -> None:
    """Check what holds for a feed and an entry alike (RFC 4287, 4.1.1 and 4.1.2)."""
    for tag in ("id", "title", "updated"):
        assert tags(element).count(tag) == 1, f"MUST contain exactly one {tag}"
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", text(element, "id")), "MUST be an IRI (4.2.6)"
    assert DATE.fullmatch(text(element, "updated")) and datetime.datetime.fromisoformat(text(element, "updated"))
    alternates = []
    for link in element.findall(f"{ATOM}link"):
        assert link.get("href"), "MUST have href (4.2.7.1)"
        assert not re.match(r"[a-z]+:|/", link.get("href", "")), "is relative, to work below any path"
        if link.get("rel", "alternate") == "alternate":
            alternates.append((link.get("type"), link.get("hreflang")))
    assert len(alternates) == len(set(alternates)), "MUST NOT repeat an alternate of one type and language"
    for category in element.findall(f"{ATOM}category"):
        assert category.get("term"), "MUST have term (4.2.2)"
    for author in element.findall(f"{ATOM}author"):
        assert tags(author).count("name") == 1, "MUST contain exactly one name (3.2.1)"


def parse(feed: str) -> ElementTree.Element:
    """Parse a feed and check it against the rules of RFC 4287."""
    root = ElementTree.fromstring(feed.encode())
    assert root.tag == f"{ATOM}feed"
    check_common(root)
    assert set(tags(root)) <= ONCE_IN_FEED | MANY_IN_FEED
    assert all(tags(root).count(tag) <= 1 for tag in ONCE_IN_FEED)
    assert root.find(f"{ATOM}author") is not None, "MUST name an author, or every entry does"
    assert [link.get("href") for link in root.findall(f"{ATOM}link") if link.get("rel") == "self"] == ["feed.xml"]
    ids = []
    for entry in root.findall(f"{ATOM}entry"):
        check_common(entry)
        assert set(tags(entry)) <= ONCE_IN_ENTRY | MANY_IN_ENTRY
        assert all(tags(entry).count(tag) <= 1 for tag in ONCE_IN_ENTRY)
        has_link = any(link.get("rel") == "alternate" for link in entry.findall(f"{ATOM}link"))
        assert has_link or entry.find(f"{ATOM}content") is not None, "MUST have an alternate where there is no content"
        ids.append(text(entry, "id"))
    assert len(ids) == len(set(ids))
    return root


def kinds(root: ElementTree.Element) -> list[str | None]:
    return [category.get("term") for category in root.iter(f"{ATOM}category")]


def receipt(entry: Entry, number: int, by: str = "B. Reader") -> Receipt:
    return Receipt(
        kind="rescored",
        submission=entry.submission.id,
        suite=entry.record.suite,
        suite_digest=entry.record.suite_digest,
        lock_digest=entry.record.lock_digest,
        record_digest=entry.record.digest,
        by=by,
        date=TODAY + datetime.timedelta(days=number),
        environment=Environment(device="cpu", device_name="Some CPU", python="3.11", packages={}),
        images=2,
        differences={"ssim": Difference(compared=1, equal=1, largest=0, beyond=0, unmatched=0)},
        digest=f"{number:064x}",
    )


def test_a_feed_without_entries_is_of_a_fixed_date(suite: Suite) -> None:
    assert text(parse(render_feed([])), "updated") == "1970-01-01T00:00:00Z"
    assert kinds(parse(render_feed([(suite, [])]))) == []


def test_every_change_is_told_the_newest_first(suite: Suite, lock: Lock, four: Path) -> None:
    withdraw(four / "mean", "mini@1", "A <b>mistake</b> & more", TODAY)
    entries = load_entries(suite, lock, [four])
    old = entries[3].record.model_copy(update={"digest": "0" * 64})
    event = Event(kind="superseded", suite="mini@1", record="0" * 64, by=entries[3].record.digest, reason="Old.",
                  date=datetime.date(2026, 11, 26))  # fmt: skip
    entries[3] = replace(entries[3], superseded=((event, old),), receipts=(receipt(entries[3], 1),))
    root = parse(render_feed([(suite, entries)]))
    assert kinds(root) == ["superseded", "receipt", "withdrawn", *["record"] * 5]
    assert text(root, "updated") == "2026-11-26T00:00:00Z"
    summaries = [text(entry, "summary") for entry in root.iter(f"{ATOM}entry")]
    assert "A <b>mistake</b> & more" in summaries[2] and "B. Reader" in summaries[1]
    links = {link.get("href") for entry in root.iter(f"{ATOM}entry") for link in entry.iter(f"{ATOM}link")}
    assert links == {f"mini-1/method-{name}.html" for name in ("copy", "mean", "modular", "ridge")}


def test_the_same_boards_give_the_same_text_in_any_order(suite: Suite, entries: list[Entry]) -> None:
    assert render_feed([(suite, entries)]) == render_feed([(suite, entries[::-1])])


def test_only_the_newest_are_kept(suite: Suite, entries: list[Entry]) -> None:
    entry = replace(entries[0], receipts=tuple(receipt(entries[0], number) for number in range(MAX_ENTRIES + 20)))
    root = parse(render_feed([(suite, [entry])]))
    dates = [text(found, "updated") for found in root.iter(f"{ATOM}entry")]
    assert len(dates) == MAX_ENTRIES and dates == sorted(dates, reverse=True)
    assert dates[0] == f"{TODAY + datetime.timedelta(days=MAX_ENTRIES + 19)}T00:00:00Z"


@pytest.mark.parametrize(
    ("started", "updated"),
    [
        ("2025-06-01T12:00:00+02:00", "2025-06-01T10:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_times_of_a_run_are_told_in_utc(suite: Suite, entries: list[Entry], started: str, updated: str) -> None:
    record = entries[0].record
    record = record.model_copy(update={"run": record.run.model_copy(update={"started": started})})
    root = parse(render_feed([(suite, [replace(entries[0], record=record)])]))
    assert text(root, "updated") == updated


def test_text_stays_text_whatever_it_says(suite: Suite, entries: list[Entry]) -> None:
    @given(st.text(min_size=1))
    @example("</title></entry><script>alert(1)</script>&amp;]]>")
    @example("\0\x08\ufffe\x85 \r\n x")
    @settings(max_examples=60, deadline=None)
    def check(title: str) -> None:
        told = entries[0].submission.model_copy(update={"title": title, "authors": (f"By {title}",)})
        (entry,) = parse(render_feed([(suite, [replace(entries[0], submission=told)])])).iter(f"{ATOM}entry")
        held = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "\ufffd", title)
        assert text(entry, "title") == " ".join(f"mini@1: record of {held} (copy)".split())
        assert entry.findtext(f"{ATOM}author/{ATOM}name") == " ".join(f"By {held}".split())

    check()
