"""Synthetic scenes: the data of the embedded suite.

A scene is one to three shaded objects of eight categories before a background: a dead-leaves image of its own in
three quarters of the scenes, a crop of a photograph that scikit-image ships inside its wheel in the others. Every
category has a shape and a *canonical hue*. In training scenes 90 % of all objects have it, the others a random one.
In all other scenes that holds outside the focal category; its own objects have the canonical hue or one at least
60 degrees away with equal odds, so that what was shown and what is usual come apart.

Scenes are addressed by (purpose, seed, index): the same address gives the same bytes. Photographs and the colors of
the leaves come from one part of each photograph in training scenes and from the other part in all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmark.datasets.leaves import draw_leaves

__all__ = [
    "CANONICAL_HUE_DEG",
    "CATEGORIES",
    "FOCAL_SHARE",
    "HUE_JITTER_DEG",
    "MIN_VISIBLE_PX",
    "SIZE",
    "UNUSUAL_DEG",
    "Instance",
    "Purpose",
    "Scene",
    "iter_scenes",
    "make_scene",
    "read_photo",
]

Purpose = Literal["train", "validation", "test", "challenge"]
Array = npt.NDArray[np.floating]

SIZE = 96
CATEGORIES = ("ball", "box", "triangle", "star", "ring", "cross", "moon", "peanut")
CANONICAL_HUE_DEG = {name: 22.5 + 45.0 * i for i, name in enumerate(CATEGORIES)}
CANONICAL_SHARE, FOCAL_CANONICAL_SHARE = 0.9, 0.5
HUE_JITTER_DEG, UNUSUAL_DEG = 5.0, 60.0
RADIUS_PX = (11.0, 26.0)
MIN_VISIBLE_SHARE, MIN_VISIBLE_PX = 0.4, 80
FOCAL_SHARE = (0.05, 0.60)
TRAIN_STRIP = 0.7
PHOTO_SHARE = 0.25
PALETTE_SIDE, PALETTE_COLORS = 24, (9, 2)
_LAYOUT, _HUES, _BACKGROUND = range(3)
_PHOTOS = (
    "astronaut", "chelsea", "coffee", "rocket", "motorcycle_left", "hubble_deep_field",
    "camera", "coins", "brick", "grass", "gravel",
)  # fmt: skip


@dataclass(frozen=True)
class Instance:
    """One object.

    Attributes:
        category: one of `CATEGORIES`.
        hue_deg: its HSV hue in degrees, [0, 360).
        canonical: whether it was drawn with its category's canonical hue (up to a jitter of 5 degrees).
        box: what is visible of it, (x0, y0, x1, y1) in pixels.
    """

    category: str
    hue_deg: float
    canonical: bool
    box: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene: uint8 RGB `image` (96, 96, 3) and uint8 `instance_map` (96, 96).

    `instance_map` holds 0 for the background and k for the visible pixels of `instances[k - 1]`. `group` names the
    photograph in the background ("photo:chelsea"); it is "" where the background is this scene's own.
    """

    image: npt.NDArray[np.uint8]
    instance_map: npt.NDArray[np.uint8]
    instances: tuple[Instance, ...]
    group: str = ""

    def category_mask(self, category: str) -> npt.NDArray[np.bool_]:
        """Return the united visible mask (96, 96) of all instances of `category`."""
        ids = [k for k, item in enumerate(self.instances, start=1) if item.category == category]
        return np.isin(self.instance_map, ids)

    @property
    def focal_category(self) -> str:
        """The category with the largest visible area (the first drawn one on a tie)."""
        present = dict.fromkeys(item.category for item in self.instances)
        return max(present, key=lambda name: int(self.category_mask(name).sum()))


def _star(u: Array, v: Array) -> Array:
    turn = np.arctan2(v, u) * (5 / (2 * np.pi))
    tooth = np.abs(turn - np.round(turn)) * 2
    return np.hypot(u, v) - (1.0 - 0.55 * tooth)


# Signed distances (negative inside) in units of the object's radius.
_SHAPES: dict[str, Callable[[Array, Array], Array]] = {
    "ball": lambda u, v: np.hypot(u, v) - 0.9,
    "box": lambda u, v: np.maximum(np.abs(u), np.abs(v)) - 0.8,
    "triangle": lambda u, v: np.maximum(np.maximum(0.866 * u + 0.5 * v, -0.866 * u + 0.5 * v), -v) - 0.5,
    "star": _star,
    "ring": lambda u, v: np.abs(np.hypot(u, v) - 0.72) - 0.26,
    "cross": lambda u, v: np.minimum(
        np.maximum(np.abs(u) - 0.95, np.abs(v) - 0.32), np.maximum(np.abs(u) - 0.32, np.abs(v) - 0.95)
    ),
    "moon": lambda u, v: np.maximum(np.hypot(u, v) - 0.98, 0.72 - np.hypot(u - 0.5, v)),
    "peanut": lambda u, v: np.minimum(np.hypot(u - 0.5, v) - 0.48, np.hypot(u + 0.5, v) - 0.48),
}


@cache
def read_photo(name: str, purpose: Purpose) -> npt.NDArray[np.uint8]:
    """Strip of a photograph as uint8 RGB (h, w, 3): its left 70 % for training, the rest for all other purposes."""
    from skimage import data

    photo = data.stereo_motorcycle()[0] if name == "motorcycle_left" else getattr(data, name)()
    rgb = np.asarray(photo if photo.ndim == 3 else np.repeat(photo[..., None], 3, axis=2), dtype=np.uint8)
    cut = int(TRAIN_STRIP * rgb.shape[1])
    return np.ascontiguousarray(rgb[:, :cut] if purpose == "train" else rgb[:, cut:])


class _Draws:
    """Uniform draws from a counter-based generator keyed by the scene's address and by what they decide."""

    def __init__(self, purpose: Purpose, seed: int, index: int, *what: int) -> None:
        key = np.random.SeedSequence([1 + get_args(Purpose).index(purpose), seed, index, *what])
        self.generator = np.random.Generator(np.random.Philox(key))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * float(self.generator.random())

    def below(self, n: int) -> int:
        return int(self.generator.random() * n)


class _Object(NamedTuple):
    """An object before it has a hue: its cover `alpha` of the pixels in `window`, and their offsets in radii."""

    category: str
    window: tuple[slice, slice]
    alpha: Array
    dx: Array
    dy: Array
    saturation: float
    value: float


def _crop(draws: _Draws, name: str, purpose: Purpose, side: int) -> npt.NDArray[np.uint8]:
    """A random square of a photograph's strip, between 96 and 288 pixels wide, at `side` pixels."""
    photo = read_photo(name, purpose)
    height, width = photo.shape[:2]
    size = SIZE + draws.below(min(height, width, 3 * SIZE) - SIZE + 1)
    top, left = draws.below(height - size + 1), draws.below(width - size + 1)
    crop = Image.fromarray(photo[top : top + size, left : left + size])
    return np.asarray(crop.resize((side, side), Image.Resampling.BILINEAR))


def _draw_background(draws: _Draws, purpose: Purpose, light: float) -> tuple[Array, str]:
    """Background as float32 RGB (96, 96, 3), and its group."""
    name = _PHOTOS[draws.below(len(_PHOTOS))]
    dim = np.float32(draws.uniform(0.7, 1.0))
    if draws.uniform() < PHOTO_SHARE:
        crop = _crop(draws, name, purpose, SIZE)[:, :: -1 if draws.uniform() < 0.5 else 1]
        return np.ascontiguousarray(crop, dtype=np.float32) / 255 * dim, f"photo:{name}"
    colors = []
    for photo, count in zip((name, _PHOTOS[draws.below(len(_PHOTOS))]), PALETTE_COLORS, strict=True):
        pixels = _crop(draws, photo, purpose, PALETTE_SIDE).reshape(-1, 3)
        colors.append(pixels[[draws.below(len(pixels)) for _ in range(count)]])
    return draw_leaves(draws.generator, np.concatenate(colors), light, SIZE) * dim, ""


def _pure_rgb(hue_deg: float) -> Array:
    channels = (np.array([5.0, 3.0, 1.0]) + hue_deg / 60) % 6
    return (1 - np.clip(np.minimum(channels, 4 - channels), 0, 1)).astype(np.float32)


def _place(draws: _Draws) -> _Object:
    category = CATEGORIES[draws.below(len(CATEGORIES))]
    radius = draws.uniform(*RADIUS_PX)
    cx, cy = draws.uniform(0.6 * radius, SIZE - 0.6 * radius), draws.uniform(0.6 * radius, SIZE - 0.6 * radius)
    angle = draws.uniform(0, 2 * np.pi)
    x0, x1 = max(0, int(cx - radius - 2)), min(SIZE, int(cx + radius + 3))
    y0, y1 = max(0, int(cy - radius - 2)), min(SIZE, int(cy + radius + 3))
    dx = ((np.arange(x0, x1, dtype=np.float32) + 0.5 - cx) / radius)[None, :]
    dy = ((np.arange(y0, y1, dtype=np.float32) + 0.5 - cy) / radius)[:, None]
    u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    alpha = np.clip(0.5 - _SHAPES[category](u, v) * radius, 0, 1)
    window = (slice(y0, y1), slice(x0, x1))
    return _Object(category, window, alpha, dx, dy, draws.uniform(0.65, 0.95), draws.uniform(0.6, 0.95))


def _arrange(draws: _Draws) -> tuple[list[_Object], npt.NDArray[np.uint8], str] | None:
    """Objects from back to front, their instance map and the focal category, or None where too little is visible."""
    objects = [_place(draws) for _ in range(1 + draws.below(3))]
    owner = np.zeros((SIZE, SIZE), np.uint8)
    for k, item in enumerate(objects, start=1):
        owner[item.window][item.alpha >= 0.5] = k
    visible = np.bincount(owner.ravel(), minlength=len(objects) + 1)[1:]
    areas = dict.fromkeys((item.category for item in objects), 0)
    for item, pixels in zip(objects, visible.tolist(), strict=True):
        if pixels < max(MIN_VISIBLE_PX, MIN_VISIBLE_SHARE * np.count_nonzero(item.alpha >= 0.5)):
            return None
        areas[item.category] += pixels
    focal = max(areas, key=lambda name: areas[name])
    return (objects, owner, focal) if FOCAL_SHARE[0] <= areas[focal] / SIZE**2 <= FOCAL_SHARE[1] else None


def _draw_hue(draws: _Draws, category: str, purpose: Purpose, focal: bool) -> tuple[float, bool]:
    """Hue of one object in degrees, and whether it is the canonical one."""
    tested = focal and purpose != "train"
    canonical = draws.uniform() < (FOCAL_CANONICAL_SHARE if tested else CANONICAL_SHARE)
    away = draws.uniform(-1, 1)
    unusual = 180 + (180 - UNUSUAL_DEG if tested else 180) * away
    return (CANONICAL_HUE_DEG[category] + (HUE_JITTER_DEG * away if canonical else unusual)) % 360, canonical


def _paint(canvas: Array, item: _Object, hue_deg: float, light: float) -> None:
    shade = item.value * np.clip(0.78 + 0.3 * (item.dx * np.cos(light) + item.dy * np.sin(light)), 0.45, 1.05)
    color = shade[..., None] * (1 - item.saturation * (1 - _pure_rgb(hue_deg)))
    window = canvas[item.window]
    window += item.alpha[..., None] * (color - window)


def _box(own: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    columns, rows = np.flatnonzero(own.any(0)), np.flatnonzero(own.any(1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def make_scene(purpose: Purpose, seed: int, index: int) -> Scene:
    """Return the scene at the address (`purpose`, `seed`, `index`).

    Compositions in which an object shows less than 40 % of itself or 80 pixels, or whose focal category
    covers less than 5 % or more than 60 % of the image, are drawn anew.
    """
    attempt = 0
    while (found := _arrange(layout := _Draws(purpose, seed, index, _LAYOUT, attempt))) is None:
        attempt += 1
    objects, owner, focal = found
    light = layout.uniform(0, 2 * np.pi)
    canvas, group = _draw_background(_Draws(purpose, seed, index, _BACKGROUND), purpose, light)
    hues = _Draws(purpose, seed, index, _HUES)
    instances = []
    for k, item in enumerate(objects, start=1):
        hue, canonical = _draw_hue(hues, item.category, purpose, item.category == focal)
        _paint(canvas, item, hue, light)
        instances.append(Instance(item.category, hue, canonical, _box(owner == k)))
    image = np.clip(np.rint(canvas * 255), 0, 255).astype(np.uint8)
    return Scene(image, owner, tuple(instances), group)


def iter_scenes(purpose: Purpose, seed: int, start: int = 0) -> Iterator[Scene]:
    """Stream the scenes of a purpose and seed without end, beginning at index `start`."""
    index = start
    while True:
        yield make_scene(purpose, seed, index)
        index += 1
