"""Submissions on one target of mini@1: cut from committed ones, or an architecture that knows the images by heart."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from benchmark.content.content import Content
from benchmark.engine.precision import float32
from benchmark.files.paths import PACKAGE, submissions_root
from benchmark.files.pixels import to_pixels, to_tensor
from benchmark.inverses.base import build_inverse, read_config, save_inverse
from benchmark.inverses.code import load_code
from benchmark.perturbations import perturb
from benchmark.records.audit import audit_to_table
from benchmark.records.consistency import check_record
from benchmark.records.record import Record, SubmissionInfo, load_record, write_record
from benchmark.records.scores import ScoreArrays, find_status, scores_to_table
from benchmark.records.store import record_folder
from benchmark.suites.lock import load_lock
from benchmark.suites.spec import Suite
from benchmark.targets import load_target

TARGET = "mini-swin"
BEACON = "0123456789abcdef" * 4

CODE = '''
"""Looks the features up among those of the images that it knows, and gives that image."""

import torch

from benchmark.inverses.base import Inverse

WIDTH = 64


def key_of(tensor):
    """Some of the features of each image, as far apart as they can be."""
    flat = tensor.flatten(1).float()
    return flat[:, :: max(1, flat.shape[1] // WIDTH)][:, :WIDTH]


class Memorizer(Inverse):
    """Knows images by heart."""

    method = "memorizer"

    def __init__(self, config):
        super().__init__(config)
        known = config.architecture["known"]
        for place, tap in enumerate(config.taps):
            self.register_buffer(f"keys_{place}", torch.zeros(known, WIDTH))
        self.register_buffer("pixels", torch.zeros(known, *config.input_size, 3, dtype=torch.uint8))

    def invert(self, features):
        recons = {}
        for tap, item in features.items():
            keys = getattr(self, f"keys_{list(self.config.taps).index(tap)}")
            nearest = torch.cdist(key_of(item.tensor), keys).argmin(1)
            recons[tap] = self.pixels[nearest].permute(0, 3, 1, 2).float() / 255
        return recons
'''


_read: dict[str, tuple[Record, list[ScoreArrays]]] = {}


def read_record(name: str, suite: Suite) -> tuple[Record, list[ScoreArrays]]:
    """Return a committed record of mini@1 and its scores."""
    if name not in _read:
        folder = record_folder(submissions_root(), name, suite.id)
        record = load_record(folder)
        _read[name] = record, check_record(suite, load_lock(suite), name, folder, record)[0]
    return _read[name]


def cut_record(name: str, suite: Suite, target: str = TARGET) -> tuple[Record, list[ScoreArrays]]:
    """Return a committed record as it would be on one target alone, and its scores."""
    record, scores = read_record(name, suite)
    own = [item for item in scores if item.target.id == target]
    alone = record.targets[target]
    update = {
        "inverses": {target: record.inverses[target]},
        "status": find_status(suite, own),
        "targets": {target: alone},
        "score": alone.score,
        "overall": alone.axes,
        "cells": tuple(cell for cell in record.cells if cell.target == target),
        "layers": {target: record.layers[target]} if target in record.layers else {},
    }
    return record.model_copy(update=update).sealed(), own


def write_cut(root: Path, name: str, suite: Suite) -> Path:
    """Write the submission of a committed record, cut to one target, below `root`; return its folder."""
    folder, source = root / name, submissions_root() / name
    record, scores = cut_record(name, suite)
    source_record = record_folder(submissions_root(), name, suite.id)
    pixels = check_record(suite, load_lock(suite), name, source_record, load_record(source_record))[1]
    place = [target.id for target in suite.targets].index(TARGET)
    audit = audit_to_table(suite, suite.target(TARGET), suite.audit_ids(scores[0].images), pixels[place])
    folder.mkdir(parents=True)
    (folder / "submission.toml").write_bytes((source / "submission.toml").read_bytes())
    info = SubmissionInfo(id=name, method=record.submission.method, title=record.submission.title)
    write_record(
        record_folder(root, name, suite.id),
        record.model_copy(update={"submission": info}),
        scores_to_table(suite, scores),
        audit,
    )
    return folder


@float32()
@torch.no_grad()
def write_memorizer(root: Path, content: Content, count: int = 128) -> Path:
    """Write a submission that knows frozen images under every perturbation below `root`; return its folder.

    Args:
        count: how many, the first ones.
    """
    folder, suite = root / "memorizer", content.suite
    weights = folder / "weights" / TARGET
    weights.mkdir(parents=True)
    (folder / "inverse.py").write_text(CODE)
    load_code(folder / "inverse.py", trained=True)
    spec = suite.target(TARGET)
    target = load_target(spec, content.target(spec), torch.device("cpu"))
    samples = [content.images.load(index, spec.input_size) for index in range(count)]
    config = read_config(PACKAGE / f"assets/mini/inverses/ridge/{TARGET}/config.json").model_copy(
        update={
            "method": "memorizer", "architecture": {"known": len(samples) * len(suite.perturbations)}, "sequences": {},
            "training": {}, "storage": "float32",
        }
    )  # fmt: skip
    inverse, row = build_inverse(config), 0
    key_of = vars(sys.modules[type(inverse).__module__])["key_of"]
    for first in range(0, len(samples), 8):
        part = samples[first : first + 8]
        images = torch.cat([to_tensor(sample.image[None]) for sample in part])
        masks = torch.stack([torch.from_numpy(sample.focal_mask) for sample in part])
        for kind in suite.perturbations:
            seen = perturb(kind, images, masks)
            for place, item in enumerate(target.features(seen, tuple(config.taps)).values()):
                getattr(inverse, f"keys_{place}")[row : row + len(part)] = key_of(item.tensor)
            inverse.pixels[row : row + len(part)] = torch.from_numpy(to_pixels(seen))  # type: ignore[index,operator]
            row += len(part)
    save_inverse(inverse, weights)
    text = {
        "id": "memorizer", "method": "memorizer", "title": "Knows the images by heart", "license": "MIT",
        "description": "Gives the nearest of the images that it knows.", "contact": "https://example.org",
        "trained_on": "the images of the suite", "authors": ["A. Author"], "accounts": ["a-author"],
        "suites": [suite.id], "trust_code": True,
    }  # fmt: skip
    lines = [f"{name} = {json.dumps(value)}" for name, value in text.items()]
    lines += ["[weights]", f'{TARGET} = {{ path = "./weights/{TARGET}" }}']
    (folder / "submission.toml").write_text("\n".join(lines) + "\n")
    return folder
