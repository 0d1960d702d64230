"""Agreement of the target with itself on original and recon. Reported, never ranked.

A recon can be optimized against the network that judges it: images that the target takes for the original may
mean nothing to any other network.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmark.metrics.case import Case, Classifier, Detections, View
from benchmark.metrics.shape import agreement

__all__ = ["average_precision", "redetection_ap", "self_recognition"]

MIN_SCORE = 0.7
# COCO's own numbers, to the last bit: overlaps and recalls are simple fractions that often lie exactly on them.
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)


def _labels(view: View, classifier: Classifier) -> Tensor:
    return classifier(view.rgb)


def self_recognition(case: Case) -> Tensor:
    """Return the agreement of the target's own label probabilities on original and recon, (N,) in [0, 1].

    As `recognition`, but by the target, and on RGB as it sees images. NaN where the target is no classifier.
    """
    classifier = case.networks.classifier
    if classifier is None:
        return case.not_scored()
    p, q = (view.get(_labels, classifier) for view in (case.original, case.recon))
    return agreement(p, q, classifier.exclusive_labels)


def _detections(view: View, detector: Callable[[Tensor], Detections]) -> Detections:
    return detector(view.rgb)


def _overlaps(first: Tensor, second: Tensor) -> Tensor:
    """Return the intersection over union (N, P, Q) of boxes (N, P, 4) and (N, Q, 4), float64."""
    a, b = first[:, :, None].double(), second[:, None].double()
    sides = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    areas = [(boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1) for boxes in (a, b)]
    shared = sides.prod(-1)
    return shared / (areas[0] + areas[1] - shared).clamp(min=1e-12)


def _match_detections(overlaps: Tensor, allowed: Tensor, thresholds: Tensor) -> Tensor:
    """Return which detections (N, T, P), in order of rank, find an object of their own at each threshold.

    Greedy, as in COCO: each detection in turn takes the free object that it overlaps most (of equal ones the
    last), if that is at least the threshold.

    Args:
        overlaps: (N, P, Q) of ranked detections and objects.
        allowed: bool (N, P, Q), of the same label.
        thresholds: (T,).
    """
    count, detections, objects = overlaps.shape
    free = torch.ones(count, len(thresholds), objects, dtype=torch.bool, device=overlaps.device)
    hits = torch.zeros(count, len(thresholds), detections, dtype=torch.bool, device=overlaps.device)
    for rank in range(detections):
        candidate = overlaps[:, None, rank].masked_fill(~allowed[:, None, rank] | ~free, -1)
        value, index = candidate.flip(-1).max(-1)
        hits[:, :, rank] = value >= thresholds
        taken = torch.zeros_like(free).scatter_(2, (objects - 1 - index)[..., None], hits[:, :, rank, None])
        free &= ~taken
    return hits


def average_precision(detections: Detections, truth: Detections, wanted: Tensor) -> Tensor:
    """Return the box AP@[.5:.95] of each image by itself, float64 (N,) in [0, 1], as COCO defines it.

    Mean over the labels of the objects of precision, interpolated at 101 recalls, over the IoU thresholds .5 to
    .95 (Lin et al. 2014). NaN where an image has no objects.

    Args:
        detections: detections (N, P); all of them count, in order of their scores.
        truth: objects (N, Q); their scores are not looked at.
        wanted: bool (N, Q), which of `truth` are objects.
    """
    if not wanted.any():
        return torch.full((wanted.shape[0],), torch.nan, dtype=torch.float64, device=wanted.device)
    order = detections.scores.argsort(dim=1, descending=True, stable=True)
    labels = detections.labels.gather(1, order)
    boxes = detections.boxes.gather(1, order[..., None].expand(-1, -1, 4))
    thresholds = torch.tensor(IOU_THRESHOLDS, device=boxes.device)
    same = (labels[:, :, None] == truth.labels[:, None]) & wanted[:, None]
    hits = _match_detections(_overlaps(boxes, truth.boxes), same, thresholds)

    # For every object the curve of its label: equal labels give equal curves, and are weighted down to one.
    own = same.transpose(1, 2)[:, None]
    hit, miss = (hits[:, :, None] & own), (~hits[:, :, None] & own)
    right, wrong = hit.cumsum(-1), miss.cumsum(-1)
    precision = right / (right + wrong).clamp(min=1)
    envelope = precision.double().flip(-1).cummax(-1).values.flip(-1)
    siblings = ((truth.labels[:, :, None] == truth.labels[:, None]) & wanted[:, None]).sum(-1)
    grid = torch.tensor(RECALLS, device=boxes.device)
    total = siblings.clamp(min=1)[:, None, :, None].double()
    reached, before = (torch.searchsorted(grid, (right - step) / total, right=True) for step in (0, 1))
    newly = torch.where(right > 1, reached - before, reached)
    curve = (envelope * newly * hit).sum(-1) / len(RECALLS)
    per_object = curve.mean(1)
    weights = wanted / siblings.clamp(min=1)
    return torch.where(wanted.any(1), (per_object * weights).sum(1) / weights.sum(1).clamp(min=1e-12), torch.nan)


def redetection_ap(case: Case) -> Tensor:
    """Return the box AP of the target's detections on the recon against its own on the original, (N,) in [0, 1].

    AP@[.5:.95]; objects are the detections of score at least .7 on the original. NaN where there are none, or the
    target is no detector.
    """
    detector = case.networks.detector
    if detector is None:
        return case.not_scored()
    truth, detections = (view.get(_detections, detector) for view in (case.original, case.recon))
    # Many steps on few numbers, in float64, which some devices lack.
    detections, truth = (Detections(*(part.cpu() for part in side)) for side in (detections, truth))
    return average_precision(detections, truth, truth.scores >= MIN_SCORE).to(case.recon.rgb)
