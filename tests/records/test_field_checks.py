"""Every field of a record is in the table of checks, once; when it is forged, the check that the table names finds it.

A forgery states all hashes and digests anew. What nobody finds, the table calls stated by the author.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from forge import IMAGES, SMALL, TARGET, World, at, make_world, reseal, title_of, write_tables
from pydantic import ValidationError

from benchmark.content.content import Content
from benchmark.engine.rescore import compare_reruns, rescore
from benchmark.errors import IntegrityError, UserError
from benchmark.files.paths import checkout
from benchmark.metrics.layers import normalized_transfer, summarize_transfer
from benchmark.records.columns import AUDIT_SCHEMA, SCORE_SCHEMA
from benchmark.records.field_checks import (
    FIELD_CHECKS,
    check_fields,
    compare_fields,
    is_stated,
    list_fields,
    render_field_checks,
)
from benchmark.records.plain import check_plain
from benchmark.records.record import Record, load_record
from benchmark.submissions.origins import check_origins
from benchmark.submissions.submission import load_submission_folder

COLUMNS = (
    *(f"scores.parquet.{name}" for name in SCORE_SCHEMA.names),
    *(f"audit.parquet.{name}" for name in AUDIT_SCHEMA.names),
)
EXPECTED = {field: group.check for group in FIELD_CHECKS for field in group.fields}


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def honest(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An honest submission; tests must not write to it."""
    return world.write(tmp_path_factory.mktemp("honest"))


@pytest.fixture
def place(honest: Path, tmp_path: Path) -> Path:
    """The folder of the record of a copy of the honest submission."""
    shutil.copytree(honest.parents[1], tmp_path / SMALL)
    return tmp_path / SMALL / "records" / honest.name


def test_every_field_is_in_the_table_once() -> None:
    listed = Counter(field for group in FIELD_CHECKS for field in group.fields)
    assert set(listed) == {*list_fields(), *COLUMNS}
    assert set(listed.values()) == {1}
    assert len(list_fields()) > 75


def test_the_docs_show_the_table() -> None:
    page = checkout()
    assert page is not None
    assert render_field_checks() in (page / "docs" / "submitting.md").read_text(encoding="utf-8")


def test_what_no_check_finds_is_stated() -> None:
    assert all(group.stated for group in FIELD_CHECKS if group.check is None)
    assert is_stated("run.wall_s") and is_stated("inverses.*.training.*") and not is_stated("score.value")
    with pytest.raises(KeyError):
        is_stated("run.mood")


def forge_transfer(content: dict[str, Any]) -> None:
    """Claim that an inverse reads another tap better, and state all that follows."""
    stage = content["layers"][TARGET][0]
    stage["transfer"][0][1] = round(stage["transfer"][0][1] + 0.01, 6)
    normalized = normalized_transfer(torch.tensor(stage["transfer"], dtype=torch.float64).numpy())
    stage["normalized"] = [[round(float(value), 6) for value in row] for row in normalized]
    for name, value in summarize_transfer(normalized)._asdict().items():
        stage[name] = None if value is None else round(value, 6)


def forge_cka(content: dict[str, Any]) -> None:
    stage = content["layers"][TARGET][0]
    stage["cka"][0][1] = stage["cka"][1][0] = 0.95


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        holder, last = at(content, path)
        holder[last] = value

    return change


OWN: dict[str, Callable[[dict[str, Any]], None]] = {
    "suite": put("suite", "coco@1"),
    "status": put("status", "complete"),
    "precision": put("precision", "bfloat16"),
    "compiled": put("compiled", True),
    "inverses.*.repo_id": put(f"inverses/{TARGET}/repo_id", "me/mine"),
    "inverses.*.revision": put(f"inverses/{TARGET}/revision", "a" * 40),
    "cells.*.target": put("cells/0/target", "mini-swin"),
    "cells.*.perturbation": put("cells/0/perturbation", "gray"),
    "cells.*.unscored.*": put("cells/0/unscored", {"tired": 1}),
    "layers.*.*.stage": put(f"layers/{TARGET}/0/stage", "decoder"),
    "layers.*.*.taps.*": put(f"layers/{TARGET}/0/taps/0", "encoder.5"),
    "layers.*.*.half_distance": put(f"layers/{TARGET}/0/half_distance", 0.4),
    "layers.*.*.transfer.*.*": forge_transfer,
    "layers.*.*.cka.*.*": forge_cka,
    "run.started": put("run/started", "2026-11-24T00:00:00Z"),
    "run.isolation.*": put("run/isolation", ["everything"]),
    "run.micro_batch.*": put("run/micro_batch", {TARGET: 1}),
    "run.stages_s.*": put("run/stages_s", {TARGET: 1.5}),
    "run.keys.*": put("run/keys", {TARGET: "e" * 64}),
}  # fmt: skip
"""Forgeries that another value of the same kind would not be: a forger who knows how."""


def other(value: Any) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return round(value + 0.1, 6)
    return "f" * len(value) if len(value) in (40, 64) else f"{value}x"


def places(value: Any, path: tuple[str, ...]) -> list[str]:
    """Return where in a record a path with `*` leads to a value."""
    if not path:
        return [] if value is None else [""]
    if not isinstance(value, dict | list):
        return []
    names = list(value) if isinstance(value, dict) else [str(index) for index in range(len(value))]
    chosen = names if path[0] == "*" else [name for name in names if name == path[0]]
    return [
        f"{name}/{rest}".removesuffix("/")
        for name in chosen
        for rest in places(value[name] if isinstance(value, dict) else value[int(name)], path[1:])
    ]


def forge(folder: Path, field: str) -> None:
    """Change a field of `record.json`, and state every hash and digest anew but one that is the field itself."""
    path = folder / "record.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change = OWN.get(field)
    if change is None:
        where = places(content, tuple(field.split(".")))[0]
        holder, last = at(content, where)
        change = put(where, other(holder[last]))
    if field in ("digest", "run_sha256"):
        change(content)
        path.write_text(json.dumps(content), encoding="utf-8")
        return
    try:
        reseal(folder, change)
    except ValidationError:
        change(content)
        path.write_text(json.dumps(content), encoding="utf-8")


def found_by(world: World, folder: Path) -> str | None:
    """Return which check finds that something is wrong, in their order; see `validate` and `verify`."""
    rerun = world.record.model_copy(
        update={"submission": world.record.submission.model_copy(update={"id": SMALL, "title": title_of(SMALL)})}
    )
    try:
        record, submission = load_record(folder), folder.parents[1]
        stated, _ = world.check(folder)
        check_plain(world.suite, folder, record)
        check_origins(load_submission_folder(submission), submission, record, str(folder / "record.json"))
    except UserError:
        return "validate"
    differences = compare_reruns(world.suite, stated, world.scores).values()
    wrong = compare_fields(record, rerun) or not all(difference.agrees for difference in differences)
    return "verify" if wrong else None


def test_nothing_is_found_in_the_honest_record(world: World, place: Path) -> None:
    assert found_by(world, place) is None


@pytest.mark.parametrize("field", list_fields())
def test_a_forged_field_is_found_by_the_check_that_the_table_names(world: World, place: Path, field: str) -> None:
    before = (place / "record.json").read_bytes()
    forge(place, field)
    assert (place / "record.json").read_bytes() != before
    assert found_by(world, place) == EXPECTED[field]


@pytest.mark.parametrize("field", [field for field in COLUMNS if field.split(".")[2] not in ("value", "image", "png")])
def test_a_forged_label_of_a_table_is_found_by_validate(world: World, place: Path, field: str) -> None:
    name, _, column = field.split(".")
    rows = pq.read_table(place / f"{name}.parquet").to_pylist()
    rows[1][column] = "something else"
    schema = SCORE_SCHEMA if name == "scores" else AUDIT_SCHEMA
    write_tables(place, **{name: pa.Table.from_pylist(rows, schema=schema)})
    reseal(place)
    assert found_by(world, place) == EXPECTED[field] == "validate"


@pytest.mark.slow
def test_a_forged_picture_is_found_by_rescoring(world: World, place: Path, cpu: torch.device) -> None:
    rows = pq.read_table(place / "audit.parquet").to_pylist()
    recons = [row for row in rows if row["tap"] != "input" and row["image"] == IMAGES[0]]
    recons[0]["png"], recons[-1]["png"] = recons[-1]["png"], recons[0]["png"]
    write_tables(place, audit=pa.Table.from_pylist(rows, schema=AUDIT_SCHEMA))
    reseal(place)
    assert found_by(world, place) is None
    differences = rescore(Content(world.suite, world.lock), world.check(place), cpu)
    assert EXPECTED["audit.parquet.png"] == "rescore" and not all(d.agrees for d in differences.values())


def test_a_rerun_of_fewer_images_compares_no_means_over_images(world: World) -> None:
    changed = json.loads(world.record.model_dump_json())
    changed["targets"][TARGET]["taps"]["encoder.0"]["clamped"] = 0.5
    forge_cka(changed)
    record = Record.model_validate(changed)
    found = compare_fields(record, world.record)
    assert len(found) == 3
    assert found[0] == f"field 'targets.{TARGET}.taps.encoder.0.clamped': is 0.5, and 0.0 in the rerun"
    assert compare_fields(record, world.record.model_copy(update={"images": 4})) == []
    with pytest.raises(IntegrityError, match=r"record\.json: field 'targets\..* in the rerun \(and 2 more\)"):
        check_fields(record, world.record, "record.json")
    check_fields(world.record, world.record, "record.json")


def test_a_comparison_of_layers_that_is_left_out_or_made_up_is_found(world: World) -> None:
    bare = world.record.model_copy(update={"layers": {}})
    for first, second in ((bare, world.record), (world.record, bare)):
        assert any("layers." in words for words in compare_fields(first, second))
