"""Trainings that go on from the weights of another inverse, such as a chain whose networks were trained apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import SpecError
from benchmark.files.canonical import sha256_file
from benchmark.inverses.base import Inverse, load_inverse

__all__ = ["FRESH", "Start", "take_over"]

SHARED = ("target", "target_sha256", "input_size", "taps", "grids", "architecture", "sequences")


@dataclass(frozen=True)
class Start:
    """What a training began with.

    Attributes:
        method: of the inverse.
        sha256: of its weights.
        samples: how many images these had seen, as far as its configuration says.
        seconds: how long one device had trained them, likewise.
        device: which one, likewise.
        seed: of their training, likewise.
    """

    method: str = ""
    sha256: str = ""
    samples: int = 0
    seconds: float = 0.0
    device: str = ""
    seed: int | None = None

    def stated(self) -> dict[str, str]:
        """Return what a stored inverse says of it; nothing of fresh weights."""
        return {"start": self.method, "start_sha256": self.sha256} if self.sha256 else {}


FRESH = Start()
"""Weights that nobody trained."""


def take_over(inverse: Inverse, folder: Path) -> Start:
    """Give an inverse the weights and buffers of a stored one.

    Raises:
        SpecError: there is none, or it is of another target or made of other networks; names the field.
        IntegrityError: its file is damaged.
    """
    other = load_inverse(folder, next(inverse.parameters()).device)
    for name in SHARED:
        if getattr(other.config, name) != getattr(inverse.config, name):
            cure = "start with an inverse of this target and of the same networks"
            raise SpecError(f"field '{name}' differs from that of the inverse to be trained",
                            where=str(folder / "config.json"), cure=cure)  # fmt: skip
    own, given = inverse.state_dict(), other.state_dict()
    if differing := sorted(own.keys() ^ given.keys()):
        raise SpecError(f"has other networks: tensor '{differing[0]}'", where=str(folder / "model.safetensors"))
    inverse.load_state_dict(given)
    training = other.config.training
    samples, hours = int(training.get("samples", 0)), float(training.get("device_hours", 0.0))
    sha256, device = sha256_file(folder / "model.safetensors"), str(training.get("device", ""))
    seed = training.get("seed")
    return Start(other.config.method, sha256, samples, hours * 3600, device, seed if isinstance(seed, int) else None)
