"""How fast photographs are read and how much of a training waits for them is measured, and printed."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from photographs import write_photographs
from PIL import Image

from benchmark.commands.bench_train import bench_train
from benchmark.datasets.folders import open_folder
from benchmark.inverses import recipes
from benchmark.suites.spec import Suite
from benchmark.train import inverses, throughput
from benchmark.train.throughput import make_photographs, measure_loader


def test_photographs_are_made_of_the_size_and_weight_of_real_ones(tmp_path: Path) -> None:
    make_photographs(tmp_path, 2)
    for path in tmp_path.iterdir():
        with Image.open(path) as image:
            assert image.size == (640, 480)
        assert 50_000 < path.stat().st_size < 400_000
    pace = measure_loader(open_folder(tmp_path), (224, 224), 0, seconds=0.1)
    assert pace.size == "224x224" and pace.per_core == pace.per_second > 5


@pytest.mark.slow
def test_the_command_prints_both_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mini: Suite) -> None:
    monkeypatch.setattr(inverses, "MOMENT_IMAGES", 16)
    small = recipes.load_recipe("modular", mini.target("mini-vit")).model_copy(update={"batch_size": 2})
    monkeypatch.setattr(recipes, "load_recipe", lambda *names: small)
    write_photographs(tmp_path / "photographs", 8)
    options = ["--steps", "10", "--workers", "0", "--device", "cpu", "--train-data", str(tmp_path / "photographs")]
    monkeypatch.setattr(throughput, "measure_loader", partial(measure_loader, seconds=0.1))
    text, printed = (CliRunner().invoke(bench_train, [*options, *more]).stdout for more in ([], ["--json"]))
    assert "per_core" in text and "waiting" in text
    found = json.loads(printed)
    assert [row["workers"] for row in found["loader"]] == [0]
    assert found["training"]["target"] == "mini-vit" and 0 <= found["training"]["waiting"] <= 1
    assert found["training"]["per_second"] > 0
