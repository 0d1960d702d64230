"""Color transfer against its reference; what it is exact about, what it gives answers that ignore the image."""

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
from benchmark.metrics.case import Case, FocalMask, View
from benchmark.metrics.transfer import color_transfer, color_transfer_parts
from benchmark.perturbations import perturb
from benchmark.suites.spec import Perturbation

Photos = Callable[[int, int], Tensor]
Answer = Callable[[Tensor], Tensor]
KINDS: tuple[Perturbation, ...] = ("hue_set_0", "hue_set_120", "hue_set_240", "hue_shift_120", "hue_shift_240")
LIMIT = math.sqrt(8 / 3)
MIRRORS = ((2,), (3,), (2, 3))


def objects(height: int, width: int) -> Tensor:
    """Four masks, bool (4, H, W), all off the center; one touches the frame, one is a single pixel."""
    y, x = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    parts = ((0.35, 0.3, 0.3, 0.2), (0.9, 0.2, 0.3, 0.4), (0.6, 0.7, 0.2, 0.2))
    masks = [((y - v) / h) ** 2 + ((x - u) / w) ** 2 <= 1 for v, u, h, w in parts]
    pixel = torch.zeros(height, width, dtype=torch.bool)
    pixel[height // 3, width // 4] = True
    return torch.stack([*masks, pixel])


def cases_of(images: Tensor, masks: Tensor, answer: Answer) -> list[Case]:
    """The comparisons under the five hue kinds; the baseline is the answer to the unperturbed images."""
    original, mask = View(images), FocalMask(masks)
    baseline = View(answer(original.rgb))
    seen = [View(perturb(kind, original.rgb, masks)) for kind in KINDS]
    return [Case(original, view, View(answer(view.rgb)), mask, baseline=baseline) for view in seen]


def score(cases: list[Case]) -> Tensor:
    return color_transfer(torch.stack([color_transfer_parts(case) for case in cases]).sum(0))


def expected(cases: list[Case]) -> list[float]:
    def arrays(view: View | None) -> list[np.ndarray]:
        assert view is not None
        return list(np.round(view.rgb.permute(0, 2, 3, 1).double().numpy() * 255) / 255)

    originals, baselines = arrays(cases[0].original), arrays(cases[0].baseline)
    pairs = [list(zip(arrays(case.seen), arrays(case.recon), strict=True)) for case in cases]
    return [
        references_transfer.color_transfer(original, baseline, [kind[i] for kind in pairs])
        for i, (original, baseline) in enumerate(zip(originals, baselines, strict=True))
    ]


def blurred(images: Tensor) -> Tensor:
    return F.avg_pool2d(images, 7, 1, 3)


def half_chroma(images: Tensor) -> Tensor:
    gray = images.mean(1, keepdim=True)
    return gray + 0.5 * (images - gray)


def own_color_in_the_middle(images: Tensor) -> Tensor:
    """The frame's mean color, made vivid, in a symmetric blob on gray."""
    mean = images.mean((2, 3), keepdim=True)
    vivid = (mean.mean(1, keepdim=True) + 4 * (mean - mean.mean(1, keepdim=True))).clamp(0, 1)
    y, x = (torch.linspace(-1, 1, side) for side in images.shape[-2:])
    weight = torch.exp(-4 * (y[:, None] ** 2 + x**2))
    return 0.5 + weight * (vivid - 0.5)


@pytest.mark.parametrize("size", [(96, 96), (33, 47), (100, 130), (8, 8), (224, 160)])
@pytest.mark.parametrize("answer", [blurred, half_chroma, own_color_in_the_middle, lambda images: images.roll(1, 0)])
def test_parity(size: tuple[int, int], answer: Answer, photos: Photos) -> None:
    cases = cases_of(photos(*size), objects(*size), answer)
    scores = score(cases)
    assert scores.dtype == torch.float32
    np.testing.assert_allclose(scores, expected(cases), rtol=0, atol=1e-4)


@pytest.mark.slow
def test_parity_on_large_images(photos: Photos) -> None:
    cases = cases_of(photos(480, 640), objects(480, 640), blurred)
    np.testing.assert_allclose(score(cases), expected(cases), rtol=0, atol=1e-4)


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    size=st.sampled_from([(24, 24), (33, 47), (60, 40)]),
    mix=st.floats(0, 1),
    gain=st.floats(-1, 1),
)
def test_follows_its_reference_within_its_range(seed: int, size: tuple[int, int], mix: float, gain: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    images, noise = torch.rand(2, 4, 3, *size, generator=generator).unbind(0)
    cases = cases_of(
        images, objects(*size), lambda seen: (0.5 + gain * (mix * seen + (1 - mix) * noise - 0.5)).clamp(0, 1)
    )
    scores = score(cases)
    np.testing.assert_allclose(scores, expected(cases), rtol=0, atol=1e-4)
    assert (scores.abs() <= LIMIT)[~scores.isnan()].all()
    alone = [Case(*(View(part.rgb[1:2]) for part in (c.original, c.seen, c.recon)), FocalMask(c.mask.pixels[1:2]),
                  baseline=View(c.baseline.rgb[1:2])) for c in cases if c.baseline]  # fmt: skip
    np.testing.assert_allclose(score(alone), scores[1:2], atol=1e-5)


def test_the_image_itself_scores_exactly_one(photos: Photos) -> None:
    for size in ((96, 96), (33, 47)):
        scores = score(cases_of(photos(*size), objects(*size), lambda images: images))
        assert scores[:3].tolist() == [1, 1, 1]


def parts_of(shown: Tensor, answer: Tensor) -> Tensor:
    """Parts of change fields (N, 2, h, w), by the definition."""
    rest, back = (field - field.mean((2, 3), keepdim=True) for field in (shown, answer))
    turned = [(2 * (rest * back.flip(axes)).sum((1, 2, 3))) for axes in ((), *MIRRORS)]
    own = [(2 * (rest * rest.flip(axes)).sum((1, 2, 3))) for axes in (*MIRRORS, ())]
    apart = (shown.mean((2, 3)) - answer.mean((2, 3))).square().sum(1) * shown[0, 0].numel()
    total = rest.square().sum((1, 2, 3)) + back.square().sum((1, 2, 3)) + apart
    return torch.stack([*turned, total, *own, torch.ones_like(total)], dim=1)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), side=st.sampled_from([4, 9, 32]))
def test_symmetric_changes_score_exactly_zero(seed: int, side: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    shown, half = torch.randn(2, 3, 2, side, side, generator=generator).unbind(0)
    quarter = half[..., : (side + 1) // 2, : (side + 1) // 2]
    rows = torch.cat((quarter, quarter[..., : side // 2, :].flip(2)), 2)
    symmetric = torch.cat((rows, rows[..., : side // 2].flip(3)), 3)
    scores = color_transfer(parts_of(shown, symmetric))
    assert (scores[~scores.isnan()] == 0).all() and not scores.isnan().all()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), even=st.floats(0, 4), amount=st.floats(-3, 3))
def test_the_range_is_reached_and_never_left(seed: int, even: float, amount: float) -> None:
    """The answer that keeps only what is not symmetric, in the right amount, scores q^(-1/2)."""
    shown = torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    part = sum((shown.flip(axes) for axes in MIRRORS), shown) / 4
    uneven = shown - part
    shown = uneven + even * part
    parts = parts_of(shown, amount * uneven)
    rest = shown - shown.mean((2, 3), keepdim=True)
    share = uneven.square().sum((1, 2, 3)) / rest.square().sum((1, 2, 3))
    scores = color_transfer(parts)
    assert (scores.isnan() == (share < 3 / 8)).all()
    assert (scores.abs() <= LIMIT)[~scores.isnan()].all()
    centered = shown - shown.mean((2, 3), keepdim=True)
    best = color_transfer(parts_of(centered, uneven / share.sqrt()[:, None, None, None]))
    scored = ~best.isnan()
    np.testing.assert_allclose(best[scored], share[scored] ** -0.5, rtol=1e-9)


def test_answers_that_ignore_where_the_change_is_score_zero(photos: Photos) -> None:
    images, masks = photos(96, 96), objects(96, 96)
    for answer in (
        own_color_in_the_middle,
        lambda seen: seen.mean((2, 3), keepdim=True).expand_as(seen),
        lambda seen: torch.full_like(seen, 0.3),
        lambda seen: images,
    ):
        np.testing.assert_allclose(score(cases_of(images, masks, answer))[:3], 0, atol=1e-5)


def test_directions(photos: Photos) -> None:
    images, masks = photos(96, 96)[:3], objects(96, 96)[:3]
    copy, weak, half, coarse = (
        score(cases_of(images, masks, answer))
        for answer in (lambda seen: seen, lambda seen: 0.5 + 0.1 * (seen - 0.5), half_chroma, blurred)
    )
    assert (weak < half).all() and (half < copy).all() and (coarse < copy).all()
    # A cast over both recons costs little, a change of the wrong sign everything.
    tint = torch.tensor([0.05, -0.03, 0.0])[:, None, None]
    assert (score(cases_of(images, masks, lambda seen: (0.1 + 0.8 * seen + tint).clamp(0, 1))) > half).all()
    cases = cases_of(images, masks, half_chroma)
    swapped = [Case(c.original, c.seen, c.baseline or c.recon, c.mask, baseline=c.recon) for c in cases]
    assert (score(swapped) < -half / 2).all()


def test_kinds_that_are_not_scored_add_nothing(photos: Photos) -> None:
    images, masks = photos(96, 96), objects(96, 96)
    cases = cases_of(images, masks, half_chroma)
    still = [Case(c.original, c.original, c.recon, c.mask, baseline=c.baseline) for c in cases]
    assert (color_transfer_parts(still[0]) == 0).all()
    assert (score([*cases, *still]) == score(cases))[:3].all()
    assert score(still).isnan().all()
    assert (score(cases[:1])[:3] != score(cases)[:3]).any()


def test_a_uniform_change_is_not_scored() -> None:
    red = torch.tensor([0.8, 0.2, 0.2])[None, :, None, None].expand(1, 3, 96, 96)
    everywhere = torch.ones(1, 96, 96, dtype=torch.bool)
    assert score(cases_of(red, everywhere, lambda seen: seen)).isnan().all()


def test_a_change_that_resembles_its_mirror_images_is_not_scored() -> None:
    """c_x of a disk in the middle is 1, of one in a corner below 0."""
    red = torch.tensor([0.8, 0.2, 0.2])[None, :, None, None].expand(2, 3, 96, 96)
    y, x = torch.meshgrid(torch.arange(96) + 0.5, torch.arange(96) + 0.5, indexing="ij")
    disks = torch.stack([(y - at) ** 2 + (x - at) ** 2 < 15**2 for at in (48, 24)])
    scores = score(cases_of(red, disks, half_chroma))
    assert scores.isnan().tolist() == [True, False]


def test_not_scored(photos: Photos) -> None:
    images, masks = photos(96, 96), objects(96, 96)
    case = cases_of(images, masks, half_chroma)[0]
    lacking = Case(case.original, case.seen, case.recon, case.mask)
    assert color_transfer_parts(lacking).shape == (4, 10)
    assert score([lacking]).isnan().all()
    gray = images.mean(1, keepdim=True).expand_as(images)
    assert score(cases_of(gray, masks, lambda seen: seen)).isnan().all()
    assert score(cases_of(images, torch.zeros_like(masks), lambda seen: seen)).isnan().all()
    # The one pixel of the last mask moves no cell of 3x3 by 10.
    assert score(cases_of(images, masks, lambda seen: seen)).isnan().tolist() == [False, False, False, True]
    # A frame narrower than a cell holds none.
    assert score(cases_of(images[..., :2], masks[..., 10:12], lambda seen: seen)).isnan().all()
    assert math.isnan(references_transfer.color_transfer(np.zeros((8, 8, 3)), None, []))


def test_cells_cut_by_the_frame_are_dropped(photos: Photos) -> None:
    """At 100 pixels a cell has 4: 130 columns leave 2 over, which no score depends on."""
    images, masks = photos(100, 130)[:3], objects(100, 130)[:3]

    def spoiled(seen: Tensor) -> Tensor:
        answer = blurred(seen)
        return torch.cat((answer[..., :128], 1 - answer[..., 128:]), dim=3)

    assert (score(cases_of(images, masks, spoiled)) == score(cases_of(images, masks, blurred))).all()
