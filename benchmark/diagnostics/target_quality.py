"""How good the embedded targets and the judge are at their own task.

Bounds hold on fresh validation scenes, where the focal objects of an image all wear their category's canonical hue
(`canonical`) or all another one at least 60 degrees off (`recolored`); images with both kinds are left out. The frozen
test images are reported beside them and bound nothing.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmark.content.content import Content
from benchmark.datasets.base import Sample
from benchmark.datasets.frozen import sample_of
from benchmark.datasets.scenes import CATEGORIES, iter_scenes
from benchmark.engine.precision import float32
from benchmark.errors import SpecError
from benchmark.files.pixels import to_tensor
from benchmark.perturbations import gray
from benchmark.suites.spec import FrozenData, Suite
from benchmark.targets import load_target
from benchmark.targets.base import Prediction, Target
from benchmark.targets.judge import load_judge

__all__ = [
    "VALIDATION_IMAGES", "VALIDATION_SEED", "Figure", "box_ap50", "focal_map", "label_map", "measure_quality",
    "split_scenes",
]  # fmt: skip

BATCH = 16
VALIDATION_IMAGES, VALIDATION_SEED = 512, 301
LEAST_MAP = {"canonical": 0.95, "recolored": 0.40}
LEAST_BOX_AP = 0.75
BOX_AP, FOCAL_MAP, LABEL_MAP = "box AP at IoU 0.5", "mAP of the focal category", "mAP over labels"
Scores = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Figure:
    """What a network reaches by one measure on one set of images, and the least that it should; None: no bound."""

    network: str
    measure: str
    images: str
    count: int
    value: float
    least: float | None = None

    def row(self) -> dict[str, str | int | float | bool | None]:
        """The figure as JSON values, rounded, with `met`: whether the bound is; None without one."""
        met = None if self.least is None else self.value >= self.least
        return asdict(self) | {"value": round(self.value, 4), "met": met}


def _predict(samples: Sequence[Sample], predict: Scores, device: torch.device) -> Tensor:
    outputs = []
    for start in range(0, len(samples), BATCH):
        pixels = np.stack([sample.image for sample in samples[start : start + BATCH]])
        with torch.inference_mode(), float32():
            outputs.append(predict(to_tensor(pixels, device)).cpu())
    return torch.cat(outputs)


def _logits(target: Target, images: Tensor) -> Tensor:
    return target.predict(images).logits


def label_map(samples: Sequence[Sample], predict: Scores, device: torch.device) -> float:
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


def focal_map(samples: Sequence[Sample], predict: Scores, device: torch.device) -> float:
    """Return the mean over categories of the average precision of `predict` at the focal category.

    Of each category: images where it is the focal one against images where it is not visible. Where it is visible
    beside a larger one says nothing about focal objects, and is left out. Categories that are never focal are, too.

    Args:
        predict: images -> scores (N, labels).
    """
    from sklearn.metrics import average_precision_score

    scores = _predict(samples, predict, device).numpy()
    precisions = []
    for label, name in enumerate(CATEGORIES):
        focal = np.array([sample.focal_category == name for sample in samples])
        used = focal | np.array([label not in sample.labels for sample in samples])
        if focal.any():
            precisions.append(average_precision_score(focal[used], scores[used, label]))
    return float(np.mean(precisions))


def split_scenes(seed: int, count: int) -> dict[str, list[Sample]]:
    """Return, of the first `count` validation scenes of `seed`, the `canonical` and the `recolored` ones."""
    sets: dict[str, list[Sample]] = {"canonical": [], "recolored": []}
    for number, scene in enumerate(islice(iter_scenes("validation", seed), count)):
        sample = sample_of(scene, f"validation-{number:04d}")
        if sample.canonical is not None:
            sets["canonical" if sample.canonical else "recolored"].append(sample)
    return sets


def _in_gray(predict: Scores, images: Tensor) -> Tensor:
    return predict(gray(images, images))


def _classifier(name: str, predict: Scores, sets: dict[str, list[Sample]], device: torch.device) -> Iterator[Figure]:
    for kind, samples in sets.items():
        value = focal_map(samples, predict, device)
        yield Figure(name, FOCAL_MAP, kind, len(samples), value, LEAST_MAP[kind])
        value = focal_map(samples, partial(_in_gray, predict), device)
        yield Figure(name, f"{FOCAL_MAP}, in gray", kind, len(samples), value)


def _networks(
    suite: Suite, content: Content, folder: Path | None, device: torch.device
) -> Iterator[tuple[str, Target | Scores]]:
    for spec in suite.targets:
        yield spec.id, load_target(spec, folder / spec.id if folder else content.target(spec), device)
    if suite.judge:
        own = content.network(suite.judge)
        yield own.name, load_judge(folder / own.name if folder else own, device)


def measure_quality(
    content: Content,
    device: torch.device,
    *,
    networks: Path | None = None,
    count: int = VALIDATION_IMAGES,
    seed: int = VALIDATION_SEED,
) -> list[Figure]:
    """Return what each target and the judge reach on validation scenes, and then on the suite's own images.

    Args:
        networks: a folder with other networks, by the names of the suite's own; the suite's images are left alone then.
        count: validation scenes, drawn from `seed`.

    Raises:
        SpecError: the images of the suite are not labeled.
    """
    suite = content.suite
    if not isinstance(suite.dataset, FrozenData):
        raise SpecError("its images have no labels to compare with", where=suite.id, cure="use an embedded suite")
    sets, figures, reported = split_scenes(seed, count), [], []
    images = content.images if networks is None else None
    frozen = [images.load(i, suite.targets[0].input_size) for i in range(len(images.ids))] if images else []
    for name, network in _networks(suite, content, networks, device):
        if isinstance(network, Target) and network.spec.family == "detr":
            samples = sets["canonical"]
            value = box_ap50(samples, network.predict, device)
            figures.append(Figure(name, BOX_AP, "canonical", len(samples), value, LEAST_BOX_AP))
            if frozen:
                value = box_ap50(frozen, network.predict, device)
                reported.append(Figure(name, BOX_AP, "frozen", len(frozen), value))
        else:
            predict = partial(_logits, network) if isinstance(network, Target) else network
            figures += _classifier(name, predict, sets, device)
            if frozen:
                value = label_map(frozen, predict, device)
                reported.append(Figure(name, LABEL_MAP, "frozen", len(frozen), value))
    return figures + reported
