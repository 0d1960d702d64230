"""Ridge regression from the features of a tap to the image, in closed form from streamed normal equations.

Spatial taps: from a token and its neighbours to the pixels of its patch, the same map everywhere.
Taps without a grid (decoder queries, predictions): from all features to a coarse image, enlarged bilinearly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.inverses.base import Inverse
from benchmark.inverses.spec import InverseConfig
from benchmark.targets.taps import Features

__all__ = ["Moments", "RidgeInverse"]

PENALTIES = tuple(10.0**k for k in range(-6, 3))
VALIDATION_EVERY = 8


class Moments:
    """Sums of outer products of inputs (with a constant) and outputs, added up in float64."""

    def __init__(self, inputs: int, outputs: int) -> None:
        self.xx = torch.zeros(inputs + 1, inputs + 1, dtype=torch.float64)
        self.xy = torch.zeros(inputs + 1, outputs, dtype=torch.float64)
        self.yy = 0.0
        self.count = 0

    def add(self, x: Tensor, y: Tensor) -> None:
        x = F.pad(x, (0, 1), value=1.0)
        self.xx += (x.T @ x).cpu().double()
        self.xy += (x.T @ y).cpu().double()
        self.yy += float((y.cpu().double() ** 2).sum())
        self.count += x.shape[0]

    def solve(self, penalty: float) -> Tensor:
        """Return (inputs + 1, outputs); the penalty is relative to the mean variance and spares the constant."""
        diagonal = torch.full((self.xx.shape[0],), penalty * float(self.xx.diagonal()[:-1].mean()))
        diagonal[-1] = 0
        return torch.linalg.solve(self.xx + torch.diag(diagonal.double()), self.xy)

    def squared_error(self, weights: Tensor) -> float:
        """Return the summed squared error of `weights` on the data of these moments."""
        return self.yy - 2 * float((weights * self.xy).sum()) + float((weights * (self.xx @ weights)).sum())


class RidgeInverse(Inverse):
    """One linear map a tap; `architecture` holds `kernel` (neighbourhood side) and `coarse` (coarse image side)."""

    method = "ridge"

    def __init__(self, config: InverseConfig) -> None:
        super().__init__(config)
        self.maps = nn.ModuleDict({self._key(name): nn.Linear(*self._sizes(name)) for name in config.taps})

    @staticmethod
    def _key(tap: str) -> str:
        return tap.replace(".", "_")

    def _kernel(self, tap: str) -> int:
        """Side of the neighbourhood: single tokens where the grid is coarse and tokens are long."""
        return self.config.architecture["kernel"] if min(self.config.grids[tap]) >= 8 else 1

    def _sizes(self, tap: str) -> tuple[int, int]:
        shape = self.config.taps[tap]
        height, width = self.config.input_size
        if tap not in self.config.grids:
            return shape[0] * shape[1], 3 * self.config.architecture["coarse"] ** 2
        rows, columns = self.config.grids[tap]
        channels = shape[0] if len(shape) == 3 else shape[1]
        return channels * self._kernel(tap) ** 2, 3 * (height // rows) * (width // columns)

    def _inputs(self, tap: str, features: Tensor) -> Tensor:
        """Return the regressors: (N * cells, inputs) for spatial taps, (N, inputs) for the others."""
        if tap not in self.config.grids:
            return features.flatten(1)
        rows, columns = self.config.grids[tap]
        if features.ndim == 3:
            features = features[:, -rows * columns :].transpose(1, 2).unflatten(2, (rows, columns))
        kernel = self._kernel(tap)
        padded = F.pad(features, (kernel // 2,) * 4, mode="replicate") if kernel > 1 else features
        return F.unfold(padded, kernel).transpose(1, 2).flatten(0, 1)

    def _outputs(self, tap: str, images: Tensor) -> Tensor:
        """Return the regressands that belong to `_inputs`."""
        if tap not in self.config.grids:
            return F.adaptive_avg_pool2d(images, self.config.architecture["coarse"]).flatten(1)
        rows, columns = self.config.grids[tap]
        patch = (images.shape[2] // rows, images.shape[3] // columns)
        return F.unfold(images, patch, stride=patch).transpose(1, 2).flatten(0, 1)

    def _images(self, tap: str, outputs: Tensor, count: int) -> Tensor:
        height, width = self.config.input_size
        if tap not in self.config.grids:
            side = self.config.architecture["coarse"]
            coarse = outputs.view(count, 3, side, side)
            return F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
        rows, columns = self.config.grids[tap]
        patch = (height // rows, width // columns)
        return F.fold(outputs.view(count, rows * columns, -1).transpose(1, 2), (height, width), patch, stride=patch)

    def invert(self, features: Mapping[str, Features]) -> dict[str, Tensor]:
        """See Inverse."""
        recons = {}
        for tap, item in features.items():
            outputs = self.maps[self._key(tap)](self._inputs(tap, item.tensor))
            recons[tap] = self._images(tap, outputs, item.tensor.shape[0])
        return recons

    def fit(self, batches: Iterable[tuple[Tensor, Mapping[str, Features]]]) -> dict[str, float]:
        """Solve for the weights from a stream of images (N, 3, H, W) and their features.

        Memory does not grow with the stream. Every eighth batch is held out; the penalty of each tap is the
        one of nine powers of ten with the least held-out error.

        Returns:
            The chosen penalty by tap.
        """
        fitted = {tap: Moments(*self._sizes(tap)) for tap in self.config.taps}
        held_out = {tap: Moments(*self._sizes(tap)) for tap in self.config.taps}
        for index, (images, features) in enumerate(batches):
            moments = held_out if index % VALIDATION_EVERY == VALIDATION_EVERY - 1 else fitted
            for tap, item in features.items():
                moments[tap].add(self._inputs(tap, item.tensor), self._outputs(tap, images))
        chosen = {}
        for tap, moments_of_tap in fitted.items():
            solutions = {penalty: moments_of_tap.solve(penalty) for penalty in PENALTIES}
            chosen[tap] = min(solutions, key=lambda penalty: held_out[tap].squared_error(solutions[penalty]))
            *slopes, offset = solutions[chosen[tap]]
            linear = {"weight": torch.stack(slopes, dim=1), "bias": offset}
            self.maps[self._key(tap)].load_state_dict(linear)
        return chosen
