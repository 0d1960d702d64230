"""Receipts: what someone found who checked a record, and the trust that follows. Torch-free.

A receipt lies in `receipts/` beside the record whose digest it names, and says nothing about any other.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from benchmark.errors import IntegrityError, NotFoundError
from benchmark.files.canonical import digest_of, readable_json
from benchmark.files.declarations import Frozen, read_json, unset
from benchmark.files.fields import Count, Id, Line, Sha256
from benchmark.files.looks import skeleton
from benchmark.files.storing import write_text
from benchmark.metrics.spec import get_metric
from benchmark.records.challenges import LEAST_IMAGES, Challenge, check_challenge
from benchmark.records.record import Record

__all__ = [
    "RECEIPTS", "ROUNDING", "Difference", "Environment", "Receipt", "Trust", "check_receipt", "list_receipts",
    "load_receipts", "trust_of", "write_receipt",
]  # fmt: skip

RECEIPTS = "receipts"
ROUNDING = 5e-5
"""How far, relative to max(1, |value|), the same pixels may be scored apart on two CPUs: float32 rounding alone."""

Gap = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Trust = Literal["self-reported", "rescored", "reproduced", "challenged"]


class Difference(Frozen):
    """How far one metric is apart in two evaluations."""

    compared: Count
    """values that both have."""
    equal: Count
    """compared values that are equal bit by bit."""
    largest: Gap
    """the largest difference, in the metric's unit."""
    beyond: Count
    """values farther apart than allowed."""
    bias: Gap = 0.0
    """the largest signed mean difference over images, of a tap or of all taps of a target under one perturbation, in
    the metric's unit."""
    biased: Count = 0
    """targets with a signed mean difference larger than allowed."""
    unmatched: Count
    """values that only one of the two has, or lacks for another reason."""

    @property
    def agrees(self) -> bool:
        """Whether nothing is farther apart than allowed, or in one of the two only."""
        return self.beyond == 0 and self.unmatched == 0 and self.biased == 0


class Environment(Frozen):
    """Where a check ran."""

    device: Line
    device_name: Line
    python: Line
    packages: dict[str, Line] = Field(max_length=64)


class Receipt(Frozen):
    """What a check of one record found."""

    schema_version: Literal[1] = 1
    kind: Literal["rescored", "reproduced", "challenged"]
    """`rescored`: its audit images scored again; `reproduced`: the whole evaluation run again; `challenged`: run on
    images that were drawn after the record was made."""
    submission: Id
    suite: str = Field(max_length=80)
    suite_digest: Sha256
    lock_digest: Sha256
    record_digest: Sha256
    rerun_digest: Sha256 | None = None
    """digest of the record that the rerun gave; None for `rescored`."""
    by: Line
    """who checked."""
    date: datetime.date
    environment: Environment
    images: Annotated[int, Field(gt=0, le=10**12)]
    """how many images were compared."""
    isolation: Annotated[tuple[Line, ...], Field(max_length=8)] | None = Field(default=None, exclude_if=unset)
    """what the worker was kept from that reran the inverse; None: it ran in the process that scored it."""
    differences: dict[Id, Difference] = Field(max_length=256)
    """by metric; none where fresh images were drawn."""
    challenge: Challenge | None = Field(default=None, validate_default=True, exclude_if=unset)
    """what fresh images gave; none where those of the record were compared."""
    digest: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """SHA-256 of all other fields."""

    @field_validator("differences", "challenge")
    @classmethod
    def _of_its_kind(cls, value: object, info: ValidationInfo) -> object:
        wanted = (info.data.get("kind") == "challenged") == (info.field_name == "challenge")
        if bool(value) != wanted:
            raise ValueError(f"{'is needed' if wanted else 'has no place'} in this kind of receipt")
        return value

    def content_digest(self) -> str:
        """Return the SHA-256 of all fields but the digest itself."""
        return digest_of(self.model_dump(mode="json", exclude={"digest"}))

    @property
    def agrees(self) -> bool:
        """Whether nothing is farther apart than allowed, and something was compared at all."""
        if self.challenge:
            return self.challenge.agrees
        differences = self.differences.values()
        return all(difference.agrees for difference in differences) and any(
            difference.compared for difference in differences
        )


def write_receipt(folder: Path, receipt: Receipt) -> Path:
    """Seal a receipt and write it to `receipts/` in a record's `folder`; return its path."""
    receipt = receipt.model_copy(update={"digest": receipt.content_digest()})
    path = folder / RECEIPTS / f"{receipt.kind}-{receipt.digest[:12]}.json"
    write_text(path, readable_json(receipt))
    return path


def check_receipt(receipt: Receipt, record: Record, where: str) -> None:
    """Check that a receipt is whole and of this very record.

    Raises:
        IntegrityError: it was changed, is of another record, or tells of metrics or images that the record has not.
    """
    if receipt.content_digest() != receipt.digest:
        raise IntegrityError("the digest does not match the content", where=where, cure="check the record again")
    names = ("suite", "suite_digest", "lock_digest")
    if (
        receipt.record_digest != record.digest
        or receipt.submission != record.submission.id
        or any(getattr(receipt, name) != getattr(record, name) for name in names)
    ):
        message = f"is of record {receipt.record_digest[:16]} of '{receipt.submission}', not of {record.digest[:16]}"
        raise IntegrityError(message, where=where, cure="remove it, or check this record: invbench verify")
    if receipt.challenge:
        check_challenge(receipt.challenge, record, where)
        return
    metrics = {cell.metric for cell in record.cells}
    if receipt.differences.keys() != metrics or receipt.images > record.images:
        raise IntegrityError("compares other metrics or images than the record has", where=where)
    for name, difference in receipt.differences.items():
        try:
            allowed = get_metric(name).tolerance
        except NotFoundError as error:
            raise IntegrityError(error.message, where=where) from None
        if difference.equal > difference.compared or (difference.largest > allowed and not difference.beyond):
            raise IntegrityError(f"field 'differences.{name}': contradicts itself", where=where)


def list_receipts(folder: Path) -> list[Path]:
    """Return the files of the receipts beside a record."""
    return sorted((folder / RECEIPTS).glob("*.json"))


def load_receipts(folder: Path, record: Record) -> list[Receipt]:
    """Read the receipts beside a record.

    Raises:
        SpecError: a file is no receipt; names the field.
        IntegrityError: see `check_receipt`.
    """
    receipts = []
    for path in list_receipts(folder):
        receipt = read_json(path, Receipt)
        check_receipt(receipt, record, str(path))
        receipts.append(receipt)
    return receipts


def trust_of(record: Record, receipts: Sequence[Receipt], authors: Sequence[str]) -> Trust:
    """Return the trust that the receipts of a record give it; a name that looks like an author's is taken for it.

    `challenged`: it is reproduced, and someone who is no author found that it does as well on fresh images, enough of
    them; `reproduced`: someone who is no author ran the whole evaluation again and found it within the tolerances;
    `rescored`: the audit images were scored again and gave the record's scores.
    """
    good = [receipt for receipt in receipts if receipt.record_digest == record.digest and receipt.agrees]
    names = set(map(skeleton, authors))
    others = [receipt for receipt in good if skeleton(receipt.by) not in names]
    if any(receipt.kind == "reproduced" and receipt.images == record.images for receipt in others):
        challenged = any(receipt.kind == "challenged" and receipt.images >= LEAST_IMAGES for receipt in others)
        return "challenged" if challenged else "reproduced"
    return "rescored" if any(receipt.kind == "rescored" for receipt in good) else "self-reported"
