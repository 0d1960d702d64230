"""The data of a board as files, its index and its citations: whole, stable, and harmless whatever others wrote."""

from __future__ import annotations

import csv
import datetime
import json
import math
import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from boards import IMAGES, PHOTOGRAPHS
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from benchmark.files.canonical import readable_json
from benchmark.files.foreign import check_parquet
from benchmark.files.spreadsheets import guarded
from benchmark.files.tables import read_table
from benchmark.records.columns import SCORE_SCHEMA, table_digest
from benchmark.records.history import Event, supersede, withdraw
from benchmark.records.receipts import Difference, Environment, Receipt, write_receipt
from benchmark.records.record import StageLayers, load_record, load_scores
from benchmark.submissions.submission import Links
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Suite
from leaderboard.data.entries import Entry, load_entries
from leaderboard.data.rankings import tables_of
from leaderboard.site import downloads
from leaderboard.site.board_json import render_board_schema
from leaderboard.site.citation import BENCHMARK, ORIGIN, cite_benchmark, cite_submission, cite_suite, escape, render_bib
from leaderboard.site.downloads import Download, write_downloads
from leaderboard.site.index import make_board

ROOT = Path(__file__).parents[3]
Enter = Callable[..., Path]
TODAY = datetime.date(2026, 1, 31)


@pytest.fixture
def entries(suite: Suite, lock: Lock, four: Path) -> list[Entry]:
    return load_entries(suite, lock, [four])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def by_name(found: list[Download]) -> dict[str, Download]:
    return {download.name: download for download in found}


def receipt_of(folder: Path) -> Receipt:
    record = load_record(folder)
    metrics = {cell.metric for cell in record.cells}
    return Receipt(
        kind="reproduced",
        submission=record.submission.id,
        suite=record.suite,
        suite_digest=record.suite_digest,
        lock_digest=record.lock_digest,
        record_digest=record.digest,
        rerun_digest="1" * 64,
        by="B. Reader",
        date=TODAY,
        environment=Environment(device="cpu", device_name="Another CPU", python="3.11", packages={}),
        images=record.images,
        differences={m: Difference(compared=9, equal=9, largest=0, beyond=0, unmatched=0) for m in metrics},
    )


def test_every_table_comes_as_csv_and_json_with_the_same_rows(
    suite: Suite, lock: Lock, entries: list[Entry], tmp_path: Path
) -> None:
    found = by_name(write_downloads(suite, entries, tmp_path, lock=lock))
    assert list(found) == [
        "ranking", "taps", "cells", "pairs", "layers", "pull", "methods", "receipts", "history", "scores",
    ]  # fmt: skip
    for name in found.keys() - {"cells", "scores"}:
        told = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
        read = rows(tmp_path / f"{name}.csv")
        assert len(told) == len(read) == found[name].rows
        for one, other in zip(told, read, strict=True):
            assert list(one) == list(other)
            for key, value in one.items():
                text = other[key]
                assert text == "" if value is None else type(value)(text) == value or text == str(value).lower()
    for download in found.values():
        assert download.title and download.description
        for path, kind, size in download.files:
            assert path.endswith(f".{kind}") and (tmp_path / path).stat().st_size == size


def test_tables_hold_what_the_board_shows(suite: Suite, lock: Lock, entries: list[Entry], tmp_path: Path) -> None:
    write_downloads(suite, entries, tmp_path, lock=lock)
    told = json.loads((tmp_path / "ranking.json").read_text())
    assert [row["target"] for row in told[::4]] == ["all", "mini-detr", "mini-vit"]
    assert [(row["place"], row["submission"], row["reference"]) for row in told[:4]] == [
        (1, "modular", None), (2, "ridge", None), (None, "copy", "ceiling"), (None, "mean", "floor"),
    ]  # fmt: skip
    assert told[0]["detail"] == pytest.approx(0.56, abs=1e-6) and told[0]["detail_rank"] == 1
    assert told[0]["score"] == pytest.approx(0.56, abs=1e-6) and told[0]["detail_thumbnail"] == "12x12"
    assert [(row["best"], row["worst"], row["equal"]) for row in told[:2]] == [(1, 1, False), (2, 2, False)]
    assert (told[0]["images"], told[0]["groups"]) == (IMAGES, PHOTOGRAPHS)
    assert told[0]["parameters"] == 2 * 12345 and told[4]["parameters"] == 12345
    assert told[0]["training_device_hours"] is None and told[0]["device_name"] == "Some CPU"
    frame = pq.read_table(tmp_path / "cells.parquet")
    assert frame.num_rows == len(rows(tmp_path / "cells.csv")) == sum(len(e.record.cells) for e in entries)
    place = next(i for i, cell in enumerate(entries[0].record.cells) if cell.unscored)
    row, cell = frame.to_pylist()[place], entries[0].record.cells[place]
    ((reason, count),) = cell.unscored.items()
    assert row == {
        "submission": "copy", "target": cell.target, "tap": cell.tap, "perturbation": "identity",
        "metric": "contour_f", "value": cell.value, "low": cell.low, "high": cell.high, "scored": IMAGES - 1,
        "unscored": 1, "reasons": f"{reason} ({count})",
    }  # fmt: skip
    for row in json.loads((tmp_path / "taps.json").read_text()):
        assert all(isinstance(row[name], float) and math.isfinite(row[name]) for name in ("depth", "value", "low"))


def test_many_cells_come_as_parquet_only_and_the_older_csv_goes(
    suite: Suite, lock: Lock, entries: list[Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_downloads(suite, entries, tmp_path, lock=lock)
    monkeypatch.setattr(downloads, "MAX_CSV_ROWS", 10)
    (tmp_path / "scores" / "gone.parquet").write_bytes(b"of an earlier build")
    (tmp_path / "mine.csv").write_text("left alone")
    found = by_name(write_downloads(suite, entries, tmp_path, lock=lock))["cells"]
    assert [file.format for file in found.files] == ["parquet"] and "Parquet only" in found.description
    assert not (tmp_path / "cells.csv").exists() and not (tmp_path / "scores" / "gone.parquet").exists()
    assert (tmp_path / "mine.csv").exists()


def test_scores_are_the_records_own_written_anew_and_read_as_one_table(
    suite: Suite, lock: Lock, entries: list[Entry], tmp_path: Path
) -> None:
    payload = "payload " * 20
    for entry in entries:
        table = load_scores(entry.folder, entry.record)
        reasons = table.column("reason").combine_chunks()
        hidden = pa.DictionaryArray.from_arrays(reasons.indices, pa.array([*reasons.dictionary.to_pylist(), payload]))
        table = table.set_column(6, SCORE_SCHEMA.field("reason"), hidden).replace_schema_metadata({"more": payload})
        pq.write_table(table, entry.folder / "scores.parquet", compression="none")
        assert payload.encode() in (entry.folder / "scores.parquet").read_bytes()
    found = by_name(write_downloads(suite, entries, tmp_path, lock=lock))["scores"]
    for entry in entries:
        copy = tmp_path / "scores" / f"{entry.submission.id}.parquet"
        table = pq.read_table(copy)
        assert table_digest(table) == entry.record.scores_sha256
        assert set(table.schema.metadata or {}) == set() and set(pq.read_metadata(copy).metadata) == {b"ARROW:schema"}
        assert payload not in table.column("reason").combine_chunks().dictionary.to_pylist()
        check_parquet(copy, read_table(copy, SCORE_SCHEMA), SCORE_SCHEMA)
    assert pyarrow.dataset.dataset(tmp_path / "scores").count_rows() == found.rows
    assert found.rows == sum(load_scores(entry.folder, entry.record).num_rows for entry in entries)


def test_the_same_entries_give_the_same_bytes(suite: Suite, lock: Lock, entries: list[Entry], tmp_path: Path) -> None:
    first = write_downloads(suite, entries, tmp_path / "a", lock=lock)
    second = write_downloads(suite, entries[::-1], tmp_path / "b", lock=lock)
    assert first == second
    for download in first:
        for path, *_ in download.files:
            data = (tmp_path / "a" / path).read_bytes()
            assert data == (tmp_path / "b" / path).read_bytes()
            if not path.endswith(".parquet"):
                assert data.endswith(b"\n") and b"\r" not in data and not data.startswith(b"\xef\xbb\xbf")


def test_nobody_entered(suite: Suite, lock: Lock, tmp_path: Path) -> None:
    found = write_downloads(suite, [], tmp_path, lock=lock)
    assert all(download.rows == 0 for download in found)
    assert json.loads((tmp_path / "ranking.json").read_text()) == []
    assert json.loads(readable_json(make_board([(suite, lock, [])], {suite.id: found})))["suites"][0]["entries"] == []


def test_layers_receipts_and_history(suite: Suite, lock: Lock, enter: Enter, root: Path, tmp_path: Path) -> None:
    stage = StageLayers(
        stage="encoder", taps=("a", "b"), images=16, transfer=((0.5, 0.3), (None, 0.4)),
        normalized=((1, 0.5), (None, 1)), neighbors=0.5, half_distance=None, asymmetry=0.1, cka=((1, 0.9), (0.9, 1)),
    )  # fmt: skip
    folder = enter("ridge", 0.5, layers={"mini-vit": (stage,)})
    old = supersede(folder.parents[1], "mini@1", "Trained longer.", load_record(folder).digest[::-1], TODAY)
    for name in ("record.json", "scores.parquet", "audit.parquet"):
        (folder / name).write_bytes((old / name).read_bytes())
    write_receipt(folder, receipt_of(folder))
    withdraw(folder.parents[1], "mini@1", "=A mistake", TODAY)
    found = load_entries(suite, lock, [root])
    write_downloads(suite, found, tmp_path, lock=lock)
    read = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("layers", "receipts", "history")}
    pairs = [(row["features_of"], row["inverse_of"], row["transfer"]) for row in read["layers"]]
    assert pairs == [("a", "a", 0.5), ("a", "b", 0.3), ("b", "a", None), ("b", "b", 0.4)]
    metrics = {cell.metric for cell in load_record(folder).cells}
    assert len(read["receipts"]) == len(metrics) and read["receipts"][0]["device_name"] == "Another CPU"
    assert [(row["kind"], row["date"]) for row in read["history"]] == [
        ("superseded", "2026-01-31"), ("withdrawn", "2026-01-31"),
    ]  # fmt: skip
    assert read["history"][1]["reason"] == "=A mistake"
    assert rows(tmp_path / "history.csv")[1]["reason"] == "'=A mistake"


HOSTILE = (
    "=1+1",
    "A. Author; =1+1",
    'x";=1',
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    'a"b,c\nd',
    "\r\n",
    "'",
    "",
    "\0",
    "</td>",
)


def test_csv_gives_back_every_text_and_runs_none(
    suite: Suite, lock: Lock, entries: list[Entry], tmp_path: Path
) -> None:
    bare = replace(entries[0], record=entries[0].record.model_copy(update={"cells": ()}))
    tables = tables_of(suite, [bare])

    @given(st.text())
    @settings(max_examples=40, deadline=None)
    def check(text: str) -> None:
        told = entries[0].submission.model_copy(update={"description": text})
        write_downloads(suite, [replace(bare, submission=told)], tmp_path, lock=lock, tables=tables, paired=[])
        (row,) = rows(tmp_path / "methods.csv")
        assert row["description"] == guarded(text)
        (row,) = json.loads((tmp_path / "methods.json").read_text(encoding="utf-8"))
        assert row["description"] == text

    for text in HOSTILE:
        check = example(text)(check)
    check()


def test_the_index_is_what_its_schema_says(suite: Suite, lock: Lock, four: Path, enter: Enter, tmp_path: Path) -> None:
    one = load_record(four / "copy/records/mini@1").targets["mini-detr"]
    folder = enter("sketch", 0.3, status="partial", targets={"mini-detr": one})
    write_receipt(four / "ridge/records/mini@1", receipt_of(four / "ridge/records/mini@1"))
    withdraw(folder.parents[1], "mini@1", "A mistake.", TODAY)
    entries = load_entries(suite, lock, [four])
    event = Event(kind="superseded", suite="mini@1", record="0" * 64, by="1" * 64, reason="Old.", date=TODAY)
    entries[0] = replace(entries[0], superseded=((event, entries[0].record),))
    found = write_downloads(suite, entries, tmp_path / "mini-1" / "data", lock=lock)
    text = readable_json(make_board([(suite, lock, entries)], {suite.id: found}))
    tables = {suite.id: tables_of(suite, entries)}
    assert text == readable_json(make_board([(suite, lock, entries[::-1])], {suite.id: found}, tables))
    committed = (ROOT / "docs" / "schemas" / "board.schema.json").read_text(encoding="utf-8")
    assert committed == render_board_schema(), "run: invbench docs schemas --out docs/schemas"
    data = json.loads(text)
    schema = json.loads(committed)
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(data)
    assert not Draft202012Validator(schema).is_valid(data | {"more": 1})
    (of_suite,) = data["suites"]
    assert [entry["submission"]["id"] for entry in of_suite["entries"]] == [
        "copy",
        "mean",
        "modular",
        "ridge",
        "sketch",
    ]
    ridge, sketch = of_suite["entries"][3:]
    assert ridge["trust"] == "reproduced" and ridge["receipts"][0]["agrees"] is True
    assert ridge["overall"]["axes"]["detail"]["rank"] == 2 and ridge["targets"]["mini-vit"]["parameters"] == 12345
    assert ridge["page"] == "mini-1/method-ridge.html"
    assert sketch["badges"] == ["withdrawn", "partial"] and sketch["withdrawal"]["reason"] == "A mistake."
    assert sketch["targets"]["mini-vit"]["axes"]["shape"]["reason"] == "target not evaluated"
    files = [file for download in of_suite["downloads"] for file in download["files"]]
    assert all((tmp_path / file["path"]).stat().st_size == file["bytes"] for file in files)


def test_the_index_of_many_entries_stays_small(suite: Suite, lock: Lock, entries: list[Entry]) -> None:
    one = entries[3]
    many = [
        replace(one, submission=one.submission.model_copy(update={"id": f"m{number}"}), image_axes={})
        for number in range(100)
    ]
    assert len(readable_json(make_board([(suite, lock, many)]))) < 1_000_000


def test_bibtex_is_of_the_package_and_of_the_work_it_grew_from() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (BENCHMARK.version, BENCHMARK.license) == (project["version"], project["license"])
    assert BENCHMARK.authors == tuple(author["name"] for author in project["authors"])
    text = cite_benchmark()
    assert f"Version {project['version']}, {project['license']}" in text
    assert f"title = {{{{{ORIGIN.title}}}}}" in text
    assert "author = {Rathjens and Reyhanian and Kappel and Wiskott}" in text
    assert "journal = {arXiv:2412.06534}" in text


def fields_of(entry: str) -> dict[str, str]:
    """Read one BibTeX entry as BibTeX does: every brace counts."""
    match = re.fullmatch(r"@(\w+)\{([^\s,{}]+),\n(.*)\}\n", entry, re.DOTALL)
    assert match
    found, rest = {"type": match[1], "key": match[2]}, match[3]
    while rest:
        head = re.match(r"  (\w+) = \{", rest)
        assert head
        depth, place = 1, head.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(rest[place], 0)
            place += 1
        found[head[1]] = rest[head.end() : place - 1]
        assert rest[place : place + 2] == ",\n"
        rest = rest[place + 2 :]
    return found


PLAIN = {r"{\textbackslash}": "\\", r"{\textbraceleft}": "{", r"{\textbraceright}": "}", r"{\textasciitilde}": "~",
         r"{\textasciicircum}": "^", **{rf"\{c}": c for c in "&%$#_"}}  # fmt: skip


def unescape(text: str) -> str:
    return re.sub(r"\{\\text\w+\}|\\[&%$#_]", lambda match: PLAIN[match[0]], text)


@given(st.text())
@example("}} , author = {{Eve}} \\input{x} 100% ~ ^ # $ & _ @article{")
def test_bibtex_gives_back_every_text(text: str) -> None:
    escaped = escape(text)
    assert unescape(escaped) == " ".join(text.split())
    assert fields_of(f"@misc{{key,\n  title = {{{escaped}}},\n}}\n")["title"] == escaped


def test_a_hostile_submission_is_cited_as_one_entry(suite: Suite, entries: list[Entry]) -> None:
    update: dict[str, Any] = {
        "title": "}} @misc{evil, 100 % of it",
        "authors": ("A. Author", "Smith and Sons, Inc.", "others", "{"),
        "links": Links(paper="https://arxiv.org/abs/1_2%20#x"),
    }
    found = fields_of(cite_submission(entries[0].submission.model_copy(update=update)))
    assert found["key"] == "invbench:submission:copy"
    assert unescape(found["title"][1:-1]) == update["title"]
    assert found["author"] == r"A. Author and {Smith and Sons, Inc.} and {others} and {\textbraceleft}"
    assert found["url"] == "https://arxiv.org/abs/1_2%20#x"
    assert suite.digest in fields_of(cite_suite(suite))["note"]
    entries_of = render_bib([suite]).split("\n\n")
    keys = [fields_of(entry.rstrip("\n") + "\n")["key"] for entry in entries_of]
    assert keys == ["invbench", "invbench:origin", "invbench:suite:mini-1"]
