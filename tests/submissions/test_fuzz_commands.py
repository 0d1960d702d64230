"""Minutes of mutants for `validate`, `rescore` and `board build`, of which a third must get past the schema.

Each is a whole submission that somebody who knows the rules has spoiled: its record is sealed again, its tables hash to
what it states. It is refused in words or fine; nothing takes long, and nothing of it is run. The seconds are those of
INVBENCH_FUZZ_SECONDS; the mutants follow from their numbers, so that any of them can be had again.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from forge import TARGET, World, hash_of_audit, make_world, write_submission, write_tables
from fuzzing import CPU_SECONDS, Chance, Sandbox, bomb, change_table, refused
from pydantic import ValidationError

from benchmark.content.content import Content
from benchmark.engine.rescore import rescore
from benchmark.records.columns import AUDIT_SCHEMA, SCORE_SCHEMA, table_digest
from benchmark.records.record import Record, load_record
from benchmark.submissions.ownership import check_change
from benchmark.submissions.validate import validate
from leaderboard.data.board import Board
from leaderboard.data.entries import load_entries
from leaderboard.site.build import build_site

BOARD_EVERY = 25
LEAST = 1 / 3


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path)
    yield sandbox
    assert sandbox.tree() == sandbox.before, "something was written outside of the submission, or run"


def leaves(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key of a JSON value below which lies no other container."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, dict | list):
            yield from leaves(value)
        else:
            yield node, key


def nudge(content: Any, chance: Chance) -> Any:
    """Change a few values of a record into others of their kind, so that its schema may well still hold."""
    content = json.loads(json.dumps(content))
    places = list(leaves(content))
    for node, key in chance.sample(places, chance.randint(1, 4)):
        value = node[key]
        others = [other[k] for other, k in places if type(other[k]) is type(value)]
        if isinstance(value, float):
            node[key] = chance.choice((value + 1e-7, value * (1 + 1e-4), 1 - value, -value, chance.choice(others)))
        else:
            node[key] = chance.choice(others)
    return content


def seal(content: Any) -> str:
    """The record as its own digest states it; as it is, where it is no record."""
    text = json.dumps(content)
    with suppress(ValidationError, ValueError):
        text = Record.model_validate_json(text).sealed().model_dump_json()
    return text


def spoil(world: World, place: Path, content: Any, chance: Chance) -> None:
    """Write one mutant over an honest record."""
    kind = chance.choices(("value", "structure", "scores", "audit", "bytes"), (4, 2, 3, 2, 1))[0]
    if kind == "value":
        content = nudge(content, chance)
    elif kind == "structure":
        content = chance.mutated(content, 1)
    elif kind in ("scores", "audit"):
        table, schema = (world.table, SCORE_SCHEMA) if kind == "scores" else (world.audit, AUDIT_SCHEMA)
        changed: pa.Table = change_table(table, schema, chance)
        write_tables(place, **{kind: changed})
        stated = hash_of_audit(changed) if kind == "audit" else table_digest(changed)
        content = (nudge(content, chance) if chance.random() < 0.5 else content) | {f"{kind}_sha256": stated}
    else:
        path = place / chance.choice(("record.json", "scores.parquet", "audit.parquet"))
        text = bytearray(path.read_bytes())
        text[chance.randrange(len(text))] ^= 1 << chance.randrange(8)
        path.write_bytes(text)
        return
    (place / "record.json").write_text(seal(content), encoding="utf-8", errors="replace")


def place_record(sandbox: Sandbox, honest: Path) -> Path:
    weights = f'{{ {TARGET} = {{ path = "assets/mini/inverses/modular_per_tap/{TARGET}" }} }}'
    folder = write_submission(sandbox.fresh(), weights=weights)
    return Path(shutil.copytree(honest, folder / "records" / "mini@1"))


def try_mutant(world: World, sandbox: Sandbox, honest: Path, number: int) -> str:
    """Try one mutant in all three ways; how far it got."""
    chance = Chance(number)
    place, folder = place_record(sandbox, honest), sandbox.own
    bomb(folder)
    spoil(world, place, json.loads((honest / "record.json").read_text()), chance)
    found = validate(folder, sandbox.root) + check_change(folder, sandbox.root / "other")
    assert all(finding.message and "\n" not in str(finding) for finding in found)
    got = "refused by the schema"
    with refused():
        load_record(place)
        got = "past the schema"
        checked = world.check(place, "own")
        got = "checked"
        rescore(Content(world.suite, world.lock), checked, torch.device("cpu"))
        got = "rescored"
    if number % BOARD_EVERY == 0:
        entries = load_entries(world.suite, world.lock, [sandbox.root], on_unusable=lambda error: None)
        with refused():
            build_site([Board(world.suite, world.lock, entries)], sandbox.own / "board")
    return got


def fuzz_for(seconds: float, start: int, world: World, sandbox: Sandbox, folder: Path) -> Counter[str]:
    honest, found = world.write(folder, "own"), Counter[str]()
    end, number = time.monotonic() + seconds, start
    while time.monotonic() < end or not found:
        begun = time.process_time()
        try:
            found[try_mutant(world, sandbox, honest, number)] += 1
        except Exception as error:
            pytest.fail(f"mutant {number}: {type(error).__name__}: {error}")
        assert time.process_time() - begun < CPU_SECONDS, f"mutant {number}"
        number += 1
    print(dict(found))
    return found


def past(found: Counter[str]) -> float:
    return 1 - found["refused by the schema"] / found.total()


@pytest.fixture(autouse=True)
def small_suite(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `validate` find the small suite under the name that its record states."""
    monkeypatch.setattr("benchmark.submissions.validate.load_suite", lambda name: world.suite)
    monkeypatch.setattr("benchmark.submissions.validate.load_lock", lambda suite: world.lock)


@pytest.mark.slow
def test_a_few_mutants(world: World, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> None:
    """T17: the first mutants, in some seconds."""
    honest = world.write(tmp_path_factory.mktemp("honest"), "own")
    found = Counter(try_mutant(world, sandbox, honest, number) for number in range(20, 28))
    assert past(found) >= LEAST, found


@pytest.mark.nightly
def test_minutes_of_mutants(world: World, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> None:
    """T17: others every night, by the day; a failure names its mutant."""
    seconds, start = float(os.environ.get("INVBENCH_FUZZ_SECONDS", "60")), int(time.time()) // 86400 * 10**6
    found = fuzz_for(seconds, start, world, sandbox, tmp_path_factory.mktemp("honest"))
    assert past(found) >= LEAST, found
    assert found["checked"] + found["rescored"], "nothing got as far as rescoring"


def test_the_honest_record_gets_all_the_way(
    world: World, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    honest = world.write(tmp_path_factory.mktemp("honest"), "own")
    place = place_record(sandbox, honest)
    assert [str(item) for item in validate(sandbox.own, sandbox.root) if item.severity == "error"] == []
    differences = rescore(Content(world.suite, world.lock), world.check(place, "own"), torch.device("cpu"))
    assert all(difference.agrees for difference in differences.values())
