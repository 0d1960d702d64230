"""LPIPS: the distance of two images in the features of a network that was trained on photographs.

The metric and its five linear heads are those of the `lpips` package; the convolutions of AlexNet are read from a
safetensors file. Trunk and heads are used only if their content is the published one.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from benchmark.errors import IntegrityError, SpecError
from benchmark.metrics.case import Case, View
from benchmark.metrics.detail import luma

__all__ = [
    "ALEXNET_SHA256", "HEADS_SHA256", "TRUNK", "PerceptualNetwork", "check_trunk", "load_perceptual", "lpips_alex",
]  # fmt: skip

MIN_SIDE_PX = 31
EPSILON = 1e-10
TRUNK = tuple(f"features.{layer}.{part}" for layer in (0, 3, 6, 8, 10) for part in ("weight", "bias"))
ALEXNET_SHA256 = "6248e51b3e244a59b8ef56682be9d53ade3b8039edd97ef22d12a2a194d9e8c9"
HEADS_SHA256 = "0f7095288a61dbc9c51837810daf5354769fc3804213778850faa784c843ad21"


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of names, shapes and float32 values, whatever file they came from."""
    hasher = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name].detach().to("cpu", torch.float32).contiguous()
        hasher.update(f"{name}:{tuple(values.shape)};".encode())
        hasher.update(values.numpy().astype("<f4").tobytes())
    return hasher.hexdigest()


def check_trunk(tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Return the convolutions among `tensors`, after comparing their content with the published AlexNet.

    Raises:
        IntegrityError: a tensor is missing, or the content is another.
    """
    if missing := [name for name in TRUNK if name not in tensors]:
        raise IntegrityError(
            f"no tensor '{missing[0]}'", where=where, cure="give torchvision's AlexNet (IMAGENET1K_V1)"
        )
    trunk = {name: tensors[name] for name in TRUNK}
    if _digest(trunk) != ALEXNET_SHA256:
        raise IntegrityError(
            "not the weights of torchvision's AlexNet (IMAGENET1K_V1)", where=where, cure="run: invbench data lpips"
        )
    return trunk


class PerceptualNetwork:
    """The features and heads of LPIPS v0.1 with AlexNet, on one device."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the five feature maps (N, C, h, w) of RGB in [0, 1], of unit length along C."""
        maps = self._model.net(self._model.scaling_layer(images * 2 - 1))
        return [x / (x.square().sum(1, keepdim=True).sqrt() + EPSILON) for x in maps]

    def distance(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """Return LPIPS (N,) of two images from their features."""
        terms = [
            head((a - b).square()).mean((1, 2, 3)) for head, a, b in zip(self._model.lins, first, second, strict=True)
        ]
        return torch.stack(terms).sum(0)


def load_perceptual(path: Path, device: torch.device) -> PerceptualNetwork:
    """Load the network of `lpips_alex`, frozen, from a safetensors file with AlexNet's convolutions.

    Raises:
        SpecError: no such file.
        IntegrityError: the file is damaged, or trunk or heads are not the published ones.
    """
    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise SpecError("no such file", where=str(path), cure="run: invbench data lpips") from None
    except SafetensorError as error:
        raise IntegrityError(
            f"not a safetensors file: {error}", where=str(path), cure="run: invbench data lpips"
        ) from None
    trunk = check_trunk(tensors, str(path))
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # The package calls torchvision in a way that is deprecated there.
        warnings.simplefilter("ignore")
        import lpips

        model = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    for name in TRUNK:
        # The package keeps the layers in five slices, under the numbers that they have in AlexNet.
        _, layer, part = name.split(".")
        module = next(m for n, m in model.net.named_modules() if n.split(".")[-1] == layer)
        getattr(module, part).data.copy_(trunk[name])
    if _digest(model.lins.state_dict()) != HEADS_SHA256:
        raise IntegrityError(
            "its heads are not those of LPIPS v0.1", where="package 'lpips'", cure="install lpips 0.1.4"
        )
    return PerceptualNetwork(model.eval().requires_grad_(False).to(device))


def _luma_features(view: View, network: PerceptualNetwork) -> list[Tensor]:
    return network.features(view.get(luma)[:, None].expand(-1, 3, -1, -1))


def lpips_alex(case: Case) -> Tensor:
    """Return LPIPS of luma, (N,) >= 0; lower is better.

    Zhang, Isola, Efros, Shechtman and Wang 2018: v0.1, AlexNet, on luma replicated to 3 channels and scaled to [-1, 1].
    NaN where the network is absent or the shorter side under 31 pixels.
    """
    network = case.networks.perceptual
    if network is None or min(case.recon.rgb.shape[-2:]) < MIN_SIDE_PX:
        return case.not_scored()
    first, second = (view.get(_luma_features, network) for view in (case.seen, case.recon))
    return network.distance(first, second)
