"""More than ten thousand generated submissions and records: refused in words, or fine; never anything else. (T17)

Whatever is read, no other exception than one for the user comes out, nothing takes long, nothing
of a submission is run, nothing is written outside of the folder that is written to, and memory stays bounded.
"""

from __future__ import annotations

import io
import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from forge import SMALL, TARGET, World, hash_of_audit, make_world, write_submission, write_tables
from fuzzing import GROWTH_MIB, NAMES, Chance, Sandbox, bomb, change_table, fuzz, planned, refused, toml
from PIL import Image
from pydantic import ValidationError

from benchmark.content.content import Content
from benchmark.engine.rescore import make_receipt, rescore
from benchmark.files.declarations import read_json
from benchmark.records.columns import AUDIT_SCHEMA, SCORE_SCHEMA, table_digest
from benchmark.records.history import check_history
from benchmark.records.receipts import Difference, Receipt, load_receipts, trust_of, write_receipt
from benchmark.records.record import Record, load_record
from benchmark.submissions.ownership import check_change
from benchmark.submissions.review import MAX_REVIEW_BYTES, Review, ReviewFinding
from benchmark.submissions.validate import validate
from leaderboard.comment import render_comment
from leaderboard.data.board import Board
from leaderboard.data.entries import load_entries
from leaderboard.site.build import build_site


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path_factory.mktemp("sandbox"))
    where = Path.cwd()
    os.chdir(sandbox.folder / "cwd")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield sandbox
    os.chdir(where)
    assert sandbox.tree() == sandbox.before, "something was written outside of the submission, or run"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < GROWTH_MIB * 1024


FIELDS: dict[str, Any] = {
    "id": "own", "method": "modular_per_tap", "title": "A title", "description": "What it does.",
    "authors": ["A. Author"], "accounts": ["a-author"],
    "contact": "https://example.org/me", "license": "MIT", "trained_on": "scenes", "suites": ["mini@1"],
    "trust_code": False, "links": {"paper": "https://example.org/"},
    "weights": {
        t: {"path": f"assets/mini/inverses/modular_per_tap/{t}"} for t in ("mini-vit", "mini-swin", "mini-detr")
    },
}  # fmt: skip


def check_submission(sandbox: Sandbox, folder: Path) -> None:
    found = validate(folder) + check_change(folder, sandbox.root / "other", "a-author")
    shown = [ReviewFinding.of(finding, folder) for finding in found]
    assert all(finding.message and finding.where for finding in shown)
    assert all(str(finding) for finding in found)


@fuzz(4600)
def test_submissions(sandbox: Sandbox, chance: Chance) -> None:
    folder = sandbox.fresh()
    fields = chance.mutated(FIELDS)
    text = "".join(f"{json.dumps(str(name))} = {toml(value)}\n" for name, value in fields.items())
    (folder / "submission.toml").write_bytes(text.encode(errors="replace"))
    if chance.random() < 0.3:
        path = folder / chance.choice(NAMES)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.choice([chance.bytes(), b"{}", b"[]", b"PAR1", b"[[events]]"]))
    if chance.random() < 0.3:
        bomb(folder)
    check_submission(sandbox, folder)


@fuzz(2500)
def test_texts(sandbox: Sandbox, chance: Chance) -> None:
    folder = write_submission(sandbox.fresh())
    (folder / chance.choice(["history.toml", "submission.toml"])).write_bytes(chance.bytes())
    bomb(folder)
    check_submission(sandbox, folder)
    with refused():
        check_history(folder)


def write_json(path: Path, content: Any, *, sealed: bool) -> None:
    """Write a record as it is, or sealed if it is one."""
    text = json.dumps(content)
    if sealed:
        with suppress(ValidationError):
            text = Record.model_validate_json(text).sealed().model_dump_json()
    path.write_text(text, encoding="utf-8", errors="replace")


def check_small(world: World, sandbox: Sandbox, place: Path) -> None:
    """Read a record in all ways that need no network."""
    with refused():
        record = load_record(place)
        load_receipts(place, record)
        world.check(place, "own")
    check_change(sandbox.own, sandbox.root / "other", "somebody")
    load_entries(world.suite, world.lock, [sandbox.root], on_unusable=lambda error: None)


@pytest.fixture(scope="module")
def honest(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("honest")
    place = world.write(folder, "own")
    record = load_record(place)
    same = Difference(compared=1, equal=1, largest=0, beyond=0, unmatched=0)
    write_receipt(
        place, make_receipt("rescored", record, dict.fromkeys(world.suite.metrics, same), torch.device("cpu"), "B", 2)
    )
    return place


@pytest.fixture(scope="module")
def content(honest: Path) -> Any:
    return json.loads((honest / "record.json").read_text())


def place_record(sandbox: Sandbox, honest: Path) -> Path:
    folder = write_submission(sandbox.fresh())
    bomb(folder)
    return Path(shutil.copytree(honest, folder / "records" / "mini@1"))


@fuzz(1500)
def test_records(world: World, sandbox: Sandbox, honest: Path, content: Any, chance: Chance) -> None:
    place = place_record(sandbox, honest)
    write_json(place / "record.json", chance.mutated(content, 1), sealed=chance.random() < 0.7)
    check_small(world, sandbox, place)


@fuzz(500)
def test_bytes_of_records(world: World, sandbox: Sandbox, honest: Path, chance: Chance) -> None:
    place = place_record(sandbox, honest)
    for name in ("record.json", "scores.parquet", "audit.parquet"):
        text = bytearray((place / name).read_bytes())
        start = chance.randrange(len(text))
        text[start : start + chance.choice([1, 8, 10**6])] = chance.bytes()[: chance.randrange(9)]
        if chance.random() < 0.7:
            (place / name).write_bytes(text)
    check_small(world, sandbox, place)


@fuzz(500)
def test_receipts(sandbox: Sandbox, honest: Path, chance: Chance) -> None:
    place = place_record(sandbox, honest)
    path = next((place / "receipts").iterdir())
    text = json.dumps(chance.mutated(json.loads(path.read_text()), 1))
    with suppress(ValidationError):
        receipt = Receipt.model_validate_json(text)
        text = receipt.model_copy(update={"digest": receipt.content_digest()}).model_dump_json()
    path.write_text(text, encoding="utf-8", errors="replace")
    record = load_record(place)
    with refused():
        assert trust_of(record, load_receipts(place, record), ["A. Author"]) in {
            "self-reported",
            "rescored",
            "reproduced",
        }


@fuzz(350)
def test_tables(world: World, sandbox: Sandbox, honest: Path, content: Any, chance: Chance) -> None:
    audit = chance.random() < 0.5
    place = place_record(sandbox, honest)
    name, table, schema = ("audit", world.audit, AUDIT_SCHEMA) if audit else ("scores", world.table, SCORE_SCHEMA)
    changed = change_table(table, schema, chance)
    write_tables(place, **{name: changed})
    stated = hash_of_audit(changed) if audit else table_digest(changed)
    write_json(place / "record.json", content | {f"{name}_sha256": stated}, sealed=True)
    check_small(world, sandbox, place)


@fuzz(60)
def test_boards(world: World, sandbox: Sandbox, honest: Path, content: Any, chance: Chance) -> None:
    place = place_record(sandbox, honest)
    start = content | {"status": chance.choice(["complete", "partial"])}
    write_json(place / "record.json", chance.mutated(start), sealed=True)
    entries = load_entries(world.suite, world.lock, [sandbox.root], on_unusable=lambda error: None)
    with refused():
        if entries:
            build_site([Board(world.suite, world.lock, entries)], sandbox.own / "board")


def png(pixels: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@fuzz(12)
def test_rescoring(world: World, sandbox: Sandbox, honest: Path, content: Any, chance: Chance) -> None:
    seed, kind = chance.randrange(2**32), chance.choice(["noise", "flat", "black", "white", "stripes"])
    generator = np.random.default_rng(seed)
    pictures = {
        "noise": generator.integers(0, 256, (96, 96, 3), np.uint8),
        "flat": np.full((96, 96, 3), seed % 256, np.uint8),
        "black": np.zeros((96, 96, 3), np.uint8),
        "white": np.full((96, 96, 3), 255, np.uint8),
        "stripes": np.indices((96, 96, 3))[seed % 2].astype(np.uint8) % 2 * 255,
    }
    rows = world.audit.to_pylist()
    for row in rows:
        if row["tap"] != "input" and generator.random() < 0.5:
            row["png"] = png(pictures[kind])
    place = place_record(sandbox, honest)
    table = pa.Table.from_pylist(rows, schema=AUDIT_SCHEMA)
    write_tables(place, audit=table)
    write_json(place / "record.json", content | {"audit_sha256": hash_of_audit(table)}, sealed=True)
    differences = rescore(Content(world.suite, world.lock), world.check(place, "own"), torch.device("cpu"))
    assert differences.keys() == set(world.suite.metrics)


REVIEW = {
    "submission": "own",
    "findings": [{"severity": "error", "message": "wrong", "where": "record.json", "cure": "mend it"}],
    "suites": [{"suite": "mini@1", "digest": "a" * 64, "status": "complete", "draft": False,
                "axes": {"detail": 0.5, "shape": None}, "rescored": "agrees", "rerun": "not run"}],
}  # fmt: skip


@fuzz(300)
def test_reviews(sandbox: Sandbox, chance: Chance) -> None:
    path = sandbox.fresh() / "review.json"
    content = chance.mutated(REVIEW)
    if chance.random() < 0.9:
        # The table of a suite takes long: it reads all published records.
        content["suites"] = []
    path.write_text(json.dumps(content), encoding="utf-8", errors="replace")
    with refused():
        comment = render_comment(read_json(path, Review, MAX_REVIEW_BYTES), "a" * 40)
        assert comment.startswith("<!-- invbench review -->\n## ")


def test_ten_thousand_are_tried_every_night() -> None:
    assert sum(planned) >= 10_000


def test_the_honest_record_passes(world: World, sandbox: Sandbox, honest: Path) -> None:
    place = place_record(sandbox, honest)
    world.check(place, "own")
    assert pq.read_table(place / "audit.parquet").num_rows == world.audit.num_rows
    assert SMALL != "own"
    assert TARGET in load_record(place).targets
