"""Dead-leaves images: backgrounds with the statistics of photographs that no two images share.

Shapes with a power law of sizes hide one another (Lee, Mumford and Huang 2001, "Occlusion models for natural
images"). Here they are polygons and ellipses that carry gradients and random-phase textures and cast shadows; the
caller brings the colors. Pillow draws the leaves' ids once, at twice the size: colors are averages over 2x2 of them,
the shading follows every second one.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

__all__ = ["RADIUS_PX", "draw_leaves"]

Array = npt.NDArray[np.floating]
Ids = npt.NDArray[np.uint8]

RADIUS_PX = (3.5, 60.0)
COVERAGE = 2.2
MEAN_FILL = 0.42  # mean area of a leaf over that of the square around its circle
MAX_SIDES, MAX_CORNERS = 6, 12
GRADIENT, TEXTURE, SHADOW = 0.16, 0.14, 0.28
TILE_PX, TILE_CYCLES, STRETCH = 48, (2.0, 16.0), 1.4
LIGHTNESS_SPREAD, DARKEST = 0.12, 18.0
SHADOW_WEIGHTS = (0.45, 0.35, 0.2)


class _Leaves(NamedTuple):
    """Centers and radii in pixels, float64 (N,); corners at twice the size, int64 (N, 12, 2), and how many count."""

    x: Array
    y: Array
    radius: Array
    corners: npt.NDArray[np.int64]
    sides: npt.NDArray[np.int64]


@cache
def _radius_law(side: int) -> tuple[Array, int]:
    """Quantiles of the radius of leaves that reach the frame, and how many of them give the coverage.

    Centers are even over the plane and radii follow r^-3, so that those reaching the frame follow
    r^-3 (side + 2r)^2.
    """
    radii = np.geomspace(*RADIUS_PX, 512)
    law = radii**-3.0 * np.gradient(radii)
    law /= law.sum()
    reach = law * (side + 2 * radii) ** 2
    total = np.cumsum(reach)
    mean_area = MEAN_FILL * 4 * float((law * radii**2).sum())
    return np.interp(np.linspace(0, 1, 1025), total / total[-1], radii), round(COVERAGE * total[-1] / mean_area)


@cache
def _circle() -> Array:
    angle = 2 * np.pi * np.arange(MAX_CORNERS) / MAX_CORNERS
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)[None]


def _draw_outlines(generator: np.random.Generator, radius: Array) -> tuple[Array, npt.NDArray[np.int64]]:
    """Corners around each center, (N, 12, 2), and how many count: an ellipse for every second leaf, else a polygon."""
    turn, squeeze, sides = generator.random((3, len(radius)))
    sides = 3 + np.floor(4 * sides)
    polygons = slice(1, None, 2)
    unit = np.zeros((len(radius), MAX_CORNERS, 2))
    unit[::2] = _circle()
    wobble = generator.random((2, len(sides[polygons]), MAX_SIDES)) - 0.5
    angle = 2 * np.pi * (np.arange(MAX_SIDES) + 0.7 * wobble[0]) / sides[polygons, None]
    length = 1 + 0.4 * wobble[1]
    unit[polygons, :MAX_SIDES, 0] = length * np.cos(angle)
    unit[polygons, :MAX_SIDES, 1] = length * np.sin(angle)
    unit[..., 1] *= (0.4 + 0.6 * squeeze)[:, None]
    cos, sin = radius * np.cos(2 * np.pi * turn), radius * np.sin(2 * np.pi * turn)
    sides[::2] = MAX_CORNERS
    return unit @ np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], 1), sides.astype(np.int64)


def _drop_leaves(generator: np.random.Generator, side: int) -> _Leaves:
    quantiles, count = _radius_law(side)
    rank, x, y = generator.random((3, count))
    radius = np.interp(rank, np.linspace(0, 1, len(quantiles)), quantiles)
    x, y = x * (side + 2 * radius) - radius, y * (side + 2 * radius) - radius
    around, sides = _draw_outlines(generator, radius)
    corners = np.rint(2 * (np.stack([x, y], -1)[:, None] + around)).astype(np.int64)
    # Pillow before 11.3 adds a pixel where a corner is the only highest or lowest point: make it two.
    corners[1::2] = np.repeat(corners[1::2, :MAX_SIDES], 2, axis=1)
    corners[1::2, ::2, 0] -= 1
    sides[1::2] *= 2
    return _Leaves(x, y, radius, corners, sides)


def _draw_ids(leaves: _Leaves, side: int) -> Image.Image:
    """The topmost leaf at each pixel of twice the size, from 1; 0 where there is none."""
    canvas = Image.new("L", (2 * side, 2 * side))
    polygon = ImageDraw.Draw(canvas).polygon
    flat = leaves.corners.reshape(len(leaves.x), -1).tolist()
    for k, (points, sides) in enumerate(zip(flat, leaves.sides.tolist(), strict=True), start=1):
        polygon(points[: 2 * sides], fill=k)
    return canvas


@cache
def _spectrum(direction: int) -> npt.NDArray[np.float32]:
    """Amplitudes of a texture stretched along one of 16 directions, (TILE_PX, TILE_PX), for standard deviation 1."""
    cycles = np.fft.fftfreq(TILE_PX, 1 / TILE_PX)
    angle = np.pi * direction / 16
    along = cycles[:, None] * np.sin(angle) + cycles[None, :] * np.cos(angle)
    across = cycles[:, None] * np.cos(angle) - cycles[None, :] * np.sin(angle)
    bent = np.hypot(along * STRETCH, across / STRETCH)
    low, high = TILE_CYCLES
    amplitude = np.where((bent >= low) & (bent <= high), 1 / np.maximum(bent, low), 0)
    return (amplitude * TILE_PX**2 * np.sqrt(2 / (amplitude**2).sum())).astype(np.float32)


@cache
def _roots() -> npt.NDArray[np.complex64]:
    return np.exp(2j * np.pi * np.arange(256) / 256).astype(np.complex64)


def _draw_textures(generator: np.random.Generator, side: int) -> npt.NDArray[np.float32]:
    """Two random-phase textures of one direction, mean 0 and standard deviation 1, (2, side, side)."""
    amplitude = _spectrum(int(16 * generator.random()))
    phase = _roots()[(256 * generator.random(amplitude.shape)).astype(np.uint8)]
    waves = np.tile(np.fft.ifft2(amplitude * phase), (-(-side // TILE_PX),) * 2)[:side, :side]
    return np.stack([waves.real, waves.imag])


def _shadows(ids: Ids, light: float) -> Array:
    """How much of each pixel's light (side, side) a higher leaf takes, in [0, 1]; `light` in radians."""
    width = len(SHADOW_WEIGHTS)
    side = len(ids)
    padded = np.pad(ids, width, mode="edge")
    taken = np.zeros(ids.shape, np.float32)
    for step, weight in enumerate(SHADOW_WEIGHTS, start=1):
        dx, dy = round(step * np.cos(light)) + width, round(step * np.sin(light)) + width
        taken += np.float32(weight) * (padded[dy : dy + side, dx : dx + side] > ids)
    return taken


def _gradients(leaves: _Leaves, tilt: Array, strength: Array, ids: Ids) -> npt.NDArray[np.float32]:
    side = len(ids)
    radius = np.append(side, leaves.radius)
    x, y = np.append(side / 2, leaves.x), np.append(side / 2, leaves.y)
    across = GRADIENT * (2 * strength - 1) / radius * np.cos(2 * np.pi * tilt)
    down = GRADIENT * (2 * strength - 1) / radius * np.sin(2 * np.pi * tilt)
    level, across, down = (row.astype(np.float32) for row in (1 - x * across - y * down, across, down))
    grid = np.arange(side, dtype=np.float32) + np.float32(0.5)
    return level[ids] + across[ids] * grid[None, :] + down[ids] * grid[:, None]


def draw_leaves(generator: np.random.Generator, palette: npt.NDArray[np.uint8], light: float, side: int) -> Array:
    """Draw a dead-leaves image from `generator`, whose only use is `random`.

    Args:
        generator: where every draw comes from.
        palette: uint8 RGB (K, 3), the colors that leaves have.
        light: direction of the light in radians from the x axis down; shadows fall away from it.
        side: height and width in pixels.

    Returns:
        float32 RGB in [0, 1], (side, side, 3).
    """
    leaves = _drop_leaves(generator, side)
    drawn = _draw_ids(leaves, side)
    which, lightness, tilt, strength, rough = generator.random((5, len(leaves.x) + 1))
    colors = palette[np.floor(which * len(palette)).astype(np.int64)]
    colors = DARKEST + (1 - DARKEST / 255) * colors
    colors = np.rint(np.clip(colors * (1 + LIGHTNESS_SPREAD * (2 * lightness[:, None] - 1)), 0, 255))
    ids = np.asarray(drawn)[::2, ::2]
    drawn.putpalette(colors.astype(np.uint8).tobytes())
    canvas = np.asarray(drawn.convert("RGB").reduce(2), dtype=np.float32) / 255

    factor = _gradients(leaves, tilt, strength, ids)
    amount = TEXTURE * (2 * rough - 1).astype(np.float32)
    textures = _draw_textures(generator, side)
    factor += np.maximum(amount, 0)[ids] * textures[0] + np.minimum(amount, 0)[ids] * textures[1]
    factor *= 1 - np.float32(SHADOW) * _shadows(ids, light)
    return np.clip(canvas * factor[..., None], 0, 1)
