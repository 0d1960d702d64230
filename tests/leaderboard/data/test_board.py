"""What a board makes of records that lie: they are left out, each with a line on the page, and the others stay."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boards import FOUR, Site, lock_of, make_site, write_entry
from forge import put

from benchmark.errors import SpecError, UserError
from benchmark.files.canonical import readable_json
from benchmark.records.receipts import load_receipts
from benchmark.records.record import Record
from benchmark.suites.spec import Suite
from leaderboard.data.board import Board, say_why_left_out
from leaderboard.data.entries import load_entries

FIRST = "tiny-vit"
LIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "the score": put("score/value", 0.99),
    "an end of its interval": put("score/low", 0.8),
    "an axis": put("overall/detail/value", 0.99),
    "an interval of an axis": put("overall/shape/high", 0.99),
    "a part of an axis": put("overall/color/parts/color_transfer", 0.99),
    "an axis of a target": put(f"targets/{FIRST}/axes/detail/value", 0.99),
    "the score of a target": put(f"targets/{FIRST}/score/value", 0.99),
    "an axis of a tap": put(f"targets/{FIRST}/taps/first/axes/color/value", 0.99),
    "a cell": put("cells/0/value", 0.99),
    "how many were scored": put("cells/0/scored", 1),
    "a reason": put("cells/0/unscored", {"too hard": 1}),
    "a tap dropped": lambda content: content["targets"][FIRST]["taps"].pop("first"),
    "a cell dropped": lambda content: content["cells"].pop(),
    "fewer images": put("images", 3),
    "a day to come": put("run/started", "2099-01-01T00:00:00Z"),
    "a day before the project": put("run/started", "2020-01-01T00:00:00Z"),
}
BROKEN: dict[str, tuple[str, str]] = {
    "a huge integer": ('"parameters": 12345', '"parameters": 1' + "0" * 300),
    "a huge number": ('"wall_s": 75.0', '"wall_s": 1e999'),
    "no number": ('"wall_s": 75.0', '"wall_s": NaN'),
    "next to nothing": ('"wall_s": 75.0', '"wall_s": 75.0, "mood": 1'),
    "deep nesting": ('"wall_s": 75.0', '"wall_s": ' + "[" * 5000),
    "a byte order mark": ("{", "\ufeff{"),
    "half of it": ("}", ""),
}


def lie(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a record and state its digests anew."""
    path = folder / "record.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(readable_json(Record.model_validate(content).sealed()), encoding="utf-8")


def says_what_is_stated(site: Site) -> None:
    shown = " ".join(site.pages["tiny-1/method-ridge.html"].text.split())
    for words in ("Device", "Wall time", "Peak memory", "Started", "Code", "Training", "Time per recon", "Trained on"):
        assert f"{words} stated by the author" in shown, words
    for words in ("Precision", "Parameters"):
        assert words in shown and f"{words} stated by the author" not in shown, words
    assert "stated by the author" in site.pages["tiny-1/index.html"].text


def test_whoever_lies_is_left_out_alone_and_every_reader_is_told(tiny_suite: Suite, tmp_path: Path) -> None:
    suite, lock, root, told = tiny_suite, lock_of(tiny_suite), tmp_path / "submissions", list[UserError]()
    root.mkdir()
    for name, level in FOUR:
        write_entry(suite, lock, root, name, level)
    for number, change in enumerate(LIES.values()):
        lie(write_entry(suite, lock, root, f"lies-{number:02}", 0.9), change)
    for number, (old, new) in enumerate(BROKEN.values()):
        path = write_entry(suite, lock, root, f"broken-{number:02}", 0.9) / "record.json"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
    left = load_entries(suite, lock, [root], told.append)
    assert [entry.submission.id for entry in left] == ["copy", "mean", "modular", "ridge"]
    names = [f"lies-{number:02}" for number in range(len(LIES))] + [f"broken-{n:02}" for n in range(len(BROKEN))]
    lines = [say_why_left_out(error, [root]) for error in told]
    assert len(lines) == len(names) > 20
    for name in names:
        assert sum(line.startswith(f"{name}/records/{suite.id}/") for line in lines) == 1, (name, lines)
    site = make_site([Board(suite, lock, left, left_out=tuple(lines))], tmp_path / "out")
    alone = make_site([Board(suite, lock, left)], tmp_path / "alone")
    page = site.pages["tiny-1/index.html"].text
    assert "Records left out" in page and all(" ".join(line.split()) in " ".join(page.split()) for line in lines)
    assert "Records left out" not in alone.pages["tiny-1/index.html"].text
    assert str(tmp_path) not in page
    says_what_is_stated(site)
    others = {name for name in site.pages if name != "tiny-1/index.html"}
    assert all(site.pages[name].source == alone.pages[name].source for name in others)


def test_whatever_else_goes_wrong_with_a_record_it_stops_nobody(
    tiny_suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, lock = tiny_suite, lock_of(tiny_suite)
    for name, level in FOUR:
        write_entry(suite, lock, tmp_path, name, level)

    def fails(folder: Path, record: Record) -> Any:
        if "ridge" in str(folder):
            raise OverflowError("int too large\nto convert")
        return load_receipts(folder, record)

    monkeypatch.setattr("leaderboard.data.entries.load_receipts", fails)
    told: list[UserError] = []
    assert [entry.submission.id for entry in load_entries(suite, lock, [tmp_path], told.append)] == [
        "copy", "mean", "modular",
    ]  # fmt: skip
    assert say_why_left_out(told[0], [tmp_path]) == (
        f"ridge/records/{suite.id}/record.json: cannot be used: OverflowError: int too large"
    )


def test_a_line_is_short_and_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    error = SpecError("x" * 1000, where=str(tmp_path / "a" / "record.json"))
    line = say_why_left_out(error, [tmp_path])
    assert line.startswith("a/record.json: xxx") and len(line) == 300
