"""Prototype pull against its reference, and on answers that are drawn to a color, or to none."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmark.diagnostics import references_transfer
from benchmark.metrics.case import Case, FocalMask, Prototypes, View
from benchmark.metrics.cielab import srgb_to_lab
from benchmark.metrics.prototype import prototype_pull
from benchmark.perturbations import set_hue

Photos = Callable[[int, int], Tensor]
RED = torch.tensor([0.9, 0.1, 0.1])


def disks(height: int, width: int) -> Tensor:
    """Four masks, bool (4, H, W): large, at the frame, of a few pixels, of one pixel."""
    y, x = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    parts = ((0.5, 0.5, 0.3), (0.9, 0.2, 0.3), (0.4, 0.6, 0.06))
    masks = [((y - v) ** 2 + (x - u) ** 2) <= r**2 for v, u, r in parts]
    pixel = torch.zeros(height, width, dtype=torch.bool)
    pixel[height // 3, width // 4] = True
    return torch.stack([*masks, pixel])


def vivid(images: Tensor, seed: int = 0) -> Tensor:
    """Images pushed towards a color each, so that their objects have chroma."""
    tint = torch.rand(len(images), 3, 1, 1, generator=torch.Generator().manual_seed(seed))
    return (0.4 * images + 0.6 * tint).clamp(0, 1)


def case_of(seen: Tensor, recon: Tensor, masks: Tensor, prototypes: Prototypes | None) -> Case:
    view = View(seen)
    return Case(view, view, View(recon), FocalMask(masks), prototypes=prototypes)


def expected(case: Case) -> list[float]:
    assert case.prototypes is not None
    seen, recon = (view.rgb.permute(0, 2, 3, 1).double().numpy() for view in (case.seen, case.recon))
    seen, recon = (np.round(images * 255) / 255 for images in (seen, recon))
    hues, own = case.prototypes.hues_deg.double().numpy(), case.prototypes.own.tolist()
    masks = case.mask.pixels.numpy()
    return [
        references_transfer.prototype_pull(seen[i], recon[i], masks[i], list(hues[i]), own[i]) for i in range(len(own))
    ]


def hue_of(rgb: Tensor) -> float:
    """CIELAB hue angle of a color (3,), in degrees."""
    _, a, b = srgb_to_lab(rgb[None, :, None])[0, :, 0].tolist()
    return math.degrees(math.atan2(b, a))


@pytest.mark.parametrize("size", [(96, 96), (33, 47), (8, 8), pytest.param((480, 640), marks=pytest.mark.slow)])
def test_parity(size: tuple[int, int], photos: Photos) -> None:
    seen, masks = vivid(photos(*size)), disks(*size)
    hues = torch.tensor([[10, 75, 140, math.nan, 200, 290], [350, 40, 100, 160, 220, math.nan]]).float()
    prototypes = Prototypes(hues.repeat(2, 1), torch.tensor([0, 4, 2, 1]))
    for recon in (F.avg_pool2d(seen, 3, 1, 1), seen.roll(1, 0), seen.roll(1, 1), torch.zeros_like(seen)):
        case = case_of(seen, recon, masks, prototypes)
        scores = prototype_pull(case)
        assert scores.dtype == torch.float32
        np.testing.assert_allclose(scores, expected(case), rtol=0, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    categories=st.integers(1, 9),
    coarse=st.sampled_from([1, 6, 24]),
    missing=st.floats(0, 0.6),
)
def test_follows_its_reference_within_its_range(seed: int, categories: int, coarse: int, missing: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.rand(2, 4, 3, 24 // coarse, 24 // coarse, generator=generator)
    seen, recon = blocks.repeat_interleave(coarse, 3).repeat_interleave(coarse, 4).unbind(0)
    hues = 360 * torch.rand(4, categories, generator=generator)
    hues[torch.rand(4, categories, generator=generator) < missing] = math.nan
    own = torch.randint(-1, categories, (4,), generator=generator)
    case = case_of(seen, recon, disks(24, 24), Prototypes(hues, own))
    scores = prototype_pull(case)
    np.testing.assert_allclose(scores, expected(case), rtol=0, atol=1e-4)
    assert (scores.abs() <= 27)[~scores.isnan()].all()
    for i in range(4):
        one = case_of(
            seen[i : i + 1], recon[i : i + 1], disks(24, 24)[i : i + 1], Prototypes(hues[i, None], own[i, None])
        )
        np.testing.assert_allclose(prototype_pull(one), scores[i : i + 1], atol=1e-5)


def test_a_faithful_color_is_not_pulled(photos: Photos) -> None:
    seen, masks = vivid(photos(96, 96)), disks(96, 96)
    hues = torch.tensor([20.0, 110.0, 200.0, 290.0]).expand(4, 4)
    for own in range(4):
        pull = prototype_pull(case_of(seen, seen, masks, Prototypes(hues, torch.full((4,), own))))
        np.testing.assert_allclose(pull[~pull.isnan()], 0, atol=1e-6)
    gray = torch.full_like(seen, 0.5)
    pull = prototype_pull(case_of(seen, gray, masks, Prototypes(hues, torch.zeros(4, dtype=torch.long))))
    np.testing.assert_allclose(pull[~pull.isnan()], 0, atol=1e-4)
    assert not pull.isnan().all()


def recolored(photos: Photos) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Objects set to red, green and blue; masks; the HSV hues and CIELAB hues of eight prototypes, (8,) each."""
    masks = disks(96, 96)[:1].expand(3, -1, -1)
    photo = photos(96, 96)[2:3]
    colored = torch.where(masks[:1, None], 0.3 * photo + 0.7 * RED[:, None, None], photo)
    seen = torch.cat([set_hue(colored, masks[:1], hue) for hue in (0, 120, 240)])
    hsv = 22.5 + 45 * torch.arange(8.0)
    pure = torch.cat([set_hue(RED[None, :, None, None], torch.ones(1, 1, 1).bool(), hue) for hue in hsv.tolist()])
    return seen, masks, hsv, torch.tensor([hue_of(color[:, 0, 0]) for color in pure])


def test_a_recon_blended_towards_the_canonical_hue_is_pulled(photos: Photos) -> None:
    """30 % of the way scores above 0 for every color and category, and above .1 on average; further scores more."""
    seen, masks, hsv, lab = recolored(photos)
    curve = []
    for blend in (0.1, 0.3, 0.6):
        scores = []
        for own in range(8):
            recon = (1 - blend) * seen + blend * set_hue(seen, masks, hsv[own].item())
            scores.append(
                prototype_pull(case_of(seen, recon, masks, Prototypes(lab.expand(3, 8), torch.full((3,), own))))
            )
        every = torch.cat(scores)
        curve.append(every[~every.isnan()])
    assert (curve[1] > 0).all()
    assert curve[1].mean() > 0.1
    assert (curve[0] < curve[1]).all() and (curve[1] < curve[2]).all()


def test_an_answer_blind_to_the_category_is_not_pulled_on_average(photos: Photos) -> None:
    """Balanced over categories that are all scored, a constant red scores exactly nothing; a single one may not."""
    seen, masks, _, _ = recolored(photos)
    chroma = [srgb_to_lab(image[:, mask][None])[0, 1:].mean(1) for image, mask in zip(seen, masks, strict=True)]
    shown = torch.tensor([math.degrees(math.atan2(b, a)) for a, b in chroma])
    # Around each object's own hue, none near it or opposite to it; more on one side than on the other.
    hues = shown[:, None] + torch.tensor([30.0, 70, 110, 150, -40, -90, -130])
    red = RED.view(1, 3, 1, 1).expand_as(seen)
    scores = torch.stack(
        [prototype_pull(case_of(seen, red, masks, Prototypes(hues, torch.full((3,), own)))) for own in range(7)]
    )
    assert (scores[:, 1:].abs() > 0.1).all()
    np.testing.assert_allclose(scores.mean(0), 0, atol=1e-5)


def test_sides(photos: Photos) -> None:
    """A quarter turn towards a hue on the left is counterclockwise, on the right clockwise."""
    masks = torch.ones(1, 96, 96, dtype=torch.bool)
    frame = torch.ones(1, 3, 96, 96)
    warm, green = (torch.tensor(color)[:, None, None] / 255 * frame for color in ((230, 128, 26), (128, 230, 26)))
    hue = hue_of(warm[0, :, 0, 0])
    for turn, sign in ((60.0, 1), (-60.0, -1)):
        # The other category is on the other side: the mean pull is 0, what remains is the pull to the own one.
        hues = torch.tensor([[hue + turn, hue - turn]])
        pull = prototype_pull(case_of(warm, green, masks, Prototypes(hues, torch.tensor([0]))))
        _, *a_p = srgb_to_lab(warm[..., :1, 0])[0, :, 0].double().tolist()
        _, *a_y = srgb_to_lab(green[..., :1, 0])[0, :, 0].double().tolist()
        across = (a_p[0] * a_y[1] - a_p[1] * a_y[0]) / (a_p[0] ** 2 + a_p[1] ** 2)
        assert across > 0.3
        assert pull.item() == pytest.approx(sign * across, abs=1e-4)
        # A third one that has no canonical hue changes nothing, one on the own side a third.
        padded = F.pad(hues, (0, 1), value=math.nan)
        assert prototype_pull(case_of(warm, green, masks, Prototypes(padded, torch.tensor([0])))).item() == pull.item()
        third = torch.cat((hues, hues[:, :1]), dim=1)
        less = prototype_pull(case_of(warm, green, masks, Prototypes(third, torch.tensor([0])))).item()
        assert less == pytest.approx(pull.item() * 2 / 3, abs=1e-6)


def test_only_the_object_counts_less_its_rim(photos: Photos) -> None:
    seen, masks = vivid(photos(96, 96))[:1], disks(96, 96)[:1]
    prototypes = Prototypes(torch.tensor([[20.0, 140.0, 260.0]]), torch.tensor([1]))
    inside = F.avg_pool2d(masks[:, None].float(), 7, 1, 3) == 1
    recon = seen.roll(1, 1)
    spoiled = torch.where(inside, recon, 1 - recon)
    scores = [prototype_pull(case_of(seen, answer, masks, prototypes)).item() for answer in (recon, spoiled)]
    assert abs(scores[0]) > 0.05
    assert scores[0] != pytest.approx(scores[1], abs=1e-3)
    rim = torch.where(masks[:, None], recon, 1 - recon)
    assert prototype_pull(case_of(seen, rim, masks, prototypes)).item() == scores[0]


def test_not_scored() -> None:
    masks = torch.ones(1, 32, 32, dtype=torch.bool)
    frame = RED[None, :, None, None].expand(1, 3, 32, 32)
    hue = hue_of(RED)

    def pull(hues: list[float], own: int, seen: Tensor = frame, mask: Tensor = masks) -> float:
        prototypes = Prototypes(torch.tensor([hues]), torch.tensor([own]))
        case = case_of(seen, frame.flip(1), mask, prototypes)
        np.testing.assert_allclose(prototype_pull(case), expected(case), atol=1e-4)
        return prototype_pull(case).item()

    assert prototype_pull(case_of(frame, frame, masks, None)).isnan().all()
    assert math.isnan(pull([hue + 90, hue], -1))
    assert math.isnan(pull([hue + 90, math.nan], 1))
    for turn, scored in ((17, False), (18, True), (162, True), (163, False), (-17, False), (-18, True), (-163, False)):
        assert math.isnan(pull([hue + turn, hue - 90], 0)) != scored, turn
    gray = torch.tensor([0.54, 0.50, 0.50])[None, :, None, None].expand(1, 3, 32, 32)
    assert math.isnan(pull([hue_of(gray[0, :, 0, 0]) + 90, hue], 0, gray))
    assert math.isnan(pull([hue + 90, hue], 0, mask=torch.zeros_like(masks)))
