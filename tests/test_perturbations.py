"""Perturbations against an independent HSV, and their promises."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage import data
from skimage.color import hsv2rgb, rgb2hsv
from skimage.transform import resize
from torch import Tensor

from benchmark.errors import NotFoundError
from benchmark.perturbations import PERTURBATIONS, perturb
from benchmark.suites.spec import HUE_PERTURBATIONS

PIXELS = hnp.arrays(np.uint8, (1, 6, 7, 3))


def as_tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float() / 255


def left_half(images: Tensor) -> Tensor:
    mask = torch.zeros(images.shape[0], *images.shape[2:], dtype=torch.bool)
    mask[..., : images.shape[3] // 2] = True
    return mask


@pytest.mark.parametrize("name", HUE_PERTURBATIONS)
def test_hue_kinds_equal_scikit_image_on_a_photograph(name: str) -> None:
    photo = (resize(data.astronaut(), (96, 96), anti_aliasing=True) * 255).round().astype(np.uint8)
    hsv = rgb2hsv(photo)
    _, kind, degrees = name.split("_")
    chromatic = hsv[..., 1] > 0
    hue = float(degrees) / 360 if kind == "set" else (hsv[..., 0] + float(degrees) / 360) % 1
    hsv[..., 0] = np.where(chromatic, hue, hsv[..., 0])
    expected = np.rint(hsv2rgb(hsv) * 255)
    images = as_tensor(photo[None])
    found = perturb(name, images, torch.ones(1, 96, 96, dtype=torch.bool))  # type: ignore[arg-type]
    found = (found[0].permute(1, 2, 0).numpy() * 255).round()
    assert np.abs(found - expected).max() <= 1
    assert (found != expected).mean() < 1e-3


@given(PIXELS)
@settings(max_examples=60, deadline=None)
def test_set_hue_equals_colorsys(pixels: np.ndarray) -> None:
    images = as_tensor(pixels)
    found = perturb("hue_set_120", images, torch.ones(1, 6, 7, dtype=torch.bool))
    for row in range(6):
        for column in range(7):
            hue, saturation, value = colorsys.rgb_to_hsv(*(pixels[0, row, column] / 255))
            expected = colorsys.hsv_to_rgb(1 / 3 if saturation else hue, saturation, value)
            assert np.allclose(found[0, :, row, column].numpy(), expected, atol=0.5 / 255 + 1e-6)


@given(PIXELS, st.sampled_from(sorted(PERTURBATIONS)))
@settings(max_examples=100, deadline=None)
def test_promises(pixels: np.ndarray, name: str) -> None:
    images = as_tensor(pixels)
    mask = left_half(images)
    found = perturb(name, images, mask)  # type: ignore[arg-type]
    assert found.shape == images.shape
    assert found.dtype == torch.float32
    assert found.min() >= 0
    assert found.max() <= 1
    assert torch.allclose(found * 255, (found * 255).round(), atol=1e-4)
    if name == "identity":
        assert torch.equal(found, images)
    if name in HUE_PERTURBATIONS:
        outside = ~mask[:, None].expand_as(images)
        assert torch.equal(found[outside], images[outside])
        achromatic = (images.amax(1) == images.amin(1))[:, None].expand_as(images)
        assert torch.equal(found[achromatic], images[achromatic])
        assert torch.allclose(found.amax(1), images.amax(1), atol=1e-6)
        assert torch.allclose(found.amin(1), images.amin(1), atol=1e-6)


@given(PIXELS)
@settings(max_examples=40, deadline=None)
def test_two_shifts_that_make_a_circle_return(pixels: np.ndarray) -> None:
    images = as_tensor(pixels)
    mask = torch.ones(1, 6, 7, dtype=torch.bool)
    there = perturb("hue_shift_120", images, mask)
    back = perturb("hue_shift_240", there, mask)
    # Rounding to 8 bits in between moves the hue of dark or pale pixels; never by more than three levels.
    assert (back - images).abs().max() <= 3.01 / 255


def test_gray_is_luma_of_the_whole_frame() -> None:
    images = as_tensor(data.coffee()[None, :32, :40])
    found = perturb("gray", images, torch.zeros(1, 32, 40, dtype=torch.bool))
    luma = (data.coffee()[:32, :40] @ np.array([0.299, 0.587, 0.114])).round()
    assert np.abs(found[0, 0].numpy() * 255 - luma).max() <= 0.51
    assert torch.equal(found[:, 0], found[:, 1])
    assert torch.equal(found[:, 0], found[:, 2])


def test_images_do_not_depend_on_their_batch() -> None:
    images = as_tensor(np.stack([data.astronaut()[:40, :40], data.chelsea()[:40, :40]]))
    mask = left_half(images)
    for name in PERTURBATIONS:
        assert torch.equal(perturb(name, images, mask)[1:], perturb(name, images[1:], mask[1:]))


def test_wrong_input_is_named() -> None:
    images = torch.rand(1, 3, 4, 4)
    with pytest.raises(NotFoundError, match="did you mean 'hue_set_120'"):
        perturb("hue_set_12", images, torch.ones(1, 4, 4, dtype=torch.bool))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="masks must be bool"):
        perturb("gray", images, torch.ones(1, 4, 5, dtype=torch.bool))
    with pytest.raises(ValueError, match="images must be float32"):
        perturb("gray", images.double(), torch.ones(1, 4, 4, dtype=torch.bool))
