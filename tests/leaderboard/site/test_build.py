"""Building a site: the same bytes from the same records, nothing stale, nothing of others touched."""

from __future__ import annotations

import datetime
import getpass
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from boards import RUN, lock_of, write_entry
from click.testing import CliRunner

from benchmark.errors import IntegrityError
from benchmark.records.record import InverseInfo
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Suite
from cli import main
from leaderboard.data.board import Board, load_boards
from leaderboard.data.entries import load_entries
from leaderboard.site.board_json import BoardIndex
from leaderboard.site.build import build_site

ROOT = Path(__file__).parents[3]
Enter = Callable[..., Path]
Make = Callable[..., Board]
Site = Any
Build = Callable[..., Site]
TEXT = {".html", ".xml", ".json", ".js", ".css", ".svg", ".csv", ".bib"}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def apart(first: dict[str, bytes], second: dict[str, bytes]) -> list[str]:
    """Return the files in which two trees differ."""
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def test_the_same_records_give_the_same_bytes_in_any_order(rich: Site, tmp_path: Path) -> None:
    (board,) = rich.boards
    build_site([replace(board, loaded=board.loaded[::-1])], tmp_path / "out")
    assert apart(tree(tmp_path / "out"), tree(rich.out)) == []


def test_a_build_over_an_earlier_one_leaves_nothing_of_it(tiny_board: Make, tmp_path: Path) -> None:
    many, few = tiny_board(("copy", 1.0), ("one", 0.5), ("two", 0.8)), tiny_board(("copy", 1.0), ("one", 0.5))
    build_site([few], tmp_path / "few")
    expected = tree(tmp_path / "few")
    build_site([many], tmp_path / "out")
    before = tree(tmp_path / "out")
    build_site([many], tmp_path / "out")
    assert apart(tree(tmp_path / "out"), before) == []
    gone = {name for name in before if "two" in name}
    assert {Path(name).parent.name for name in gone} == {"tiny-1", "charts", "data", "scores"}
    assert before.keys() - expected.keys() > gone, "images too"
    build_site([few], tmp_path / "out")
    assert apart(tree(tmp_path / "out"), expected) == []


COSTS: dict[str, tuple[int, float, float]] = {
    "nothing": (0, 0, 0),
    "next to nothing": (1, 1e-6, 1e-6),
    "more than there is": (10**12, 1e7, 1e9),
}


def test_whatever_a_record_may_cost_the_site_is_built(tiny_suite: Suite, tmp_path: Path) -> None:
    lock, root = lock_of(tiny_suite), tmp_path / "submissions"
    root.mkdir()
    for number, (parameters, hours, milliseconds) in enumerate(COSTS.values()):
        training: dict[str, str | int | float] = {"device_hours": hours, "device": "GPU"}
        inverse = InverseInfo(files={}, parameters=parameters, training=training)
        run = RUN.model_copy(update={"ms_per_recon": {"tiny-vit": milliseconds}, "wall_s": 1e9, "threads": 10**5})
        changes = {"inverses": {"tiny-vit": inverse}, "run": run}
        write_entry(tiny_suite, lock, root, f"entry-{number}", 0.5 + 0.1 * number, **changes)
    board = Board(tiny_suite, lock, load_entries(tiny_suite, lock, [root]))
    build_site([board], tmp_path / "out")
    for row in board.tables[None].ranked:
        named = (row.cost.parameters, row.cost.device_hours, row.cost.ms_per_recon)
        assert named == list(COSTS.values())[int(row.entry.submission.id[-1])]


def test_files_of_others_stay(tiny_board: Make, tmp_path: Path) -> None:
    names = ("CNAME", ".nojekyll", "other/index.html", "images/photo.png", "tiny-1/notes.html", "tiny-1/data/notes.txt")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    build_site([tiny_board(("one", 0.5))], tmp_path)
    assert all((tmp_path / name).read_text() == "mine" for name in names)


def test_no_file_tells_of_the_machine_or_of_the_day(rich: Site, real: Site) -> None:
    """Records tell where they were made; what is searched here is what only the build knows."""
    now = datetime.datetime.now(datetime.UTC)
    days = {now.date().isoformat(), datetime.datetime.now().astimezone().date().isoformat()}
    for site in (rich, real):
        dates = {str(receipt.date) for board in site.boards for entry in board.loaded for receipt in entry.receipts}
        dates |= {entry.record.run.started[:10] for board in site.boards for entry in board.loaded}
        dates |= {str(event.date) for board in site.boards for e in board.loaded for event, _ in e.superseded}
        dates |= {str(entry.withdrawal.date) for board in site.boards for entry in board.loaded if entry.withdrawal}
        secrets = {str(ROOT), str(Path.home()), str(site.out), sys.prefix, *(days - dates)} - {"/"}
        secrets |= {name for name in (socket.gethostname(), getpass.getuser()) if len(name) > 5}
        for name, data in tree(site.out).items():
            assert not [secret for secret in secrets if secret.encode() in data], name
            if Path(name).suffix in TEXT:
                text = data.decode()
                assert not re.search(r"(?<![\w.])/(home|root|Users|tmp|work)/|file:///|[A-Z]:\\\\Users", text), name


def test_text_files_end_their_lines_alike_everywhere(rich: Site) -> None:
    for name, data in tree(rich.out).items():
        if Path(name).suffix in TEXT:
            assert b"\r" not in data, name
            assert data.endswith(b"\n"), name


def test_an_empty_board_is_a_site(suite: Suite, lock: Lock, root: Path, build: Build, tmp_path: Path) -> None:
    site = build([Board(suite, lock, load_entries(suite, lock, [root]))], tmp_path / "out")
    assert "No record can be ranked yet." in site.pages["index.html"].text
    expected = {"index.html", "metrics.html"}
    expected |= {f"mini-1/{name}.html" for name in ("index", "claims", "compare", "suite", "downloads")}
    expected |= {f"mini-1/{kind}-{t.id}.html" for kind in ("target", "gallery") for t in suite.targets}
    assert site.pages.keys() == expected
    check_references(site)
    assert not [src for page in site.pages.values() for src in page.values("src") if "images/" in src]
    index = BoardIndex.model_validate_json((tmp_path / "out" / "board.json").read_text(encoding="utf-8"))
    assert index.suites[0].entries == ()


def test_no_board_at_all_is_a_site(build: Build, tmp_path: Path) -> None:
    site = build([], tmp_path)
    assert site.pages.keys() == {"index.html", "metrics.html"}
    assert "There are no records yet." in site.pages["index.html"].text
    check_references(site)


def test_a_board_of_references_alone_shows_their_images(tiny_board: Make, build: Build, tmp_path: Path) -> None:
    site = build([tiny_board(("copy", 1.0), ("mean", 0.0))], tmp_path)
    assert "No record can be ranked yet." in site.pages["index.html"].text
    for page in ("index.html", "tiny-1/gallery-tiny-vit.html", "tiny-1/method-copy.html", "tiny-1/method-mean.html"):
        assert [image for image in site.pages[page].all("img") if "images/" in (image["src"] or "")], page
    check_references(site)


def test_two_suites_share_a_site(rich: Site, tiny_board: Make, build: Build, tmp_path: Path) -> None:
    first, second = rich.boards[0], tiny_board(("copy", 1.0), ("one", 0.5))
    kept = replace(first, loaded=[e for e in first.loaded if e.submission.id in ("copy", "ridge")])
    site = build([kept, second], tmp_path)
    home = site.pages["index.html"]
    assert {"mini-1/index.html", "tiny-1/index.html"} <= set(home.values("href"))
    for board in (kept, second):
        alone = tmp_path / board.folder
        assert tree(alone)
        for name, page in site.pages.items():
            if name.startswith(f"{board.folder}/"):
                other = ({"mini-1", "tiny-1"} - {board.folder}).pop()
                assert not [href for href in page.values("href", "src") if other in href], "a board never mixes suites"
    check_references(site)
    index = BoardIndex.model_validate_json((tmp_path / "board.json").read_text(encoding="utf-8"))
    assert [suite.id for suite in index.suites] == ["mini@1", "tiny@1"]
    shutil.rmtree(tmp_path / "mini-1")
    build_site([second], tmp_path / "alone")
    assert apart(tree(tmp_path / "tiny-1"), tree(tmp_path / "alone" / "tiny-1")) == [], "the other changes nothing"


def check_references(site: Site) -> None:
    for name, page in site.pages.items():
        for reference in page.values("href", "src"):
            file = reference.partition("#")[0]
            if not reference.startswith("https://"):
                assert not file or ((site.out / name).parent / file).resolve().is_file(), f"{name}: {reference}"


def test_what_is_no_image_stops_the_build(suite: Suite, lock: Lock, root: Path, enter: Enter, tmp_path: Path) -> None:
    folder, other = enter("first", 0.9), enter("second", 0.4)
    shutil.copy(other / "audit.parquet", folder / "audit.parquet")
    with pytest.raises(IntegrityError, match=r"audit\.parquet"):
        build_site([Board(suite, lock, load_entries(suite, lock, [root]))], tmp_path / "out")


def test_a_record_that_cannot_be_used_is_left_out_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "submissions"
    shutil.copytree(ROOT / "submissions", root)
    record = root / "ridge" / "records" / "mini@1" / "record.json"
    record.write_text(record.read_text().replace('"threads": 1', '"threads": 2'))
    built: list[Board] = []
    monkeypatch.setattr("leaderboard.site.build.build_site", lambda boards, out: built.extend(boards) or out)
    done = CliRunner().invoke(main, ["board", "build", "--records", str(root), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert f"Left out: {record}: field 'run_sha256': section 'run' was changed" in done.stderr
    assert f"1 of {len(list(root.glob('*/records')))} records left out" in done.stderr
    others = sorted(path.parent.parent.name for path in root.glob("*/records/mini@1") if path != record.parent)
    assert [entry.submission.id for entry in built[0].loaded] == others and len(others) > 5


def test_suites_with_records_make_the_boards(real: Site) -> None:
    (board,) = load_boards([], [ROOT / "submissions"])
    assert board.suite == real.boards[0].suite
    assert [entry.submission.id for entry in board.entries] == [e.submission.id for e in real.boards[0].entries]
    assert load_boards([], [ROOT / "docs"]) == []


def test_torch_is_never_imported() -> None:
    heavy = {"torch", "transformers", "PIL", "matplotlib.pyplot"}
    code = f"import sys, leaderboard.site.build; print(*{heavy!r} & {{*sys.modules}})"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"torch", "transformers"} & set(found.stdout.split())
