"""JSON Schemas of the files of a submission and of the site's index, rendered from their models. Torch-free."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from benchmark.records.history import History
from benchmark.records.receipts import Receipt
from benchmark.records.record import Record
from benchmark.submissions.review import Review
from benchmark.submissions.submission import Submission
from leaderboard.site.board_json import BoardIndex

__all__ = ["SCHEMAS", "render_schema", "write_schemas"]

DRAFT = "https://json-schema.org/draft/2020-12/schema"

SCHEMAS: dict[str, tuple[str, type[BaseModel]]] = {
    "submission": ("submission.toml", Submission),
    "history": ("history.toml", History),
    "record": ("record.json", Record),
    "receipt": ("receipts/*.json", Receipt),
    "review": ("review.json", Review),
    "board": ("board.json", BoardIndex),
}
"""By name of the schema: the file that it describes, and the model of that file.

All are files of a submission but `board.json`, which `invbench board build` writes for other programs to read.
"""


def _split(text: str) -> tuple[str, dict[str, str]]:
    """Return a docstring without its section `Attributes:`, and what that section says of each field."""
    head, _, section = inspect.cleandoc(text).partition("\nAttributes:\n")
    fields: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", inspect.cleandoc(section)):
        names, _, told = entry.partition(": ")
        fields |= dict.fromkeys(names.split(", "), " ".join(told.split()))
    return head.strip(), fields


def _describe(node: dict[str, Any]) -> None:
    """Move what the docstring of a model says of its fields to the fields, and allow no keys but those that fit."""
    node["description"], fields = _split(node.get("description", ""))
    for name, field in node.get("properties", {}).items():
        if name in fields:
            field.setdefault("description", fields[name])
        if "patternProperties" in field:
            field["additionalProperties"] = False  # a key that does not match is a mistake


def render_schema(name: str) -> str:
    """Return one of `SCHEMAS` as JSON Schema, draft 2020-12."""
    file, model = SCHEMAS[name]
    schema = model.model_json_schema()
    for node in (schema, *schema.get("$defs", {}).values()):
        _describe(node)
    comment, owner = "Written by invbench docs schemas.", "leaderboard"
    if model is not BoardIndex:
        comment, owner = f"{comment} `invbench validate` checks more than a schema can say.", "submission"
    head = {"$schema": DRAFT, "$comment": comment, "title": f"{file} of an invbench {owner}"}
    return json.dumps(head | {key: schema[key] for key in schema if key != "title"}, indent=2) + "\n"


def write_schemas(folder: Path) -> list[Path]:
    """Write all schemas to `folder` as `NAME.schema.json`; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in SCHEMAS:
        path = folder / f"{name}.schema.json"
        path.write_text(render_schema(name), encoding="utf-8", newline="\n")
        paths.append(path)
    return paths
