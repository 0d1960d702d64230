"""A record beside those of others: copies, the same weights with other scores, and images that others score. (T13)"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from forge import SMALL, TARGET, World, make_world, put, reseal, write_tables
from PIL import Image

from benchmark.errors import IntegrityError
from benchmark.records.columns import AUDIT_SCHEMA
from benchmark.records.record import Record, load_record
from benchmark.records.scores import ScoreArrays, scores_to_table
from benchmark.submissions.peers import check_compared_layers, check_scored_images, find_near_copies
from benchmark.suites.spec import INPUT


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture
def root(world: World, tmp_path: Path) -> Path:
    """A folder with one submission."""
    world.write(tmp_path)
    return tmp_path


def raised(world: World, by: float, images: slice = slice(2, None)) -> list[ScoreArrays]:
    """Return the scores with every frc of the images outside the audit set raised."""
    (item,) = world.scores
    values = item.values.copy()
    values[images, :, :, world.suite.metrics.index("frc")] += by
    return [replace(item, values=values)]


def enter(world: World, root: Path, scores: list[ScoreArrays], change: Any = None, name: str = "mine") -> Record:
    """Enter a record of these scores under another id, with everything stated that follows."""
    place = world.write(root, name)
    write_tables(place, scores=scores_to_table(world.suite, scores))
    record = load_record_anyhow(place).model_copy(update={**world.summarized(scores), "layers": {}})
    (place / "record.json").write_text(record.model_dump_json())
    reseal(place, change)
    return load_record(place)


def load_record_anyhow(place: Path) -> Record:
    return Record.model_validate_json((place / "record.json").read_bytes())


def check(world: World, record: Record, root: Path) -> list[str]:
    return find_near_copies(world.suite, record, root / "mine" / "records" / world.suite.id, root, "record.json")


OTHER_AUDIT = put("audit_sha256", "f" * 64)


def other_weights(content: dict[str, Any]) -> None:
    OTHER_AUDIT(content)
    content["inverses"][TARGET]["files"]["model.safetensors"] = "f" * 64


@pytest.mark.parametrize("by", [0, 0.3])
def test_the_weights_of_another_under_a_new_id_are_refused(world: World, root: Path, by: float) -> None:
    """T13."""
    record = enter(world, root, raised(world, by))
    with pytest.raises(IntegrityError, match=rf"record.json: its weights for {TARGET} are those of '{SMALL}' \(enter"):
        check(world, record, root)


def test_other_words_in_a_configuration_do_not_make_weights_ones_own(world: World, root: Path) -> None:
    change = put(f"inverses/{TARGET}/files/config.json", "e" * 64)
    with pytest.raises(IntegrityError, match="its weights for"):
        check(world, enter(world, root, world.scores, change), root)


def test_the_scores_of_another_are_refused(world: World, root: Path) -> None:
    with pytest.raises(IntegrityError, match=f"its scores are those of '{SMALL}'"):
        check(world, enter(world, root, world.scores, other_weights), root)


def test_scores_as_near_as_those_of_two_machines_are_refused(world: World, root: Path) -> None:
    with pytest.raises(IntegrityError, match=f"its scores on {TARGET} are those of '{SMALL}'"):
        check(world, enter(world, root, raised(world, 1e-5), other_weights), root)


def repainted(world: World, change: Callable[[Any], Any], level: int = 9) -> pa.Table:
    """The audit images with other recons, and every PNG encoded anew."""

    def encode(png: bytes, tap: str) -> bytes:
        pixels = np.asarray(Image.open(io.BytesIO(png)))
        buffer = io.BytesIO()
        painted = pixels if tap == INPUT else change(pixels.astype(np.int16)).clip(0, 255).astype(np.uint8)
        Image.fromarray(painted).save(buffer, "PNG", compress_level=level)
        return buffer.getvalue()

    rows = [row | {"png": encode(row["png"], row["tap"])} for row in world.audit.to_pylist()]
    return pa.Table.from_pylist(rows, schema=AUDIT_SCHEMA)


def stain(pixels: Any) -> Any:
    pixels[:2, :2] += 40
    return pixels


@pytest.mark.parametrize(
    ("change", "copied"),
    [(lambda p: p, True), (stain, True), (lambda p: p + (p % 32 == 0), True), (lambda p: p + 1, False)],
    ids=["encoded anew", "a stain", "a rounding", "noise"],
)
def test_recons_are_compared_by_their_pixels(world: World, root: Path, change: Any, copied: bool) -> None:
    """T13."""
    place = root / "mine" / "records" / world.suite.id
    enter(world, root, raised(world, 0.3))
    write_tables(place, audit=repainted(world, change))
    reseal(place, put(f"inverses/{TARGET}/files/model.safetensors", "f" * 64))
    record = load_record(place)
    if not copied:
        assert check(world, record, root) == [f"its recons of {TARGET} are nearly those of '{SMALL}'"]
        return
    with pytest.raises(IntegrityError, match=f"its (recons of {TARGET}|scores) are those of '{SMALL}'"):
        check(world, record, root)


def test_whoever_returns_the_image_itself_copies_nobody(world: World, root: Path) -> None:
    seen = {(row["image"], row["perturbation"]): row["png"] for row in world.audit.to_pylist() if row["tap"] == INPUT}
    rows = [row | {"png": seen[row["image"], row["perturbation"]]} for row in world.audit.to_pylist()]
    enter(world, root, raised(world, 0.3))
    few = len(world.suite.perturbations) + 1  # the inputs, and one recon that differs
    for name, own in ((SMALL, world.audit), ("mine", repainted(world, lambda p: 255 - p))):
        place = root / name / "records" / world.suite.id
        table = pa.Table.from_pylist([*own.to_pylist()[:few], *rows[few:]], schema=AUDIT_SCHEMA)
        write_tables(place, audit=table)
        reseal(place, put(f"inverses/{TARGET}/files/model.safetensors", f"{len(name)}" * 64))
    assert check(world, load_record(root / "mine" / "records" / world.suite.id), root) == []


def test_the_superseded_record_of_another_is_no_ones_either(world: World, root: Path) -> None:
    record = enter(world, root, world.scores)
    place = root / SMALL / "records" / world.suite.id
    enter(world, root, raised(world, 0.2), name=SMALL)
    write_tables(place, audit=repainted(world, lambda p: 255 - p))
    reseal(place, put(f"inverses/{TARGET}/files/model.safetensors", "e" * 64))
    assert check(world, record, root) == []
    shutil.copytree(root / "mine" / "records" / world.suite.id, place / "superseded" / "0123456789abcdef")
    with pytest.raises(IntegrityError, match=f"its weights for {TARGET} are those of '{SMALL}'"):
        check(world, record, root)


def test_weights_of_another_are_known_on_every_suite(world: World, root: Path) -> None:
    record = enter(world, root, raised(world, 0.3), other_weights)
    place = root / SMALL / "records" / world.suite.id
    elsewhere = place.rename(place.with_name("other@1"))
    reseal(elsewhere, put("suite", "other@1"))
    assert check(world, record, root) == []
    reseal(elsewhere, other_weights)
    with pytest.raises(IntegrityError, match="its weights for"):
        check(world, record, root)


def test_a_method_of_ones_own_shares_nothing(world: World, root: Path) -> None:
    place = root / "mine" / "records" / world.suite.id
    enter(world, root, raised(world, 0.3))
    write_tables(place, audit=repainted(world, lambda p: 255 - p))
    reseal(place, put(f"inverses/{TARGET}/files/model.safetensors", "f" * 64))
    assert check(world, load_record(place), root) == []


def test_an_image_that_others_score_is_not_left_out(world: World, root: Path) -> None:
    (item,) = world.scores
    frc = world.suite.metrics.index("frc")
    reasons = item.reasons.copy()
    reasons[3, :, :, frc][reasons[3, :, :, frc] == 0] = 2 + frc
    record = enter(world, root, world.scores)
    check_scored_images(world.suite, record, world.scores, root, "scores.parquet")
    with pytest.raises(IntegrityError, match=f"is scored at no tap, unlike in the record of '{SMALL}'"):
        check_scored_images(world.suite, record, [replace(item, reasons=reasons)], root, "scores.parquet")


def test_the_layers_that_others_compare_are_compared(world: World, root: Path) -> None:
    world.write(root, "honest")
    check_compared_layers(load_record(root / "honest" / "records" / world.suite.id), root, "record.json")
    record = enter(world, root, world.scores)
    assert not record.layers
    with pytest.raises(IntegrityError, match=rf"record.json: field 'layers.{TARGET}': compares other taps than"):
        check_compared_layers(record, root, "record.json")
    untrained = record.inverses[TARGET].model_copy(update={"files": {}})
    check_compared_layers(record.model_copy(update={"inverses": {TARGET: untrained}}), root, "record.json")
