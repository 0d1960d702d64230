"""What a run costs: the arithmetic by hand, the committed counts against formulas, the commands and the pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.content.content import Content
from benchmark.diagnostics.costs import (
    ASSUMED,
    PARTS,
    Counts,
    Speeds,
    Workload,
    describe_prices,
    price,
    price_suite,
    read_counts,
    render_prices,
    render_training,
    render_work,
)
from benchmark.diagnostics.doctor import examine_costs
from benchmark.diagnostics.full_size import EnlargedImages
from benchmark.errors import NotFoundError, UserError
from benchmark.inverses.recipes import load_recipe
from benchmark.suites.catalog import list_suites, load_suite
from benchmark.suites.spec import Suite

DOCS = Path(__file__).parents[2] / "docs"
H100 = ASSUMED["h100"]


@pytest.fixture
def counts() -> Counts:
    """Round numbers: 10^12 operations and 10^9 bytes."""
    works = [
        Workload(1, 2),
        Workload(10, 20),
        Workload(0, 70),
        Workload(3, 1),
        Workload(5, 1),
        Workload(8, 4),
        Workload(31, 62),
    ]
    return Counts(2_000_000, *works)


def test_an_image_costs_the_sum_of_its_parts(mini: Suite, counts: Counts) -> None:
    suite = mini.model_copy(update={"perturbations": ("identity", "gray"), "judged_images": 64, "layer_images": 32})
    found = price(suite, "mini-vit", counts)
    assert found.images == 128
    assert found.parts == {
        "target": Workload(2, 4),
        "inverse": Workload(20, 40),
        "metrics": Workload(0 + 3 + 5 / 2, 70 + 1 + 1 / 2),
        "layers": Workload(2, 1),
    }
    assert found.total == Workload(29.5, 116.5)
    speeds = Speeds("made up", teraflops=0.5, gigabytes=10)
    assert speeds.seconds(found.total) == pytest.approx(29.5 / 0.5 + 11.65)
    assert found.hours(speeds) == pytest.approx(128 * (59 + 11.65) / 3600)
    (row,) = describe_prices([found], speeds, (1, 4), {"mini-vit": 7200})
    assert (row["inverse_TFLOP"], row["inverse_GB"], row["inverse_s"]) == (20, 40, pytest.approx(44))
    assert row["total_s"] == pytest.approx(sum(float(row[f"{part}_s"]) for part in PARTS))
    assert row["evaluation_h_4"] == pytest.approx(found.hours(speeds) / 4)
    assert row["training_h_1"] == pytest.approx(2 * (31 / 0.5 + 62 / 10))


def test_fewer_images_than_the_judge_and_the_layers_ask_for_are_all_looked_at(mini: Suite, counts: Counts) -> None:
    few = mini.model_copy(update={"dataset": mini.dataset.model_copy(update={"images": 8})})
    found = price(few, "mini-vit", counts)
    assert (found.parts["layers"], found.parts["metrics"]) == (counts.layers, Workload(8, 72))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0, -1])
@pytest.mark.parametrize("name", ["teraflops", "gigabytes"])
def test_a_speed_is_a_positive_number(name: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"--{name}: .* is no speed"):
        replace(H100, **{name: value})  # type: ignore[arg-type]


def test_every_target_of_every_suite_is_counted(mini: Suite) -> None:
    for suite_id in list_suites():
        suite = load_suite(suite_id)
        assert list(read_counts()[suite_id]) == [target.id for target in suite.targets]
        assert all(Counts.from_json(found.as_json()) == found for found in read_counts()[suite_id].values())
    with pytest.raises(NotFoundError, match="the work of my@1 was not counted"):
        price_suite(mini.model_copy(update={"name": "my"}))
    with pytest.raises(NotFoundError, match="did you mean 'mini-vit'"):
        price_suite(mini, ["mini-vi"])


@pytest.mark.parametrize(("suite_id", "target"), [("coco@1", "vit-base-16"), ("imagenet@1", "mae-base")])
def test_a_vit_b_takes_what_its_formula_says(suite_id: str, target: str) -> None:
    tokens, width, blocks, patch = 197, 768, 12, 16 * 16 * 3
    embeddings = 2 * (tokens - 1) * patch * width
    block = 2 * tokens * (4 + 8) * width**2 + 2 * 2 * tokens**2 * width
    assert read_counts()[suite_id][target].target.tera == pytest.approx((embeddings + blocks * block) / 1e12, rel=1e-5)


def test_a_modular_inverse_takes_as_much_as_the_encoder_that_it_mirrors() -> None:
    """Of each of the twelve taps of the encoder, a pass through twelve blocks; then transposed convolutions."""
    found = read_counts()["coco@1"]["vit-base-16"]
    tokens, width = 197, 768
    block = 2 * tokens * (4 + 8) * width**2 + 2 * 2 * tokens**2 * width
    out = 2 * tokens * width**2
    widths, side, images = (256, 64, 16, 3), 14, 0
    for before, after in zip((width, *widths), widths, strict=False):
        images += 2 * (side * side) * before * after * 16
        side *= 2
    assert found.inverse.tera == pytest.approx((12 * (12 * block + out) + 13 * images) / 1e12, rel=1e-3)


def test_suites_over_the_same_networks_differ_in_scoring_alone() -> None:
    coco, imagenet = read_counts()["coco@1"], read_counts()["imagenet@1"]
    for name, found in imagenet.items():
        for part in ("weights", "target", "inverse", "judge", "perceptual", "training"):
            assert getattr(found, part) == getattr(coco[name], part)
        assert found.pixels.giga < coco[name].pixels.giga, "no masks, one metric of shape"


def test_doctor_has_every_target_by_part_and_device() -> None:
    costs = examine_costs()
    assert [speeds["device"] for speeds in costs["speeds"]][:: len(costs["speeds"]) - 1] == ["one core here", "H100"]
    assert [speeds["measured"] for speeds in costs["speeds"]] == [True] * (len(costs["speeds"]) - 1) + [False]
    for suite_id in ("coco@1", "imagenet@1", "mini@1"):
        rows = costs["suites"][suite_id]
        assert [row["target"] for row in rows] == [target.id for target in load_suite(suite_id).targets]
        for row, item in zip(rows, price_suite(load_suite(suite_id)), strict=True):
            assert row["hours"]["H100"] == pytest.approx(item.hours(H100))
            assert row["hours"]["one core here"] > row["hours"]["H100"]
            assert all(row[f"{part}_TFLOP"] == item.parts[part].tera for part in PARTS)
            assert all(row[f"{part}_GB"] == item.parts[part].giga for part in PARTS)


def rows_of(done: Any) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def test_the_command_computes_hours_from_speeds(invbench: Callable[..., Any]) -> None:
    (row,) = rows_of(invbench("bench", "cost", "--target", "vit-base-16", "--gpus", "1", "--gpus", "8", "--json"))
    assert row["evaluation_h_1"] == pytest.approx(8 * row["evaluation_h_8"])
    assert row["evaluation_h_1"] == pytest.approx(row["total_s"] * 1000 / 3600)
    assert row["total_s"] == pytest.approx(row["total_TFLOP"] / 30 + row["total_GB"] / 1500)
    given = ("--teraflops", "60", "--gigabytes", "3000", "--json")
    faster = rows_of(invbench("bench", "cost", "--target", "vit-base-16", *given))
    assert faster[0]["total_s"] == pytest.approx(row["total_s"] / 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--teraflops", "nan"), "--teraflops: nan is no speed"),
        (("--teraflops", "0"), "--teraflops: 0.0 is no speed"),
        (("--gigabytes", "-1", "--on", "here"), "--gigabytes: -1.0 is no speed"),
        (("--gigabytes", "inf"), "--gigabytes: inf is no speed"),
        (("--target", "vit-base"), "did you mean 'vit-base-16'"),
        (("--out", "counts.json"), "add --count"),
        (("--count", "--out", "broken.json"), "holds no counts"),
        (("--suite", "coco-1.toml"), "coco-1.toml was not counted"),
    ],
)
def test_what_is_no_speed_or_no_target_ends_in_one_line(
    arguments: tuple[str, ...], said: str, invbench: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "coco-1.toml").write_text(load_suite("coco@1").file.read_text(encoding="utf-8"))  # type: ignore[union-attr]
    done = invbench("bench", "cost", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_counts_are_written_beside_those_of_others(invbench: Callable[..., Any], tmp_path: Path) -> None:
    counted = ("bench", "cost", "--suite", "mini@1", "--target", "mini-swin", "--count", "--out", "counts.json")
    (tmp_path / "counts.json").write_text('{"my@1": {"net": {"weights": 1}}, "mini@1": {"mini-vit": {"weights": 2}}}')
    done = invbench(*counted)
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "counts.json").read_text())
    assert written["my@1"] == {"net": {"weights": 1}}
    assert written["mini@1"]["mini-vit"] == {"weights": 2}
    assert written["mini@1"]["mini-swin"]["weights"] == read_counts()["mini@1"]["mini-swin"].weights


def test_the_pages_have_the_tables_that_the_command_prints() -> None:
    for suite_id in ("coco@1", "imagenet@1", "mini@1"):
        table = render_work(price_suite(load_suite(suite_id)), H100)
        assert table in (DOCS / "suites.md").read_text(encoding="utf-8"), f"{suite_id}:\n{table}"
    coco = load_suite("coco@1")
    table = render_prices(price_suite(coco), H100, (1, 8, 64))
    assert table in (DOCS / "scale.md").read_text(encoding="utf-8"), table
    recipes = {target.id: load_recipe("modular", target) for target in coco.targets}
    trained = {name: recipe.steps * recipe.batch_size for name, recipe in recipes.items()}
    table = render_training(price_suite(coco), H100, trained)
    assert table in (DOCS / "training.md").read_text(encoding="utf-8"), table


def test_images_are_enlarged_with_their_masks(content: Content) -> None:
    small = content.images.load(0, (96, 96))
    large = EnlargedImages(content.images, (96, 96)).load(0, (120, 160))
    assert large.image.shape == (120, 160, 3)
    assert large.image.mean() == pytest.approx(small.image.mean(), abs=1)
    assert large.focal_mask.mean() == pytest.approx(small.focal_mask.mean(), abs=0.02)
