"""The page of the batteries: complete, and it states what broke."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from benchmark.diagnostics.batteries import PLAIN, Batteries, Gain, battery_keys
from benchmark.diagnostics.batteries_answers import ANSWERS
from benchmark.diagnostics.batteries_filters import DENOISERS, FILTERS, MIRROR_FILTERS
from benchmark.diagnostics.batteries_ideas import IDEAS
from benchmark.diagnostics.batteries_optimized import STARTS, FixedAnswer, Optimized
from benchmark.diagnostics.batteries_page import find_failures, render_batteries, render_trial, write_rows
from benchmark.diagnostics.batteries_scores import Scored
from benchmark.suites.spec import Suite

if TYPE_CHECKING:
    import subprocess

PAGE = Path(__file__).parents[2] / "docs" / "batteries.md"


def scored(mini: Suite, names: tuple[str, ...], value: float = 0.001) -> Scored:
    keys = (*battery_keys(mini), "recognition")
    return Scored(names, ("a", "b", "c"), {key: np.full((3, len(names)), value) for key in keys})


def batteries(mini: Suite, *, gained: float = 0.0, answered: float = 0.001, found: float = 0.2) -> Batteries:
    fixed = FixedAnswer(torch.zeros(3, 8, 8), torch.zeros(8, 8))
    names = (*ANSWERS, *(f"optimized for {metric}" for metric in mini.ranked_metrics))
    gains = [
        Gain("ridge", target.id, target.tap_names[0], name, dict.fromkeys(battery_keys(mini), (gained, 0.001)))
        for target in mini.targets
        for name in (*FILTERS, *MIRROR_FILTERS, *DENOISERS)
    ]
    return Batteries(
        mini,
        {title: scored(mini, names, answered) for title in ("fresh", "frozen")},
        tuple(
            Optimized(metric, fixed, STARTS[0], dict.fromkeys(STARTS, 0.1), dict.fromkeys(STARTS, found))
            for metric in sorted(mini.ranked_metrics)
        ),
        tuple(gains),
        scored(mini, (PLAIN, "2/255")),
        scored(mini, ("1 principal component",)),
        scored(mini, tuple(IDEAS)),
    )


def test_the_page_shows_everything(mini: Suite) -> None:
    text = render_batteries(batteries(mini))
    assert "All bounds hold." in text
    assert "less its symmetric chroma gains 0.000 on detail" in text
    for name in (
        *ANSWERS,
        *FILTERS,
        *MIRROR_FILTERS,
        *DENOISERS,
        *IDEAS,
        *STARTS,
        *mini.ranked_metrics,
        "1 principal component",
    ):
        assert f"| {name} " in text or f" {name} " in text, name
    assert not re.search(r"\bnan\b", text)
    assert all(line.count("|") == line.replace("|:", "|").count("|") for line in text.splitlines())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"answered": 0.021}, "color of fresh images: 0.021 in the mean over all answers"),
        ({"gained": 0.04}, "color: blur of 1 px gains 0.040 in the mean over methods and taps"),
        ({"found": 0.1}, "the image optimized for frc scores no better in training than training mean image"),
    ],
)
def test_the_page_says_what_broke(mini: Suite, changed: dict[str, float], said: str) -> None:
    broken = batteries(mini, **changed)
    assert any(said in line for line in find_failures(broken))
    assert f"- {said}" in render_batteries(broken)
    assert "All bounds hold" not in render_batteries(broken)


def test_rows_are_json_without_nan(mini: Suite) -> None:
    rows = json.loads(json.dumps(write_rows(batteries(mini)), allow_nan=False))
    assert rows["trivial"]["frozen"].keys() >= ANSWERS.keys()
    assert rows["failures"] == []
    assert rows["optimized"].keys() == mini.ranked_metrics


def test_the_trial_is_a_table_of_ranked_metrics(mini: Suite) -> None:
    lines = render_trial(mini, scored(mini, ("copy", "blur"), 1)).splitlines()
    assert len(lines) == 4
    for metric in mini.ranked_metrics:
        assert metric in lines[0]
    assert lines[2].count("1.000 ± 0.000") == len(mini.ranked_metrics)


def test_the_committed_page_is_of_this_code(mini: Suite) -> None:
    """Fails when an answer, filter or metric is added: then write the page again, by the command that it names."""
    text = PAGE.read_text(encoding="utf-8")
    assert "invbench bench batteries --suite mini@1 --images 128 --out docs/batteries.md" in text
    first = {line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")}
    assert first >= {*ANSWERS, *FILTERS, *DENOISERS, *IDEAS, *battery_keys(mini)}
    assert {f"optimized for {metric}" for metric in mini.ranked_metrics} <= first
    assert re.search(r"All bounds hold\.|Broken bounds:", text)


@pytest.mark.nightly
def test_the_command(tmp_path: Path, invbench: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    command = ["bench", "batteries", "--images", "16", "--steps", "2", "--threads", "1", "--out", "page.md"]
    done = invbench(*command, "--json", timeout=1500)
    assert done.returncode in (0, 1), done.stderr
    assert done.returncode == (len(json.loads(done.stdout)["failures"]) > 0)
    assert (tmp_path / "page.md").read_text(encoding="utf-8").startswith("# Batteries")
