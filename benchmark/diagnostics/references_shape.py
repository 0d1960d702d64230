"""Independent references of the SHAPE metrics."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import scipy.ndimage as ndi
from scipy.spatial import cKDTree
from scipy.spatial.distance import jensenshannon
from skimage.color import rgb2lab
from sklearn.metrics import roc_auc_score

from benchmark.diagnostics.references_common import (
    Array,
    DetectedBoxes,
    OneImage,
    Pixels,
    area,
    distance_to,
    luma,
    mean_of_scored,
    tolerance_of,
)

__all__ = ["SHAPE", "boundary", "coco_ap", "label_agreement", "matched", "peaks"]

BINS = 8


def boundary(mask: Pixels) -> Pixels:
    """Return the pixels that differ from their east, south or southeast neighbour (DAVIS, `seg2bmap`)."""
    ahead = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return (mask ^ ahead[:-1, 1:]) | (mask ^ ahead[1:, :-1]) | (mask ^ ahead[1:, 1:])


def _gradient(image: Array, sigma: float) -> tuple[Array, Array]:
    """Return the magnitude of the gradient, and its direction modulo 180 degrees in units of 22.5."""
    smoothed = ndi.gaussian_filter(image, sigma, mode="mirror", radius=math.floor(3 * sigma + 0.5))
    along_x, along_y = (ndi.correlate1d(smoothed, [-0.5, 0, 0.5], axis=axis, mode="mirror") for axis in (1, 0))
    return np.hypot(along_x, along_y), (np.arctan2(along_y, along_x) / math.pi * BINS) % BINS


def peaks(magnitude: Array, orientation: Array) -> Pixels:
    """Return the pixels above the floor that are maxima of the magnitude across the edge."""
    rows, columns = np.nonzero(magnitude > 2e-3)
    steps = np.array([(0, 1), (1, 1), (1, 0), (1, -1)])[np.round(orientation[rows, columns] / 2).astype(int) % 4]
    around = np.pad(magnitude, 1)
    here = magnitude[rows, columns]
    before = around[rows + 1 - steps[:, 0], columns + 1 - steps[:, 1]]
    after = around[rows + 1 + steps[:, 0], columns + 1 + steps[:, 1]]
    maxima = np.zeros(magnitude.shape, dtype=bool)
    maxima[rows, columns] = (here >= before) & (here > after)
    return maxima


def matched(chosen: Pixels, directions: Array, edges: Pixels, orientation: Array, reach: int) -> Pixels:
    """Whether each chosen pixel, (Q,) in raster order, has an edge of a like orientation within reach.

    Like orientations are the bin of the pixel's own direction and the nearer neighbouring one.
    """
    queries, limits = np.argwhere(chosen), np.round(directions[chosen]) % BINS
    spots, bins = np.argwhere(edges), np.floor(orientation[edges]) % BINS
    hits = np.zeros(len(queries), dtype=bool)
    for limit in range(BINS):
        # The own and the nearer bin are the two that meet at the nearest bin limit.
        asking, like = limits == limit, (bins == limit) | (bins == (limit - 1) % BINS)
        if asking.any() and like.any():
            hits[asking] = cKDTree(spots[like]).query(queries[asking])[0] <= reach
    return hits


class _Edges(NamedTuple):
    """Edges of original and recon at one scale, with their orientations; all (h, w)."""

    edges_x: Pixels
    orientation_x: Array
    edges_y: Pixels
    orientation_y: Array


def _edges(x: Array, y: Array, tolerance: int) -> _Edges:
    strength_x, orientation_x = _gradient(x, tolerance / 2)
    strength_y, orientation_y = _gradient(y, tolerance / 2)
    edges_x = peaks(strength_x, orientation_x) & (strength_x > 0.3 * np.percentile(strength_x, 99))
    ridge = np.where(peaks(strength_y, orientation_y), strength_y, 0)
    edges_y = np.zeros(ridge.shape, dtype=bool)
    edges_y.flat[np.argsort(-ridge, axis=None, kind="stable")[: edges_x.sum()]] = True
    return _Edges(edges_x, orientation_x, edges_y & (ridge > 0), orientation_y)


def _f_score(right: Pixels, shown: Pixels) -> float:
    precision, recall = (float(part.mean()) if len(part) else 0.0 for part in (right, shown))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _scales(one: OneImage) -> Iterator[tuple[Array, Array, Pixels, int]]:
    """Yield lumas and mask at full, half and quarter size, with the tolerance there."""
    for divisor in (1, 2, 4):
        size = (max(1, round(one.mask.shape[0] / divisor)), max(1, round(one.mask.shape[1] / divisor)))
        x, y = (area(luma(image), size) for image in (one.original, one.recon))
        yield x, y, area(one.mask.astype(float), size) >= 0.5, tolerance_of(*size)


def _contour_f(one: OneImage) -> float:
    scores = []
    for (x, y, inside, tolerance), fewest in zip(_scales(one), (20, 10, 8), strict=True):
        margin = max(tolerance, 2)
        outline = boundary(inside)
        outline[:margin] = outline[-margin:] = outline[:, :margin] = outline[:, -margin:] = False
        _, facing = _gradient(inside.astype(float), margin / 2)
        edges = _edges(x, y, tolerance)
        visible = matched(outline, facing, edges.edges_x, edges.orientation_x, tolerance)
        if visible.sum() >= fewest:
            shown = matched(outline, facing, edges.edges_y, edges.orientation_y, tolerance)[visible]
            relevant = edges.edges_y & (distance_to(outline) <= 3 * tolerance)
            right = matched(relevant, edges.orientation_y, edges.edges_x, edges.orientation_x, tolerance)
            scores.append(_f_score(right, shown))
    return mean_of_scored(scores)


def _edge_f(one: OneImage) -> float:
    scores = []
    for x, y, _, tolerance in _scales(one):
        edges = _edges(x, y, tolerance)
        if edges.edges_x.sum() >= 20:
            shown = matched(edges.edges_x, edges.orientation_x, edges.edges_y, edges.orientation_y, tolerance)
            right = matched(edges.edges_y, edges.orientation_y, edges.edges_x, edges.orientation_x, tolerance)
            scores.append(_f_score(right, shown))
    return mean_of_scored(scores)


def _lightness_features(image: Array) -> Array:
    """Return the lightness features (P, 13) of the P pixels of the figure/ground grid."""
    z = rgb2lab(image)[..., 0] / 100
    if min(z.shape) >= 96:
        z = area(z, (96, 96))
    columns = []
    for sigma in (0.8, 2.0, 4.0):
        radius = math.floor(3 * sigma + 0.5)
        mean, square = (ndi.gaussian_filter(part, sigma, mode="mirror", radius=radius) for part in (z, z * z))
        columns += [mean.ravel(), np.sqrt(np.maximum(square - mean**2, 0)).ravel()]
    raw = np.stack(columns, axis=1)
    linear = (raw - raw.mean(0)) / np.maximum(raw.std(0), 5e-3)
    return np.concatenate((linear, np.minimum(linear**2, 9), np.ones((len(raw), 1))), axis=1)


def _fg_transfer(one: OneImage) -> float:
    coverage = one.mask.astype(float)
    inside = (area(coverage, (96, 96)) if min(coverage.shape) >= 96 else coverage).ravel() >= 0.5
    if not 0.01 <= inside.mean() <= 0.99:
        return math.nan
    rows_x, rows_y = _lightness_features(one.original), _lightness_features(one.recon)
    weights = np.where(inside, 1 / inside.sum(), 1 / (~inside).sum())
    gram = rows_x.T @ (rows_x * weights[:, None]) + 0.05 * np.eye(13)
    rule = np.linalg.solve(gram, rows_x.T @ (weights * np.where(inside, 1, -1)))
    auc_x, auc_y = (float(roc_auc_score(inside, np.round(rows @ rule, 4))) for rows in (rows_x, rows_y))
    return float(np.clip((2 * auc_y - 1) / (2 * auc_x - 1), -1, 1)) if auc_x >= 0.6 else math.nan


def label_agreement(p: Array, q: Array, exclusive: bool) -> float:
    """Return 1 - JS / ln 2 of label probabilities (L,): of one distribution, or the mean over Bernoulli labels."""
    pairs = (p, q) if exclusive else (np.stack([p, 1 - p]), np.stack([q, 1 - q]))
    with np.errstate(invalid="ignore"):
        # A divergence of zero may come out under it, and has no root.
        distances = np.nan_to_num(jensenshannon(*pairs, base=2))
    return float(1 - np.mean(distances**2))


def _recognition(one: OneImage) -> float:
    if one.judge is None:
        return math.nan
    gray = [np.repeat(luma(image)[..., None], 3, axis=2) for image in (one.original, one.recon)]
    p, q = map(one.judge.probabilities, gray)
    return label_agreement(p, q, one.judge.exclusive)


def _self_recognition(one: OneImage) -> float:
    if one.classifier is None:
        return math.nan
    p, q = map(one.classifier.probabilities, (one.original, one.recon))
    return label_agreement(p, q, one.classifier.exclusive)


def coco_ap(detections: DetectedBoxes, truth: DetectedBoxes) -> float:
    """Return the box AP@[.5:.95] of detections against objects of one image, by pycocotools; NaN without objects."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def entries(items: DetectedBoxes) -> list[dict[str, object]]:
        rows = zip(items.labels.tolist(), items.scores.tolist(), items.boxes.tolist(), strict=True)
        return [
            {"id": number, "image_id": 0, "category_id": label, "score": score, "iscrowd": 0,
             "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
            for number, (label, score, (x0, y0, x1, y1)) in enumerate(rows, start=1)
        ]  # fmt: skip

    if not len(truth.labels) or not len(detections.labels):
        return 0.0 if len(truth.labels) else math.nan
    names = [{"id": label} for label in np.unique(truth.labels).tolist()]
    wanted, answers = COCO(), COCO()
    with contextlib.redirect_stdout(io.StringIO()):
        for index, items in ((wanted, truth), (answers, detections)):
            index.dataset = {"images": [{"id": 0}], "categories": names, "annotations": entries(items)}
            index.createIndex()
        evaluation = COCOeval(wanted, answers, "bbox")
        evaluation.params.maxDets = [len(detections.labels)]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"]
    return float(precision[precision > -1].mean())


def _redetection_ap(one: OneImage) -> float:
    if one.detector is None:
        return math.nan
    truth, detections = map(one.detector, (one.original, one.recon))
    sure = truth.scores >= 0.7
    return coco_ap(detections, DetectedBoxes(truth.labels[sure], truth.scores[sure], truth.boxes[sure]))


SHAPE: dict[str, Callable[[OneImage], float]] = {
    "contour_f": _contour_f,
    "edge_f": _edge_f,
    "fg_transfer": _fg_transfer,
    "recognition": _recognition,
    "self_recognition": _self_recognition,
    "redetection_ap": _redetection_ap,
}
