"""A record beside those of others: copies, the same weights with other scores, and images that others score. (T13)"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from forge import SMALL, TARGET, World, make_world, put, reseal, write_tables

from benchmark.errors import IntegrityError
from benchmark.records.record import Record, load_record
from benchmark.records.scores import ScoreArrays, scores_to_table
from benchmark.submissions.peers import check_compared_layers, check_scored_images, iter_shared


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


def enter(world: World, root: Path, scores: list[ScoreArrays], change: Any = None) -> Record:
    """Enter a record of these scores under another id, with everything stated that follows."""
    place = world.write(root, "mine")
    write_tables(place, scores=scores_to_table(world.suite, scores))
    record = load_record_anyhow(place).model_copy(update={**world.summarized(scores), "layers": {}})
    (place / "record.json").write_text(record.model_dump_json())
    reseal(place, change)
    return load_record(place)


def load_record_anyhow(place: Path) -> Record:
    return Record.model_validate_json((place / "record.json").read_bytes())


def shared(record: Record, root: Path) -> list[str]:
    return list(iter_shared(record, root, "record.json"))


def test_the_same_weights_and_scores_are_told(world: World, root: Path) -> None:
    assert shared(enter(world, root, world.scores), root) == [f"same weights and scores as '{SMALL}'"]


def test_the_same_weights_and_audit_images_with_other_scores_are_refused(world: World, root: Path) -> None:
    record = enter(world, root, raised(world, 0.3))
    with pytest.raises(IntegrityError, match=f"same weights and audit images as '{SMALL}', but other scores"):
        shared(record, root)


OTHER_AUDIT = put("audit_sha256", "f" * 64)


@pytest.mark.parametrize("by", [0.3, 3e-4])
def test_the_same_weights_with_higher_scores_are_refused(world: World, root: Path, by: float) -> None:
    record = enter(world, root, raised(world, by), OTHER_AUDIT)
    with pytest.raises(IntegrityError, match=f"same weights for '{TARGET}' as '{SMALL}', but other scores: 'frc' is"):
        shared(record, root)


def test_the_same_weights_on_another_machine_are_told(world: World, root: Path) -> None:
    record = enter(world, root, raised(world, 1e-5), OTHER_AUDIT)
    assert shared(record, root) == [f"same weights for {TARGET} as '{SMALL}'"]


def test_other_weights_share_nothing(world: World, root: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        OTHER_AUDIT(content)
        content["inverses"][TARGET]["files"]["model.safetensors"] = "f" * 64

    assert shared(enter(world, root, raised(world, 0.3), change), root) == []


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
