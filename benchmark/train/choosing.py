"""Which weights of a training are kept: those that were best on validation images, or the last ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from benchmark.errors import UserError
from benchmark.inverses.base import Inverse
from benchmark.targets.base import Target
from benchmark.train.journal import ValidationEntry

__all__ = ["Best", "MakeValidation", "Validation", "refuse"]


@dataclass(frozen=True)
class Validation:
    """When and how a training is validated.

    Attributes:
        every: so many steps, and after the last one.
        measure: the scores of the model as it is, by name, among them `score`, which decides; none where a recon is not
            finite.
        key: JSON values that differ for other images or metrics.
    """

    every: int
    measure: Callable[[], Mapping[str, float]]
    key: Mapping[str, Any]


MakeValidation = Callable[[Target, Inverse, int], Validation]
"""Gives the validation of a training of an inverse every so many steps."""


def refuse(target: Target, inverse: Inverse, every: int) -> Validation:
    """Raise UserError: there is nothing to validate on."""
    cure = "train on more photographs, or give --validate-every 0"
    raise UserError("there are no images to validate on", where="--validate-every", cure=cure)


class Best:
    """The best weights so far; `state_dict` is what a checkpoint keeps of them.

    Attributes:
        entry: what they scored; None as long as nothing was scored.
    """

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        self._model, self._devices = model, [device] if device.type == "cuda" else []
        self.entry: ValidationEntry | None = None
        self._weights: dict[str, Any] = {}

    def look(self, validation: Validation, step: int, seconds: float) -> ValidationEntry | None:
        """Score the model in eval mode, and keep its weights if they are the best; draws nothing that training draws.

        Returns:
            What it scored; None where a recon is not finite.
        """
        modes = {module: module.training for module in self._model.modules()}
        self._model.eval()
        with torch.random.fork_rng(self._devices):
            found = dict(validation.measure())
        for module, training in modes.items():
            module.training = training
        if not found:
            return None
        entry = ValidationEntry(step, seconds, found.pop("score"), found)
        if self.entry is None or entry.score > self.entry.score:
            self.entry = entry
            state = self._model.state_dict()
            self._weights = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in state.items()}
        return entry

    def restore(self) -> None:
        """Give the model its best weights; without any scored ones it keeps what it has."""
        if self.entry:
            self._model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """Entry and weights."""
        return {"entry": self.entry._asdict() if self.entry else None, "weights": self._weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` returned."""
        self.entry = ValidationEntry(**state["entry"]) if state["entry"] else None
        self._weights = state["weights"]
