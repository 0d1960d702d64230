"""Training scenes as arrays: what the processes that draw them hand over. Free of torch, so that these start fast."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmark.datasets.scenes import CATEGORIES, make_scene

__all__ = ["BACKGROUND", "Copies", "DrawnScenes", "draw_images", "draw_scenes"]

BACKGROUND = len(CATEGORIES)
Copies = Literal["none", "gray", "turned"]


class DrawnScenes(NamedTuple):
    """N scenes. Object 0 is the background; rows of objects that a scene does not have look like it.

    Attributes:
        images: uint8 RGB (N, 96, 96, 3).
        owners: uint8 (N, 96, 96), the object that each pixel shows.
        classes: int64 (N, 1 + K), class ids, 8 for the background.
        boxes: float32 (N, 1 + K, 4), x0, y0, x1, y1 in pixels; zeros for the background.
        counts: objects of each scene.
    """

    images: npt.NDArray[np.uint8]
    owners: npt.NDArray[np.uint8]
    classes: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float32]
    counts: tuple[int, ...]


def _gray(images: npt.NDArray[np.uint8], seed: int, step: int) -> npt.NDArray[np.uint8]:
    """Images (N, H, W, 3) in gray, each by channel weights of its own: its brightness does not tell its hue."""
    weights = np.random.default_rng([seed, step]).dirichlet(np.ones(3), len(images)).astype(np.float32)
    luminance = np.rint((images * weights[:, None, None]).sum(-1, keepdims=True))
    return np.broadcast_to(np.minimum(luminance, 255).astype(np.uint8), images.shape)


def _turn(images: npt.NDArray[np.uint8], seed: int, step: int) -> npt.NDArray[np.uint8]:
    """Images (N, H, W, 3) with all their hues turned by an angle of the image's own."""
    from skimage.color import hsv2rgb, rgb2hsv

    hsv = rgb2hsv(images)
    hsv[..., 0] = (hsv[..., 0] + np.random.default_rng([seed, step]).random((len(images), 1, 1))) % 1
    return np.rint(hsv2rgb(hsv) * 255).astype(np.uint8)


_COPIERS = {"gray": _gray, "turned": _turn}


def draw_scenes(seed: int, size: int, copies: Copies, step: int) -> DrawnScenes:
    """Return the `size` training scenes that step `step` of a run with `seed` sees: never the same twice.

    With `copies` there are half as many, as they are and then in gray, by channel weights of their own, or with all
    hues turned by an angle of their own.

    Raises:
        ValueError: an odd number of images cannot be paired.
    """
    if copies != "none" and size % 2:
        raise ValueError(f"{size} images are no pairs")
    count = size if copies == "none" else size // 2
    scenes = [make_scene("train", seed, step * count + i) for i in range(count)]
    counts = tuple(len(scene.instances) for scene in scenes)
    classes = np.full((count, 1 + max(counts)), BACKGROUND, np.int64)
    boxes = np.zeros((*classes.shape, 4), np.float32)
    for i, scene in enumerate(scenes):
        for k, item in enumerate(scene.instances, start=1):
            classes[i, k], boxes[i, k] = CATEGORIES.index(item.category), item.box
    images = np.stack([scene.image for scene in scenes])
    owners = np.stack([scene.instance_map for scene in scenes])
    if copies == "none":
        return DrawnScenes(images, owners, classes, boxes, counts)
    owners, classes, boxes = (np.concatenate([part, part]) for part in (owners, classes, boxes))
    images = np.concatenate([images, _COPIERS[copies](images, seed, step)])
    return DrawnScenes(images, owners, classes, boxes, counts * 2)


def draw_images(seed: int, size: int, step: int) -> npt.NDArray[np.uint8]:
    """Return the images alone of `draw_scenes` without copies."""
    return np.stack([make_scene("train", seed, step * size + i).image for i in range(size)])
