"""Independent references of the SHAPE metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.ndimage as ndi
from scipy.spatial import cKDTree
from scipy.spatial.distance import jensenshannon
from skimage.color import rgb2lab
from sklearn.metrics import roc_auc_score

from benchmark.diagnostics.references_common import (
    Array,
    OneImage,
    Pixels,
    area,
    distance_to,
    luma,
    tolerance_of,
)

__all__ = ["SHAPE", "bin_of", "boundary", "label_agreement", "limit_of", "matched", "peaks"]

BINS = 8
Bins = npt.NDArray[np.int64]


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


def bin_of(orientation: Array) -> Bins:
    """Return the bin of each orientation, 0 to 7; orientations are in units of 22.5 degrees."""
    return np.floor(orientation).astype(int) % BINS


def limit_of(orientation: Array) -> Bins:
    """Return the bin limit nearest to each orientation, 0 to 7: limit k lies between the bins k - 1 and k."""
    return np.round(orientation).astype(int) % BINS


def matched(chosen: Pixels, limits: Bins, edges: Pixels, bins: Bins, reach: int) -> Pixels:
    """Whether each chosen pixel, (Q,) in raster order, has an edge of a like orientation within reach.

    Like orientations are the bin of the pixel's own direction and the nearer neighbouring one, the two that meet at
    the bin limit nearest to it. `limits` is that of each pixel, `bins` the bin of each edge, both (H, W).
    """
    queries, asked = np.argwhere(chosen), limits[chosen]
    spots, found = np.argwhere(edges), bins[edges]
    hits = np.zeros(len(queries), dtype=bool)
    for limit in range(BINS):
        asking, like = asked == limit, (found == limit) | (found == (limit - 1) % BINS)
        if asking.any() and like.any():
            hits[asking] = cKDTree(spots[like]).query(queries[asking])[0] <= reach
    return hits


class _Edges(NamedTuple):
    """Edges of one image at one scale, their bins and the limits nearest to their orientations; all (h, w)."""

    pixels: Pixels
    bins: Bins
    limits: Bins


def _edges(x: Array, y: Array, tolerance: int) -> tuple[_Edges, _Edges]:
    """Return the edges of original and recon."""
    strength_x, orientation_x = _gradient(x, tolerance / 2)
    strength_y, orientation_y = _gradient(y, tolerance / 2)
    edges_x = peaks(strength_x, orientation_x) & (strength_x > 0.3 * np.percentile(strength_x, 99))
    ridge = np.where(peaks(strength_y, orientation_y), strength_y, 0)
    edges_y = np.zeros(ridge.shape, dtype=bool)
    edges_y.flat[np.argsort(-ridge, axis=None, kind="stable")[: edges_x.sum()]] = True
    return (
        _Edges(edges_x, bin_of(orientation_x), limit_of(orientation_x)),
        _Edges(edges_y & (ridge > 0), bin_of(orientation_y), limit_of(orientation_y)),
    )


def _mirror_images(edges: _Edges) -> list[_Edges]:
    """Return the edges mirrored left-right, top-bottom, and both."""
    pixels, bins, limits = edges
    turned_bins, turned_limits = 7 - bins, -limits % BINS
    return [
        _Edges(np.fliplr(pixels), np.fliplr(turned_bins), np.fliplr(turned_limits)),
        _Edges(np.flipud(pixels), np.flipud(turned_bins), np.flipud(turned_limits)),
        _Edges(np.rot90(pixels, 2), np.rot90(bins, 2), np.rot90(limits, 2)),
    ]


def _f_score(right: Pixels, shown: Pixels) -> float:
    precision, recall = (float(part.mean()) if len(part) else 0.0 for part in (right, shown))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _scales(one: OneImage) -> Iterator[tuple[Array, Array, Pixels, int]]:
    """Yield lumas and mask at full, half and quarter size, with the tolerance there."""
    for divisor in (1, 2, 4):
        size = (max(1, round(one.mask.shape[0] / divisor)), max(1, round(one.mask.shape[1] / divisor)))
        x, y = (area(luma(image), size) for image in (one.seen, one.recon))
        yield x, y, area(one.mask.astype(float), size) >= 0.5, tolerance_of(*size)


def _corrected(scales: list[list[list[float]]]) -> float:
    """Return what mirror decoys leave of scores (scales, 2, 4): recon and original, as they are and mirrored."""
    if not scales:
        return math.nan
    scores = np.mean(scales, axis=0)
    decoy, own_decoy = scores[:, 1:].mean(1)
    return float((scores[0, 0] - decoy) / (1 - own_decoy)) if own_decoy <= 0.5 else math.nan


def _raw_scores(edges: _Edges, wanted: _Edges, counting: Pixels, edges_x: _Edges, tolerance: int) -> list[float]:
    """Return the F-scores of edges and of their three mirror images.

    R is the share of the pixels of `wanted` that they match, P the share of those in `counting` that match `edges_x`.
    """
    scores = []
    for one in (edges, *_mirror_images(edges)):
        shown = matched(wanted.pixels, wanted.limits, one.pixels, one.bins, tolerance)
        right = matched(one.pixels & counting, one.limits, edges_x.pixels, edges_x.bins, tolerance)
        scores.append(_f_score(right, shown))
    return scores


def _contour_f(one: OneImage) -> float:
    scales = []
    for (x, y, inside, tolerance), fewest in zip(_scales(one), (20, 10, 8), strict=True):
        margin = max(tolerance, 2)
        outline = boundary(inside)
        outline[:margin] = outline[-margin:] = outline[:, :margin] = outline[:, -margin:] = False
        _, facing = _gradient(inside.astype(float), margin / 2)
        edges_x, edges_y = _edges(x, y, tolerance)
        visible = np.zeros_like(outline)
        visible[outline] = matched(outline, limit_of(facing), edges_x.pixels, edges_x.bins, tolerance)
        if visible.sum() >= fewest:
            wanted, near = _Edges(visible, bin_of(facing), limit_of(facing)), distance_to(outline) <= 3 * tolerance
            scales.append([_raw_scores(edges, wanted, near, edges_x, tolerance) for edges in (edges_y, edges_x)])
    return _corrected(scales)


def _edge_f(one: OneImage) -> float:
    scales = []
    for x, y, _, tolerance in _scales(one):
        edges_x, edges_y = _edges(x, y, tolerance)
        if edges_x.pixels.sum() >= 20:
            anywhere = np.ones(x.shape, dtype=bool)
            scales.append([_raw_scores(edges, edges_x, anywhere, edges_x, tolerance) for edges in (edges_y, edges_x)])
    return _corrected(scales)


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
    linear = (raw - raw.mean(0)) / np.maximum(raw.std(0), 0.02)
    return np.concatenate((linear, np.minimum(linear**2, 9), np.ones((len(raw), 1))), axis=1)


def _fg_transfer(one: OneImage) -> float:
    coverage = one.mask.astype(float)
    inside = (area(coverage, (96, 96)) if min(coverage.shape) >= 96 else coverage) >= 0.5
    if not 0.01 <= inside.mean() <= 0.99:
        return math.nan
    rows_x, rows_y = _lightness_features(one.seen), _lightness_features(one.recon)
    flat = inside.ravel()
    weights = np.where(flat, 1 / flat.sum(), 1 / (~flat).sum())
    gram = rows_x.T @ (rows_x * weights[:, None]) + 0.05 * np.eye(13)
    rule = np.linalg.solve(gram, rows_x.T @ (weights * np.where(flat, 1, -1)))

    def separations(rows: Array) -> Array:
        grid = np.round(rows @ rule, 4).reshape(inside.shape)
        mirrors = (grid, np.fliplr(grid), np.flipud(grid), np.rot90(grid, 2))
        return np.array([2 * roc_auc_score(flat, scores.ravel()) - 1 for scores in mirrors])

    of_x, of_y = separations(rows_x), separations(rows_y)
    if of_x[0] < 0.2:
        return math.nan
    return _corrected([np.clip(np.stack((of_y, of_x)) / of_x[0], -1, 1).tolist()])


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


SHAPE: dict[str, Callable[[OneImage], float]] = {
    "contour_f": _contour_f,
    "edge_f": _edge_f,
    "fg_transfer": _fg_transfer,
    "recognition": _recognition,
}
