"""The changes of the site as an Atom feed (RFC 4287): records, what became of them, and receipts."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from xml.etree import ElementTree

from benchmark.records.record import Record
from benchmark.suites.spec import Suite
from leaderboard.data.board import suite_folder
from leaderboard.data.entries import Entry
from leaderboard.site.citation import BENCHMARK

__all__ = ["MAX_ENTRIES", "render_feed"]

MAX_ENTRIES = 100
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""The date of a feed without entries."""

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_OID, "invbench")
_NO_XML = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class _Change:
    id: str
    when: datetime
    title: str
    summary: str
    kind: str
    link: str
    authors: tuple[str, ...] = ()


def _urn(*parts: str) -> str:
    return uuid.uuid5(_NAMESPACE, ":".join(parts)).urn


def _moment(text: str) -> datetime:
    """Return a time that a record states in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _stamp(when: datetime) -> str:
    return when.replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _one_line(text: str) -> str:
    """Return a text as one line that XML can hold."""
    return " ".join(_NO_XML.sub("\N{REPLACEMENT CHARACTER}", text).split())


def _iter_changes(suite: Suite, entry: Entry) -> Iterator[_Change]:
    submission = entry.submission
    link = f"{suite_folder(suite)}/method-{submission.id}.html"
    name = f"{submission.title} ({submission.id})"

    def appeared(record: Record) -> _Change:
        summary = f"Record {record.digest} of submission {submission.id}, method {submission.method}, on {suite.id}."
        when, urn = _moment(record.run.started), _urn("record", record.digest)
        return _Change(urn, when, f"{suite.id}: record of {name}", summary, "record", link, submission.authors)

    yield appeared(entry.record)
    for event, old in entry.superseded:
        yield appeared(old)
        title, urn = f"{suite.id}: record of {name} superseded", _urn("superseded", event.record, str(event.by))
        summary = f"Record {event.record} was superseded by {event.by}: {event.reason}"
        yield _Change(urn, _midnight(event.date), title, summary, "superseded", link)
    if gone := entry.withdrawal:
        title, urn = f"{suite.id}: record of {name} withdrawn", _urn("withdrawn", gone.record)
        summary = f"Record {gone.record} was withdrawn: {gone.reason}"
        yield _Change(urn, _midnight(gone.date), title, summary, "withdrawn", link)
    for receipt in entry.receipts:
        verdict = "agrees" if receipt.agrees else "does not agree"
        images = f"{receipt.images} {'fresh images' if receipt.challenge else 'images'}"
        title = f"{suite.id}: record of {name} {receipt.kind}"
        summary = f"{receipt.by} checked record {receipt.record_digest} on {images}: it {verdict}."
        urn = _urn("receipt", receipt.digest)
        yield _Change(urn, _midnight(receipt.date), title, summary, "receipt", link, (receipt.by,))


def _add(parent: ElementTree.Element, tag: str, text: str | None = None, **attributes: str) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, tag, attributes)
    element.text = None if text is None else _one_line(text)
    return element


def render_feed(boards: Sequence[tuple[Suite, Sequence[Entry]]]) -> str:
    """Return the text of the site's `feed.xml`: the newest MAX_ENTRIES changes, the newest first.

    Ids come from digests and links are relative to the feed, so that the same boards give the same text wherever
    the site lies. A record appears when its run started; a feed without entries is of EPOCH.
    """
    changes = {c.id: c for suite, entries in boards for entry in entries for c in _iter_changes(suite, entry)}
    newest = sorted(changes.values(), key=lambda c: (-int((c.when - EPOCH).total_seconds()), c.id))[:MAX_ENTRIES]
    feed = ElementTree.Element("feed", xmlns="http://www.w3.org/2005/Atom")
    _add(feed, "id", _urn("feed"))
    _add(feed, "title", "invbench: changes of the leaderboard")
    _add(feed, "updated", _stamp(newest[0].when if newest else EPOCH))
    _add(_add(feed, "author"), "name", BENCHMARK.authors[0])
    _add(feed, "link", rel="self", type="application/atom+xml", href="feed.xml")
    _add(feed, "link", rel="alternate", type="text/html", href="index.html")
    for change in newest:
        entry = _add(feed, "entry")
        _add(entry, "id", change.id)
        _add(entry, "title", change.title)
        _add(entry, "updated", _stamp(change.when))
        for author in change.authors:
            _add(_add(entry, "author"), "name", author)
        _add(entry, "link", rel="alternate", type="text/html", href=change.link)
        _add(entry, "category", term=change.kind)
        _add(entry, "summary", change.summary)
    ElementTree.indent(feed, " ")
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(feed, encoding="unicode") + "\n"
