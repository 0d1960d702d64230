"""Inverses without weights: for every image and tap a descent to an image whose features are those that were given."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

from benchmark.inverses.base import Inverse
from benchmark.targets.base import Target
from benchmark.targets.taps import Features

__all__ = ["DescentInverse", "feature_errors"]

FLOOR = 0.01


def feature_errors(found: Tensor, wanted: Tensor) -> Tensor:
    """Return the squared error of features (N, tokens, channels) or (N, channels, h, w), (N,).

    Each channel counts alike: its error is divided by its variance over the places of the features wanted, to which a
    hundredth of the mean variance is added. In networks of published size single channels are hundreds of times larger
    than all others and would decide alone.
    """
    places = (2, 3) if wanted.ndim == 4 else (1,)
    variance = wanted.var(places, keepdim=True, correction=0)
    floor = FLOOR * variance.flatten(1).mean(1).clamp(min=1e-12)
    errors = (found - wanted).square() / (variance + floor.view(-1, *[1] * (wanted.ndim - 1)))
    return errors.flatten(1).mean(1)


class DescentInverse(Inverse):
    """Minimizes `feature_errors` and a prior by Adam, for a fixed number of steps, down half a cosine to a rate of 0.

    What an image is made of is the subclass's: tensors with a row for each image, which start from the generators of
    image and tap. No row touches another, so that images and taps can share a batch: on a CPU, where deep taps would
    slow down shallow ones, the images of a tap do; elsewhere all taps.

    Attributes:
        steps: of each descent.
        rate: the highest learning rate.
    """

    needs_target = True
    steps: ClassVar[int]
    rate: ClassVar[float]

    @abstractmethod
    def start(self, generators: Sequence[torch.Generator]) -> list[Tensor]:
        """Return the tensors that are optimized, each with a row for every generator, on the CPU."""

    @abstractmethod
    def draw(self, parts: Sequence[Tensor]) -> Tensor:
        """Return the images (N, 3, H, W) that such tensors stand for."""

    def prior(self, images: Tensor) -> Tensor:
        """Return what is added to the feature error of each image, (N,)."""
        return images.new_zeros(len(images))

    def invert(self, features: Mapping[str, Features]) -> dict[str, Tensor]:
        """See Inverse."""
        device = next(iter(features.values())).tensor.device
        groups = [(tap,) for tap in features] if device.type == "cpu" else [tuple(features)]
        recons: dict[str, Tensor] = {}
        for taps in groups:
            recons |= self._descend({tap: features[tap] for tap in taps})
        return recons

    def objective(self, images: Tensor, features: Mapping[str, Features], target: Target) -> Tensor:
        """Return what is minimized for each image (taps * N,): N images of the first tap, then of the next."""
        found = target.features(images, list(features))
        sizes = [len(item.tensor) for item in features.values()]
        errors = [
            feature_errors(found[tap].tensor.split(sizes)[place], item.tensor)
            for place, (tap, item) in enumerate(features.items())
        ]
        return torch.cat(errors) + self.prior(images)

    @torch.enable_grad()
    def _descend(self, features: Mapping[str, Features]) -> dict[str, Tensor]:
        assert self.target is not None
        items = list(features.values())
        generators = [generator for item in items for generator in item.generators()]
        parts = [part.to(items[0].tensor.device).requires_grad_() for part in self.start(generators)]
        optimizer = Adam(parts, lr=self.rate)
        rates = CosineAnnealingLR(optimizer, self.steps)
        for _ in range(self.steps):
            optimizer.zero_grad()
            self.objective(self.draw(parts), features, self.target).sum().backward()
            optimizer.step()
            rates.step()
        images = self.draw(parts).detach()
        return dict(zip(features, images.split([len(item.tensor) for item in items]), strict=True))
