"""A real network on real photographs, trained on others than those that it is evaluated on, and the page about it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from realnetwork import METHODS, SUITE, TARGET, Walk, find_assets, go, open_walk
from realnetworkpage import (
    AXES,
    EMBEDDED_SHARE,
    EXTRAS,
    Figures,
    collect_figures,
    largest_share,
    read_tables,
    render_page,
)  # fmt: skip

from benchmark.content.content import Content
from benchmark.datasets.base import Sample
from benchmark.datasets.folders import open_folder
from benchmark.files.canonical import sha256_file
from benchmark.records.record import load_audit, load_record, load_scores
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import load_lock
from benchmark.targets import load_target
from benchmark.train.disjoint import hold_out, keep_disjoint
from benchmark.train.validation import VALIDATION_IMAGES

DOCS = Path(__file__).parents[2] / "docs"
PAGE, FIGURES = DOCS / "real-network.md", DOCS / "real-network.json"
SLACK = 0.1
"""How far the mean score of an axis may lie from the page's on another machine: trainings differ in their last bits."""


@pytest.fixture(scope="module")
def photographs() -> Path:
    """The folder of the test assets, whole."""
    try:
        return find_assets()
    except FileNotFoundError as error:
        pytest.skip(str(error))


def trained_hashes(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> tuple[set[str], set[str]]:
    """SHA-256 of the files that `train inverse` trains on, and of those that the suite evaluates."""
    monkeypatch.setenv("INVBENCH_CACHE", walk.environment["INVBENCH_CACHE"])
    suite = load_suite(str(walk.suite))
    images, size = Content(suite, load_lock(suite), walk.data).images, suite.targets[0].input_size
    remaining = keep_disjoint(open_folder(walk.photographs), images, size, 0, quiet=True)
    training, _ = hold_out(remaining.images, remaining.shown, VALIDATION_IMAGES)
    sources = ([chosen.source(index) for index in range(len(chosen.ids))] for chosen in (training, images))
    first, second = ({sha256_file(path) for path in paths if path} for paths in sources)
    return first, second


def check_disjoint(walk: Walk, messages: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is trained on and what is evaluated share no file, and the command says what it left out."""
    trained, evaluated = trained_hashes(walk, monkeypatch)
    split = walk.split("modular")
    assert not trained & evaluated
    assert (len(trained), len(evaluated)) == (split["training"], split["evaluated"])
    assert split["training"] + split["held_out"] + split["left_out"] == split["coco"] + split["imagenet"]
    assert f"{split['left_out']} of the photographs show an image that {SUITE}@1 evaluates" in messages


def check_records(walk: Walk, methods: tuple[str, ...]) -> None:
    """Every record is what its digest says, of weights in the run's folder, and what the page says stands in it."""
    figures = collect_figures(walk, methods)
    tables = read_tables(render_page(figures))
    assert set(tables) == set(methods)
    for method in methods:
        folder = walk.record_folder(method)
        record = load_record(folder)
        load_scores(folder, record)
        load_audit(folder, record)
        weights = record.inverses[TARGET].files["model.safetensors"]
        assert weights == sha256_file(walk.folder / method / "model.safetensors")
        assert (record.draft, record.status, record.images) == (True, "complete", len(walk.evaluated()))
        walk.do("rescore", folder.parents[1], *walk.here)
        for tap, found in record.targets[TARGET].taps.items():
            shown = [cell.split()[0] for cell in tables[method][tap][: 2 * len(AXES) : 2]]
            assert shown == [f"{found.axes[axis].value:.3f}" for axis in AXES]


def check_board(walk: Walk, methods: tuple[str, ...]) -> None:
    """The site of all records holds every method."""
    results = walk.folder / "invbench-results"
    walk.do("board", "build", "--suite", walk.suite, "--records", results, "--out", "board")
    text = (walk.folder / "board/board.json").read_text(encoding="utf-8")
    assert all(f'"{method}"' in text for method in methods)


def shrink(text: str) -> str:
    """A suite of 8 photographs at two taps, under three perturbations, without the perceptual network."""
    text = text.replace("images = 48", "images = 8").replace("_images = 16", "_images = 4")
    text = text.replace('"lpips_alex", ', "").replace("bootstrap_resamples = 1000", "bootstrap_resamples = 100")
    text = re.sub(r"perturbations = .*", 'perturbations = ["identity", "hue_set_0", "hue_set_120"]', text)
    return re.sub(r'  \{ name = "encoder.[37]".*\n', "", text)


@pytest.fixture(scope="module")
def small(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """The shrunk suite, locked, and some of the photographs."""
    with open_walk(tmp_path_factory.mktemp("small"), photographs, shrink, most=24) as walk:
        walk.do("suite", "lock", walk.suite, "--data-dir", walk.data)
        yield walk


@pytest.mark.slow
class TestASmallWalk:
    """Eight photographs and two steps: whether the way is open at all."""

    def test_lock_training_evaluation_and_board(self, small: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
        messages = small.train("modular", "--steps", 2, "--batch-size", 2)
        small.evaluate("modular", "--threads", 1)
        check_disjoint(small, messages, monkeypatch)
        record = load_record(small.record_folder("modular"))
        assert (record.images, set(record.targets[TARGET].taps)) == (8, {"embeddings", "encoder.11"})
        assert (small.folder / "invbench-results/board/index.html").is_file()


@pytest.fixture(scope="module")
def whole(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Walk, str]]:
    """All photographs, every method, as `tests/recipes/` says; and what a training that is over prints again."""
    with open_walk(tmp_path_factory.mktemp("photographs"), photographs) as walk:
        go(walk)
        yield walk, walk.train(METHODS[-1])


@pytest.mark.nightly
@pytest.mark.timeout(7200)
class TestTheWholeWalk:
    """What the page is made of."""

    def test_training_and_evaluation_share_no_photograph(
        self, whole: tuple[Walk, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        check_disjoint(*whole, monkeypatch)

    def test_records_and_board_are_whole(self, whole: tuple[Walk, str]) -> None:
        walk, _ = whole
        check_records(walk, METHODS)
        check_board(walk, METHODS)

    def test_ridge_beats_the_mean_image(self, whole: tuple[Walk, str]) -> None:
        walk, _ = whole
        ridge, mean = (load_record(walk.record_folder(name)).targets[TARGET].taps for name in ("ridge", "mean"))
        for tap, found in ridge.items():
            low, high = found.axes["detail"].low, mean[tap].axes["detail"].high
            assert low is not None and high is not None and low > high, tap

    def test_the_page_says_what_another_walk_gives(self, whole: tuple[Walk, str], figures: Figures) -> None:
        walk, _ = whole
        found = collect_figures(walk, METHODS)
        assert found["split"] == figures["split"]
        for method, tap, axis in iter_cells(figures):
            values = [one["methods"][method]["taps"][tap][axis]["value"] for one in (found, figures)]
            assert values[0] == pytest.approx(values[1], abs=SLACK), (method, tap, axis)


def iter_cells(figures: Figures) -> Iterator[tuple[str, str, str]]:
    """Method, tap and axis of every score."""
    for method, found in figures["methods"].items():
        yield from ((method, tap, axis) for tap in found["taps"] for axis in AXES)


@pytest.fixture(scope="module")
def figures() -> Figures:
    """The committed figures."""
    return json.loads(FIGURES.read_text(encoding="utf-8"))


class TestThePage:
    """The committed page, and the figures that it is written from."""

    def test_the_page_is_that_of_its_figures(self, figures: Figures) -> None:
        assert PAGE.read_text(encoding="utf-8") == render_page(figures), "run: just real-network"

    def test_every_axis_has_its_value_interval_and_thumbnail_at_every_tap(self, figures: Figures) -> None:
        template = (DOCS.parent / f"tests/suites/{SUITE}.toml").read_text(encoding="utf-8")
        taps = re.findall(r'\{ name = "([\w.]+)", stage', template)
        tables = read_tables(PAGE.read_text(encoding="utf-8"))
        assert list(tables) == list(METHODS)
        for method, tap, axis in iter_cells(figures):
            assert list(tables[method]) == taps
            cells, score = tables[method][tap], figures["methods"][method]["taps"][tap][axis]
            assert len(cells) == 2 * len(AXES) + len(EXTRAS)
            place = 2 * AXES.index(axis)
            numbers = [float(number) for number in re.findall(r"-?\d+\.\d+", cells[place])]
            assert numbers == [round(score[name], 3) for name in ("value", "low", "high")]
            assert score["low"] <= score["value"] <= score["high"]
            assert re.fullmatch(r"([\d.]+x[\d.]+|[<>] \d+)( \[.+, .+\])?", cells[place + 1]) or score["value"] > 0.95

    def test_no_channel_of_an_embedded_network_is_as_large(self, content: Content, samples: list[Sample]) -> None:
        pixels = torch.stack([torch.from_numpy(sample.image).permute(2, 0, 1) for sample in samples[:16]]).float() / 255
        for spec in content.suite.targets:
            network = load_target(spec, content.target(spec), torch.device("cpu"))
            with torch.inference_mode():
                shares = {tap: largest_share(item) for tap, item in network.features(pixels).items()}
            assert max(shares.values()) < EMBEDDED_SHARE, shares

    def test_the_split_adds_up(self, figures: Figures) -> None:
        split = figures["split"]
        assert split["evaluated"] == split["left_out"] == figures["methods"]["ridge"]["images"]
        assert split["training"] + split["held_out"] + split["left_out"] == split["coco"] + split["imagenet"]
        for found in figures["methods"].values():
            assert found["training"].get("photographs", found["training"]["samples"]) == split["training"]
