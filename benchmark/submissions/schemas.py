"""JSON Schemas of the files of a submission, rendered from their models. Torch-free."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from benchmark.records.history import History
from benchmark.records.receipts import Receipt
from benchmark.records.record import Record
from benchmark.submissions.review import Review
from benchmark.submissions.submission import Submission

__all__ = ["SCHEMAS", "render_schema", "render_schemas"]

DRAFT = "https://json-schema.org/draft/2020-12/schema"

SCHEMAS: dict[str, tuple[str, type[BaseModel]]] = {
    "submission": ("submission.toml", Submission),
    "history": ("history.toml", History),
    "record": ("record.json", Record),
    "receipt": ("receipts/*.json", Receipt),
    "review": ("review.json", Review),
}
"""The files of a submission: by name of the schema, the file that it describes and the model of that file."""


def _tidy(node: dict[str, Any]) -> None:
    """Put the description of each field on one line, and allow no keys but those that fit."""
    for field in node.get("properties", {}).values():
        if "description" in field:
            field["description"] = " ".join(field["description"].split())
        if "patternProperties" in field:
            field["additionalProperties"] = False  # a key that does not match is a mistake


def render_schema(file: str, model: type[BaseModel], *, note: str = "", owner: str = "submission") -> str:
    """JSON Schema, draft 2020-12, of a file of an invbench `owner`; `note` is added to its comment."""
    schema = model.model_json_schema()
    for node in (schema, *schema.get("$defs", {}).values()):
        _tidy(node)
    comment = f"Written by invbench docs schemas. {note}".strip()
    head = {"$schema": DRAFT, "$comment": comment, "title": f"{file} of an invbench {owner}"}
    return json.dumps(head | {key: schema[key] for key in schema if key != "title"}, indent=2) + "\n"


def render_schemas() -> dict[str, str]:
    """The schemas of the files of a submission, by name."""
    note = "`invbench validate` checks more than a schema can say."
    return {name: render_schema(file, model, note=note) for name, (file, model) in SCHEMAS.items()}
