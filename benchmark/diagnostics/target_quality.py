"""How good the embedded targets are at their own task, measured on the frozen test images."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmark.content.content import Content
from benchmark.datasets.base import Sample
from benchmark.datasets.scenes import CATEGORIES
from benchmark.engine.precision import float32
from benchmark.errors import SpecError
from benchmark.files.pixels import to_tensor
from benchmark.perturbations import gray
from benchmark.suites.spec import FrozenData
from benchmark.targets import load_target
from benchmark.targets.base import Prediction, Target
from benchmark.targets.judge import load_judge

__all__ = ["box_ap50", "label_map", "measure_suite_quality"]

BATCH = 16


def _predict(samples: Sequence[Sample], predict: Callable[[Tensor], Tensor], device: torch.device) -> Tensor:
    outputs = []
    for start in range(0, len(samples), BATCH):
        pixels = np.stack([sample.image for sample in samples[start : start + BATCH]])
        with torch.inference_mode(), float32():
            outputs.append(predict(to_tensor(pixels, device)).cpu())
    return torch.cat(outputs)


def _logits(target: Target, images: Tensor) -> Tensor:
    return target.predict(images).logits


def label_map(samples: Sequence[Sample], predict: Callable[[Tensor], Tensor], device: torch.device) -> float:
    """Return the mean over labels of the average precision of `predict`: images -> scores (N, labels)."""
    from sklearn.metrics import average_precision_score

    truth = np.array([[label in sample.labels for label in range(len(CATEGORIES))] for sample in samples])
    return float(average_precision_score(truth, _predict(samples, predict, device).numpy(), average="macro"))


def box_ap50(samples: Sequence[Sample], predict: Callable[[Tensor], Prediction], device: torch.device) -> float:
    """Return the detector's box AP at IoU 0.5 as COCO defines it (pycocotools), in [0, 1]."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def joined(images: Tensor) -> Tensor:
        answer = predict(images)
        assert answer.boxes is not None
        return torch.cat([answer.logits.softmax(-1)[..., :-1], answer.boxes], dim=-1)

    answers = _predict(samples, joined, device).numpy()
    height, width = samples[0].image.shape[:2]
    truth = COCO()
    boxes = [(i, label, box) for i, s in enumerate(samples) for label, box in zip(s.classes, s.boxes, strict=True)]
    truth.dataset = {
        "images": [{"id": i, "height": height, "width": width} for i in range(len(samples))],
        "categories": [{"id": label, "name": name} for label, name in enumerate(CATEGORIES)],
        "annotations": [
            {
                "id": number,
                "image_id": i,
                "category_id": label,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": (x1 - x0) * (y1 - y0),
                "iscrowd": 0,
            }
            for number, (i, label, (x0, y0, x1, y1)) in enumerate(boxes, start=1)
        ],
    }
    detections = []
    for i, queries in enumerate(answers):
        for *scores, cx, cy, w, h in queries.tolist():
            box = [(cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height]
            detections += [{"image_id": i, "category_id": c, "bbox": box, "score": p} for c, p in enumerate(scores)]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(detections), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[1])


def measure_suite_quality(content: Content, device: torch.device) -> list[dict[str, str | float]]:
    """Return a row for each target and the judge: its task, the measure and the value on the suite's images.

    Raises:
        SpecError: the images of the suite are not labeled.
    """
    suite = content.suite
    if not isinstance(suite.dataset, FrozenData):
        raise SpecError("its images have no labels to compare with", where=suite.id, cure="use an embedded suite")
    images = content.images
    samples = [images.load(index, suite.targets[0].input_size) for index in range(len(images.ids))]
    rows: list[dict[str, str | float]] = []
    for spec in suite.targets:
        target = load_target(spec, content.target(spec), device)
        if spec.family == "detr":
            measure, value = "box AP at IoU 0.5", box_ap50(samples, target.predict, device)
        else:
            measure, value = "mAP over labels", label_map(samples, partial(_logits, target), device)
        rows.append({"network": spec.id, "measure": measure, "value": round(value, 4)})
    if suite.judge:
        folder = content.network(suite.judge)
        judge = load_judge(folder, device)
        value = round(label_map(samples, judge, device), 4)
        rows.append({"network": folder.name, "measure": "mAP over labels", "value": value})
        gray_map = label_map(samples, lambda images: judge(gray(images, images)), device)
        rows.append({"network": folder.name, "measure": "mAP over labels, in gray", "value": round(gray_map, 4)})
    return rows
