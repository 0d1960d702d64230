"""Targets of published size with random weights, and inverses of the paper's size: they take as long as real ones."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import lpips
import numpy as np
import timm
import torch
import transformers as hf
from PIL import Image
from safetensors.torch import save_file

from benchmark.datasets.base import ImageSet, Sample
from benchmark.errors import did_you_mean
from benchmark.inverses.base import Inverse, build_inverse
from benchmark.inverses.describing import describe_inverse
from benchmark.inverses.folding import fold_batch_norms
from benchmark.inverses.recipes import load_recipe
from benchmark.metrics.perceptual import PerceptualNetwork
from benchmark.suites.spec import Source, TargetSpec
from benchmark.targets import load_target
from benchmark.targets.base import Target
from benchmark.targets.files import PREPROCESSOR, WEIGHTS
from benchmark.targets.judge import load_judge
from benchmark.targets.labels import LabelProbabilities

__all__ = [
    "FULL_SIZE", "EnlargedImages", "make_inverse", "make_judge", "make_perceptual", "make_target", "open_target",
]  # fmt: skip

FULL_SIZE = (
    "detr-resnet-50", "vit-base-16", "deit3-base-16", "swin-base", "dinov2-base", "dinov2-registers-base",
    "siglip-base-16", "mae-base",
)  # fmt: skip
"""Targets of `coco@1` whose networks can be made here."""
TIMM = {"deit3-base-16": "deit3_base_patch16_224"}
JUDGE = "facebook/convnext-base-224"
CONVNEXT = {"depths": [3, 3, 27, 3], "hidden_sizes": [128, 256, 512, 1024], "num_labels": 1000, "image_size": 224}
SEED = 17


def _build(name: str) -> Any:
    match name:
        case "detr-resnet-50":
            backbone = hf.ResNetConfig(out_features=["stage1", "stage2", "stage3", "stage4"])
            config = hf.DetrConfig(num_labels=91, use_timm_backbone=False, backbone_config=backbone)
            return hf.DetrForObjectDetection(config)
        case "vit-base-16":
            return hf.ViTForImageClassification(hf.ViTConfig(num_labels=1000))
        case "swin-base":
            shape = {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32], "window_size": 7}
            return hf.SwinForImageClassification(hf.SwinConfig(num_labels=1000, **shape))
        case "dinov2-base":
            return hf.Dinov2Model(hf.Dinov2Config(image_size=518, patch_size=14))
        case "dinov2-registers-base":
            return hf.Dinov2WithRegistersModel(hf.Dinov2WithRegistersConfig(image_size=518, patch_size=14))
        case "siglip-base-16":
            return hf.SiglipVisionModel(hf.SiglipVisionConfig())
        case "mae-base":
            return hf.ViTMAEForPreTraining(hf.ViTMAEConfig())
    raise did_you_mean("target of published size", name, FULL_SIZE)


def _save_timm(architecture: str, folder: Path) -> None:
    """Write a network as timm does: its configuration holds mean and std."""
    network = timm.create_model(architecture)
    shown = {"mean": [0.5] * 3, "std": [0.5] * 3}
    config = {"architecture": architecture, "num_classes": network.num_classes, "pretrained_cfg": shown}
    (folder / "config.json").write_text(json.dumps(config))
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, folder / WEIGHTS)


def _save(name: str, folder: Path) -> None:
    if name in TIMM:
        _save_timm(TIMM[name], folder)
        return
    _save_network(_build(name), folder)


def _save_network(network: Any, folder: Path) -> None:
    network.save_pretrained(folder)
    settings = {"do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 255}
    (folder / PREPROCESSOR).write_text(json.dumps(settings))


def make_target(spec: TargetSpec, folder: Path, device: torch.device) -> Target:
    """Return the target of a specification with random weights, which are left in `folder`.

    Raises:
        NotFoundError: not one of `FULL_SIZE`.
    """
    torch.manual_seed(SEED)
    _save(spec.id, folder)
    return load_target(spec, folder, device)


def open_target(spec: TargetSpec, folder: Path, device: torch.device) -> Target:
    """Return the target of a specification as embedded in the package, else as `make_target` makes it."""
    if spec.source.path:
        return load_target(spec, spec.source.directory(), device)
    return make_target(spec, folder, device)


def make_judge(source: Source, folder: Path, device: torch.device) -> LabelProbabilities:
    """Return a suite's judge: the embedded one, or a ConvNeXt-B with random weights, which are left in `folder`.

    Raises:
        NotFoundError: it is neither.
    """
    if source.path:
        return load_judge(source.directory(), device)
    if source.repo_id != JUDGE:
        raise did_you_mean("judge of published size", str(source.repo_id), [JUDGE])
    torch.manual_seed(SEED)
    _save_network(hf.ConvNextForImageClassification(hf.ConvNextConfig(**CONVNEXT)), folder)
    return load_judge(folder, device)


def make_perceptual(device: torch.device) -> PerceptualNetwork:
    """Return the network of LPIPS with random weights."""
    torch.manual_seed(SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package calls torchvision in a way that is deprecated there
        model = lpips.LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False)
    return PerceptualNetwork(model.eval().requires_grad_(False).to(device))


@torch.no_grad()
def make_inverse(target: Target) -> Inverse:
    """Return the `modular` inverse of a target after the package's recipe, random and frozen, ready to evaluate."""
    shape = load_recipe("modular", target.spec).shape(target.spec.family)
    torch.manual_seed(SEED)
    config = describe_inverse(target, "modular", shape, target_sha256="0" * 64)
    with target.device:
        inverse = build_inverse(config)
    inverse.eval().requires_grad_(False).to(target.device)
    fold_batch_norms(inverse)
    return inverse


class EnlargedImages(ImageSet):
    """The images of another set at any size: enlarged, as photographs of that size are not at hand everywhere."""

    def __init__(self, images: ImageSet, size: tuple[int, int]) -> None:
        self._images, self._size, self.ids = images, size, images.ids

    def load(self, index: int, size: tuple[int, int]) -> Sample:
        """See ImageSet."""
        sample = self._images.load(index, self._size)
        height, width = size
        image = Image.fromarray(sample.image).resize((width, height), Image.Resampling.BICUBIC)
        mask = Image.fromarray(sample.focal_mask).resize((width, height), Image.Resampling.NEAREST)
        return Sample(sample.id, np.array(image), np.array(mask), group=sample.group)

    def files(self) -> dict[str, Path]:
        """See ImageSet."""
        return self._images.files()
