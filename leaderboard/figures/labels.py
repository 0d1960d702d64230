"""Where labels go, so that none covers another."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Box", "place_labels", "spread"]

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""

_DIRECTIONS = tuple(math.radians(degrees) for degrees in (0, 180, -30, 30, -150, 150, -50, 50, -130, 130, -90, 90))
_DISTANCES = (8.0, 11.0, 16.0, 22.0, 29.0, 37.0, 46.0, 56.0, 67.0, 79.0, 92.0, 106.0, 121.0)


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move `positions` apart to at least `gap`, as little as needed, within [low, high] if they fit."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    moved = [0.0] * len(positions)
    floor = low
    for i in order:
        moved[i] = max(positions[i], floor)
        floor = moved[i] + gap
    ceiling = high
    for i in reversed(order):
        moved[i] = min(moved[i], ceiling)
        ceiling = moved[i] - gap
    return moved


def _candidates(x: float, y: float, width: float, height: float) -> npt.NDArray[np.float64]:
    """Return boxes around a point, the nearest first: beside it, then further out in every direction."""
    boxes = []
    for distance in _DISTANCES:
        for angle in _DIRECTIONS[: None if distance < 17 else -6]:
            dx, dy = math.cos(angle), math.sin(angle)
            left = x + distance * dx + (0.0 if dx > 0.3 else -width if dx < -0.3 else -width / 2)
            top = y + distance * dy - height / 2 + (height / 2 * dy)
            boxes.append((left, top, left + width, top + height))
    return np.array(boxes)


def _overlap(boxes: npt.NDArray[np.float64], taken: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return by how many square pixels every box covers what is taken."""
    a, b = boxes[:, None, :], taken[None, :, :]
    wide = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    tall = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    return (np.clip(wide, 0, None) * np.clip(tall, 0, None)).sum(axis=1)


def _place_in_order(
    order: Sequence[int],
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    taken: Sequence[Box],
    bounds: Box,
) -> tuple[float, list[Box]]:
    """Place labels in an order, each at the first box that is free or covers least; also return how bad it is."""
    occupied, placed, cost = list(taken), dict[int, Box](), 0.0
    low, high = np.array(bounds[:2]), np.array(bounds[2:])
    for i in order:
        (x, y), (width, height) = points[i], sizes[i]
        boxes = _candidates(x, y, width, height)
        inside = (boxes[:, :2] >= low).all(axis=1) & (boxes[:, 2:] <= high).all(axis=1)
        boxes = boxes[inside] if inside.any() else boxes
        covered = _overlap(boxes, np.array(occupied).reshape(-1, 4))
        best = int(covered.argmin())
        left, top, right, bottom = (float(edge) for edge in boxes[best])
        placed[i] = (left, top, right, bottom)
        occupied.append(placed[i])
        # A label that covers something is worse than any number of labels far from their points.
        cost += 1000.0 * float(covered[best]) + math.dist((x, y), (min(max(x, left), right), min(max(y, top), bottom)))
    return cost, [placed[i] for i in range(len(points))]


def place_labels(
    points: Sequence[tuple[float, float]], sizes: Sequence[tuple[float, float]], taken: Sequence[Box], bounds: Box
) -> list[Box]:
    """Return a box for the label of every point, near it, free and inside `bounds` where there is room.

    Labels are placed one after the other, in a few orders; the best result counts.

    Args:
        points: what the labels belong to.
        sizes: width and height of every label.
        taken: what no label may cover, such as markers.
        bounds: where labels may be.
    """
    numbers = range(len(points))
    orders = [
        sorted(numbers, key=lambda i: points[i][0]),
        sorted(numbers, key=lambda i: -points[i][0]),
        sorted(numbers, key=lambda i: points[i][1]),
        sorted(numbers, key=lambda i: -points[i][1]),
        sorted(numbers, key=lambda i: -sizes[i][0]),
    ]
    return min(
        (_place_in_order(order, points, sizes, taken, bounds) for order in orders), key=lambda result: result[0]
    )[1]
