"""Independent references of all metrics: numpy, scipy and the field's libraries in float64, image by image.

Nothing here shares code with the metrics. Tests compare the two, and `invbench bench metrics` times them.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmark.diagnostics.references_color import COLOR
from benchmark.diagnostics.references_common import Labeler, OneImage, area, images_of, luma
from benchmark.diagnostics.references_detail import DETAIL, load_lpips
from benchmark.diagnostics.references_shape import SHAPE, bin_of, boundary, label_agreement, limit_of, matched, peaks

__all__ = [
    "REFERENCES",
    "Labeler",
    "OneImage",
    "area",
    "bin_of",
    "boundary",
    "images_of",
    "label_agreement",
    "limit_of",
    "load_lpips",
    "luma",
    "matched",
    "peaks",
]

REFERENCES: dict[str, Callable[[OneImage], float]] = DETAIL | SHAPE | COLOR
