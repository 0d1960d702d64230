"""JSON Schemas of the files of a submission, rendered from their models. Torch-free."""

from __future__ import annotations

import inspect
import json
import re
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


def _split(text: str) -> tuple[str, dict[str, str]]:
    """Return a docstring without its section `Attributes:`, and what that section says of each field."""
    head, _, section = inspect.cleandoc(text).partition("\nAttributes:\n")
    fields: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", inspect.cleandoc(section)):
        names, _, told = entry.partition(": ")
        fields |= dict.fromkeys(names.split(", "), " ".join(told.split()))
    return head.strip(), fields


def _document_fields(node: dict[str, Any]) -> None:
    """Move what the docstring of a model says of its fields to the fields, and allow no keys but those that fit."""
    node["description"], fields = _split(node.get("description", ""))
    for name, field in node.get("properties", {}).items():
        if name in fields:
            field.setdefault("description", fields[name])
        if "patternProperties" in field:
            field["additionalProperties"] = False  # a key that does not match is a mistake


def render_schema(file: str, model: type[BaseModel], *, note: str = "", owner: str = "submission") -> str:
    """JSON Schema, draft 2020-12, of a file of an invbench `owner`; `note` is added to its comment."""
    schema = model.model_json_schema()
    for node in (schema, *schema.get("$defs", {}).values()):
        _document_fields(node)
    comment = f"Written by invbench docs schemas. {note}".strip()
    head = {"$schema": DRAFT, "$comment": comment, "title": f"{file} of an invbench {owner}"}
    return json.dumps(head | {key: schema[key] for key in schema if key != "title"}, indent=2) + "\n"


def render_schemas() -> dict[str, str]:
    """The schemas of the files of a submission, by name."""
    note = "`invbench validate` checks more than a schema can say."
    return {name: render_schema(file, model, note=note) for name, (file, model) in SCHEMAS.items()}
