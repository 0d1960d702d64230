"""Small suites, submissions with made-up but well-formed records, and sites built from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from boards import FOUR, HOSTILE, IMAGES, Enter, Site, audit_names, lock_of, make_site, rich_board, write_entry

from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import Lock, load_lock
from benchmark.suites.spec import Suite, TapSpec
from leaderboard.data.board import Board
from leaderboard.data.entries import load_entries


@pytest.fixture(scope="session")
def suite() -> Suite:
    """The embedded suite with its first two targets, two audit images and few others, so that pages stay small."""
    full = load_suite("mini@1")
    dataset = full.dataset.model_copy(update={"images": IMAGES})
    changes = {"targets": full.targets[:2], "audit_images": audit_names(full)[:2], "dataset": dataset}
    return full.model_copy(update=changes | {"bootstrap_resamples": 1000})


@pytest.fixture(scope="session")
def lock(suite: Suite) -> Lock:
    """A lock with images of a few photographs, and made-up yardsticks and answers."""
    return lock_of(suite)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty folder of submissions."""
    folder = tmp_path / "submissions"
    folder.mkdir()
    return folder


@pytest.fixture
def enter(suite: Suite, lock: Lock, root: Path) -> Enter:
    """Return a function that writes a submission with its record and returns the record's folder."""

    def _enter(name: str, level: float, *, into: Path = root, **options: Any) -> Path:
        return write_entry(suite, lock, into, name, level, **options)

    return _enter


@pytest.fixture
def four(enter: Enter, root: Path) -> Path:
    """The folder with the four submissions copy, mean, ridge and modular."""
    for name, level in FOUR:
        enter(name, level)
    return root


@pytest.fixture(scope="session")
def build() -> Callable[[Sequence[Board], Path], Site]:
    """Return a function that builds a site and reads its pages."""
    return make_site


@pytest.fixture(scope="session")
def hostile() -> str:
    """Text that would be markup, script or template if it were not escaped."""
    return HOSTILE


@pytest.fixture(scope="session")
def rich(suite: Suite, lock: Lock, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site whose board holds everything that a board can hold; tests must not write to it."""
    folder = tmp_path_factory.mktemp("rich")
    return make_site([rich_board(suite, lock, folder)], folder / "out")


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site of mini@1 with its committed records; tests must not write to it."""
    suite = load_suite("mini@1")
    lock = load_lock(suite)
    board = Board(suite, lock, load_entries(suite, lock, [Path(__file__).parents[2] / "submissions"]))
    return make_site([board], tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="session")
def tiny_suite() -> Suite:
    """A suite of one target with two taps, four perturbations and one metric an axis."""
    full = load_suite("mini@1")
    taps = (TapSpec(name="first", stage="blocks", depth=0.0), TapSpec(name="second", stage="blocks", depth=1.0))
    target = full.targets[1].model_copy(
        update={"id": "tiny-vit", "title": "A tiny ViT", "input_size": (8, 8), "taps": taps}
    )
    axes = {"detail": ("frc",), "shape": ("contour_f",), "color": ("color_transfer",)}
    changes = {
        "name": "tiny", "title": "tiny: for reading", "summary": "One target, two taps.", "targets": (target,),
        "axes": axes, "report": ("psnr",), "perturbations": ("identity", "hue_set_0", "hue_set_120", "gray"),
        "audit_images": audit_names(full)[:1], "bootstrap_resamples": 200,
        "dataset": full.dataset.model_copy(update={"images": IMAGES}),
    }  # fmt: skip
    return full.model_copy(update=changes)


@pytest.fixture(scope="session")
def tiny_board(tiny_suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Board]:
    """Return a function that makes a board of the tiny suite from names and levels."""

    def make(*levels: tuple[str, float], **options: Any) -> Board:
        lock, folder = lock_of(tiny_suite), tmp_path_factory.mktemp("tiny")
        for name, level in levels:
            write_entry(tiny_suite, lock, folder, name, level, **options)
        # Up to eight at a time are read in this process.
        return Board(tiny_suite, lock, load_entries(tiny_suite, lock, [folder]))

    return make
