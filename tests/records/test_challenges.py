"""What a challenge states follows from its record and its beacon, and gives trust to no other record."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from memorizing import BEACON, cut_record
from pydantic import TypeAdapter

from benchmark.engine.rescore import make_receipt
from benchmark.errors import IntegrityError, SpecError
from benchmark.records.challenges import LEAST_IMAGES, Beacon, Challenge, Contrast, challenge_seed
from benchmark.records.receipts import Difference, Receipt, check_receipt, load_receipts, trust_of, write_receipt
from benchmark.records.record import Record
from benchmark.suites.catalog import load_suite

AUTHORS = ("A. Author",)
SAME = Difference(compared=10, equal=9, largest=1e-7, beyond=0, unmatched=0)


@cache
def record() -> Record:
    return cut_record("ridge", load_suite("mini@1"))[0]


def passing() -> Challenge:
    contrasts = {
        name: {
            axis: Contrast(
                frozen=score.value or 0.0, fresh=round((score.value or 0.0) - 0.01, 6), difference=0.01, critical=0.05,
                p_value=0.4,
            )
            for axis, score in target.axes.items()
        }
        for name, target in record().targets.items()
    }  # fmt: skip
    seed = challenge_seed(record().digest, BEACON)
    return Challenge(beacon=BEACON, seed=seed, images_sha256="1" * 64, contrasts=contrasts)


def change(name: str, **changes: float) -> Challenge:
    found = passing()
    ((target, axes),) = found.contrasts.items()
    spoiled = {**axes, name: axes[name].model_copy(update=changes)}  # type: ignore[index]
    return found.model_copy(update={"contrasts": {target: spoiled}})


def make(found: Challenge | None = None, by: str = "B. Reader", images: int = LEAST_IMAGES, **changes: Any) -> Receipt:
    cpu = torch.device("cpu")
    receipt = make_receipt("challenged", record(), {}, cpu, by, images, challenge=found or passing())
    return receipt.model_copy(update=changes)


def reproduced(by: str = "B. Reader") -> Receipt:
    metrics = {cell.metric for cell in record().cells}
    return make_receipt("reproduced", record(), dict.fromkeys(metrics, SAME), torch.device("cpu"), by, record().images)


FAILING = {"p_value": 0.0005, "critical": 0.005}


def test_a_seed_belongs_to_one_record_and_one_beacon() -> None:
    seeds = {challenge_seed(digest, beacon) for digest in ("0" * 64, "1" * 64) for beacon in (BEACON, BEACON[::-1])}
    assert len(seeds) == 4
    assert challenge_seed("0" * 64, "0" * 64) == "03186bfdb4494a2666b2f608039fabd322d5fbb04d6b58805bd195757cc439e5"


@pytest.mark.parametrize("beacon", ["0" * 64, "0" * 128, "drand default round 4612345: " + "a" * 64])
def test_what_public_beacons_give_is_a_beacon(beacon: str) -> None:
    assert TypeAdapter[str](Beacon).validate_python(beacon) == beacon


def test_trust_needs_a_rerun_and_a_challenge_by_others_on_enough_images() -> None:
    assert trust_of(record(), [make()], AUTHORS) == "self-reported"
    assert trust_of(record(), [make(), reproduced()], AUTHORS) == "challenged"
    assert trust_of(record(), [reproduced()], AUTHORS) == "reproduced"
    for receipt in (
        make(images=LEAST_IMAGES - 1),
        make(by="a. author"),
        make(change("shape", **FAILING)),
        make(record_digest="1" * 64),
    ):
        assert trust_of(record(), [receipt, reproduced()], AUTHORS) == "reproduced"
    assert trust_of(record(), [make(), reproduced("A. Author")], AUTHORS) == "self-reported"


def test_one_axis_that_falls_fails_the_whole() -> None:
    assert make().agrees
    assert not make(change("detail", **FAILING)).agrees


def test_a_receipt_of_a_challenge_survives_the_file(tmp_path: Path) -> None:
    path = write_receipt(tmp_path, make())
    assert path.name.startswith("challenged-")
    (found,) = load_receipts(tmp_path, record())
    assert found.challenge == passing()
    assert found.digest == found.content_digest()


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (lambda: passing().model_copy(update={"beacon": BEACON[::-1]}), "does not follow from record and beacon"),
        (lambda: passing().model_copy(update={"seed": "2" * 64}), "does not follow from record and beacon"),
        (lambda: passing().model_copy(update={"contrasts": {"mini-vit": {}}}), "other axes or targets"),
        (lambda: change("shape", frozen=0.9, fresh=0.89), "'frozen' is not what the record states"),
        (lambda: change("shape", fresh=0.1), "contradicts itself"),
        (lambda: change("color", critical=0.001), "contradicts itself"),
        (lambda: change("detail", p_value=0.0001), "contradicts itself"),
    ],
    ids=["beacon", "seed", "targets", "frozen", "fresh", "critical", "p"],
)
def test_a_challenge_of_something_else_is_refused_although_sealed(found: Callable[[], Challenge], message: str) -> None:
    receipt = make(found())
    with pytest.raises(IntegrityError, match=message):
        check_receipt(receipt.model_copy(update={"digest": receipt.content_digest()}), record(), "here")


def test_a_receipt_is_of_one_kind(tmp_path: Path) -> None:
    for receipt, field in (
        (make(kind="reproduced"), "differences"),
        (make(challenge=None), "challenge"),
        (reproduced().model_copy(update={"kind": "challenged"}), "differences"),
        (reproduced().model_copy(update={"challenge": passing()}), "challenge"),
    ):
        path = write_receipt(tmp_path, receipt)
        with pytest.raises(SpecError, match=f"field '{field}"):
            load_receipts(tmp_path, record())
        path.unlink()
