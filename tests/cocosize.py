"""An annotation file of the size and shape of COCO's train2017, made up: seeded, written as a stream, never kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

IMAGES = 118_287
OBJECTS = 860_001
CROWDS = 10_498
HEIGHT, WIDTH = 480, 640
CORNERS = (6, 40)


def _polygon(rng: np.random.Generator) -> list[float]:
    """A star-shaped outline of 6 to 39 corners, coordinates with two digits as in COCO."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(*CORNERS)))
    center, radius = rng.uniform((80, 80), (WIDTH - 80, HEIGHT - 80)), rng.uniform(10, 240)
    points = center + radius * rng.uniform(0.7, 1, len(angles))[:, None] * np.stack((np.cos(angles), np.sin(angles)), 1)
    return np.clip(points, 0, (WIDTH, HEIGHT)).round(2).ravel().tolist()


def _runs(rng: np.random.Generator) -> dict[str, list[int]]:
    """A mask of some hundred runs that fill the image."""
    cuts = np.unique(rng.integers(1, HEIGHT * WIDTH, 600))
    return {"counts": np.diff(cuts, prepend=0, append=HEIGHT * WIDTH).tolist(), "size": [HEIGHT, WIDTH]}


def write_annotations(path: Path, *, images: int = IMAGES, objects: int = OBJECTS, crowds: int = CROWDS) -> None:
    """Write an annotation file; by default 118,287 images, 860,001 objects and about 450 MB."""
    rng = np.random.default_rng(2017)
    path.parent.mkdir(parents=True, exist_ok=True)
    outlines = [_polygon(rng) for _ in range(4096)]
    groups = [_runs(rng) for _ in range(64)]
    with path.open("w", encoding="utf-8") as file:
        file.write('{"info": {"year": 2017}, "licenses": [{"id": 1, "name": "made up"}], "images": [')
        for image in range(1, images + 1):
            name = f"{image:012d}.jpg"
            listed = {"license": 1, "file_name": name, "coco_url": f"http://images.example/train2017/{name}"}
            listed |= {"height": HEIGHT, "width": WIDTH, "date_captured": "2013-11-14 11:18:45"}
            listed |= {"flickr_url": f"http://photographs.example/{image:010d}_{image:010x}_z.jpg", "id": image}
            file.write((", " if image > 1 else "") + json.dumps(listed))
        file.write('], "annotations": [')
        for item in range(1, objects + 1):
            crowd = item <= crowds
            shape = groups[rng.integers(len(groups))] if crowd else [outlines[rng.integers(len(outlines))]]
            drawn = {"segmentation": shape, "area": 2765.1486500000005, "iscrowd": int(crowd)}
            drawn |= {"image_id": int(rng.integers(1, images + 1)), "bbox": [199.84, 200.46, 77.71, 70.88]}
            drawn |= {"category_id": int(rng.integers(1, 81)), "id": item}
            file.write((", " if item > 1 else "") + json.dumps(drawn))
        file.write('], "categories": [')
        file.write(
            ", ".join(json.dumps({"supercategory": "thing", "id": i, "name": f"kind {i}"}) for i in range(1, 81))
        )
        file.write("]}")
