"""What inverses made of a chain of networks are trained for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.errors import SpecError
from benchmark.inverses.base import Inverse
from benchmark.inverses.chain import IMAGE, ChainedInverse
from benchmark.targets.base import Target

__all__ = ["ChainLoss", "ComponentLoss", "ImageLoss", "JointLoss", "Loss", "octave_errors"]

TRUE_SHARE = 1 / 3
IMAGE_WEIGHT = 10.0
OCTAVE_WEIGHT, OCTAVES = 3.0, 4


class Loss(nn.Module):
    """A function of training images; what is random in it is drawn from a generator that a checkpoint keeps."""

    def __init__(self, inverse: Inverse, target: Target, seed: int) -> None:
        super().__init__()
        self.inverse = inverse
        self._target = target
        self._generator = torch.Generator().manual_seed(seed)

    def get_extra_state(self) -> Tensor:
        """State of the generator."""
        return self._generator.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        """Take up what `get_extra_state` returned."""
        self._generator.set_state(state.cpu())


def _truths(inverse: ChainedInverse, target: Target, images: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
    """Return what every link should be given, by its name, with the image itself, and the position encodings."""
    links = inverse.links.values()
    with torch.no_grad():
        features = target.features(images, [link.tap for link in links])
    truth = {link.name: inverse.standardize(link.tap, features[link.tap].tensor) for link in links}
    return truth | {IMAGE: images}, next(iter(features.values())).position


class ComponentLoss(Loss):
    """The sum over links of the mean squared error at recovering what came before, each from its tap's true features.

    No link sees what another recovers: the components' inverses are trained apart (arXiv 2412.06534).
    """

    inverse: ChainedInverse

    def forward(self, images: Tensor) -> Tensor:
        """Return the loss of images (N, 3, H, W)."""
        truth, position = _truths(self.inverse, self._target, images)
        errors = [
            F.mse_loss(self.inverse.step(name, truth[name], position), truth[link.before])
            for name, link in self.inverse.links.items()
        ]
        return torch.stack(errors).sum()


class ImageLoss(Loss):
    """The sum over taps of the mean squared error of the recon: every network of an inverse is trained to the image."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the loss of images (N, 3, H, W)."""
        with torch.no_grad():
            features = self._target.features(images)
        recons = self.inverse.invert(features)
        self._check(recons, list(features), images.shape)
        return torch.stack([F.mse_loss(recon, images) for recon in recons.values()]).sum()

    def _check(self, recons: object, taps: Sequence[str], shape: torch.Size) -> None:
        """Raise SpecError unless there is a recon of the images' shape for every tap, through which gradients flow."""
        where = f"inverse '{self.inverse.config.method}'"
        if not isinstance(recons, Mapping) or set(recons) != set(taps):
            raise SpecError("does not return a mapping with exactly the taps that it is given", where=where)
        for tap, recon in recons.items():
            if not isinstance(recon, Tensor) or recon.shape != shape:
                found = tuple(recon.shape) if isinstance(recon, Tensor) else type(recon).__name__
                raise SpecError(f"returns {found} at tap '{tap}', not {tuple(shape)}", where=where)
            if not recon.requires_grad:
                raise SpecError(f"no gradient flows through the recon of tap '{tap}'", where=where)


class ChainLoss(Loss):
    """The sum over modules of the error at recovering their component's input.

    Every sample starts a chain at a tap drawn for it: modules above that tap see true features, those below
    see what the module above them recovered (without gradient), so that they learn to live with its errors.
    A third of the samples see true features throughout.
    """

    inverse: ChainedInverse

    def __init__(self, inverse: ChainedInverse, target: Target, seed: int) -> None:
        super().__init__(inverse, target, seed)
        self._depth = {name: i for i, name in enumerate(inverse.links)}

    def forward(self, images: Tensor) -> Tensor:
        """Return the loss of images (N, 3, H, W)."""
        inverse, count = self.inverse, images.shape[0]
        truth, position = _truths(inverse, self._target, images)
        start = torch.randint(0, len(inverse.links), (count,), generator=self._generator)
        start[torch.rand(count, generator=self._generator) < TRUE_SHARE] = 0
        start = start.to(images.device)
        chained = dict(truth)
        total = torch.zeros((), device=images.device)
        for name, link in reversed(inverse.links.items()):
            recovered = inverse.step(name, chained[name], position)
            if link.before == IMAGE:
                total = total + self.image_error(recovered, images)
                continue
            total = total + F.mse_loss(recovered, truth[link.before])
            below = (start > self._depth[link.before]) & (start >= self._depth[name])
            below = below.view(-1, *[1] * (recovered.ndim - 1))
            chained[link.before] = torch.where(below, self.hand_on(recovered), chained[link.before])
        return total

    def image_error(self, recons: Tensor, images: Tensor) -> Tensor:
        """Return the error of recons (N, 3, H, W)."""
        return IMAGE_WEIGHT * F.mse_loss(recons, images)

    def hand_on(self, recovered: Tensor) -> Tensor:
        """Return what the next module sees of the features that one recovered."""
        return recovered.detach()


def octave_errors(recons: Tensor, images: Tensor) -> Tensor:
    """Return the squared error of recons (N, 3, H, W) in each octave of a Laplacian pyramid over its variance, (4,).

    The sums go over all images (Burt and Adelson 1983: a level is what halving and enlarging loses).
    """
    errors = []
    for _ in range(OCTAVES):
        found, wanted = (
            level - F.interpolate(F.avg_pool2d(level, 2), size=level.shape[2:], mode="bilinear", align_corners=False)
            for level in (recons, images)
        )
        errors.append(F.mse_loss(found, wanted) / wanted.square().mean().clamp(min=1e-8))
        recons, images = F.avg_pool2d(recons, 2), F.avg_pool2d(images, 2)
    return torch.stack(errors)


class JointLoss(ChainLoss):
    """As ChainLoss, but gradients flow down the whole chain: every module learns what the image needs of it.

    To the squared error of the image comes that of each octave over its variance, so that fine structure, of which
    images have little, counts as much as coarse.
    """

    def image_error(self, recons: Tensor, images: Tensor) -> Tensor:
        """See ChainLoss."""
        return super().image_error(recons, images) + OCTAVE_WEIGHT * octave_errors(recons, images).mean()

    def hand_on(self, recovered: Tensor) -> Tensor:
        """See ChainLoss."""
        return recovered
