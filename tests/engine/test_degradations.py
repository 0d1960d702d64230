"""The edits, their tables, the committed page, and what the anchored axes must say about them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from benchmark.engine.anchors import load_training_mean
from torch import Tensor

from benchmark.content.content import Content
from benchmark.datasets.base import Sample
from benchmark.diagnostics.degradation_table import (
    ROWS,
    Degradations,
    format_value,
    measure_degradations,
    render_degradations,
    with_every_metric,
)
from benchmark.engine.degradations import (
    EDITS,
    add_noise,
    another_image,
    edges_only,
    half_chroma,
    half_contrast,
    jpeg,
    shift_hue_alone,
    shuffle_patches,
)
from benchmark.engine.networks import load_networks_with_targets
from benchmark.metrics.case import Networks, View
from benchmark.metrics.cielab import lab
from benchmark.metrics.detail import luma
from benchmark.metrics.spec import METRICS
from benchmark.suites.lock import Anchor, load_lock
from benchmark.suites.spec import Suite

if TYPE_CHECKING:
    import subprocess

PAGE = Path(__file__).parents[2] / "docs" / "degradations.md"
CHEAP = ("blur_2px", "desaturated", "own_mean_color")
Tables = dict[str, dict[str, dict[str, str]]]


@pytest.fixture(scope="module")
def mask(samples: list[Sample]) -> Tensor:
    """The focal masks of the first four frozen images."""
    return torch.stack([torch.from_numpy(sample.focal_mask) for sample in samples[:4]])


@pytest.mark.parametrize("name", EDITS)
def test_edits_are_pure_and_stay_images(name: str, images: Tensor, mask: Tensor) -> None:
    before = images.clone()
    found = EDITS[name](images, mask)
    assert torch.equal(images, before)
    assert found.shape == images.shape
    assert found.dtype == torch.float32
    assert found.min() >= 0 and found.max() <= 1
    assert torch.equal(EDITS[name](images, mask), found)
    assert (name == "identity") == torch.equal(found, images)


@pytest.mark.parametrize("name", sorted(set(EDITS) - {"hue_shift_120", "hue_shift_120_alone"}))
def test_edits_but_hue_shifts_do_not_look_at_the_mask(name: str, images: Tensor, mask: Tensor) -> None:
    assert torch.equal(EDITS[name](images, mask), EDITS[name](images, ~mask))


def test_a_shuffle_permutes_patches(images: Tensor, mask: Tensor) -> None:
    def patches(of: Tensor) -> list[list[float]]:
        return sorted(of[0].unfold(1, 8, 8).unfold(2, 8, 8).permute(1, 2, 0, 3, 4).reshape(144, -1).tolist())

    assert patches(shuffle_patches(images, mask, 12)) == patches(images)
    with pytest.raises(ValueError, match="96x96 pixels cannot be cut into 7x7 patches"):
        shuffle_patches(images, mask, 7)


def test_noise_has_its_deviation() -> None:
    flat = torch.full((2, 3, 96, 96), 0.5)
    noise = add_noise(flat, flat[:, 0] > 0, 0.05) - flat
    assert noise.std().item() == pytest.approx(0.05, rel=0.02)
    assert abs(noise.mean().item()) < 1e-3


def test_jpeg_loses_more_at_lower_quality(images: Tensor, mask: Tensor) -> None:
    errors = [(jpeg(images, mask, quality) - images).square().mean().item() for quality in (95, 50, 10)]
    assert errors == sorted(errors)
    assert 0 < errors[0] < errors[2] < 0.01


def test_a_hue_shift_alone_keeps_luma_and_the_surroundings(images: Tensor, mask: Tensor) -> None:
    # Colors far from the faces of the cube, so that nothing is clamped.
    soft = 0.4 + 0.2 * images
    found = shift_hue_alone(soft, mask, 120)
    assert (luma(View(found)) - luma(View(soft))).abs().max() < 0.005
    outside = (~mask)[:, None].expand_as(soft)
    assert (found - soft)[outside].abs().max() < 1e-6
    assert (found - soft)[~outside].abs().mean() > 0.02


def test_half_chroma_halves_chroma(images: Tensor, mask: Tensor) -> None:
    before, after = lab(View(images)), lab(View(half_chroma(images, mask)))
    assert (after[:, 0] - before[:, 0]).abs().mean() < 0.3
    assert (after[:, 1:] - before[:, 1:] / 2).abs().mean() < 0.5


def test_half_contrast_halves_deviations(images: Tensor, mask: Tensor) -> None:
    found = half_contrast(images, mask)
    assert torch.allclose(found.std((2, 3)), images.std((2, 3)) / 2, atol=1e-6)
    assert luma(View(found)).mean().item() == pytest.approx(luma(View(images)).mean().item(), abs=1e-3)


def test_edges_of_a_step() -> None:
    step = torch.zeros(1, 3, 16, 16)
    step[..., 8:] = 1
    found = edges_only(step, step[:, 0] > 0)
    assert torch.equal(found, torch.zeros_like(found).index_fill(3, torch.tensor([7, 8]), 1))
    assert torch.equal(edges_only(torch.ones(1, 3, 16, 16), step[:, 0] > 0), torch.zeros(1, 3, 16, 16))


def test_another_image_is_never_the_same(images: Tensor, mask: Tensor) -> None:
    found = another_image(images, mask)
    assert torch.equal(found[1:], images[:-1])
    assert torch.equal(found[0], images[-1])


def trivial_anchors(suite: Suite) -> dict[str, Anchor]:
    return {
        name: Anchor(answer="none", floor=0, ceiling=1) for metric_ids in suite.axes.values() for name in metric_ids
    }


def measure(suite: Suite, samples: list[Sample], networks: Networks, edits: tuple[str, ...] = ROWS) -> Degradations:
    return measure_degradations(
        suite, samples, trivial_anchors(suite), torch.full((3, 96, 96), 0.4), networks, torch.device("cpu"), edits
    )


@pytest.fixture(scope="module")
def found(mini: Suite, samples: list[Sample], networks: Networks) -> Degradations:
    """Every edit of the first eight images, as small networks see them."""
    return measure(with_every_metric(mini), samples[:8], networks)


def read_tables(text: str) -> Tables:
    """Return the cells of every table of a page by its heading, row and column."""
    tables: Tables = {}
    for part in text.split("\n## ")[1:]:
        lines = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("|")]
        header, _, *rows = [[cell.strip(" ↑↓") for cell in line] for line in lines]
        tables[part.splitlines()[0]] = {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}
    return tables


def test_every_metric_and_edit_is_in_the_table(found: Degradations, mini: Suite) -> None:
    assert tuple(found.values) == tuple(found.axes) == ROWS
    for row in found.values.values():
        assert row.keys() == METRICS.keys()
    absent = {(edit, name) for edit, row in found.values.items() for name, value in row.items() if value is None}
    # White noise has no structure that a hue change could cost.
    assert {name for _, name in absent} <= {"luma_invariance"}
    tables = read_tables(render_degradations(found, mini.axes))
    assert list(tables) == ["Detail", "Shape", "Color", "Anchored axes"]
    for heading, table in tables.items():
        columns = {"detail", "shape", "color"}
        if heading != "Anchored axes":
            columns = {name for name, metric in METRICS.items() if metric.axis == heading.lower()}
        assert tuple(table) == ROWS
        assert all(row.keys() == columns for row in table.values())


def test_the_rows_mean_what_they_say(found: Degradations) -> None:
    for name, metric in METRICS.items():
        if metric.identity is not None:
            slack = 1.0 if name == "hue_error_deg" else 1e-3
            assert found.values["identity"][name] == pytest.approx(metric.identity, abs=slack), name
    reverts = found.values["reverts_to_original"]
    assert reverts["ssim"] == pytest.approx(1)
    assert reverts["color_retention"] == pytest.approx(0, abs=1e-6)
    assert reverts["gain_original"] == pytest.approx(1, abs=1e-3)
    assert reverts["gray_residual"] == pytest.approx(0, abs=1e-6)
    assert reverts["spill"] == 0
    assert found.values["half_chroma"]["gain_perturbed"] == pytest.approx(0.5, abs=0.02)
    assert found.values["desaturated"]["gray_residual"] == pytest.approx(1, abs=1e-3)
    # A hue change of the object does not reach the other image, nor the training mean.
    assert found.values["training_mean"]["spill"] == 0
    detail = (found.values["blur_2px"]["ssim"], found.values["blur_2px"]["spectral_ev"])
    assert found.axes["blur_2px"]["detail"] == pytest.approx(sum(detail) / 2)  # type: ignore[arg-type]


def test_a_metric_without_its_network_is_a_dash_with_its_reason(mini: Suite, samples: list[Sample]) -> None:
    few = measure(with_every_metric(mini), samples[:8], Networks(), ("identity", "own_mean_color"))
    text = render_degradations(few, mini.axes)
    tables = read_tables(text)
    notes = dict(re.findall(r"^- \((\d+)\) (\w+): ", text, re.MULTILINE))
    for name in ("lpips_alex", "recognition", "self_recognition", "redetection_ap"):
        cell = tables[METRICS[name].axis.capitalize()]["identity"][name]
        number = re.fullmatch(r"- \((\d+)\)", cell)
        assert number and notes[number.group(1)] == name
        assert f"{name}: {METRICS[name].unscored}." in text
    # An axis that lacks a part is not scored either.
    assert tables["Anchored axes"]["identity"]["shape"] == "-"
    assert tables["Anchored axes"]["identity"]["detail"] == "1.000"


def test_values_show_the_digits_that_machines_agree_on() -> None:
    assert format_value(METRICS["ssim"], 0.98765) == "0.988"
    assert format_value(METRICS["psnr"], 31.256) == "31.26"
    assert format_value(METRICS["fg_transfer"], -0.001) == "0.00"


def test_the_page_shows_every_metric_and_edit() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "invbench bench degradations --suite mini@1" in text
    assert "128 images of mini@1" in text
    tables = read_tables(text)
    for heading, table in tables.items():
        assert tuple(table) == ROWS, heading
    shown = {name for heading, table in tables.items() if heading != "Anchored axes" for name in table["identity"]}
    assert shown == METRICS.keys()


def compare(page: Tables, fresh: Degradations, names: set[str]) -> None:
    """Compare cells with fresh values: as near as two machines are, and the rounding of the page."""
    for edit, row in fresh.values.items():
        for name in sorted(names):
            metric, value = METRICS[name], row[name]
            cell = page[metric.axis.capitalize()][edit][name]
            assert (value is None) == cell.startswith("-"), (edit, name)
            if value is not None:
                rounding = 0.5 * 10 ** -len(cell.partition(".")[2])
                assert float(cell) == pytest.approx(value, abs=metric.tolerance + rounding), (edit, name)


@pytest.mark.slow
def test_the_page_holds_what_is_measured(
    mini: Suite, content: Content, samples: list[Sample], cpu: torch.device
) -> None:
    """Fails when a metric or a network changes: then write the page again, by the command that it names."""
    every = with_every_metric(mini)
    networks = load_networks_with_targets(Content(every, load_lock(mini)), cpu)
    mean = load_training_mean(mini.targets[0], content.images, cpu)
    anchors = load_lock(mini).anchors[mini.targets[0].id]
    fresh = measure_degradations(every, samples, anchors, mean, networks, cpu, CHEAP)
    page = read_tables(PAGE.read_text(encoding="utf-8"))
    compare(page, fresh, METRICS.keys() - {"lpips_alex"})
    for edit, axes in fresh.axes.items():
        for axis, value in axes.items():
            assert float(page["Anchored axes"][edit][axis]) == pytest.approx(value, abs=0.005), (edit, axis)


@pytest.mark.slow
def test_the_page_holds_the_lpips_that_is_measured(
    mini: Suite, samples: list[Sample], cpu: torch.device, assets: Path
) -> None:
    weights = assets / "lpips" / "alexnet_features.safetensors"
    if not weights.is_file():
        pytest.skip(f"no perceptual network at {weights}; set INVBENCH_TEST_ASSETS")
    only = mini.model_copy(update={"axes": {}, "report": ("lpips_alex",)})
    networks = load_networks_with_targets(Content(only, load_lock(mini)), cpu, weights)
    compare(read_tables(PAGE.read_text(encoding="utf-8")), measure(only, samples, networks, CHEAP), {"lpips_alex"})


@pytest.fixture(scope="module")
def axes(mini: Suite, content: Content, samples: list[Sample], cpu: torch.device) -> dict[str, dict[str, float]]:
    """The anchored axes of every edit on all images of the suite, by its own networks and lock."""
    ranked = mini.model_copy(update={"report": ()})
    spec = mini.targets[0]
    mean, anchors = load_training_mean(spec, content.images, cpu), load_lock(mini).anchors[spec.id]
    networks = load_networks_with_targets(Content(ranked, load_lock(mini)), cpu)
    found = measure_degradations(ranked, samples, anchors, mean, networks, cpu)
    return found.axes  # type: ignore[return-value]


ANCHOR_ANSWERS = ("own_mean_color", "another_image", "training_mean", "white_noise")
MILD = ("blur_2px", "jpeg_10")


@pytest.mark.nightly
class TestAxes:
    """What the anchored axes of mini@1 say about the edits."""

    def test_identity_is_one(self, axes: dict[str, dict[str, float]]) -> None:
        assert list(axes["identity"].values()) == pytest.approx([1, 1, 1], abs=1e-4)

    @pytest.mark.parametrize(
        "order",
        [
            ("identity", "blur_1px", "blur_2px", "blur_4px", "own_mean_color"),
            ("identity", "jpeg_50", "jpeg_10"),
            ("identity", "noise_0.05", "noise_0.2", "white_noise"),
        ],
        ids=lambda order: order[1],
    )
    def test_more_of_an_edit_costs_more_on_every_axis(
        self, axes: dict[str, dict[str, float]], order: tuple[str, ...]
    ) -> None:
        for axis in ("detail", "shape", "color"):
            found = [axes[edit][axis] for edit in order]
            assert found == sorted(found, reverse=True), axis

    @pytest.mark.parametrize(
        "edit", ["blur_1px", "blur_2px", "blur_4px", "jpeg_50", "jpeg_10", "noise_0.05", "noise_0.2", "half_contrast"]
    )
    def test_blur_noise_and_compression_cost_detail_more_than_shape(
        self, axes: dict[str, dict[str, float]], edit: str
    ) -> None:
        assert axes[edit]["detail"] < axes[edit]["shape"] - 0.1

    def test_a_patch_shuffle_costs_shape_and_detail(self, axes: dict[str, dict[str, float]]) -> None:
        assert axes["patch_shuffle_12"]["detail"] < 0.02
        assert axes["patch_shuffle_12"]["shape"] < 0.05

    @pytest.mark.parametrize("edit", ["hue_shift_120_alone", "desaturated", "reverts_to_original"])
    def test_a_color_change_costs_only_color(self, axes: dict[str, dict[str, float]], edit: str) -> None:
        assert axes[edit]["detail"] > 0.99
        assert axes[edit]["shape"] > 0.95
        assert axes[edit]["color"] < 0.05

    def test_half_chroma_lies_between(self, axes: dict[str, dict[str, float]]) -> None:
        assert 0.4 < axes["half_chroma"]["color"] < 0.7
        assert min(axes["half_chroma"]["detail"], axes["half_chroma"]["shape"]) > 0.9

    def test_a_hue_shift_in_hsv_also_changes_lightness(self, axes: dict[str, dict[str, float]]) -> None:
        """HSV keeps saturation and value, not luma: a part of what it costs is no color."""
        for axis in ("detail", "shape"):
            assert 0.6 < axes["hue_shift_120"][axis] < axes["hue_shift_120_alone"][axis]
        assert axes["hue_shift_120"]["color"] < 0.05

    @pytest.mark.parametrize("answer", [*ANCHOR_ANSWERS, "constant_gray", "patch_shuffle_12", "edges_only"])
    def test_trivial_answers_never_win_an_axis(self, axes: dict[str, dict[str, float]], answer: str) -> None:
        for axis, value in axes[answer].items():
            for edit in MILD:
                assert value < axes[edit][axis] - 0.3, (axis, edit)

    @pytest.mark.parametrize("answer", [*ANCHOR_ANSWERS, "constant_gray"])
    def test_trivial_answers_lie_at_the_floor(self, axes: dict[str, dict[str, float]], answer: str) -> None:
        assert max(axes[answer].values()) <= 0.02

    def test_edges_alone_are_no_image(self, axes: dict[str, dict[str, float]]) -> None:
        for axis, value in axes["edges_only"].items():
            assert value < axes["blur_2px"][axis], axis
        assert max(axes["edges_only"]["detail"], axes["edges_only"]["color"]) < 0.05


@pytest.mark.nightly
def test_the_command(invbench: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    done = invbench("bench", "degradations", "--limit", "12", "--threads", "1", "--json", "--out", "page.md")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["edit"] for row in rows] == list(ROWS)
    assert rows[0]["axes"] == pytest.approx({"detail": 1, "shape": 1, "color": 1}, abs=1e-3)
    assert rows[0]["metrics"]["lpips_alex"] is None
    text = (tmp_path / "page.md").read_text()
    assert "8 images of mini@1" in text
    assert tuple(read_tables(text)["Detail"]) == ROWS


def test_too_few_images_for_another_one(invbench: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = invbench("bench", "degradations", "--limit", "1")
    assert done.returncode == 2
    assert "Invalid value for '--limit'" in done.stderr
