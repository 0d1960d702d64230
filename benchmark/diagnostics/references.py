"""Independent references of all metrics: numpy, scipy and the field's libraries in float64, image by image.

Nothing here shares code with the metrics. Tests compare the two, and `invbench bench metrics` times them. The module
is long because it is a second implementation of every metric, and stands alone.
"""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.ndimage as ndi
import torch
from scipy.optimize import nnls
from scipy.spatial import cKDTree
from scipy.spatial.distance import jensenshannon
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.metrics import roc_auc_score
from torch import Tensor

from benchmark.metrics.case import Case, Classifier, Detections, View

__all__ = [
    "REFERENCES",
    "DetectedBoxes",
    "Labeler",
    "OneImage",
    "area",
    "boundary",
    "coco_ap",
    "images_of",
    "label_agreement",
    "load_lpips",
    "luma",
    "matched",
    "peaks",
]

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.bool_]

LUMA = np.array([0.299, 0.587, 0.114])
BINS = 8


class Labeler(NamedTuple):
    """A network that labels one image (H, W, 3): probabilities (L,), one distribution if `exclusive`."""

    probabilities: Callable[[Array], Array]
    exclusive: bool


class DetectedBoxes(NamedTuple):
    """What a detector finds in one image: labels (P,), scores (P,), boxes (P, 4) as x0, y0, x1, y1."""

    labels: npt.NDArray[np.int64]
    scores: Array
    boxes: Array


@dataclass(frozen=True, eq=False)
class OneImage:
    """One comparison. Images are float64 RGB (H, W, 3) in [0, 1], already rounded to 8 bits.

    Attributes:
        original: the unperturbed image.
        seen: what the target saw.
        recon: the reconstruction of `seen`.
        mask: bool (H, W), the focal mask.
        baseline: the reconstruction of `original`.
        judge: the held-out judge.
        classifier: the target, if it labels images.
        detector: the target, if it detects objects.
        perceptual: LPIPS of two images, as `load_lpips` returns it.
    """

    original: Array
    seen: Array
    recon: Array
    mask: Pixels
    baseline: Array | None = None
    judge: Labeler | None = None
    classifier: Labeler | None = None
    detector: Callable[[Array], DetectedBoxes] | None = None
    perceptual: Callable[[Array, Array], float] | None = None


def images_of(case: Case, perceptual: Callable[[Array, Array], float] | None = None) -> list[OneImage]:
    """Return the images of a batch one by one, with its networks except for the perceptual one, which is given."""

    def arrays(view: View) -> list[Array]:
        return list(np.round(view.rgb.permute(0, 2, 3, 1).cpu().numpy().astype(np.float64) * 255) / 255)

    def batch(image: Array) -> Tensor:
        return torch.from_numpy(image).permute(2, 0, 1)[None].float().to(case.recon.rgb.device)

    def labeler(network: Classifier | None) -> Labeler | None:
        if network is None:
            return None
        return Labeler(lambda image: network(batch(image))[0].double().cpu().numpy(), network.exclusive_labels)

    def detect(image: Array, network: Callable[[Tensor], Detections]) -> DetectedBoxes:
        labels, scores, boxes = (part[0].cpu() for part in network(batch(image)))
        return DetectedBoxes(labels.numpy(), scores.double().numpy(), boxes.double().numpy())

    networks = case.networks
    detector = partial(detect, network=networks.detector) if networks.detector else None
    originals, seen, recons = (arrays(view) for view in (case.original, case.seen, case.recon))
    baselines = arrays(case.baseline) if case.baseline else [None] * len(originals)
    return [
        OneImage(
            originals[i],
            seen[i],
            recons[i],
            case.mask.pixels[i].cpu().numpy(),
            baselines[i],
            labeler(networks.judge),
            labeler(networks.classifier),
            detector,
            perceptual,
        )
        for i in range(len(originals))
    ]


def luma(image: Array) -> Array:
    """Return the BT.601 luma (H, W)."""
    return image @ LUMA


def area(image: Array, size: tuple[int, int]) -> Array:
    """Return the means of an image (H, W) over a grid whose cells take every pixel that they touch."""
    if image.shape == size:
        return image
    rows, columns = (np.zeros((cells, side)) for cells, side in zip(size, image.shape, strict=True))
    for members in (rows, columns):
        cells, side = members.shape
        for i in range(cells):
            members[i, i * side // cells : -(-(i + 1) * side // cells)] = 1
    return rows @ image @ columns.T / np.outer(rows.sum(1), columns.sum(1))


def _tolerance(height: int, width: int) -> int:
    return math.ceil(0.008 * math.hypot(height, width))


def _distance_to(pixels: Pixels) -> Array:
    """Return the distance of every pixel to the nearest chosen one, (H, W); infinite where there is none."""
    return ndi.distance_transform_edt(~pixels) if pixels.any() else np.full(pixels.shape, np.inf)


# --- detail --------------------------------------------------------------------------------------


def _psnr(one: OneImage) -> float:
    with np.errstate(divide="ignore"):
        return min(float(peak_signal_noise_ratio(one.seen, one.recon, data_range=1)), 60.0)


def _mse_norm(one: OneImage) -> float:
    return float((((one.recon - one.seen) / np.array([0.229, 0.224, 0.225])) ** 2).mean())


def _ssim_map(x: Array, y: Array) -> Array:
    """Return the local SSIM of luma in the valid region, (H - 10, W - 10)."""
    _, full = structural_similarity(
        luma(x), luma(y), gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, full=True
    )
    return full[5:-5, 5:-5]


def _ssim(one: OneImage) -> float:
    return float(_ssim_map(one.seen, one.recon).mean()) if min(one.mask.shape) >= 11 else math.nan


def _bands(one: OneImage) -> Iterator[tuple[float, float, float]]:
    """Yield the lowest and highest frequency of each octave band and its explained variance; NaN if x is flat."""
    x, y = luma(one.seen), luma(one.recon)
    height, width = x.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    spectrum_x, spectrum_y = (np.fft.rfft2((gray - x.mean()) * window) for gray in (x, y))
    # Whole numbers before the only division, so that none is lost at the limit of a band.
    rows, columns = np.round(np.fft.fftfreq(height) * height), np.arange(width // 2 + 1)
    cycles = np.sqrt((rows[:, None] * width) ** 2 + (columns * height) ** 2) / width
    for octave in range(5):
        low, high = 3.5 * 2**octave, min(7.0 * 2**octave, height / 2)
        band = (cycles > low) & (cycles <= high)
        if band.sum() >= 8:
            energy = (np.abs(spectrum_x[band]) ** 2).sum()
            error = (np.abs(spectrum_x[band] - spectrum_y[band]) ** 2).sum()
            flat = energy / x.size**2 < 1e-8
            yield low, high, math.nan if flat else float(np.clip(1 - error / energy, 0, 1))


def _mean(values: list[float]) -> float:
    scored = [value for value in values if not math.isnan(value)]
    return float(np.mean(scored)) if scored else math.nan


def _spectral_ev(one: OneImage) -> float:
    return _mean([ev for _, _, ev in _bands(one)])


def _hf_ev(one: OneImage) -> float:
    return _mean([ev for low, _, ev in _bands(one) if low >= 28])


def _f50(one: OneImage) -> float:
    points = [(math.log2(low * high) / 2, ev) for low, high, ev in _bands(one) if not math.isnan(ev)]
    if not points:
        return math.nan
    for k in reversed(range(len(points))):
        center, ev = points[k]
        if ev >= 0.5 and k == len(points) - 1:
            return float(2**center)
        if ev >= 0.5:
            finer_center, finer_ev = points[k + 1]
            return float(2 ** np.interp(0.5, [finer_ev, ev], [finer_center, center]))
    return 3.5


def load_lpips(path: Path) -> Callable[[Array, Array], float]:
    """Return LPIPS (AlexNet) of the `lpips` package, for two images (H, W, 3) in [0, 1].

    Args:
        path: safetensors file with the convolutions of torchvision's AlexNet.
    """
    import lpips
    from safetensors.torch import load_file

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    trunk = load_file(path)
    layers = [(1, 0), (2, 3), (3, 6), (4, 8), (5, 10)]
    names = [(f"slice{k}.{layer}.{part}", f"features.{layer}.{part}") for k, layer in layers for part in
             ("weight", "bias")]  # fmt: skip
    model.net.load_state_dict({own: trunk[published] for own, published in names}, strict=True)

    def distance(first: Array, second: Array) -> float:
        pair = [torch.from_numpy(image).permute(2, 0, 1)[None].float() * 2 - 1 for image in (first, second)]
        with torch.inference_mode():
            return float(model(*pair))

    return distance


def _lpips_alex(one: OneImage) -> float:
    if one.perceptual is None or min(one.mask.shape) < 31:
        return math.nan
    return one.perceptual(*(np.repeat(luma(image)[..., None], 3, axis=2) for image in (one.seen, one.recon)))


# --- shape ---------------------------------------------------------------------------------------


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
        yield x, y, area(one.mask.astype(float), size) >= 0.5, _tolerance(*size)


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
            relevant = edges.edges_y & (_distance_to(outline) <= 3 * tolerance)
            right = matched(relevant, edges.orientation_y, edges.edges_x, edges.orientation_x, tolerance)
            scores.append(_f_score(right, shown))
    return _mean(scores)


def _edge_f(one: OneImage) -> float:
    scores = []
    for x, y, _, tolerance in _scales(one):
        edges = _edges(x, y, tolerance)
        if edges.edges_x.sum() >= 20:
            shown = matched(edges.edges_x, edges.orientation_x, edges.edges_y, edges.orientation_y, tolerance)
            right = matched(edges.edges_y, edges.orientation_y, edges.edges_x, edges.orientation_x, tolerance)
            scores.append(_f_score(right, shown))
    return _mean(scores)


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


# --- color ---------------------------------------------------------------------------------------


def _cells(image: Array, region: Pixels) -> Array:
    """Return the mean CIELAB (cells, 3) of the cells of which the region covers at least a quarter."""
    side = max(1, round(region.shape[0] / 28))
    starts = [np.arange(0, length, side) for length in region.shape]

    def sums(values: Array) -> Array:
        return np.add.reduceat(np.add.reduceat(values, starts[0], axis=0), starts[1], axis=1)

    covered = sums(region.astype(float))
    kept = covered >= side * side / 4
    return sums(rgb2lab(image) * region[..., None])[kept] / covered[kept][:, None]


def _frame(image: Array) -> Array:
    return _cells(image, np.ones(image.shape[:2], dtype=bool))


def _focal_region(mask: Pixels) -> Pixels:
    eroded = _distance_to(~mask) > _tolerance(*mask.shape)
    return eroded if eroded.sum() >= 64 else mask


def _moved(one: OneImage) -> tuple[Array, Array, Array]:
    """Return the CIELAB of x, x_p and y_p in the moved cells, (cells, 3) each."""
    region = _focal_region(one.mask)
    x, p, y = (_cells(image, region) for image in (one.original, one.seen, one.recon))
    moved = deltaE_ciede2000(x, p) >= 5
    return x[moved], p[moved], y[moved]


def _chroma(one: OneImage) -> tuple[Array, Array, Array] | None:
    """Return the chroma vectors of x, x_p and y_p in the moved cells; None if there are none, or too faint ones."""
    a_0, a_p, a_y = (cells[:, 1:] for cells in _moved(one))
    return (a_0, a_p, a_y) if len(a_p) and math.sqrt((a_p**2).sum(1).mean()) >= 10 else None


def _color_retention(one: OneImage) -> float:
    if (chroma := _chroma(one)) is None:
        return math.nan
    a_0, a_p, a_y = chroma
    trivial = min(((a_0 - a_p) ** 2).sum(), (a_p**2).sum())
    return float(np.clip(1 - ((a_y - a_p) ** 2).sum() / trivial, 0, 1))


def _color_ev(one: OneImage) -> float:
    x, p, y = _moved(one)
    if not len(x):
        return math.nan
    mean = np.broadcast_to(rgb2lab(one.seen).mean((0, 1)), p.shape)
    trivial = min(deltaE_ciede2000(x, p).mean(), deltaE_ciede2000(mean, p).mean())
    return float(np.clip(1 - deltaE_ciede2000(y, p).mean() / trivial, 0, 1)) if trivial >= 2 else math.nan


def _gain(one: OneImage, which: int) -> float:
    if (chroma := _chroma(one)) is None:
        return math.nan
    a_0, a_p, a_y = (vectors.ravel() for vectors in chroma)
    return float(nnls(np.stack([a_p, a_0], axis=1), a_y)[0][which])


def _hue_error_deg(one: OneImage) -> float:
    if (chroma := _chroma(one)) is None:
        return math.nan
    _, a_p, a_y = chroma
    turn = np.abs((np.arctan2(*a_y.T) - np.arctan2(*a_p.T) + np.pi) % (2 * np.pi) - np.pi)
    turn = np.where(np.hypot(*a_y.T) < 5, 90, np.rad2deg(turn))
    return float(np.average(turn, weights=np.hypot(*a_p.T)))


def _delta_e_2000(one: OneImage) -> float:
    return float(deltaE_ciede2000(_frame(one.original), _frame(one.recon)).mean())


def _gray_residual(one: OneImage) -> float:
    before, after = (math.sqrt((_frame(i)[:, 1:] ** 2).sum(1).mean()) for i in (one.original, one.recon))
    return float(np.clip(1 - after / before, 0, 1)) if before >= 5 else math.nan


def _luma_invariance(one: OneImage) -> float:
    inside = one.mask[5:-5, 5:-5]
    if one.baseline is None or min(one.mask.shape) < 11 or not inside.any():
        return math.nan
    before = float(_ssim_map(one.original, one.baseline)[inside].mean())
    return float(_ssim_map(one.seen, one.recon)[inside].mean()) / before if before >= 0.05 else math.nan


def _spill(one: OneImage) -> float:
    if one.baseline is None:
        return math.nan
    outside = _distance_to(one.mask) > 2 * _tolerance(*one.mask.shape)
    before, after = _cells(one.baseline, outside), _cells(one.recon, outside)
    return float(deltaE_ciede2000(before, after).mean()) if len(before) else math.nan


REFERENCES: dict[str, Callable[[OneImage], float]] = {
    "psnr": _psnr,
    "mse_norm": _mse_norm,
    "ssim": _ssim,
    "spectral_ev": _spectral_ev,
    "hf_ev": _hf_ev,
    "f50": _f50,
    "lpips_alex": _lpips_alex,
    "contour_f": _contour_f,
    "edge_f": _edge_f,
    "fg_transfer": _fg_transfer,
    "recognition": _recognition,
    "self_recognition": _self_recognition,
    "redetection_ap": _redetection_ap,
    "color_retention": _color_retention,
    "color_ev": _color_ev,
    "gain_perturbed": lambda one: _gain(one, 0),
    "gain_original": lambda one: _gain(one, 1),
    "hue_error_deg": _hue_error_deg,
    "delta_e_2000": _delta_e_2000,
    "gray_residual": _gray_residual,
    "luma_invariance": _luma_invariance,
    "spill": _spill,
}
