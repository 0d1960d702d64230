"""The published schemas say what the models say, and tools that know nothing else take and refuse the same files."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from benchmark.errors import SpecError
from benchmark.files.declarations import read_toml
from benchmark.files.paths import submissions_root
from benchmark.records.history import supersede, withdraw
from benchmark.records.receipts import Receipt, list_receipts, write_receipt
from benchmark.records.record import load_record
from benchmark.submissions.review import Review, SuiteReview
from benchmark.submissions.scaffold import write_scaffold
from benchmark.submissions.schemas import SCHEMAS, render_schemas
from benchmark.submissions.submission import Submission, list_submissions
from cli import main
from leaderboard.data.claims.schemas import CLAIM_SCHEMAS, render_claim_schemas
from leaderboard.site.board_json import BoardIndex, render_board_schema

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "schemas"
RECORDS = sorted(submissions_root().glob("*/records/*"))
TODAY = datetime.date(2026, 1, 31)


def check(name: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    """Run check-jsonschema, as anybody would."""
    command = Path(sys.executable).parent / "check-jsonschema"
    schema = FOLDER / f"{name}.schema.json"
    return subprocess.run([command, "--schemafile", schema, *paths], capture_output=True, text=True)


def scaffold(folder: Path, *, code: bool = False) -> Path:
    return write_scaffold(folder, "my-method", None, "A. Author", code=code)[0]


BOARD = {"board": ("board.json", BoardIndex)} | {name: found[:2] for name, found in CLAIM_SCHEMAS.items()}


def schema_of(name: str) -> dict[str, Any]:
    rendered = render_schemas() | render_claim_schemas() | {"board": render_board_schema()}
    schema: dict[str, Any] = json.loads(rendered[name])
    return schema


def test_the_committed_schemas_have_not_drifted(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["docs", "schemas", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    written = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
    assert written == committed, "run: invbench docs schemas --out docs/schemas"


@pytest.mark.parametrize("name", SCHEMAS | BOARD)
def test_a_schema_is_valid_and_says_what_it_is_of(name: str) -> None:
    schema = schema_of(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert (SCHEMAS | BOARD)[name][0] in schema["title"]
    for node in (schema, *schema.get("$defs", {}).values()):
        assert node["additionalProperties"] is False
        assert node["description"] and "Attributes:" not in node["description"]


def test_every_field_of_a_submission_is_described() -> None:
    schema = schema_of("submission")
    for node in (schema, *schema["$defs"].values()):
        assert all(field["description"] for field in node["properties"].values())


def test_the_index_of_the_site_is_no_file_of_a_submission() -> None:
    schema = schema_of("board")
    assert schema["title"] == "board.json of an invbench leaderboard"
    assert "validate" not in schema["$comment"]
    nodes = [schema, *(node for name, node in schema["$defs"].items() if name.startswith("Board"))]
    assert all(set(node["required"]) == set(node["properties"]) for node in nodes), "an index leaves nothing out"


@pytest.mark.slow
def test_every_committed_file_is_valid() -> None:
    root = submissions_root()
    receipts = [path for folder in RECORDS for path in list_receipts(folder)]
    files = {
        "submission": [root / name / "submission.toml" for name in list_submissions(root)],
        "record": [folder / "record.json" for folder in RECORDS],
        "receipt": receipts,
    }
    for name, paths in files.items():
        assert paths
        done = check(name, *paths)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("code", [False, True])
def test_a_scaffold_is_valid_and_names_its_schema(tmp_path: Path, code: bool) -> None:
    path = scaffold(tmp_path / "submissions", code=code)
    done = check("submission", path)
    assert done.returncode == 0, done.stdout
    named = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("#:schema ")
    assert (submissions_root() / "ridge" / named).resolve() == FOLDER / "submission.schema.json"


def test_a_history_is_valid(tmp_path: Path) -> None:
    folder = tmp_path / "ridge"
    place = folder / "records" / "mini@1"
    place.mkdir(parents=True)
    for path in (submissions_root() / "ridge" / "records" / "mini@1").glob("*.*"):
        (place / path.name).write_bytes(path.read_bytes())
    withdraw(folder, "mini@1", "A mistake.", TODAY)
    supersede(folder, "mini@1", 'Trained "longer".', "0" * 64, TODAY)
    done = check("history", folder / "history.toml")
    assert done.returncode == 0, done.stdout


def test_receipts_and_reviews_are_valid(tmp_path: Path) -> None:
    record = load_record(RECORDS[0])
    review = Review(submission="ridge", suites=(SuiteReview.of(record, "agrees", "not run"),))
    path = tmp_path / "review.json"
    path.write_text(review.model_dump_json(), encoding="utf-8")
    assert check("review", path).returncode == 0
    receipt = Receipt.model_validate_json(list_receipts(RECORDS[0])[0].read_bytes())
    assert check("receipt", write_receipt(tmp_path, receipt.model_copy(update={"by": "B. Reader"}))).returncode == 0


WRONG: dict[str, dict[str, Any]] = {
    "an unknown field": {"licence": "MIT"},
    "an id with capitals": {"id": "My-Method"},
    "no author": {"authors": []},
    "a link that executes": {"links": {"paper": "javascript:alert(1)"}},
    "a link without encryption": {"links": {"code": "http://example.org"}},
    "a contact that is none": {"contact": "me"},
    "a suite without a version": {"suites": ["mini"]},
    "trust_code that is neither": {"trust_code": "perhaps"},
    "a branch in place of a commit": {"weights": {"mini-vit": {"repo_id": "a/b", "revision": "main"}}},
    "a target that is no id": {"weights": {"Mini ViT": {"repo_id": "a/b", "revision": "0" * 40}}},
    "a long title": {"title": "x" * 121},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_refused_by_schema_and_model_alike(tmp_path: Path, change: dict[str, Any]) -> None:
    path = scaffold(tmp_path)
    good = tomllib.loads(path.read_text(encoding="utf-8"))
    validator = Draft202012Validator(schema_of("submission"))
    assert validator.is_valid(good)
    assert not validator.is_valid(good | change)
    lines = [f"{json.dumps(name)} = {inline(value)}\n" for name, value in (good | change).items()]
    path.write_text("".join(lines), encoding="utf-8")
    with pytest.raises(SpecError):
        read_toml(path, Submission)


def inline(value: Any) -> str:
    """Return a value as TOML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {inline(item)}" for name, item in value.items()) + "}"
    return json.dumps(value)


def test_the_tool_names_the_wrong_field(tmp_path: Path) -> None:
    path = scaffold(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace('["mini@1"]', '["mini"]'), encoding="utf-8")
    done = check("submission", path)
    assert done.returncode == 1
    assert "$.suites[0]" in done.stdout


@pytest.mark.parametrize("field", ["digest", "suite_digest", "cells", "overall"])
def test_a_record_without_a_field_or_with_another_is_refused(field: str) -> None:
    good = json.loads((RECORDS[0] / "record.json").read_bytes())
    validator = Draft202012Validator(schema_of("record"))
    assert validator.is_valid(good)
    assert not validator.is_valid(good | {field: "wrong"})
    assert not validator.is_valid(good | {f"{field}s": 1})


def unbounded(node: Any, defined: dict[str, Any], path: str = "", bounds: frozenset[str] = frozenset()) -> list[str]:
    """Return where a schema takes a number of any size."""
    if "$ref" in node:
        node = defined[node["$ref"].rpartition("/")[2]]
    lower, upper = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}
    bounds = bounds | ({"low"} if lower & node.keys() else set()) | ({"high"} if upper & node.keys() else set())
    free = node.get("type") in ("integer", "number") and bounds != {"low", "high"} and "const" not in node
    inner = [(f"{path}.{name}", child) for name, child in node.get("properties", {}).items()]
    inner += [
        (f"{path}.*", node[name]) for name in ("additionalProperties", "items") if isinstance(node.get(name), dict)
    ]
    inner += [(f"{path}.*", child) for child in node.get("patternProperties", {}).values()]
    inner += [(path, child) for name in ("anyOf", "oneOf", "prefixItems") for child in node.get(name, ())]
    return [path] * free + [where for name, child in inner for where in unbounded(child, defined, name, bounds)]


@pytest.mark.parametrize("name", ["record", "receipt", "submission", "history"])
def test_every_number_has_a_range(name: str) -> None:
    schema = json.loads(render_schemas()[name])
    assert unbounded(schema, schema.get("$defs", {})) == []
    if name == "record":
        del schema["$defs"]["Run"]["properties"]["wall_s"]["maximum"]
        assert unbounded(schema, schema["$defs"]) == [".run.wall_s"]
