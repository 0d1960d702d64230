"""The site: all pages, charts, images and downloads of one or more boards, written into one folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment

from benchmark.files.canonical import readable_json
from benchmark.files.paths import SITE
from benchmark.metrics.spec import AXIS_WORDS, METRICS, UNDER, range_in_words, role_in_words
from leaderboard.data.board import Board
from leaderboard.data.pairs import pairs
from leaderboard.data.pictures import Gallery, ImageStore, gallery_data, make_gallery
from leaderboard.data.rankings import RANK_RULE, Table
from leaderboard.site import drawings
from leaderboard.site.board_json import render_board_schema
from leaderboard.site.citation import BENCHMARK, cite_suite, render_bib
from leaderboard.site.claim_drawings import plan_claims, plan_seeds
from leaderboard.site.downloads import Download, write_downloads
from leaderboard.site.drawings import Drawn, Plan
from leaderboard.site.feed import render_feed
from leaderboard.site.index import make_board
from leaderboard.site.marks import Marks, units_words
from leaderboard.site.pages.claims import claims_context
from leaderboard.site.pages.compare import compare_context
from leaderboard.site.pages.gallery import gallery_context
from leaderboard.site.pages.method import method_context
from leaderboard.site.pages.overview import overview_context
from leaderboard.site.pages.suite import suite_context
from leaderboard.site.scripts import compare_script, iter_packs, script, views_script
from leaderboard.site.templating import make_environment

__all__ = ["build_site"]

_PAGES = ("index.html", "claims.html", "compare.html", "suite.html", "downloads.html", "method-*.html", "target-*.html",
          "gallery-*.html", "charts/*.svg", "charts/*.csv", "data/*.js")  # fmt: skip
"""What a build writes into the folder of a suite, beside its downloads."""

HOME_ROWS = 10
"""So many rows of every suite on the front page."""

KINDS = ("hues", "heats", "layers")
"""Charts of single submissions."""


class _Writer:
    """Writes pages below a folder, and forgets what an earlier build left there."""

    def __init__(self, out: Path, env: Environment, boards: Sequence[Board]) -> None:
        self.out, self.env = out, env
        suites = [(board.suite.id, board.folder) for board in boards]
        self._shared = {"suites": suites, "repository": BENCHMARK.repository}
        self._written: set[Path] = set()

    def text(self, name: str, text: str) -> None:
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        self._written.add(path)

    def page(self, name: str, template: str, here: str, board: Board | None = None, **context: Any) -> None:
        shared: dict[str, Any] = {"here": here, "suite": None, "menu": (), "root": "../" * name.count("/")}
        if board is not None:
            shared |= {"suite": board.suite, "menu": menu(board)}
        self.text(name, self.env.get_template(template).render(**self._shared, **shared, **context))

    def keep(self, names: Iterable[str]) -> None:
        """Note files that others wrote for this build."""
        self._written |= {self.out / name for name in names}

    def prune(self) -> None:
        """Delete pages, charts and scripts that an earlier build wrote and this one did not, also of other suites."""
        for folder in {path.parent.parent for path in self.out.glob("*/data/compare.js")}:
            for path in (path for pattern in _PAGES for path in folder.glob(pattern)):
                if path not in self._written:
                    path.unlink()


def menu(board: Board) -> list[tuple[str, str, str]]:
    """Return the pages of a suite that every page links to: key, label, file."""
    first = board.suite.targets[0].id
    return [
        ("overview", board.suite.id, "index.html"),
        *((f"target-{target.id}", target.id, f"target-{target.id}.html") for target in board.suite.targets),
        ("gallery", "Gallery", f"gallery-{first}.html"),
        ("compare", "Compare", "compare.html"),
        ("claims", "Claims", "claims.html"),
        ("suite", "Protocol", "suite.html"),
        ("downloads", "Downloads", "downloads.html"),
    ]


class _Charts:
    """The charts of a board, planned and then drawn all at once."""

    def __init__(self, board: Board, galleries: Mapping[str, Gallery], images: Path) -> None:
        suite = board.suite
        self.depth = {target.id: drawings.plan_depth(board, target) for target in suite.targets}
        self.claims = plan_claims(board) | {"seeds": plan_seeds(board.claims.seeds)}
        self.cost = {key: drawings.plan_cost(board, key) for key in board.tables}
        self.own: dict[tuple[str, str, str], Plan] = {}
        for target in suite.targets:
            for entry in board.charted(target.id):
                name = entry.submission.id
                plans = {
                    "hues": drawings.plan_hues(galleries[target.id], entry, images),
                    "heats": drawings.plan_heat(suite, entry, target),
                    "layers": drawings.plan_layers(entry, target),
                }
                self.own |= {(target.id, name, kind): plan for kind, plan in plans.items() if plan}

    def start(self, folder: Path) -> None:
        """Begin to draw everything that was planned, below `folder`."""
        shared = [
            plan for plans in (*self.depth.values(), *self.cost.values(), *self.claims.values()) for plan in plans
        ]
        self._drawing = drawings.draw_charts([*shared, *self.own.values()], folder)

    @cached_property
    def drawn(self) -> dict[str, Drawn]:
        """The charts by their files, once all are drawn."""
        return {drawn.file: drawn for drawn in self._drawing}

    def of(self, plans: Sequence[Plan]) -> list[Drawn]:
        """Return the charts of some plans, without those that had nothing to draw."""
        return [self.drawn[plan.file] for plan in plans if plan.file in self.drawn]

    def of_target(self, target: str, kind: str) -> list[Drawn]:
        """Return the charts of single submissions on a target."""
        return self.of([plan for (of, _, what), plan in self.own.items() if (of, what) == (target, kind)])

    def of_method(self, target: str, name: str) -> list[Drawn]:
        """Return the charts of one submission on a target."""
        return self.of([plan for (of, who, _), plan in self.own.items() if (of, who) == (target, name)])


def _write_board(writer: _Writer, board: Board, store: ImageStore) -> tuple[list[Download], dict[str, Gallery]]:
    """Write all pages of one board; those that show charts last, since other processes draw meanwhile."""
    suite, folder = board.suite, board.folder
    galleries = make_gallery(suite, board.lock, board.entries, store)
    charts = _Charts(board, galleries, store.folder)
    charts.start(writer.out / folder)
    _write_data(writer, board, galleries)
    downloads = write_downloads(
        suite, board.entries, writer.out / folder / "data", lock=board.lock, tables=board.tables,
        paired=pairs(suite, board.entries),
    )  # fmt: skip
    for target, gallery in galleries.items():
        context = gallery_context(board, gallery)
        writer.page(f"{folder}/gallery-{target}.html", "gallery.html.j2", "gallery", board, **context)
    writer.page(f"{folder}/compare.html", "compare.html.j2", "compare", board, **compare_context(board, galleries))
    context = suite_context(board, galleries[suite.targets[0].id])
    writer.page(f"{folder}/suite.html", "suite.html.j2", "suite", board, **context)
    context = {"downloads": downloads, "citation": cite_suite(suite)}
    writer.page(f"{folder}/downloads.html", "downloads.html.j2", "downloads", board, **context)
    _write_charted(writer, board, galleries, charts)
    writer.keep(f"{folder}/{file}.{suffix}" for file in charts.drawn for suffix in ("svg", "csv"))
    return downloads, galleries


def _write_data(writer: _Writer, board: Board, galleries: Mapping[str, Gallery]) -> None:
    """Write what the scripts of the pages read, and the protocol for programs."""
    entries, data = {entry.submission.id: entry for entry in board.entries}, f"{board.folder}/data"
    for target in (None, *board.suite.targets):
        writer.text(f"{data}/views-{target.id if target else 'all'}.js", views_script(board, target))
    for target_id, gallery in galleries.items():
        writer.text(f"{data}/gallery-{target_id}.js", script("gallery", gallery_data(board.suite, gallery, entries)))
    writer.text(f"{data}/compare.js", compare_script(board))
    for name, value in (("suite", board.suite), ("lock", board.lock), ("claims", board.claims)):
        writer.text(f"{data}/{name}.json", readable_json(value))
    for name, text in iter_packs(board):
        writer.text(f"{data}/{name}", text)


def _write_charted(writer: _Writer, board: Board, galleries: Mapping[str, Gallery], charts: _Charts) -> None:
    """Write the tables of the targets and the pages of the submissions."""
    for target in (None, *board.suite.targets):
        key = target.id if target else None
        context = overview_context(
            board, target,
            depth=charts.of(charts.depth[target.id]) if target else [],
            cost=charts.of(charts.cost[key]),
            own={kind: charts.of_target(target.id, kind) if target else [] for kind in KINDS},
        )  # fmt: skip
        name = f"target-{key}" if key else "index"
        writer.page(f"{board.folder}/{name}.html", "overview.html.j2", name if key else "overview", board, **context)
    context = claims_context(board, {claim: charts.of(plans) for claim, plans in charts.claims.items()})
    writer.page(f"{board.folder}/claims.html", "claims.html.j2", "claims", board, **context)
    for entry in board.entries:
        name = entry.submission.id
        figures = {target.id: charts.of_method(target.id, name) for target in board.suite.targets}
        context = method_context(board, entry, galleries, figures)
        writer.page(f"{board.folder}/method-{name}.html", "method.html.j2", "method", board, **context)


def _home(boards: Sequence[Board]) -> list[dict[str, Any]]:
    suites = []
    for board in boards:
        table = board.tables[None]
        suites.append(
            {
                "suite": board.suite, "folder": board.folder, "menu": menu(board), "styles": board.styles,
                "axes": [axis for axis in AXIS_WORDS if board.suite.axes.get(axis)], "ranked": len(table.ranked),
                "head": Table(table.ranked[:HOME_ROWS], table.unranked[:HOME_ROWS], table.references),
                "marks": Marks(board, None), "units": units_words(board),
            }
        )  # fmt: skip
    return suites


def _glimpse(boards: Sequence[Board], galleries: Sequence[dict[str, Gallery]]) -> dict[str, Any] | None:
    """Return a row of pictures for the front page: an image as the network was shown it and its stored recons."""
    for by_target in galleries:
        for gallery in by_target.values():
            for _, image in gallery.choice.images:
                for method in gallery.methods[:1]:
                    files = {
                        tap: gallery.files.get((method, image, tap, "identity")) for tap in gallery.target.tap_names
                    }
                    pictures = [
                        (tap, file, f"{image}: recon of {method} at {tap}") for tap, file in files.items() if file
                    ]
                    if len(pictures) > 1:
                        shown = [("input", gallery.seen(image, "identity"), f"{image}: input"), *pictures]
                        credits = gallery.credited({image})
                        return {"target": gallery.target, "method": method, "pictures": shown, "credits": credits}
    return None


def build_site(boards: Sequence[Board], out: Path) -> Path:
    """Write the site of `boards` into the folder `out` and return the path of its front page.

    The same boards give the same bytes. Other files in `out` are left alone, except pages, charts, scripts and
    images of an earlier build that are needed no more.

    Raises:
        IntegrityError: audit images of a record were changed or are no images.
    """
    writer, store = _Writer(out, make_environment(), boards), ImageStore(out / "images")
    written = [_write_board(writer, board, store) for board in boards]
    writer.prune()
    store.prune()
    galleries = [gallery for _, gallery in written]
    writer.page(
        "metrics.html", "metrics.html.j2", "metrics", known_suites=[board.suite for board in boards],
        metrics=METRICS.values(), axes=AXIS_WORDS, under=UNDER, span=range_in_words, role=role_in_words,
    )  # fmt: skip
    listed = [(board.suite, board.entries) for board in boards]
    writer.text("feed.xml", render_feed(listed))
    writer.text("citation.bib", render_bib([board.suite for board in boards]))
    writer.text("board.schema.json", render_board_schema())
    downloads = {board.suite.id: files for board, (files, _) in zip(boards, written, strict=True)}
    indexed = [(board.suite, board.lock, board.entries) for board in boards]
    index = make_board(indexed, downloads, {board.suite.id: board.tables for board in boards})
    writer.text("board.json", readable_json(index))
    (out / "static").mkdir(exist_ok=True)
    for source in sorted((SITE / "static").iterdir()):
        (out / "static" / source.name).write_bytes(source.read_bytes())
    writer.page(
        "index.html", "home.html.j2", "home", boards=_home(boards), glimpse=_glimpse(boards, galleries),
        axis_words=AXIS_WORDS, rank_rule=RANK_RULE,
    )  # fmt: skip
    return out / "index.html"
