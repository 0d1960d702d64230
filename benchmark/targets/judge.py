"""The held-out judge: a classifier that is no target of the suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import CONFIG_MAPPING, MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING

from benchmark.errors import SpecError, first_line
from benchmark.targets.config import CONFIG, read_network_config
from benchmark.targets.labels import LabelProbabilities, has_exclusive_labels
from benchmark.targets.network import load_network
from benchmark.targets.normalization import load_normalization

__all__ = ["load_judge"]

OTHER_LIBRARIES = {"timm_wrapper"}  # builds what its configuration names, also from the network
MAX_SIDE = 4096


def _model_class(folder: Path) -> Any:
    kind = read_network_config(folder).get("model_type")
    known = isinstance(kind, str) and kind in CONFIG_MAPPING and kind not in OTHER_LIBRARIES
    if not known or CONFIG_MAPPING[kind] not in MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING:
        raise SpecError(f"'{kind}' is not an image classifier of transformers", where=str(folder / CONFIG))
    model_class = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING[CONFIG_MAPPING[kind]]
    return model_class[0] if isinstance(model_class, tuple) else model_class


def _input_size(config: Any, where: str) -> tuple[int, int] | None:
    size = getattr(config, "image_size", None)
    if size is None:
        return None
    height, width = (size, size) if isinstance(size, int) else size
    if not all(isinstance(side, int) and 0 < side <= MAX_SIDE for side in (height, width)):
        raise SpecError(f"'image_size' is not within 1 to {MAX_SIDE}", where=where)
    return height, width


def load_judge(folder: Path, device: torch.device) -> LabelProbabilities:
    """Return the judge: RGB in [0, 1] (N, 3, H, W) -> label probabilities (N, labels).

    Any image classifier that is part of transformers. Where its configuration states an `image_size`, images of
    another size are resized to it: bilinear, antialiased, without keeping the aspect.

    Args:
        folder: the network in Hub layout.
        device: where it runs.

    Raises:
        SpecError, IntegrityError: as `load_network` and `load_normalization`; or it is no image classifier, or
            does not run.
    """
    where = str(folder / CONFIG)
    model = load_network(_model_class(folder), folder, device)
    normalize = load_normalization(folder, device)
    size = _input_size(model.config, where)

    def logits(images: Tensor) -> Tensor:
        if size is not None and tuple(images.shape[-2:]) != size:
            images = F.interpolate(images, size=size, mode="bilinear", antialias=True)
        # Convolutions of a CPU are a fifth faster on this order of the memory.
        return model(normalize(images).contiguous(memory_format=torch.channels_last)).logits

    try:
        with torch.no_grad():
            finite = logits(torch.zeros(1, 3, *(size or (64, 64)), device=device)).isfinite().all()
    except Exception as error:
        raise SpecError(f"the network does not run: {type(error).__name__}: {first_line(error)}", where=where) from None
    if not finite:
        raise SpecError("the network answers with numbers that are not finite", where=where)
    return LabelProbabilities(logits, exclusive_labels=has_exclusive_labels(model.config))
