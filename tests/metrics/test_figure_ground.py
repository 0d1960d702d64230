"""The figure/ground rule against its image-by-image reference, and what it says of trivial recons."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from shapes import blobs, case_of, degraded, lit, photos
from torch import Tensor

from benchmark.metrics.figure_ground import fg_transfer
from benchmark.metrics.sorting import ascending


@pytest.mark.parametrize("kind", [torch.float32, torch.int32])
def test_rows_are_sorted_each_by_itself(kind: torch.dtype) -> None:
    rows = (1000 * torch.randn(5, 301, generator=torch.Generator().manual_seed(0))).to(kind)
    found: Tensor = ascending(rows)
    assert found.dtype == kind
    np.testing.assert_array_equal(found, [sorted(row.tolist()) for row in rows])


@pytest.mark.slow
@pytest.mark.parametrize("size", [(96, 96), (64, 80), (100, 130), (120, 160)])
def test_fg_transfer_parity(size: tuple[int, int], parity: Callable[..., None]) -> None:
    mask = blobs(*size)
    # Where the rule hardly separates, small errors of the features count most.
    for original in (lit(photos(*size), mask), photos(*size)):
        for recon in (*degraded(original).values(), (original * 4).round() / 4):
            parity(case_of(original, recon, mask), ["fg_transfer"])


def test_fg_transfer_of_trivial_recons() -> None:
    mask = blobs(96, 96)
    original = lit(photos(96, 96), mask)
    assert fg_transfer(case_of(original, original, mask)).tolist() == [1, 1, 1, 1]
    assert fg_transfer(case_of(original, torch.full_like(original, 0.4), mask)).tolist() == [0, 0, 0, 0]
    bright = mask[:, None].float().expand(4, 3, 96, 96)
    assert (fg_transfer(case_of(bright, 1 - bright, mask)) < -0.5).all()


def test_fg_transfer_is_not_scored_without_a_rule() -> None:
    mask = blobs(96, 96)
    images = lit(photos(96, 96), mask)
    assert fg_transfer(case_of(images, images, torch.zeros_like(mask))).isnan().all()
    assert fg_transfer(case_of(images, images, torch.ones_like(mask))).isnan().all()
    speck = torch.zeros_like(mask)
    speck[:, :9, :9] = True
    assert fg_transfer(case_of(images, images, speck)).isnan().all()
    assert fg_transfer(case_of(torch.full_like(images, 0.5), images, mask)).isnan().all()
    random = torch.rand(4, 96, 96, generator=torch.Generator().manual_seed(0)) < 0.5
    assert fg_transfer(case_of(images, images, random)).isnan().all()
