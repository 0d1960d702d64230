"""What the metrics say about edits whose effect is known, and the rules that hold for all of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib import import_module

import numpy as np
import pytest
import scipy.ndimage as ndi
import torch
from PIL import Image
from skimage.color import hsv2rgb, lab2rgb, rgb2hsv, rgb2lab
from torch import Tensor

from benchmark.datasets.scenes import make_scene
from benchmark.metrics.case import Case, FocalMask, View
from benchmark.metrics.spec import METRICS, Metric

COUNT = 8
GENERATOR_SEED = 11


def function_of(metric: Metric) -> Callable[[Case], Tensor]:
    module, _, name = metric.function.partition(":")
    function: Callable[[Case], Tensor] = getattr(import_module(module), name)
    return function


FUNCTIONS = {name: function_of(metric) for name, metric in METRICS.items()}


def judge(images: Tensor) -> Tensor:
    """Four probabilities that depend on the coarse layout of the image."""
    quarters = torch.nn.functional.adaptive_avg_pool2d(images[:, 1:2], 2).flatten(1)
    return torch.sigmoid(20 * (quarters - 0.45))


@pytest.fixture(scope="module")
def scenes() -> tuple[Tensor, Tensor]:
    """Images (N, 3, 96, 96) and the masks (N, 96, 96) of their focal objects."""
    made = [make_scene("test", 0, index) for index in range(COUNT)]
    images = torch.from_numpy(np.stack([scene.image for scene in made])).permute(0, 3, 1, 2).float() / 255
    return images, torch.from_numpy(np.stack([scene.category_mask(scene.focal_category) for scene in made]))


def turn_hue(images: Tensor, mask: Tensor, degrees: float) -> Tensor:
    hsv = rgb2hsv(images.permute(0, 2, 3, 1).double().numpy())
    hsv[..., 0] = (hsv[..., 0] + degrees / 360) % 1
    turned = torch.from_numpy(hsv2rgb(hsv)).permute(0, 3, 1, 2).float()
    return View(torch.where(mask[:, None], turned, images)).rgb


def set_hue(images: Tensor, mask: Tensor, degrees: float) -> Tensor:
    hsv = rgb2hsv(images.permute(0, 2, 3, 1).double().numpy())
    hsv[..., 0] = degrees / 360
    colored = torch.from_numpy(hsv2rgb(hsv)).permute(0, 3, 1, 2).float()
    return View(torch.where(mask[:, None], colored, images)).rgb


def half_chroma(images: Tensor) -> Tensor:
    lab = rgb2lab(images.double().numpy(), channel_axis=1)
    lab[:, 1:] /= 2
    return torch.from_numpy(lab2rgb(lab, channel_axis=1)).float()


def grayed(images: Tensor) -> Tensor:
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    return (images * weights).sum(1, keepdim=True).expand_as(images)


def blurred(images: Tensor, sigma: float) -> Tensor:
    return torch.from_numpy(ndi.gaussian_filter(images.numpy(), (0, 0, sigma, sigma)))


def noisy(images: Tensor, sigma: float) -> Tensor:
    generator = torch.Generator().manual_seed(GENERATOR_SEED)
    return (images + sigma * torch.randn(images.shape, generator=generator)).clamp(0, 1)


def shuffled(images: Tensor, patches: int) -> Tensor:
    """Cut into patches x patches and permute them."""
    count, channels, side, _ = images.shape
    step = side // patches
    cut = images.reshape(count, channels, patches, step, patches, step).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    order = torch.randperm(patches**2, generator=torch.Generator().manual_seed(GENERATOR_SEED))
    mixed = cut[:, order].unflatten(1, (patches, patches)).permute(0, 3, 1, 4, 2, 5)
    return mixed.reshape(images.shape)


def all_scores(original: Tensor, seen: Tensor, recon: Tensor, mask: Tensor) -> dict[str, Tensor]:
    case = Case(View(original), View(seen), View(recon), FocalMask(mask), judge)
    return {name: function(case) for name, function in FUNCTIONS.items()}


def means(scores: dict[str, Tensor]) -> dict[str, float]:
    return {name: values.nanmean().item() for name, values in scores.items()}


def unperturbed(images: Tensor, recon: Tensor, mask: Tensor) -> dict[str, float]:
    return means(all_scores(images, images, recon, mask))


def test_the_scenes_are_scored(scenes: tuple[Tensor, Tensor]) -> None:
    images, mask = scenes
    identity = all_scores(images, images, images, mask)
    turned = turn_hue(images, mask, 120)
    hue = all_scores(images, turned, turned, mask)
    for name, metric in METRICS.items():
        values = hue[name] if metric.perturbations == "hue" else identity[name]
        assert values.shape == (COUNT,)
        assert values.dtype == torch.float32
        assert (~values.isnan()).sum() >= COUNT - 2, name


@pytest.mark.parametrize("name", METRICS)
def test_a_perfect_recon_scores_the_declared_identity(name: str, scenes: tuple[Tensor, Tensor]) -> None:
    images, mask = scenes
    seen = {"hue": turn_hue(images, mask, 240), "gray": grayed(images)}.get(METRICS[name].perturbations, images)
    score = means(all_scores(images, seen, seen, mask))[name]
    # A few cells have too little chroma for a hue, and count as 90 degrees even where they are right.
    slack = 1.0 if name == "hue_error_deg" else 1e-3
    assert score == pytest.approx(METRICS[name].identity, abs=slack)


def test_blur_costs_detail_before_shape(scenes: tuple[Tensor, Tensor]) -> None:
    images, mask = scenes
    soft, softer = (unperturbed(images, blurred(images, sigma), mask) for sigma in (1.0, 2.0))
    for name, most in (("ssim", 0.96), ("spectral_ev", 0.8)):
        assert soft[name] < most, name
        assert softer[name] < soft[name] - 0.1, name
        for shape in ("contour_f", "fg_transfer"):
            assert soft[shape] > soft[name], (shape, name)
            assert softer[shape] > softer[name] + 0.05, (shape, name)
    assert softer["contour_f"] > 0.85
    assert softer["fg_transfer"] > 0.85


def test_more_noise_costs_more(scenes: tuple[Tensor, Tensor]) -> None:
    images, mask = scenes
    light, heavy = (unperturbed(images, noisy(images, sigma), mask) for sigma in (0.05, 0.2))
    for name in ("psnr", "ssim", "spectral_ev", "contour_f", "fg_transfer"):
        assert heavy[name] < light[name] < METRICS[name].identity, name
    assert heavy["delta_e_2000"] > light["delta_e_2000"] > 0


def test_patch_shuffle_costs_shape_and_detail(scenes: tuple[Tensor, Tensor]) -> None:
    images, mask = scenes
    scores = unperturbed(images, shuffled(images, 12), mask)
    assert scores["contour_f"] < 0.4
    assert abs(scores["fg_transfer"]) < 0.3
    assert scores["ssim"] < 0.35
    assert scores["spectral_ev"] < 0.1


def test_hue_shift_in_the_mask_costs_only_color(scenes: tuple[Tensor, Tensor]) -> None:
    images, mask = scenes
    recon = turn_hue(images, mask, 120)
    # A hue turn in HSV moves lightness; put the luma back.
    kept = (recon + (grayed(images) - grayed(recon))).clamp(0, 1)
    scores = unperturbed(images, kept, mask)
    for name in ("ssim", "spectral_ev", "contour_f", "fg_transfer", "recognition"):
        assert scores[name] > 0.85, name
    assert scores["delta_e_2000"] > 4


def test_desaturation_costs_only_color(scenes: tuple[Tensor, Tensor]) -> None:
    images, mask = scenes
    scores = unperturbed(images, grayed(images), mask)
    for name in ("ssim", "spectral_ev", "recognition", "contour_f"):
        assert scores[name] > 0.99, name
    assert scores["fg_transfer"] > 0.85
    assert scores["delta_e_2000"] > 5


def test_trivial_answers_lie_at_the_floor(scenes: tuple[Tensor, Tensor]) -> None:
    images, mask = scenes
    own_mean = images.mean((2, 3), keepdim=True).expand_as(images)
    white_noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
    for recon in (own_mean, images.roll(1, 0), white_noise):
        scores = unperturbed(images, recon, mask)
        assert scores["spectral_ev"] < 0.05
        assert scores["contour_f"] < 0.35
        assert abs(scores["fg_transfer"]) < 0.35
        assert scores["ssim"] < 0.6


def test_simulated_inverses(scenes: tuple[Tensor, Tensor]) -> None:
    """Retention, gains and hue error of what an inverse may show of a recolored object, over the hue kinds."""
    images, mask = scenes
    kinds = [turn_hue(images, mask, degrees) for degrees in (120, 240)]
    kinds += [set_hue(images, mask, degrees) for degrees in (0, 120, 240)]
    inverses: dict[str, Callable[[Tensor], Tensor]] = {
        "perturbed": lambda seen: seen,
        "reverts": lambda seen: images,
        "gray": grayed,
        "half": half_chroma,
    }
    scores = {
        inverse: [means(all_scores(images, seen, invert(seen), mask)) for seen in kinds]
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


def test_gray_residual_falls_with_invented_color(scenes: tuple[Tensor, Tensor]) -> None:
    images, mask = scenes
    gray = grayed(images)
    steps = [
        means(all_scores(images, gray, gray + share * (images - gray), mask))["gray_residual"]
        for share in (0, 0.3, 0.6, 1)
    ]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] == pytest.approx(1, abs=1e-3)
    assert 0.5 < steps[1] < 0.9
    assert steps[3] == pytest.approx(0, abs=1e-3)


def test_a_stored_png_scores_like_the_tensor(scenes: tuple[Tensor, Tensor]) -> None:
    images, mask = scenes
    recon = noisy(images, 0.07) * 1.1 - 0.03
    stored = []
    for image in recon:
        pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        stored.append(torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).float() / 255)
    seen = turn_hue(images, mask, 120)
    for original, shown in ((images, images), (images, seen)):
        tensors = all_scores(original, shown, recon, mask)
        files = all_scores(original, shown, torch.stack(stored), mask)
        for name in METRICS:
            np.testing.assert_array_equal(tensors[name], files[name], err_msg=name)


def test_shared_views_score_like_fresh_ones(scenes: tuple[Tensor, Tensor]) -> None:
    images, mask = scenes
    original, seen, focal = View(images), View(turn_hue(images, mask, 120)), FocalMask(mask)
    for recon in (noisy(images, 0.1), blurred(images, 1.0)):
        shared = Case(original, seen, View(recon), focal, judge)
        fresh = all_scores(images, seen.rgb, recon, mask)
        for name, function in FUNCTIONS.items():
            np.testing.assert_array_equal(function(shared), fresh[name], err_msg=name)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_constant_images(value: float, scenes: tuple[Tensor, Tensor]) -> None:
    images, mask = scenes
    constant = torch.full_like(images, value)
    unscored = {
        "spectral_ev", "contour_f", "fg_transfer", "gray_residual",
        "color_retention", "color_ev", "gain_perturbed", "gain_original", "hue_error_deg",
    }  # fmt: skip
    for recon in (images, constant):
        scores = all_scores(constant, constant, recon, mask)
        assert {name for name, values in scores.items() if values.isnan().any()} == unscored
        assert all(values.isnan().all() for name, values in scores.items() if name in unscored)
    recon_scores = all_scores(images, images, constant, mask)
    for name in ("spectral_ev", "contour_f", "fg_transfer"):
        assert recon_scores[name].nanmean().item() == pytest.approx(0, abs=0.02), name


@pytest.mark.parametrize("full", [False, True])
def test_empty_and_full_masks(full: bool, scenes: tuple[Tensor, Tensor]) -> None:
    images, mask = scenes
    whole = torch.full_like(mask, full)
    seen = turn_hue(images, torch.ones_like(mask), 120)
    recon = noisy(seen, 0.05)
    scores = all_scores(images, seen, recon, whole)
    assert scores["contour_f"].isnan().all()
    assert scores["fg_transfer"].isnan().all()
    for name, metric in METRICS.items():
        if metric.perturbations == "hue":
            assert bool(scores[name].isnan().all()) != full, name
        elif metric.axis == "detail":
            assert not scores[name].isnan().any(), name


def test_achromatic_images(scenes: tuple[Tensor, Tensor]) -> None:
    images, mask = scenes
    gray = View(grayed(images)).rgb
    scores = all_scores(gray, turn_hue(gray, mask, 120), images, mask)
    for name, metric in METRICS.items():
        if metric.perturbations in ("hue", "gray"):
            assert scores[name].isnan().all(), name


def test_unscored_images_leave_the_others_alone(scenes: tuple[Tensor, Tensor]) -> None:
    images, mask = scenes
    seen = turn_hue(images, mask, 120)
    recon = noisy(seen, 0.1)
    expected = all_scores(images, seen, recon, mask)
    broken = [tensor.clone() for tensor in (images, seen, recon, mask)]
    for tensor in broken[:3]:
        tensor[0] = 0.5
    broken[3][0] = False
    scores = all_scores(*broken)
    for name in METRICS:
        np.testing.assert_allclose(scores[name][1:], expected[name][1:], atol=1e-5, err_msg=name)
