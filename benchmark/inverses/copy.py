"""The ceiling: the input itself."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from benchmark.inverses.base import Inverse
from benchmark.suites.spec import INPUT
from benchmark.targets.taps import Features

__all__ = ["CopyInverse"]


class CopyInverse(Inverse):
    """An oracle that returns what the target saw, whatever the tap."""

    method = "copy"

    def invert(self, features: Mapping[str, Features]) -> dict[str, Tensor]:
        """See Inverse; needs the input under `input`."""
        return {name: features[INPUT].tensor for name in features if name != INPUT}
