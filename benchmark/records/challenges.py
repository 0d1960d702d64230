"""Challenges: what a method scored on images that were drawn after its record was made. Torch-free."""

from __future__ import annotations

import hashlib
from typing import Annotated

from pydantic import AfterValidator, Field

from benchmark.errors import IntegrityError
from benchmark.files.declarations import Frozen
from benchmark.files.fields import Amount, Id, Sha256, Text
from benchmark.records.record import Record
from benchmark.records.two_samples import DRAWS, LEVEL
from benchmark.suites.spec import Axis

__all__ = ["LEAST_IMAGES", "Beacon", "Challenge", "Contrast", "challenge_seed", "check_challenge"]

LEAST_IMAGES = 32
"""With fewer fresh images a challenge gives no trust: it would hardly find anybody out."""
_LABEL = "invbench challenge 1"
_ROUNDING = 2e-6
"""How far numbers of six decimals that belong together may be apart."""

_LEAST_BEACON = 32


def _check_beacon(value: str) -> str:
    if value != value.strip():
        raise ValueError("begins or ends with a space")
    if len(value) < _LEAST_BEACON:
        raise ValueError(f"is shorter than {_LEAST_BEACON} characters")
    return value


Beacon = Annotated[Text, AfterValidator(_check_beacon), Field(json_schema_extra={"minLength": _LEAST_BEACON})]
"""A public random value as text."""


class Contrast(Frozen):
    """The score of one axis on one target, on the images of the suite and on fresh ones."""

    frozen: Amount
    """the record's."""
    fresh: Amount
    """on the fresh images."""
    difference: Amount
    """the first less the second."""
    critical: Amount
    """the largest difference that is taken for chance, among all axes and targets."""
    p_value: float = Field(ge=1 / DRAWS, le=1)
    """how often chance alone gives a difference as extreme, in any axis and target."""

    @property
    def agrees(self) -> bool:
        """Whether the difference may be chance."""
        return self.p_value > LEVEL


class Challenge(Frozen):
    """What was drawn, and what it gave."""

    beacon: Beacon
    """a public random value that was not known when the record was made; nobody can check that here."""
    seed: Sha256
    """SHA-256 of what this is for, the record's digest and the beacon, a line each: it draws the images."""
    images_sha256: Sha256
    """of the fresh images: their pixels, masks and groups."""
    contrasts: dict[Id, dict[Axis, Contrast]] = Field(min_length=1, max_length=256)
    """by target and axis."""

    @property
    def agrees(self) -> bool:
        """Whether the differences of all axes and targets may be chance."""
        return all(contrast.agrees for axes in self.contrasts.values() for contrast in axes.values())


def challenge_seed(record_digest: str, beacon: str) -> str:
    """Return what draws the fresh images of a challenge, 64 hex digits: new for every record and every beacon."""
    return hashlib.sha256(f"{_LABEL}\n{record_digest}\n{beacon}".encode()).hexdigest()


def check_challenge(challenge: Challenge, record: Record, where: str) -> None:
    """Check what a challenge states against its record, and against itself.

    Raises:
        IntegrityError: its seed is another, it compares other axes or targets than the record has or other scores than
            the record states, or it contradicts itself.
    """
    if challenge.seed != challenge_seed(record.digest, challenge.beacon):
        raise IntegrityError("field 'challenge.seed': does not follow from record and beacon", where=where)
    stated = {name: {axis: score.value for axis, score in t.axes.items()} for name, t in record.targets.items()}
    if {name: axes.keys() for name, axes in challenge.contrasts.items()} != {n: a.keys() for n, a in stated.items()}:
        raise IntegrityError("compares other axes or targets than the record has", where=where)
    for name, axes in challenge.contrasts.items():
        for axis, contrast in axes.items():
            field, score = f"field 'challenge.contrasts.{name}.{axis}'", stated[name][axis]
            if score is None or abs(contrast.frozen - score) > _ROUNDING:
                raise IntegrityError(f"{field}: 'frozen' is not what the record states", where=where)
            gap, beyond = contrast.frozen - contrast.fresh, contrast.difference - contrast.critical
            if abs(contrast.difference - gap) > _ROUNDING or (
                abs(beyond) > _ROUNDING and (beyond < 0) != contrast.agrees
            ):
                raise IntegrityError(f"{field}: contradicts itself", where=where)
