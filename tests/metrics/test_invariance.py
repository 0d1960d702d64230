"""What a hue change should leave alone, against scikit-image, and what the two diagnostics say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.metrics.case import Case, FocalMask, View
from benchmark.metrics.invariance import luma_invariance, spill
from benchmark.perturbations import perturb

Photos = Callable[[int, int], Tensor]


def ellipses(height: int, width: int) -> Tensor:
    """Four masks, bool (4, H, W); one of them touches the frame, one is tiny."""
    y, x = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    parts = ((0.5, 0.5, 0.3, 0.3), (0.9, 0.2, 0.3, 0.4), (0.4, 0.6, 0.1, 0.05), (0.5, 0.4, 0.25, 0.35))
    return torch.stack([((y - v) / h) ** 2 + ((x - u) / w) ** 2 <= 1 for v, u, h, w in parts])


def case_of(images: Tensor, masks: Tensor, invert: Callable[[Tensor], Tensor]) -> Case:
    original = View(images)
    seen = View(perturb("hue_shift_120", original.rgb, masks))
    return Case(original, seen, View(invert(seen.rgb)), FocalMask(masks), baseline=View(invert(original.rgb)))


def blurred(images: Tensor) -> Tensor:
    return F.avg_pool2d(images, 5, 1, 2)


@pytest.mark.parametrize("size", [(96, 96), (61, 83), (224, 160)])
def test_parity(size: tuple[int, int], photos: Photos, parity: Callable[..., None]) -> None:
    images, masks = photos(*size), ellipses(*size)
    for invert in (blurred, lambda seen: seen.roll(1, 0), lambda seen: seen * 0.8 + 0.1):
        parity(case_of(images, masks, invert), ["luma_invariance", "spill"])


def test_a_perfect_inverse_spills_nothing(photos: Photos) -> None:
    case = case_of(photos(96, 96), ellipses(96, 96), lambda seen: seen)
    np.testing.assert_allclose(luma_invariance(case), 1, atol=1e-5)
    assert spill(case).tolist() == [0, 0, 0, 0]


def test_spill_looks_outside_and_invariance_inside(photos: Photos) -> None:
    images, masks = photos(96, 96)[:3], ellipses(96, 96)[:3]
    case = case_of(images, masks, blurred)
    tinted = torch.where(masks[:, None], case.recon.rgb, case.recon.rgb.roll(1, 1))
    outside = Case(case.original, case.seen, View(tinted), case.mask, baseline=case.baseline)
    assert (spill(outside) > spill(case) + 1).all()
    flat = torch.where(masks[:, None], 0.5, case.recon.rgb)
    inside = Case(case.original, case.seen, View(flat), case.mask, baseline=case.baseline)
    assert (luma_invariance(inside) < luma_invariance(case) - 0.2).all()
    np.testing.assert_allclose(spill(inside), spill(case), atol=1e-5)


def test_not_scored(photos: Photos, parity: Callable[..., None]) -> None:
    images, masks = photos(96, 96), ellipses(96, 96)
    both = ["luma_invariance", "spill"]
    without = Case(View(images), View(images), View(images), FocalMask(masks))
    assert luma_invariance(without).isnan().all() and spill(without).isnan().all()
    empty = case_of(images, torch.zeros_like(masks), blurred)
    assert luma_invariance(empty).isnan().all()
    assert (spill(empty) == 0).all()
    full = case_of(images, torch.ones_like(masks), blurred)
    assert spill(full).isnan().all()
    unlike = case_of(images, masks, lambda seen: 1 - seen)
    assert luma_invariance(unlike).isnan().any()
    tiny = case_of(images[..., :10, :], masks[:, 40:50], blurred)
    assert luma_invariance(tiny).isnan().all()
    for case in (without, empty, full, unlike, tiny):
        parity(case, both)
