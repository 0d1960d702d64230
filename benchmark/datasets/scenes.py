"""Synthetic scenes on real photographs: the data of the embedded suite.

A scene is one to three shaded objects of eight categories before a crop of a photograph that
scikit-image ships inside its wheel. Every category has a shape and a *canonical hue* that 90 % of its
instances wear; the rest wear a random one. Scenes are addressed by (split, seed, index): the same
address gives the same bytes. Training and test backgrounds come from disjoint parts of the photographs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = [
    "CANONICAL_HUE_DEG",
    "CATEGORIES",
    "FOCAL_SHARE",
    "HUE_JITTER_DEG",
    "MIN_VISIBLE_PX",
    "SIZE",
    "Instance",
    "Scene",
    "iter_scenes",
    "make_scene",
    "read_photo",
]

Split = Literal["train", "test"]
Array = npt.NDArray[np.floating]

SIZE = 96
CATEGORIES = ("ball", "box", "triangle", "star", "ring", "cross", "moon", "peanut")
CANONICAL_HUE_DEG = {name: 22.5 + 45.0 * i for i, name in enumerate(CATEGORIES)}
CANONICAL_SHARE = 0.9
HUE_JITTER_DEG = 5.0
RADIUS_PX = (11.0, 26.0)
MIN_VISIBLE_SHARE, MIN_VISIBLE_PX = 0.4, 80
FOCAL_SHARE = (0.05, 0.60)
TRAIN_STRIP = 0.7
_SPLIT_KEY = {"train": 1, "test": 2}
_PHOTOS = (
    "astronaut", "chelsea", "coffee", "rocket", "motorcycle_left", "hubble_deep_field",
    "camera", "coins", "brick", "grass", "gravel",
)  # fmt: skip


@dataclass(frozen=True)
class Instance:
    """One object: its category, hue in degrees [0, 360), and visible box (x0, y0, x1, y1) in pixels."""

    category: str
    hue_deg: float
    canonical: bool
    box: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene: uint8 RGB `image` (96, 96, 3) and uint8 `instance_map` (96, 96).

    `instance_map` holds 0 for the background and k for the visible pixels of `instances[k - 1]`.
    """

    image: npt.NDArray[np.uint8]
    instance_map: npt.NDArray[np.uint8]
    instances: tuple[Instance, ...]

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
def read_photo(name: str, split: Split) -> npt.NDArray[np.uint8]:
    """Return the strip of a photograph that belongs to `split` as uint8 RGB (h, w, 3)."""
    from skimage import data

    photo = data.stereo_motorcycle()[0] if name == "motorcycle_left" else getattr(data, name)()
    rgb = np.asarray(photo if photo.ndim == 3 else np.repeat(photo[..., None], 3, axis=2), dtype=np.uint8)
    cut = int(TRAIN_STRIP * rgb.shape[1])
    return np.ascontiguousarray(rgb[:, :cut] if split == "train" else rgb[:, cut:])


class _Draws:
    """Uniform draws from a counter-based generator keyed by the scene's address."""

    def __init__(self, split: Split, seed: int, index: int, attempt: int) -> None:
        key = np.random.SeedSequence([_SPLIT_KEY[split], seed, index, attempt])
        self._generator = np.random.Generator(np.random.Philox(key))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * float(self._generator.random())

    def below(self, n: int) -> int:
        return int(self._generator.random() * n)


def _background(draws: _Draws, split: Split) -> Array:
    from PIL import Image

    photo = read_photo(_PHOTOS[draws.below(len(_PHOTOS))], split)
    height, width = photo.shape[:2]
    side = SIZE + draws.below(min(height, width, 3 * SIZE) - SIZE + 1)
    top, left = draws.below(height - side + 1), draws.below(width - side + 1)
    crop = Image.fromarray(photo[top : top + side, left : left + side])
    pixels = np.asarray(crop.resize((SIZE, SIZE), Image.Resampling.BILINEAR), dtype=np.float32) / 255
    if draws.uniform() < 0.5:
        pixels = pixels[:, ::-1]
    return pixels * np.float32(draws.uniform(0.7, 1.0))


def _pure_rgb(hue_deg: float) -> Array:
    channels = (np.array([5.0, 3.0, 1.0]) + hue_deg / 60) % 6
    return (1 - np.clip(np.minimum(channels, 4 - channels), 0, 1)).astype(np.float32)


def _attempt(draws: _Draws, split: Split) -> Scene | None:
    canvas = _background(draws, split).copy()
    owner = np.zeros((SIZE, SIZE), np.uint8)
    light = draws.uniform(0, 2 * np.pi)
    drawn: list[tuple[str, float, bool, int]] = []
    for k in range(1, 2 + draws.below(3)):
        category = CATEGORIES[draws.below(len(CATEGORIES))]
        radius = draws.uniform(*RADIUS_PX)
        cx, cy = draws.uniform(0.6 * radius, SIZE - 0.6 * radius), draws.uniform(0.6 * radius, SIZE - 0.6 * radius)
        angle = draws.uniform(0, 2 * np.pi)
        canonical = draws.uniform() < CANONICAL_SHARE
        jitter = draws.uniform(-HUE_JITTER_DEG, HUE_JITTER_DEG)
        hue = (CANONICAL_HUE_DEG[category] + jitter if canonical else draws.uniform(0, 360)) % 360
        saturation, value = draws.uniform(0.65, 0.95), draws.uniform(0.6, 0.95)

        x0, x1 = max(0, int(cx - radius - 2)), min(SIZE, int(cx + radius + 3))
        y0, y1 = max(0, int(cy - radius - 2)), min(SIZE, int(cy + radius + 3))
        dx = ((np.arange(x0, x1, dtype=np.float32) + 0.5 - cx) / radius)[None, :]
        dy = ((np.arange(y0, y1, dtype=np.float32) + 0.5 - cy) / radius)[:, None]
        u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
        alpha = np.clip(0.5 - _SHAPES[category](u, v) * radius, 0, 1)
        shade = value * np.clip(0.78 + 0.3 * (dx * np.cos(light) + dy * np.sin(light)), 0.45, 1.05)
        color = shade[..., None] * (1 - saturation * (1 - _pure_rgb(hue)))
        window = canvas[y0:y1, x0:x1]
        window += alpha[..., None] * (color - window)
        own = alpha >= 0.5
        owner[y0:y1, x0:x1][own] = k
        drawn.append((category, hue, canonical, int(own.sum())))

    instances = []
    for k, (category, hue, canonical, area) in enumerate(drawn, start=1):
        rows, columns = np.nonzero(owner == k)
        if rows.size < max(MIN_VISIBLE_PX, MIN_VISIBLE_SHARE * area):
            return None
        box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
        instances.append(Instance(category, hue, canonical, box))
    image = np.clip(np.rint(canvas * 255), 0, 255).astype(np.uint8)
    scene = Scene(image, owner, tuple(instances))
    share = scene.category_mask(scene.focal_category).mean()
    return scene if FOCAL_SHARE[0] <= share <= FOCAL_SHARE[1] else None


def make_scene(split: Split, seed: int, index: int) -> Scene:
    """Return the scene at the address (`split`, `seed`, `index`).

    Compositions in which an object shows less than 40 % of itself or 80 pixels, or whose focal category
    covers less than 5 % or more than 60 % of the image, are drawn anew.
    """
    attempt = 0
    while (scene := _attempt(_Draws(split, seed, index, attempt), split)) is None:
        attempt += 1
    return scene


def iter_scenes(split: Split, seed: int, start: int = 0) -> Iterator[Scene]:
    """Stream the scenes of a split and seed without end, beginning at index `start`."""
    index = start
    while True:
        yield make_scene(split, seed, index)
        index += 1
