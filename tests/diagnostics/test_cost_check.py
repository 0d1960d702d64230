"""The model of costs against the clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.diagnostics.cost_check import check_costs, shorten
from benchmark.diagnostics.costs import PARTS
from benchmark.engine.scorer import TILE
from benchmark.suites.catalog import load_suite

FACTOR = 1.5
"""What `doctor` and the pages promise of the total."""
PART_FACTOR = 2.0


def test_a_shortened_suite_keeps_the_first_and_the_last_tap() -> None:
    coco = load_suite("coco@1")
    short = shorten(coco, ["gray"], 4)
    assert (short.perturbations, short.dataset.images) == (("identity", "gray"), TILE)
    assert short.target("vit-base-16").tap_names == ("embeddings", "encoder.3", "encoder.7", "encoder.11")
    assert short.target("swin-base") == coco.target("swin-base"), "every stage is a component"
    assert {"backbone", "encoder.5", "decoder.5", "prediction"} <= set(short.target("detr-resnet-50").tap_names)
    assert shorten(coco, []).target("detr-resnet-50") == coco.target("detr-resnet-50")
    assert shorten(coco, [], 99).target("swin-base") == coco.target("swin-base")


@pytest.mark.slow
def test_a_row_has_every_part_measured_and_modelled(content: object, cpu: object) -> None:
    short = shorten(load_suite("mini@1"), [], 2)
    (row,) = check_costs(short, ["mini-swin"], content.images, cpu)  # type: ignore[attr-defined, arg-type]
    for part in (*PARTS, "total"):
        assert row[f"{part}_ratio"] == pytest.approx(float(row[f"{part}_s"]) / float(row[f"{part}_model_s"]))
    assert sum(float(row[f"{part}_s"]) for part in PARTS) == pytest.approx(float(row["total_s"]), rel=0.05)
    assert 0 < float(row["share"]) < 1.5


@pytest.mark.nightly
@pytest.mark.timeout(36_000)
@pytest.mark.parametrize("target", ["swin-base", "vit-base-16", "detr-resnet-50"])
def test_the_model_holds_within_its_factor_on_eight_photographs(
    target: str, invbench: Callable[..., object], assets: Path
) -> None:
    data = assets / "coco_val2017_sample"
    if not data.is_dir():
        pytest.skip(f"no photographs in {data}; set INVBENCH_TEST_ASSETS")
    done = invbench("bench", "cost-check", str(data), "--target", target, "--json", timeout=36_000)
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    (row,) = json.loads(done.stdout)  # type: ignore[attr-defined]
    assert 1 / FACTOR < row["total_ratio"] < FACTOR, row
    for part in PARTS:
        assert 1 / PART_FACTOR < row[f"{part}_ratio"] < PART_FACTOR, row


def test_a_perturbation_or_folder_that_is_not_there_is_told(invbench: Callable[..., object], tmp_path: Path) -> None:
    for arguments, said in (
        ((str(tmp_path), "--perturbation", "grey"), "did you mean 'gray'"),
        ((str(tmp_path / "absent"),), "does not exist"),
        ((str(tmp_path), "--target", "vit-base"), "did you mean 'vit-base-16'"),
    ):
        done = invbench("bench", "cost-check", *arguments)
        assert done.returncode == 2  # type: ignore[attr-defined]
        assert said in done.stderr  # type: ignore[attr-defined]
        assert done.stderr.count("\n") == 1  # type: ignore[attr-defined]
