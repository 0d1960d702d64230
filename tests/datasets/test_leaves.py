"""Dead-leaves backgrounds look like photographs to a spectrum and to a colorimeter, and no two are alike."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2lab

from benchmark.datasets.leaves import draw_leaves
from benchmark.datasets.scenes import SIZE, Purpose, make_background

Array = npt.NDArray[np.floating]
LUMA = np.array([0.299, 0.587, 0.114])


def draw(seed: int, palette: list[tuple[int, int, int]], light: float = 0.0) -> Array:
    generator = np.random.Generator(np.random.Philox(seed))
    return draw_leaves(generator, np.array(palette, np.uint8), light, SIZE)


@cache
def backgrounds(purpose: Purpose) -> tuple[Array, Array]:
    """The first 200 backgrounds of photographs, and of leaves."""
    found: dict[bool, list[Array]] = {True: [], False: []}
    for index in range(1200):
        pixels, group = make_background(purpose, 7, index, light=float(index))
        found[bool(group)].append(pixels)
    return np.stack(found[True][:200]), np.stack(found[False][:200])


def spectral_slope(images: Array) -> float:
    """Slope of the mean power spectrum of luma over frequency, both in logarithms, from 3 to 24 cycles per image."""
    luma = images @ LUMA
    window = np.hanning(SIZE + 2)[1:-1]
    luma = (luma - luma.mean((1, 2), keepdims=True)) * window[:, None] * window
    power = (np.abs(np.fft.fft2(luma)) ** 2).mean(0)
    cycles = np.fft.fftfreq(SIZE, 1 / SIZE)
    ring = np.rint(np.hypot(cycles[:, None], cycles[None, :]))
    rings = np.arange(3, 25)
    return float(np.polyfit(np.log(rings), np.log([power[ring == k].mean() for k in rings]), 1)[0])


def chroma_spread(images: Array) -> float:
    """Distance in a*, b* of an image's pixels from their mean, root mean square; mean over images."""
    chroma = np.stack([rgb2lab(image) for image in images])[..., 1:]
    return float(np.sqrt(chroma.var(axis=(1, 2)).sum(-1)).mean())


@pytest.mark.slow
@pytest.mark.parametrize("purpose", ["train", "test"])
def test_leaves_have_the_spectrum_of_photographs(purpose: Purpose) -> None:
    photographs, leaves = backgrounds(purpose)
    assert abs(spectral_slope(leaves) - spectral_slope(photographs)) < 0.4


@pytest.mark.slow
@pytest.mark.parametrize("purpose", ["train", "test"])
def test_leaves_are_about_as_colorful_as_photographs(purpose: Purpose) -> None:
    photographs, leaves = backgrounds(purpose)
    assert 0.5 < chroma_spread(leaves) / chroma_spread(photographs) < 1.5
    assert 0.8 < leaves.mean() / photographs.mean() < 1.25


@pytest.mark.slow
def test_leaves_are_never_shared() -> None:
    luma = backgrounds("test")[1] @ LUMA
    detail = (luma - gaussian_filter(luma, (0, 6, 6))).reshape(len(luma), -1)
    detail -= detail.mean(1, keepdims=True)
    detail /= np.linalg.norm(detail, axis=1, keepdims=True)
    alike = detail @ detail.T - np.eye(len(detail))
    assert np.abs(alike).max() < 0.2


def test_the_same_draws_give_the_same_pixels() -> None:
    image = draw(1, [(200, 40, 40), (40, 90, 200)])
    assert image.dtype == np.float32
    assert image.shape == (SIZE, SIZE, 3)
    assert image.min() >= 0 and image.max() <= 1
    assert np.array_equal(image, draw(1, [(200, 40, 40), (40, 90, 200)]))
    assert not np.array_equal(image, draw(2, [(200, 40, 40), (40, 90, 200)]))


def test_golden_pixels_whatever_the_version_of_pillow() -> None:
    """One pixel that Pillow fills at twice the size and another version does not changes the sum by about 0.1."""
    total = float(draw(3, [(250, 250, 250), (20, 20, 20)]).astype(np.float64).sum())
    assert total == pytest.approx(GOLDEN_SUM, abs=0.01)


GOLDEN_SUM = 18432.9056


def test_leaves_wear_the_colors_of_the_palette() -> None:
    lab = rgb2lab(draw(4, [(128, 128, 128)]))
    assert np.abs(lab[..., 1:]).max() < 0.01
    red, blue = (200, 30, 30), (30, 30, 200)
    image = draw(5, [red, red, red, blue])
    assert 0.1 < (image[..., 2] > image[..., 0]).mean() < 0.45


def test_most_of_the_frame_is_covered_by_leaves_of_many_sizes() -> None:
    """A leaf is an area of one color: with 64 colors, equal neighbours are the same leaf."""
    from skimage.measure import label, regionprops

    palette = [(40 + 3 * k, 40, 250 - 3 * k) for k in range(64)]
    areas = []
    for seed in range(10):
        image = draw(seed, palette)
        hue = np.rint(64 * image[..., 0] / (image[..., 0] + image[..., 2])).astype(int)
        areas += [region.area for region in regionprops(label(hue, background=-1, connectivity=1))]
    pixels = np.array(areas, float)
    assert 0.1 < pixels[pixels > 500].sum() / pixels.sum() < 0.4
    assert 0.1 < pixels[(pixels > 25) & (pixels < 100)].sum() / pixels.sum() < 0.6


def test_shadows_fall_away_from_the_light() -> None:
    """Towards the light a shadow deepens step by step and ends at the leaf that casts it."""
    for seed in range(5):
        from_right, from_left = (draw(seed, [(180, 180, 180)], light)[..., 0] for light in (0.0, np.pi))
        for shadow, sign in ((np.maximum(from_left - from_right, 0), -1), (np.maximum(from_right - from_left, 0), 1)):
            assert 0.02 < (shadow > 0.02).mean() < 0.5
            steps = np.diff(shadow, axis=1)
            assert sign * (steps**3).mean() > 0.5 * (np.abs(steps) ** 3).mean()
