"""What the metrics say about edits whose effect is known, and the rules that hold for all of them."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from importlib import import_module

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from benchmark.datasets.scenes import make_scene
from benchmark.engine.degradations import EDITS, add_noise
from benchmark.metrics.case import Case, FocalMask, Networks, View
from benchmark.metrics.spec import METRICS, Metric
from benchmark.perturbations import gray, perturb, shift_hue
from benchmark.suites.spec import HUE_PERTURBATIONS

COUNT = 8
Score = Callable[..., dict[str, Tensor]]


def function_of(metric: Metric) -> Callable[[Case], Tensor]:
    module, _, name = metric.function.partition(":")
    function: Callable[[Case], Tensor] = getattr(import_module(module), name)
    return function


FUNCTIONS = {name: function_of(metric) for name, metric in METRICS.items()}


@pytest.fixture(scope="module")
def scenes() -> tuple[Tensor, Tensor]:
    """Images (N, 3, 96, 96) and the masks (N, 96, 96) of their focal objects."""
    made = [make_scene("test", 0, index) for index in range(COUNT)]
    images = torch.from_numpy(np.stack([scene.image for scene in made])).permute(0, 3, 1, 2).contiguous().float() / 255
    return images, torch.from_numpy(np.stack([scene.category_mask(scene.focal_category) for scene in made]))


@pytest.fixture(scope="module")
def score(networks: Networks) -> Score:
    """Every metric of a recon; the recon of the unperturbed image is perfect unless it is given."""

    def all_scores(
        original: Tensor, seen: Tensor, recon: Tensor, mask: Tensor, baseline: Tensor | None = None
    ) -> dict[str, Tensor]:
        before = View(original if baseline is None else baseline)
        case = Case(View(original), View(seen), View(recon), FocalMask(mask), networks, before)
        return {name: function(case) for name, function in FUNCTIONS.items()}

    return all_scores


def means(scores: dict[str, Tensor]) -> dict[str, float]:
    return {name: values.nanmean().item() for name, values in scores.items()}


def unperturbed(score: Score, scenes: tuple[Tensor, Tensor], edit: str) -> dict[str, float]:
    images, mask = scenes
    return means(score(images, images, EDITS[edit](images, mask), mask))


def test_the_scenes_are_scored(scenes: tuple[Tensor, Tensor], score: Score) -> None:
    images, mask = scenes
    identity = score(images, images, images, mask)
    turned = shift_hue(images, mask, 120)
    hue = score(images, turned, turned, mask)
    for name, metric in METRICS.items():
        values = hue[name] if metric.perturbations == "hue" else identity[name]
        assert values.shape == (COUNT,)
        assert values.dtype == torch.float32
        assert (~values.isnan()).sum() >= COUNT - 2, name


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.identity is not None])
def test_a_perfect_recon_scores_the_declared_identity(name: str, scenes: tuple[Tensor, Tensor], score: Score) -> None:
    images, mask = scenes
    kind = METRICS[name].perturbations
    seen = {"hue": shift_hue(images, mask, 240), "gray": gray(images, mask)}.get(kind, images)
    found = means(score(images, seen, seen, mask))[name]
    # A few cells have too little chroma for a hue, and count as 90 degrees even where they are right. A hue turn in
    # HSV moves luma, by which the window of SSIM sees past the mask.
    slack = 1.0 if name == "hue_error_deg" else 1e-3
    assert found == pytest.approx(METRICS[name].identity, abs=slack)


def test_a_perfect_recon_has_the_highest_f50(scenes: tuple[Tensor, Tensor], score: Score) -> None:
    images, mask = scenes
    best = score(images, images, images, mask)["f50"]
    for edit in EDITS:
        assert (score(images, images, EDITS[edit](images, mask), mask)["f50"] <= best).all(), edit


@pytest.mark.parametrize("name", METRICS)
def test_no_edit_leaves_the_declared_range(name: str, edited: dict[str, dict[str, Tensor]]) -> None:
    low, high = METRICS[name].range
    for edit, scores in edited.items():
        values = scores[name][~scores[name].isnan()]
        assert (values >= low - 1e-6).all(), edit
        assert high is None or (values <= high + 1e-6).all(), edit


@pytest.fixture(scope="module")
def edited(scenes: tuple[Tensor, Tensor], score: Score) -> dict[str, dict[str, Tensor]]:
    """Every metric of every edit: of the image itself, or of the recolored or gray image as the metric wants it."""
    images, mask = scenes
    shown = {"hue": shift_hue(images, mask, 120), "gray": gray(images, mask)}
    found: dict[str, dict[str, Tensor]] = {}
    for edit, function in EDITS.items():
        recon = function(images, mask)
        found[edit] = score(images, images, recon, mask)
        for kind, seen in shown.items():
            scores = score(images, seen, function(seen, mask), mask, recon)
            found[edit] |= {name: scores[name] for name in METRICS if METRICS[name].perturbations == kind}
    return found


def test_blur_costs_detail_before_shape(scenes: tuple[Tensor, Tensor], score: Score) -> None:
    soft, softer = (unperturbed(score, scenes, edit) for edit in ("blur_1px", "blur_2px"))
    for name, most in (("ssim", 0.96), ("spectral_ev", 0.8)):
        assert soft[name] < most, name
        assert softer[name] < soft[name] - 0.1, name
        for shape in ("contour_f", "fg_transfer"):
            assert soft[shape] > soft[name], (shape, name)
            assert softer[shape] > softer[name] + 0.05, (shape, name)
    assert softer["contour_f"] > 0.85
    assert softer["fg_transfer"] > 0.85


ORDERS = [
    ("blur_1px", "blur_2px", "blur_4px", "own_mean_color"),
    ("jpeg_50", "jpeg_10"),
    ("noise_0.05", "noise_0.2", "white_noise"),
]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order[0])
def test_more_of_an_edit_costs_more(order: tuple[str, ...], edited: dict[str, dict[str, Tensor]]) -> None:
    ordered = ["psnr", "ssim", "spectral_ev", "contour_f", "edge_f", "fg_transfer"]
    better = {name: 1 if METRICS[name].higher_is_better else -1 for name in [*ordered, "mse_norm", "delta_e_2000"]}
    for name, sign in better.items():
        found = [sign * edited[edit][name].nanmean().item() for edit in ("identity", *order)]
        assert found == sorted(found, reverse=True), name
        assert found[0] > found[1] and found[-2] > found[-1], name
    for name in ("hf_ev", "f50", "color_retention", "color_ev"):
        found = [edited[edit][name].nanmean().item() for edit in ("identity", *order)]
        assert all(after <= before + 0.01 for before, after in itertools.pairwise(found[:3])), name


def test_patch_shuffle_costs_shape_and_detail(scenes: tuple[Tensor, Tensor], score: Score) -> None:
    scores = unperturbed(score, scenes, "patch_shuffle_12")
    assert scores["contour_f"] < 0.4
    assert scores["edge_f"] < 0.4
    assert abs(scores["fg_transfer"]) < 0.3
    assert scores["ssim"] < 0.35
    assert scores["spectral_ev"] < 0.1


def test_a_hue_shift_costs_only_color(scenes: tuple[Tensor, Tensor], score: Score) -> None:
    scores = unperturbed(score, scenes, "hue_shift_120_alone")
    for name in ("ssim", "spectral_ev", "contour_f", "edge_f", "fg_transfer", "recognition"):
        assert scores[name] > 0.85, name
    assert scores["delta_e_2000"] > 4


def test_desaturation_costs_only_color(scenes: tuple[Tensor, Tensor], score: Score) -> None:
    scores = unperturbed(score, scenes, "desaturated")
    for name in ("ssim", "spectral_ev", "hf_ev", "recognition", "contour_f", "edge_f"):
        assert scores[name] > 0.99, name
    assert scores["fg_transfer"] > 0.85
    assert scores["lpips_alex"] < 1e-4
    assert scores["delta_e_2000"] > 5


@pytest.mark.parametrize("edit", ["own_mean_color", "another_image", "constant_gray", "white_noise"])
def test_trivial_answers_lie_at_the_floor(edit: str, scenes: tuple[Tensor, Tensor], score: Score) -> None:
    scores = unperturbed(score, scenes, edit)
    for name in ("spectral_ev", "hf_ev"):
        assert scores[name] < 0.05, name
    for name in ("contour_f", "edge_f", "fg_transfer"):
        assert abs(scores[name]) < 0.35, name
    assert scores["ssim"] < 0.6
    assert scores["f50"] < 4


def test_simulated_inverses(scenes: tuple[Tensor, Tensor], score: Score) -> None:
    """Retention, gains and hue error of what an inverse may show of a recolored object, over the hue kinds."""
    images, mask = scenes
    kinds = [perturb(name, images, mask) for name in HUE_PERTURBATIONS]
    inverses: dict[str, Callable[[Tensor], Tensor]] = {
        "perturbed": lambda seen: seen,
        "reverts": lambda seen: images,
        "gray": lambda seen: gray(seen, mask),
        "half": lambda seen: EDITS["half_chroma"](seen, mask),
    }
    scores = {
        inverse: [means(score(images, seen, invert(seen), mask)) for seen in kinds]
        for inverse, invert in inverses.items()
    }

    def average(inverse: str, metric: str) -> float:
        return float(np.mean([kind[metric] for kind in scores[inverse]]))

    expected = {"perturbed": (1, 1, 0), "reverts": (0, 0, 1), "gray": (0, 0, 0), "half": (0.65, 0.5, 0)}
    for inverse, (retention, gain_p, gain_o) in expected.items():
        assert average(inverse, "color_retention") == pytest.approx(retention, abs=0.04), inverse
        assert average(inverse, "gain_perturbed") == pytest.approx(gain_p, abs=0.02), inverse
        assert average(inverse, "gain_original") == pytest.approx(gain_o, abs=0.02), inverse
    assert average("perturbed", "color_ev") == pytest.approx(1, abs=1e-4)
    assert average("reverts", "color_ev") == pytest.approx(0, abs=1e-4)
    assert average("gray", "color_ev") < 0.15
    assert 0.4 < average("half", "color_ev") < 0.7
    assert average("perturbed", "hue_error_deg") < 1
    assert average("gray", "hue_error_deg") == pytest.approx(90)
    assert average("reverts", "hue_error_deg") > 80
    assert average("half", "hue_error_deg") < 3


def test_gray_residual_falls_with_invented_color(scenes: tuple[Tensor, Tensor], score: Score) -> None:
    images, mask = scenes
    seen = gray(images, mask)
    steps = [
        means(score(images, seen, seen + share * (images - seen), mask))["gray_residual"] for share in (0, 0.3, 0.6, 1)
    ]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] == pytest.approx(1, abs=1e-3)
    assert 0.5 < steps[1] < 0.9
    assert steps[3] == pytest.approx(0, abs=1e-3)


def test_a_stored_png_scores_like_the_tensor(scenes: tuple[Tensor, Tensor], score: Score) -> None:
    images, mask = scenes
    recon = add_noise(images, mask, 0.07) * 1.1 - 0.03
    stored = []
    for image in recon:
        pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        stored.append(torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).float() / 255)
    read = torch.stack(stored)
    for shown in (images, shift_hue(images, mask, 120), gray(images, mask)):
        tensors = score(images, shown, recon, mask, recon.flip(1))
        files = score(images, shown, read, mask, read.flip(1))
        for name in METRICS:
            assert not tensors[name].isnan().all() or METRICS[name].perturbations == "hue", name
            np.testing.assert_array_equal(tensors[name], files[name], err_msg=name)


def test_shared_views_score_like_fresh_ones(scenes: tuple[Tensor, Tensor], score: Score, networks: Networks) -> None:
    images, mask = scenes
    original, seen, focal = View(images), View(shift_hue(images, mask, 120)), FocalMask(mask)
    for edit in ("noise_0.05", "blur_1px"):
        recon = EDITS[edit](images, mask)
        shared = Case(original, seen, View(recon), focal, networks, original)
        fresh = score(images, seen.rgb, recon, mask)
        for name, function in FUNCTIONS.items():
            np.testing.assert_array_equal(function(shared), fresh[name], err_msg=name)


HUE = {name for name, metric in METRICS.items() if metric.perturbations == "hue"}
OBJECT_HUE = HUE - {"luma_invariance", "spill"}
"""What is scored only where the perturbation moves the color of the object."""


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_constant_images(value: float, scenes: tuple[Tensor, Tensor], score: Score) -> None:
    images, mask = scenes
    constant = torch.full_like(images, value)
    unscored = OBJECT_HUE | {
        "spectral_ev", "hf_ev", "f50", "contour_f", "edge_f", "fg_transfer", "gray_residual", "redetection_ap",
    }  # fmt: skip
    for recon in (images, constant):
        scores = score(constant, constant, recon, mask)
        assert {name for name, values in scores.items() if values.isnan().any()} == unscored
        assert all(values.isnan().all() for name, values in scores.items() if name in unscored)
    recon_scores = score(images, images, constant, mask)
    for name in ("spectral_ev", "hf_ev", "contour_f", "edge_f", "fg_transfer"):
        assert recon_scores[name].nanmean().item() == pytest.approx(0, abs=0.02), name
    assert recon_scores["f50"].tolist() == [3.5] * COUNT
    for name in ("psnr", "mse_norm", "lpips_alex", "self_recognition", "delta_e_2000"):
        assert not recon_scores[name].isnan().any(), name


def test_a_constant_recon_of_the_unperturbed_image(scenes: tuple[Tensor, Tensor], score: Score) -> None:
    images, mask = scenes
    seen = shift_hue(images, mask, 120)
    scores = score(images, seen, seen, mask, torch.zeros_like(images))
    assert scores["luma_invariance"].isnan().all()
    assert (scores["spill"] > 10).all()


@pytest.mark.parametrize("full", [False, True])
def test_empty_and_full_masks(full: bool, scenes: tuple[Tensor, Tensor], score: Score) -> None:
    images, mask = scenes
    whole = torch.full_like(mask, full)
    seen = shift_hue(images, torch.ones_like(mask), 120)
    recon = add_noise(seen, mask, 0.05)
    scores = score(images, seen, recon, whole)
    unscored = {"contour_f", "fg_transfer"} | ({"spill"} if full else OBJECT_HUE | {"luma_invariance"})
    assert {name for name, values in scores.items() if values.isnan().all()} == unscored
    usual = score(images, seen, recon, mask)
    for name, metric in METRICS.items():
        if name not in unscored | HUE and "mask" not in metric.needs:
            np.testing.assert_array_equal(scores[name], usual[name], err_msg=name)


@pytest.mark.parametrize("place", [(48, 48), (0, 0), (95, 40)])
def test_objects_of_one_pixel(place: tuple[int, int], scenes: tuple[Tensor, Tensor], score: Score) -> None:
    """Too small for a contour, for a figure/ground rule and for a color cell, of which it covers a ninth."""
    images, mask = scenes
    pixel = torch.zeros_like(mask)
    pixel[:, place[0], place[1]] = True
    seen = shift_hue(images, torch.ones_like(mask), 120)
    recon = add_noise(seen, mask, 0.05)
    scores = score(images, seen, recon, pixel)
    unscored = {"contour_f", "fg_transfer"} | OBJECT_HUE
    if place != (48, 48):
        unscored |= {"luma_invariance"}  # the window of SSIM does not fit around it
    assert {name for name, values in scores.items() if values.isnan().all()} == unscored
    usual = score(images, seen, recon, mask)
    for name, metric in METRICS.items():
        if name not in unscored | HUE and "mask" not in metric.needs:
            np.testing.assert_array_equal(scores[name], usual[name], err_msg=name)


def test_objects_of_one_cell_have_a_color(scenes: tuple[Tensor, Tensor], score: Score) -> None:
    images, mask = scenes
    few = torch.zeros_like(mask)
    few[:, 48, 48:51] = True
    images = images.clone()
    images[:, :, 48, 48:51] = torch.tensor([0.9, 0.2, 0.1])[:, None]
    seen = shift_hue(images, few, 120)
    scores = score(images, seen, seen, few)
    assert scores["color_retention"].tolist() == pytest.approx([1] * COUNT)
    assert score(images, seen, images, few)["gain_original"].tolist() == pytest.approx([1] * COUNT, abs=1e-4)


def test_achromatic_images(scenes: tuple[Tensor, Tensor], score: Score) -> None:
    images, mask = scenes
    gray_images = View(gray(images, mask)).rgb
    seen = shift_hue(gray_images, mask, 120)
    assert torch.equal(seen, gray_images)
    scores = score(gray_images, seen, images, mask)
    unscored = OBJECT_HUE | {"gray_residual"}
    assert {name for name, values in scores.items() if values.isnan().all()} == unscored
    for name in set(METRICS) - unscored:
        assert (~scores[name].isnan()).sum() >= COUNT - 2, name


def test_a_network_that_is_absent_leaves_its_metric_unscored(scenes: tuple[Tensor, Tensor]) -> None:
    images, mask = scenes
    seen = View(shift_hue(images, mask, 120))
    case = Case(View(images), seen, seen, FocalMask(mask))
    asking = {"judge", "classifier", "detector", "perceptual", "baseline"}
    for name, function in FUNCTIONS.items():
        assert function(case).isnan().all() == bool(asking & set(METRICS[name].needs)), name


def test_unscored_images_leave_the_others_alone(scenes: tuple[Tensor, Tensor], score: Score) -> None:
    images, mask = scenes
    seen = shift_hue(images, mask, 120)
    recon = add_noise(seen, mask, 0.1)
    expected = score(images, seen, recon, mask)
    broken = [tensor.clone() for tensor in (images, seen, recon, mask)]
    for tensor in broken[:3]:
        tensor[0] = 0.5
    broken[3][0] = False
    scores = score(*broken)
    for name in METRICS:
        np.testing.assert_allclose(scores[name][1:], expected[name][1:], atol=1e-5, err_msg=name)
