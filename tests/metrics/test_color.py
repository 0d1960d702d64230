"""Color metrics against scikit-image, the published CIEDE2000 pairs and a cell-by-cell reference."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import shapes
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import deltaE_ciede2000, hsv2rgb, rgb2hsv, rgb2lab
from torch import Tensor

from benchmark.diagnostics import references_transfer
from benchmark.metrics.case import Case, FocalMask, View
from benchmark.metrics.cielab import ciede2000, lab, srgb_to_lab
from benchmark.metrics.color import (
    color_ev,
    color_retention,
    delta_e_2000,
    gain_original,
    gain_perturbed,
    gray_residual,
    hue_error_deg,
)

MOVED_METRICS = (color_retention, color_ev, gain_perturbed, gain_original)
TOLERANCE = {
    color_retention: 5e-4, color_ev: 1e-3, gain_perturbed: 1e-3, gain_original: 1e-3, hue_error_deg: 0.02,
    delta_e_2000: 2e-3, gray_residual: 5e-4,
}  # fmt: skip

# Sharma, Wu and Dalal 2005, table 1: L1 a1 b1, L2 a2 b2, dE00.
SHARMA = """
50.0000   2.6772 -79.7751  50.0000   0.0000 -82.7485   2.0425
50.0000   3.1571 -77.2803  50.0000   0.0000 -82.7485   2.8615
50.0000   2.8361 -74.0200  50.0000   0.0000 -82.7485   3.4412
50.0000  -1.3802 -84.2814  50.0000   0.0000 -82.7485   1.0000
50.0000  -1.1848 -84.8006  50.0000   0.0000 -82.7485   1.0000
50.0000  -0.9009 -85.5211  50.0000   0.0000 -82.7485   1.0000
50.0000   0.0000   0.0000  50.0000  -1.0000   2.0000   2.3669
50.0000  -1.0000   2.0000  50.0000   0.0000   0.0000   2.3669
50.0000   2.4900  -0.0010  50.0000  -2.4900   0.0009   7.1792
50.0000   2.4900  -0.0010  50.0000  -2.4900   0.0010   7.1792
50.0000   2.4900  -0.0010  50.0000  -2.4900   0.0011   7.2195
50.0000   2.4900  -0.0010  50.0000  -2.4900   0.0012   7.2195
50.0000  -0.0010   2.4900  50.0000   0.0009  -2.4900   4.8045
50.0000  -0.0010   2.4900  50.0000   0.0010  -2.4900   4.8045
50.0000  -0.0010   2.4900  50.0000   0.0011  -2.4900   4.7461
50.0000   2.5000   0.0000  50.0000   0.0000  -2.5000   4.3065
50.0000   2.5000   0.0000  73.0000  25.0000 -18.0000  27.1492
50.0000   2.5000   0.0000  61.0000  -5.0000  29.0000  22.8977
50.0000   2.5000   0.0000  56.0000 -27.0000  -3.0000  31.9030
50.0000   2.5000   0.0000  58.0000  24.0000  15.0000  19.4535
50.0000   2.5000   0.0000  50.0000   3.1736   0.5854   1.0000
50.0000   2.5000   0.0000  50.0000   3.2972   0.0000   1.0000
50.0000   2.5000   0.0000  50.0000   1.8634   0.5757   1.0000
50.0000   2.5000   0.0000  50.0000   3.2592   0.3350   1.0000
60.2574 -34.0099  36.2677  60.4626 -34.1751  39.4387   1.2644
63.0109 -31.0961  -5.8663  62.8187 -29.7946  -4.0864   1.2630
61.2901   3.7196  -5.3901  61.4292   2.2480  -4.9620   1.8731
35.0831 -44.1164   3.7933  35.0232 -40.0716   1.5901   1.8645
22.7233  20.0904 -46.6940  23.0331  14.9730 -42.5619   2.0373
36.4612  47.8580  18.3852  36.2715  50.5065  21.2231   1.4146
90.8027  -2.0831   1.4410  91.1528  -1.6435   0.0447   1.4441
90.9257  -0.5406  -0.9208  88.6381  -0.8985  -0.7239   1.5381
 6.7747  -0.2908  -2.4247   5.8714  -0.0985  -2.2286   0.6377
 2.0776   0.0795  -1.1350   0.9033  -0.0636  -0.5514   0.9082
"""


def photos(height: int, width: int) -> Tensor:
    """Three color photographs, (3, 3, H, W) at 8 bits."""
    return shapes.photos(height, width)[:3]


def ellipses(height: int, width: int) -> Tensor:
    """Three masks, bool (3, H, W): a large one, one that touches the frame, one that erosion would leave bare."""
    y, x = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    parts = ((0.5, 0.5, 0.3, 0.3), (0.9, 0.2, 0.3, 0.4), (0.4, 0.6, 0.3, 3.9 / width))
    return torch.stack([((y - v) / h) ** 2 + ((x - u) / w) ** 2 <= 1 for v, u, h, w in parts])


def turn_hue(images: Tensor, mask: Tensor, degrees: float) -> Tensor:
    hsv = rgb2hsv(images.permute(0, 2, 3, 1).double().numpy())
    hsv[..., 0] = (hsv[..., 0] + degrees / 360) % 1
    turned = torch.from_numpy(hsv2rgb(hsv)).permute(0, 3, 1, 2).float()
    return View(torch.where(mask[:, None], turned, images)).rgb


def noisy(images: Tensor, sigma: float, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (images + sigma * torch.randn(images.shape, generator=generator)).clamp(0, 1)


def case_of(original: Tensor, seen: Tensor, recon: Tensor, mask: Tensor) -> Case:
    return Case(View(original), View(seen), View(recon), FocalMask(mask))


def test_lab_matches_scikit_image() -> None:
    rgb = torch.rand(4, 3, 50, 50, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(srgb_to_lab(rgb), rgb2lab(rgb.double().numpy(), channel_axis=1), atol=6e-5)
    levels = torch.arange(256) / 255
    dark_to_light = torch.stack((levels, levels.roll(85), levels.roll(170)))[None, :, :, None]
    expected = rgb2lab(dark_to_light.double().numpy(), channel_axis=1)
    np.testing.assert_allclose(lab(View(dark_to_light)), expected, atol=6e-5)


def test_ciede2000_matches_the_published_pairs() -> None:
    pairs = torch.from_numpy(np.array(SHARMA.split(), dtype=np.float64).reshape(34, 7))
    np.testing.assert_allclose(ciede2000(pairs[:, :3], pairs[:, 3:6]), pairs[:, 6], atol=1e-4)
    np.testing.assert_allclose(ciede2000(pairs[:, 3:6], pairs[:, :3]), pairs[:, 6], atol=1e-4)


def test_ciede2000_matches_scikit_image() -> None:
    generator = torch.Generator().manual_seed(1)
    first, second = srgb_to_lab(torch.rand(2, 3, 20000, generator=generator)).unbind(0)
    near = first + torch.randn(first.shape, generator=generator)
    for other in (second, near):
        expected = deltaE_ciede2000(first.T.double().numpy(), other.T.double().numpy())
        np.testing.assert_allclose(ciede2000(first[None], other[None])[0], expected, atol=2e-3)
    assert (ciede2000(first[None], first[None]) == 0).all()
    black = torch.zeros(1, 3, 1)
    assert ciede2000(black, black).item() == 0


@pytest.mark.parametrize(("size", "degrees"), [((96, 96), 120), ((100, 130), 240), ((224, 224), 120)])
def test_parity_under_hue_changes(size: tuple[int, int], degrees: float, parity: Callable[..., None]) -> None:
    original, mask = photos(*size), ellipses(*size)
    seen = turn_hue(original, mask, degrees)
    gray = seen.mean(1, keepdim=True).expand_as(seen)
    for recon in (noisy(seen, 0.1), noisy(original, 0.05), 0.5 * seen + 0.5 * gray, seen.roll(1, 0), seen.flip(1)):
        parity(case_of(original, seen, recon, mask), [metric.__name__ for metric in MOVED_METRICS])


@pytest.mark.parametrize("size", [(96, 96), (100, 130), (480, 640)])
def test_parity_over_the_frame(size: tuple[int, int], parity: Callable[..., None]) -> None:
    original, mask = photos(*size), ellipses(*size)
    recon = noisy(original, 0.1).roll(1, 3) * 0.9
    parity(case_of(original, original, recon, mask), ["delta_e_2000", "gray_residual"])


def test_identity_scores_the_best_value() -> None:
    original, mask = photos(96, 96), ellipses(96, 96)
    seen = turn_hue(original, mask, 120)
    case = case_of(original, seen, seen, mask)
    for metric, best in zip(MOVED_METRICS, (1, 1, 1, 0), strict=True):
        np.testing.assert_allclose(metric(case)[:2], best, atol=1e-3, err_msg=metric.__name__)
    assert hue_error_deg(case).tolist() == [0, 0, 0]
    unperturbed = case_of(original, original, original, mask)
    assert delta_e_2000(unperturbed).tolist() == [0, 0, 0]
    gray = original.mean(1, keepdim=True).expand_as(original)
    np.testing.assert_allclose(gray_residual(case_of(original, gray, gray, mask)), 1, atol=1e-3)


def test_cells_of_a_small_object_are_those_of_the_mask_itself() -> None:
    original = torch.tensor([0.8, 0.2, 0.2])[None, :, None, None].expand(1, 3, 96, 96)
    mask = torch.zeros(1, 96, 96, dtype=torch.bool)
    mask[:, 30:42, 30:33] = True
    seen = turn_hue(original, mask, 120)
    assert color_retention(case_of(original, seen, seen, mask)).item() == pytest.approx(1)


def test_a_frame_wide_mask_reaches_the_frame() -> None:
    original = torch.tensor([0.8, 0.2, 0.2])[None, :, None, None].expand(1, 3, 96, 96)
    mask = torch.ones(1, 96, 96, dtype=torch.bool)
    seen = turn_hue(original, mask, 120)
    recon = seen.clone()
    recon[..., :3] = original[..., :3]
    # One of 32 columns of cells shows the original color: the error is 1/32 of what the original would have.
    distance = (lab(View(original)) - lab(View(seen)))[0, 1:, 0, 0].square().sum()
    to_gray = lab(View(seen))[0, 1:, 0, 0].square().sum()
    expected = 1 - distance / 32 / min(distance, to_gray)
    assert color_retention(case_of(original, seen, recon, mask)).item() == pytest.approx(expected.item(), abs=1e-4)


def expected_hue_error(case: Case) -> list[float]:
    seen, recon = (
        np.round(view.rgb.permute(0, 2, 3, 1).double().numpy() * 255) / 255 for view in (case.seen, case.recon)
    )
    return list(map(references_transfer.hue_error_deg, seen, recon, case.mask.pixels.numpy()))


@pytest.mark.parametrize("size", [(96, 96), (33, 47), (8, 8), (100, 130), (224, 224)])
def test_parity_of_the_hue_error(size: tuple[int, int]) -> None:
    original, mask = photos(*size), ellipses(*size)
    mask[2] = False
    mask[2, size[0] // 2, size[1] // 2] = True
    seen = turn_hue(original, mask, 120)
    faint = seen.mean(1, keepdim=True) + 0.2 * (seen - seen.mean(1, keepdim=True))
    for recon in (noisy(seen, 0.1), original, faint, seen.roll(1, 0), seen.flip(1)):
        case = case_of(original, seen, recon, mask)
        np.testing.assert_allclose(hue_error_deg(case), expected_hue_error(case), atol=0.05)


def test_the_hue_error_counts_colored_cells_that_did_not_move() -> None:
    """Nothing is moved here; where the recon of a third is gray, that third counts 90 degrees."""
    image = torch.tensor([0.8, 0.2, 0.2])[None, :, None, None].repeat(1, 1, 96, 96)
    everywhere = torch.ones(1, 96, 96, dtype=torch.bool)
    assert hue_error_deg(case_of(image, image, image, everywhere)).item() == 0
    recon = image.clone()
    recon[..., :33, :] = 0.5
    assert hue_error_deg(case_of(image, image, recon, everywhere)).item() == pytest.approx(90 * 11 / 32, abs=1e-3)
    # A gray part of x_p has no hue to get wrong; a gray x_p is not scored.
    half = image.clone()
    half[..., 48:, :] = 0.5
    wrong_there = torch.where(torch.arange(96)[:, None] < 48, image, image.flip(1))
    assert hue_error_deg(case_of(image, half, wrong_there, everywhere)).item() == 0
    gray = torch.full_like(image, 0.5)
    assert hue_error_deg(case_of(image, gray, image, everywhere)).isnan().all()
    assert hue_error_deg(case_of(image, image, image, torch.zeros_like(everywhere))).isnan().all()


def test_what_does_not_move_is_not_scored() -> None:
    original, mask = photos(96, 96), ellipses(96, 96)
    recon = noisy(original, 0.1)
    gray = original.mean(1, keepdim=True).expand_as(original)
    empty = torch.zeros_like(mask)
    for case in (
        case_of(original, original, recon, mask),
        case_of(gray, turn_hue(gray, mask, 120), recon, mask),
        case_of(original, turn_hue(original, mask, 120), recon, empty),
    ):
        for metric in MOVED_METRICS:
            assert metric(case).isnan().all(), metric.__name__


def test_faint_moves_score_color_ev_alone() -> None:
    original = torch.tensor([0.54, 0.50, 0.50])[None, :, None, None].expand(1, 3, 96, 96)
    mask = ellipses(96, 96)[:1]
    seen = turn_hue(original, mask, 180)
    case = case_of(original, seen, seen, mask)
    assert color_ev(case).item() == pytest.approx(1)
    for metric in (color_retention, gain_perturbed, gain_original, hue_error_deg):
        assert metric(case).isnan().all(), metric.__name__


def test_color_ev_needs_trivial_answers_that_err() -> None:
    """A frame of one color is explained by its own mean."""
    original = torch.tensor([0.8, 0.2, 0.2])[None, :, None, None].expand(1, 3, 96, 96)
    everywhere = torch.ones(1, 96, 96, dtype=torch.bool)
    seen = turn_hue(original, everywhere, 120)
    case = case_of(original, seen, seen, everywhere)
    assert color_ev(case).isnan().all()
    assert color_retention(case).item() == pytest.approx(1)


def test_gray_residual_needs_color() -> None:
    gray = torch.rand(2, 1, 96, 96, generator=torch.Generator().manual_seed(0)).expand(2, 3, 96, 96)
    mask = torch.ones(2, 96, 96, dtype=torch.bool)
    assert gray_residual(case_of(gray, gray, gray, mask)).isnan().all()


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    degrees=st.sampled_from([60, 120, 180, 240]),
    mix=st.floats(0, 1),
    coarse=st.sampled_from([1, 4, 24]),
)
def test_bounds_and_batch_independence(seed: int, degrees: int, mix: float, coarse: int) -> None:
    generator = torch.Generator().manual_seed(seed)

    def draw() -> Tensor:
        blocks = torch.rand(3, 3, 48 // coarse, 48 // coarse, generator=generator)
        return View(blocks.repeat_interleave(coarse, 2).repeat_interleave(coarse, 3)).rgb

    original, recon, mask = draw(), draw(), ellipses(48, 48)
    seen = turn_hue(original, mask, degrees)
    recon = (1 - mix) * recon + mix * seen
    whole = case_of(original, seen, recon, mask)
    parts = [case_of(*(t[i : i + 1] for t in (original, seen, recon, mask))) for i in range(3)]
    tops = dict.fromkeys((color_retention, color_ev, gray_residual), 1.0) | {hue_error_deg: 180.0}
    for metric, tolerance in TOLERANCE.items():
        scores = metric(whole)
        assert scores.dtype == torch.float32
        assert ((scores >= 0) & (scores <= tops.get(metric, math.inf)) | scores.isnan()).all(), metric.__name__
        np.testing.assert_allclose(scores, torch.cat([metric(part) for part in parts]), atol=tolerance / 10)
