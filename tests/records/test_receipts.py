"""Trust follows from receipts, and a receipt says nothing of any record but the one that it names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch
from forge import SMALL, World, edit_json, make_world, reseal

from benchmark.engine.rescore import compare_reruns, make_receipt
from benchmark.errors import IntegrityError, SpecError, UserError
from benchmark.records.history import supersede
from benchmark.records.receipts import (
    Difference,
    Receipt,
    check_receipt,
    list_receipts,
    load_receipts,
    trust_of,
    write_receipt,
)
from benchmark.records.record import Record, load_record

AUTHORS = ("A. Author", "Zoë Ünlü")
SAME = Difference(compared=10, equal=9, largest=1e-7, beyond=0, unmatched=0)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture
def place(world: World, tmp_path: Path) -> Path:
    return world.write(tmp_path)


@pytest.fixture
def record(place: Path) -> Record:
    return load_record(place)


Make = Callable[..., Receipt]


@pytest.fixture
def make(world: World, record: Record, cpu: torch.device) -> Make:
    """Return a function that makes a receipt of the record in which everything agrees."""

    def _make(kind: Any = "reproduced", by: str = "B. Reader", **changes: Any) -> Receipt:
        differences = dict.fromkeys(world.suite.metrics, SAME)
        receipt = make_receipt(kind, record, differences, cpu, by, record.images)
        return receipt.model_copy(update=changes)

    return _make


def test_without_receipts_a_record_is_self_reported(record: Record) -> None:
    assert trust_of(record, [], AUTHORS) == "self-reported"


def test_trust_follows_from_what_was_done_and_by_whom(record: Record, make: Make) -> None:
    assert trust_of(record, [make("rescored")], AUTHORS) == "rescored"
    assert trust_of(record, [make("rescored", "A. Author")], AUTHORS) == "rescored"
    assert trust_of(record, [make("reproduced")], AUTHORS) == "reproduced"
    assert trust_of(record, [make("rescored"), make("reproduced")], AUTHORS) == "reproduced"


@pytest.mark.parametrize("name", ["A. Author", "a. author", "ZOË ünlü", "A.Author", "A Auth0r", "Zoe Unlu"])
def test_an_authors_own_rerun_reproduces_nothing(record: Record, make: Make, name: str) -> None:
    assert trust_of(record, [make("reproduced", name)], AUTHORS) == "self-reported"
    assert trust_of(record, [make("rescored"), make("reproduced", name)], AUTHORS) == "rescored"


def test_a_rerun_of_some_images_reproduces_nothing(record: Record, make: Make) -> None:
    assert trust_of(record, [make(images=record.images - 1)], AUTHORS) == "self-reported"


@pytest.mark.parametrize("change", [{"beyond": 1}, {"unmatched": 1}, {"compared": 0}])
@pytest.mark.parametrize("kind", ["rescored", "reproduced"])
def test_receipts_that_disagree_or_compare_nothing_give_no_trust(
    world: World, record: Record, make: Make, kind: str, change: dict[str, int]
) -> None:
    differences = dict.fromkeys(world.suite.metrics, SAME)
    spoiled = dict.fromkeys(differences, SAME.model_copy(update=change))
    receipt = make(kind, differences=spoiled if "compared" in change else differences | {"ssim": spoiled["ssim"]})
    assert not receipt.agrees
    assert trust_of(record, [receipt], AUTHORS) == "self-reported"


def test_receipts_survive_the_file(place: Path, record: Record, make: Make) -> None:
    paths = [write_receipt(place, make("rescored")), write_receipt(place, make("reproduced"))]
    assert list_receipts(place) == sorted(paths)
    found = load_receipts(place, record)
    assert {receipt.kind for receipt in found} == {"rescored", "reproduced"}
    assert all(receipt.digest == receipt.content_digest() for receipt in found)
    assert trust_of(record, found, AUTHORS) == "reproduced"
    assert all(
        path.name == f"{r.kind}-{r.digest[:12]}.json" for path, r in zip(list_receipts(place), found, strict=True)
    )


def test_a_real_comparison_gives_a_receipt_that_loads(
    world: World, place: Path, record: Record, cpu: torch.device
) -> None:
    differences = compare_reruns(world.suite, world.scores, world.scores)
    write_receipt(
        place, make_receipt("reproduced", record, differences, cpu, "B. Reader", record.images, record.digest)
    )
    assert trust_of(record, load_receipts(place, record), AUTHORS) == "reproduced"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("by", "C. Reader"), ("kind", "rescored"), ("date", "2020-01-01"), ("images", 1), ("rerun_digest", "1" * 64),
        ("record_digest", "1" * 64), ("submission", "other"), ("suite", "coco@1"), ("lock_digest", "1" * 64),
        ("digest", "1" * 64), ("digest", ""),
    ],
)  # fmt: skip
def test_an_edited_receipt_is_refused(place: Path, record: Record, make: Make, field: str, value: object) -> None:
    path = write_receipt(place, make())
    edit_json(path, lambda content: content.update({field: value}))
    with pytest.raises(IntegrityError, match="the digest does not match") as caught:
        load_receipts(place, record)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("name", ["beyond", "unmatched", "equal", "largest"])
def test_an_edited_difference_is_refused(place: Path, record: Record, make: Make, name: str) -> None:
    path = write_receipt(place, make())
    edit_json(path, lambda content: content["differences"]["ssim"].update({name: 3}))
    with pytest.raises(IntegrityError, match="the digest does not match"):
        load_receipts(place, record)


FOREIGN: list[tuple[dict[str, Any], str]] = [
    ({"record_digest": "1" * 64}, "is of record 1111"),
    ({"submission": "other"}, "of 'other'"),
    ({"suite": "coco@1"}, "is of record"),
    ({"suite_digest": "1" * 64}, "is of record"),
    ({"lock_digest": "1" * 64}, "is of record"),
    ({"differences": {"ssim": SAME}}, "other metrics or images"),
    ({"images": 1000}, "other metrics or images"),
]


@pytest.mark.parametrize(
    ("change", "message"), FOREIGN, ids=lambda value: "".join(value) if isinstance(value, dict) else ""
)
def test_a_receipt_of_something_else_is_refused_although_sealed(
    place: Path, record: Record, make: Make, change: dict[str, Any], message: str
) -> None:
    path = write_receipt(place, make(**change))
    with pytest.raises(IntegrityError, match=message) as caught:
        load_receipts(place, record)
    assert caught.value.where == str(path)


@pytest.mark.parametrize(
    "change", [{"equal": 11}, {"largest": 0.5}, {"largest": 0.5, "compared": 0}], ids=["equal", "largest", "nothing"]
)
def test_a_receipt_that_contradicts_itself_is_refused(
    world: World, place: Path, record: Record, make: Make, change: dict[str, Any]
) -> None:
    differences = dict.fromkeys(world.suite.metrics, SAME) | {"ssim": SAME.model_copy(update=change)}
    receipt = make(differences=differences)
    sealed = receipt.model_copy(update={"digest": receipt.content_digest()})
    with pytest.raises(IntegrityError, match=r"'differences\.ssim': contradicts itself"):
        check_receipt(sealed, record, "here")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"images": 0}, "images"), ({"kind": "trusted"}, "kind"), ({"by": "B. Reader\u202e"}, "by"),
        ({"by": ""}, "by"), ({"more": 1}, "more"), ({"differences": {}}, "differences"), ({"date": "never"}, "date"),
        ({"environment": {}}, "environment"), ({"record_digest": "abc"}, "record_digest"),
    ],
)  # fmt: skip
def test_what_is_no_receipt_names_its_field(
    place: Path, record: Record, make: Make, change: dict[str, Any], field: str
) -> None:
    path = write_receipt(place, make())
    edit_json(path, lambda content: content.update(change))
    with pytest.raises(SpecError, match=f"field '{field}") as caught:
        load_receipts(place, record)
    assert caught.value.where == str(path)
    if field == "images":
        assert caught.value.cure == "how many images were compared", "what the model says below the field"


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"by": NaN}', '{"a":' * 5000, "\x00"])
def test_what_is_not_json_is_refused(place: Path, record: Record, text: str) -> None:
    (place / "receipts").mkdir()
    (place / "receipts" / "rescored-000000000000.json").write_text(text)
    with pytest.raises(UserError, match=r"rescored-000000000000\.json: (field|not valid JSON|is nested)"):
        load_receipts(place, record)


def test_a_receipt_is_of_no_later_record(world: World, tmp_path: Path, place: Path, record: Record, make: Make) -> None:
    receipt = write_receipt(place, make())
    text, folder = receipt.read_text(), tmp_path / SMALL
    newer = load_record(world.write(tmp_path / "elsewhere"))
    reseal(tmp_path / "elsewhere" / SMALL / "records" / record.suite, lambda c: c["submission"].update(title="9.9"))
    newer = load_record(tmp_path / "elsewhere" / SMALL / "records" / record.suite)
    old = supersede(folder, record.suite, "A better one.", newer.digest, date(2025, 1, 2))
    assert not list_receipts(place)
    assert trust_of(record, load_receipts(old, load_record(old)), AUTHORS) == "reproduced"
    for name in ("record.json", "scores.parquet", "audit.parquet"):
        (tmp_path / "elsewhere" / SMALL / "records" / record.suite / name).rename(place / name)
    assert trust_of(newer, load_receipts(place, newer), AUTHORS) == "self-reported"
    (place / "receipts").mkdir()
    (place / "receipts" / receipt.name).write_text(text)
    with pytest.raises(IntegrityError, match=f"not of {newer.digest[:16]}"):
        load_receipts(place, newer)
    assert trust_of(newer, load_receipts(old, load_record(old)), AUTHORS) == "self-reported"
