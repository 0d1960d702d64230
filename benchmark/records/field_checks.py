"""Which check finds a field of a record that was changed, once every hash and digest is stated anew. Torch-free.

`FIELD_CHECKS` is the one table: the docs and the site read it, and tests forge every field and see that it is right.
What no check computes again is *stated by the author*, and shown so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from benchmark.errors import IntegrityError
from benchmark.metrics.layers import COMPARED
from benchmark.metrics.spec import get_metric
from benchmark.records.record import Record

__all__ = [
    "FIELD_CHECKS", "STATED", "Check", "FieldCheck", "check_fields", "compare_fields", "is_stated", "list_fields",
    "render_field_checks",
]  # fmt: skip

Check = Literal["validate", "rescore", "verify"]
STATED = "stated by the author"


class FieldCheck(NamedTuple):
    """How a group of fields is checked.

    Attributes:
        fields: paths as `list_fields` gives them, `*` for any key or position; or a column of a table after its file.
        check: the first that finds another value: `validate` from the files alone, `rescore` from the stored images,
            `verify` from a rerun; None: no check does.
        how: against what it is compared, or why it cannot be.
        stated: whether what the field says is the author's word.
    """

    fields: tuple[str, ...]
    check: Check | None
    how: str
    stated: bool = False


def _with(prefixes: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{prefix}.{name}" for prefix in prefixes for name in names)


_ENDS = ("value", "low", "high")
_TAP, _STAGE = "targets.*.taps.*", "layers.*.*"
FIELD_CHECKS = (
    FieldCheck(("schema_version",), "validate", "the only version"),
    FieldCheck(
        ("suite", "suite_digest", "lock_digest", "draft"), "validate", "the suite and its lock, as the package has them"
    ),
    FieldCheck(_with(["submission"], ["id", "method", "title"]), "validate", "`submission.toml`"),
    FieldCheck(
        ("inverses.*.files.*", "inverses.*.repo_id", "inverses.*.revision"), "validate",
        "the weights that `submission.toml` names: the package's own file by file, those on the Hub by repository and "
        "commit, and their files by `verify`",
    ),
    FieldCheck(("inverses.*.parameters",), "verify", "counted from the weights"),
    FieldCheck(
        ("inverses.*.training.*",), "verify", "`config.json` of the weights; nobody watched the training", stated=True
    ),
    FieldCheck(("precision", "compiled"), "verify", "the rerun, which is float32 and not compiled"),
    FieldCheck(("status", "images"), "validate", "`scores.parquet`"),
    FieldCheck(
        (
            *_with(["score", "overall.*", "targets.*.score", "targets.*.axes.*", f"{_TAP}.axes.*"], _ENDS),
            *_with(["overall.*", "targets.*.axes.*", f"{_TAP}.axes.*"], ["parts.*"]),
            *_with([f"{_TAP}.pull.*"], [*_ENDS, "images"]),
            *_with(["cells.*"], ["target", "tap", "perturbation", "metric", *_ENDS, "scored", "unscored.*"]),
        ),
        "validate", "computed anew from `scores.parquet`; so does `board build`",
    ),
    FieldCheck((f"{_TAP}.clamped",), "verify", "the rerun, to .001"),
    FieldCheck(_with([_STAGE], ["stage", "taps.*", "images"]), "validate", "the suite and `scores.parquet`"),
    FieldCheck(
        _with([_STAGE], ["normalized.*.*", "neighbors", "half_distance", "asymmetry"]), "validate", "`transfer`"
    ),
    FieldCheck(
        _with([_STAGE], ["transfer.*.*", "cka.*.*"]), "verify",
        "the rerun, to the tolerance of `frc` and to .001; the diagonals by `validate`",
    ),
    FieldCheck(("scores_sha256", "audit_sha256", "digest", "run_sha256"), "validate", "the content that they are of"),
    FieldCheck(
        _with(["run"], [
            "code_version", "device", "device_name", "threads", "batch_size", "micro_batch.*", "wall_s",
            "peak_memory_mib", "ms_per_recon.*", "stages_s.*", "keys.*", "isolation.*", "python", "packages.*",
            "git_commit", "git_dirty",
        ]),
        None, "another machine measures other times; a hash shows a later edit alone", stated=True,
    ),
    FieldCheck(
        ("run.started",), None, "between the project's first day and today, by `validate`", stated=True
    ),
    FieldCheck(
        _with(["scores.parquet"], ["target", "tap", "perturbation", "metric", "reason"]), "validate",
        "the suite and the published records",
    ),
    FieldCheck(
        _with(["scores.parquet"], ["image", "value"]), "verify",
        "the rerun, to the tolerances of the metric; those of stored images by `rescore` from their pixels",
    ),
    FieldCheck(
        _with(["audit.parquet"], ["image", "target", "tap", "perturbation"]), "validate", "the suite and its lock"
    ),
    FieldCheck(
        ("audit.parquet.png",), "rescore", "the scores that it gives; what the network was shown by `validate`"
    ),
)  # fmt: skip
"""Every leaf of `record.json` and every column of its tables, once."""

_OF_FIELD = {field: group for group in FIELD_CHECKS for field in group.fields}


def is_stated(field: str) -> bool:
    """Whether what a field says is the author's word; `field` as `list_fields` gives it.

    Raises:
        KeyError: the table does not have it.
    """
    return _OF_FIELD[field].stated


def _leaves(node: Mapping[str, Any], path: tuple[str, ...], definitions: Mapping[str, Any]) -> Iterator[str]:
    if "$ref" in node:
        node = definitions[node["$ref"].rpartition("/")[2]]
    if choices := node.get("anyOf") or node.get("oneOf"):
        for choice in choices:
            if choice.get("type") != "null":
                yield from _leaves(choice, path, definitions)
        return
    inner = [((*path, name), child) for name, child in node.get("properties", {}).items()]
    parts = [node.get("additionalProperties"), node.get("items")]
    parts += [*node.get("patternProperties", {}).values(), *node.get("prefixItems", ())]
    inner += [((*path, "*"), child) for child in parts if isinstance(child, Mapping)]
    for where, child in inner:
        yield from _leaves(child, where, definitions)
    if not inner:
        yield ".".join(path)


def list_fields(model: type[BaseModel] = Record) -> tuple[str, ...]:
    """Every field of a model that holds no others, as a path: `cells.*.value`; `*` is any key or position."""
    schema = model.model_json_schema()
    return tuple(dict.fromkeys(_leaves(schema, (), schema.get("$defs", {}))))


def render_field_checks() -> str:
    """The table as Markdown: fields, the check that finds another value, and against what."""
    rows = ["| field | found by | compared with |", "|---|---|---|"]
    for fields, check, how, stated in FIELD_CHECKS:
        found = " ".join([f"`{check}`" if check else "nobody", *([f"({STATED})"] if stated else [])])
        rows.append(f"| {', '.join(f'`{field}`' for field in fields)} | {found} | {how} |")
    return "\n".join(rows) + "\n"


_TOLERANCES = {"clamped": 1e-3, "transfer": get_metric(COMPARED).tolerance, "cka": 1e-3}
"""How far shares, means and alignments of two machines may be apart; what is not here must be equal."""


def _pick(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the places that a path with `*` leads to, and what is there."""
    if not path:
        yield (), value
    elif isinstance(value, dict | list):
        names = list(value) if isinstance(value, dict) else [str(index) for index in range(len(value))]
        for name in names if path[0] == "*" else [name for name in names if name == path[0]]:
            inner = value[name] if isinstance(value, dict) else value[int(name)]
            for place, found in _pick(inner, path[1:]):
                yield (name, *place), found


def _differs(first: Any, second: Any, tolerance: float | None) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (first, second))
    return abs(first - second) > tolerance if numbers and tolerance is not None else bool(first != second)


def compare_fields(record: Record, rerun: Record) -> list[str]:
    """Compare what a record says, beside its scores, with the record of a rerun; return in words what differs.

    That is every field that the table gives to `verify`, and the title. A rerun of fewer images has nothing to compare
    means over images with.
    """
    stated, again = (item.model_dump(mode="json") for item in (record, rerun))
    found = []
    fields = [field for field in _OF_FIELD if _OF_FIELD[field].check == "verify" and not field.startswith("scores.")]
    for field in ("submission.title", *fields):
        path = tuple(field.split("."))
        if path[0] in ("targets", "layers") and record.images != rerun.images:
            continue
        first, second = dict(_pick(stated, path)), dict(_pick(again, path))
        tolerance = next((limit for name, limit in _TOLERANCES.items() if name in path), None)
        for place in dict.fromkeys([*first, *second]):
            one, other = first.get(place), second.get(place)
            if (place in first) != (place in second) or _differs(one, other, tolerance):
                found.append(f"field '{'.'.join(place)}': is {one!r:.60}, and {other!r:.60} in the rerun")
    return found


def check_fields(record: Record, rerun: Record, where: str) -> None:
    """Check that a record says, beside its scores, what the record of a rerun says; see `compare_fields`.

    Raises:
        IntegrityError: a field differs; names the first, and how many more.
    """
    if found := compare_fields(record, rerun):
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise IntegrityError(f"{found[0]}{more}", where=where, cure="evaluate again")
