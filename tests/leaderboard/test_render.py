"""The page as a whole."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from benchmark.errors import IntegrityError
from benchmark.metrics.spec import METRICS
from benchmark.records import AUDIT_SCHEMA, StageLayers
from benchmark.spec import Lock, Suite
from leaderboard.entries import load_entries
from leaderboard.render import build_board
from leaderboard.tables import DASH

Enter = Callable[..., Path]
HOSTILE = '<script>alert(1)</script>"><img src=x onerror=y>'


class Page(HTMLParser):
    """Collects what a page refers to, and checks that tags nest."""

    VOID = frozenset({"meta", "link", "img", "br", "hr", "line", "circle", "rect", "path"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.references: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.references += [value for name, value in attrs if name in ("src", "href", "srcset", "action") and value]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def build(suite: Suite, lock: Lock, root: Path, out: Path) -> Page:
    return Page(build_board(suite, load_entries(suite, lock, [root]), out).read_text(encoding="utf-8"))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_same_input_same_bytes(suite: Suite, lock: Lock, four: Path, tmp_path: Path) -> None:
    entries = load_entries(suite, lock, [four])
    build_board(suite, entries, tmp_path / "a")
    build_board(suite, entries[::-1], tmp_path / "b")
    first = tree(tmp_path / "a")
    assert first == tree(tmp_path / "b")
    build_board(suite, entries, tmp_path / "a")
    assert first == tree(tmp_path / "a")


def test_every_reference_exists_and_none_leaves_the_folder(
    suite: Suite, lock: Lock, four: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    build(suite, lock, four, out)
    pages = {path.name: Page(path.read_text(encoding="utf-8")) for path in out.glob("*.html")}
    assert pages.keys() == {"index.html", "metrics.html"}
    for name, found in pages.items():
        assert len(found.ids) == len(set(found.ids))
        outward = {reference for reference in found.references if reference.startswith("https://")}
        assert outward <= {"https://example.org"}, "only what submissions link to"
        for reference in set(found.references) - outward:
            file, _, place = reference.partition("#")
            assert re.fullmatch(r"[\w./-]*", file)
            assert not file.startswith(("/", ".."))
            assert (out / (file or name)).is_file()
            assert not place or place in pages[file or name].ids
    page = pages["index.html"]
    linked = {name for attrs in page.all("svg") for name in (attrs.get("aria-labelledby") or "").split()}
    linked |= {attrs["aria-labelledby"] or "" for attrs in page.all("section")}
    assert linked <= set(page.ids)
    for name, data in tree(tmp_path / "out").items():
        if name.endswith((".css", ".svg")):
            assert b"url(" not in data
            assert b"@import" not in data


def test_every_metric_is_explained(suite: Suite, lock: Lock, four: Path, tmp_path: Path) -> None:
    build(suite, lock, four, tmp_path / "out")
    page = Page((tmp_path / "out" / "metrics.html").read_text(encoding="utf-8"))
    assert METRICS.keys() <= set(page.ids)
    for metric in METRICS.values():
        assert metric.formula in page.text
        assert metric.source in page.text


def test_layers_are_shown_with_reasons_for_what_is_missing(
    suite: Suite, lock: Lock, enter: Enter, root: Path, tmp_path: Path
) -> None:
    stage = StageLayers(
        stage="encoder", taps=("encoder.0", "encoder.1"), floor=0.1, transfer=((0.5, 0.3), (0.4, 0.05)),
        normalized=((1.0, None), (0.75, None)), neighbors=0.75, half_distance=None, asymmetry=None,
        cka=((1.0, 0.91), (0.91, 1.0)),
    )  # fmt: skip
    enter("ridge", 0.5, layers={suite.targets[0].id: (stage,)})
    page = build(suite, lock, root, tmp_path / "out")
    assert "Do layers share a code?" in page.text
    assert "0.75" in page.text
    assert "0.91" in page.text
    assert page.text.count("the inverse is no better than the mean image") == 2
    assert sum("Transfer of ridge" in (attrs.get("aria-label") or "") for attrs in page.all("div")) == 1


def test_pairs_say_what_is_apart(suite: Suite, lock: Lock, four: Path, tmp_path: Path) -> None:
    build(suite, lock, four, tmp_path / "out")
    (pair,) = json.loads((tmp_path / "out" / "board.json").read_text(encoding="utf-8"))["pairs"]
    assert (pair["first"], pair["second"]) == ("modular", "ridge")
    for difference in pair["axes"].values():
        assert difference["low"] <= difference["mean"] <= difference["high"]
        assert difference["mean"] == pytest.approx(0.3, abs=0.02)
        assert difference["p_value"] < 0.001


def test_no_script_and_a_strict_policy(suite: Suite, lock: Lock, four: Path, tmp_path: Path) -> None:
    page = build(suite, lock, four, tmp_path / "out")
    assert page.all("script") == page.all("style") == []
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on") or name == "style"]
    (policy,) = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_images_are_lazy_sized_and_described(suite: Suite, lock: Lock, four: Path, tmp_path: Path) -> None:
    page = build(suite, lock, four, tmp_path / "out")
    images = page.all("img")
    taps = sum(1 + 2 * len(target.taps) for target in suite.targets)
    glimpse = 1 + len(suite.targets[0].taps)
    assert len(images) == 4 * len(suite.audit_images) * taps + glimpse
    assert all(i["alt"] and i["loading"] == "lazy" and i["width"] == i["height"] == "96" for i in images)
    assert len(list((tmp_path / "out" / "images").iterdir())) < len(images)


def test_tables_have_captions_and_scopes(suite: Suite, lock: Lock, four: Path, tmp_path: Path) -> None:
    page = build(suite, lock, four, tmp_path / "out")
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(th.get("scope") for th in page.all("th"))


def test_hostile_text_stays_text(suite: Suite, lock: Lock, four: Path, enter: Enter, tmp_path: Path) -> None:
    enter("hostile", 0.9, title=HOSTILE)
    page = build(suite, lock, four, tmp_path / "out")
    assert page.all("script") == []
    assert HOSTILE in page.text
    assert not any("onerror" in image for image in page.all("img"))


@pytest.mark.parametrize(
    ("changes", "badge"),
    [({"status": "partial"}, "partial"), ({"draft": True}, "draft"), ({"precision": "bfloat16"}, "bfloat16")],
)
def test_badges(
    suite: Suite, lock: Lock, four: Path, enter: Enter, tmp_path: Path, changes: dict[str, Any], badge: str
) -> None:
    entries = load_entries(suite, lock, [four])
    plain = build_board(suite, entries, tmp_path / "out").read_text(encoding="utf-8")
    assert f'<span class="badge">{badge}</span>' not in plain
    enter("better", 0.95, **changes)
    text = build_board(suite, load_entries(suite, lock, [four]), tmp_path / "out").read_text(encoding="utf-8")
    assert text.count(f'<span class="badge">{badge}</span>') == 1 + len(suite.targets)
    data = json.loads((tmp_path / "out" / "board.json").read_text(encoding="utf-8"))
    (entry,) = (e for e in data["entries"] if e["submission"]["id"] == "better")
    assert entry["rankable"] is False
    assert entry["overall"]["place"] is None


def test_missing_is_a_dash_with_its_reason(suite: Suite, lock: Lock, four: Path, enter: Enter, tmp_path: Path) -> None:
    targets = load_entries(suite, lock, [four])[1].record.targets
    enter("half", 0.9, status="partial", targets={"mini-detr": targets["mini-detr"]}, overall={})
    page = build(suite, lock, four, tmp_path / "out")
    assert f"{DASH}not evaluated on mini-vit" in page.text
    assert f"{DASH}target not evaluated" in page.text
    data = json.loads((tmp_path / "out" / "board.json").read_text(encoding="utf-8"))
    (entry,) = (e for e in data["entries"] if e["submission"]["id"] == "half")
    assert entry["targets"]["mini-vit"]["axes"]["shape"]["value"] is None


def test_what_is_no_image_is_refused(suite: Suite, lock: Lock, root: Path, enter: Enter, tmp_path: Path) -> None:
    def page_instead(suite: Suite, level: float) -> pa.Table:
        row = {"image": suite.audit_images[0], "target": "mini-vit", "tap": "input", "perturbation": "identity"}
        return pa.Table.from_pylist([row | {"png": b"<html>"}], schema=AUDIT_SCHEMA)

    enter("hostile", 0.9, images=page_instead)
    with pytest.raises(IntegrityError, match=r"audit\.parquet"):
        build_board(suite, load_entries(suite, lock, [root]), tmp_path / "out")


def test_stale_images_go_and_other_files_stay(suite: Suite, lock: Lock, four: Path, tmp_path: Path) -> None:
    images = tmp_path / "out" / "images"
    images.mkdir(parents=True)
    (images / f"{'0' * 20}.png").write_bytes(b"old")
    (images / "photo.png").write_bytes(b"mine")
    build(suite, lock, four, tmp_path / "out")
    assert not (images / f"{'0' * 20}.png").exists()
    assert (images / "photo.png").exists()


def test_a_board_without_records(suite: Suite, lock: Lock, root: Path, tmp_path: Path) -> None:
    page = build(suite, lock, root, tmp_path / "out")
    assert "No record can be ranked yet." in page.text


def test_a_board_of_references_alone_shows_their_images(
    suite: Suite, lock: Lock, enter: Enter, root: Path, tmp_path: Path
) -> None:
    enter("mean", 0.0)
    assert build(suite, lock, root, tmp_path / "out").all("img")


def test_torch_is_never_imported() -> None:
    code = "import sys, leaderboard.render; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
