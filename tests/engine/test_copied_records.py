"""Records that state false origins, or that are another submission's, are found out. (T11, T13)"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from forge import (
    TARGET,
    edit_toml,
    errors,
    only_error,
    put,
    reseal,
    title_of,
    write_submission,
    write_tables,
)

from benchmark.files.canonical import sha256_file
from benchmark.files.paths import submissions_root
from benchmark.records.columns import SCORE_SCHEMA
from benchmark.records.record import SubmissionInfo
from benchmark.records.store import record_folder
from benchmark.submissions.submission import CODE


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "submissions"
    shutil.copytree(submissions_root(), folder, ignore=shutil.ignore_patterns("receipts"))
    return folder


def test_the_committed_submissions_pass(root: Path) -> None:
    assert errors(root / "copy") == []


OTHER = "f" * 64
WEIGHTS = f"inverses/{TARGET}"
FALSE_ORIGINS = {
    "hash of the weights": (put(f"{WEIGHTS}/files/model.safetensors", OTHER), "not the files in"),
    "a file too many": (put(f"{WEIGHTS}/files", lambda f: f | {"more.bin": OTHER}), "is not of config.json"),
    "a repository": (put(f"{WEIGHTS}/repo_id", "me/mine"), "made with me/mine@None"),
    "a revision": (put(f"{WEIGHTS}/revision", "a" * 40), "made with other files"),
    "code that is not there": (put(f"{WEIGHTS}/files", lambda f: f | {CODE: OTHER}), f"made with another {CODE}"),
    "the method": (put("submission/method", "ridge"), "field 'submission.method'"),
    "the title": (put("submission/title", "Better"), "field 'submission.title': is 'Better', not"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FALSE_ORIGINS)
def test_false_origins_are_found_although_sealed(root: Path, kind: str) -> None:
    change, message = FALSE_ORIGINS[kind]
    place = record_folder(root, "modular_per_tap", "mini@1")
    reseal(place, change)
    finding = only_error(root / "modular_per_tap")
    assert message in finding.message
    assert finding.where == str(place / "record.json")
    assert finding.exit_code == 3


@pytest.mark.slow
def test_a_target_without_weights_is_not_inverted_by_a_trained_method(root: Path) -> None:
    table = '{ mini-vit = { path = "assets/mini/inverses/modular_per_tap/mini-vit" } }'
    folder = write_submission(root / "modular_per_tap", weights=table)
    place = record_folder(root, "modular_per_tap", "mini@1")

    def drop(content: dict[str, Any]) -> None:
        for target in ("mini-detr", "mini-swin"):
            content["inverses"][target] = {"files": {}, "parameters": 0}
        content["submission"]["title"] = title_of("modular_per_tap")

    reseal(place, drop)
    assert only_error(folder).message == "field 'inverses.mini-detr': has no weights, but the method is trained"


def steal(root: Path, name: str, victim: str, *, sealed: bool, weights: str = "modular_per_tap", **fields: str) -> Path:
    """Enter the record of another submission as one's own; return the folder of the submission."""
    own = {t: f'{{ path = "assets/mini/inverses/{weights}/{t}" }}' for t in ("mini-detr", "mini-vit", "mini-swin")}
    table = f"{{ {', '.join(f'{target} = {value}' for target, value in own.items())} }}"
    folder = write_submission(root / name, **({"weights": table, "method": f'"{weights}"'} | fields))
    place = record_folder(root, name, "mini@1")
    shutil.copytree(record_folder(root, victim, "mini@1"), place)
    if sealed:
        info = SubmissionInfo(id=name, method="modular_per_tap", title=title_of(name)).model_dump()
        reseal(place, put("submission", info))
    return folder


def test_the_record_of_another_submission_is_not_mine(root: Path) -> None:
    folder = steal(root, "mine", "modular_per_tap", sealed=False)
    assert "is the record of 'modular_per_tap', not of 'mine'" in only_error(folder).message


@pytest.mark.slow
def test_a_copied_record_under_my_own_id_is_refused(root: Path) -> None:
    finding = only_error(steal(root, "mine", "modular_per_tap", sealed=True))
    assert finding.message == "its weights for mini-detr, mini-swin, mini-vit are those of 'modular_per_tap'"
    assert finding.cure == "enter an inverse of your own: invbench train inverse --help"


def own_weights(folder: Path) -> dict[str, str]:
    """State weights of one's own on the Hub, in the submission and in its record."""
    targets = ("mini-detr", "mini-vit", "mini-swin")
    stated = {"repo_id": "me/mine", "revision": "a" * 40, "files": {"config.json": OTHER, "model.safetensors": OTHER}}
    reseal(folder / "records" / "mini@1", lambda c: [c["inverses"][target].update(stated) for target in targets])
    table = f'{{ repo_id = "me/mine", revision = "{"a" * 40}" }}'
    return {"weights": f"{{ {', '.join(f'{target} = {table}' for target in targets)} }}"}


@pytest.mark.slow
def test_a_copied_record_that_claims_other_weights_is_refused(root: Path) -> None:
    folder = steal(root, "mine", "modular_per_tap", sealed=True)
    write_submission(folder, **own_weights(folder))
    finding = only_error(folder)
    assert finding.message == "its scores are those of 'modular_per_tap'"
    assert finding.where == str(folder / "records" / "mini@1" / "record.json")


@pytest.mark.slow
def test_a_copied_record_with_one_score_changed_still_has_the_images_of_the_other(root: Path) -> None:
    folder = steal(root, "mine", "modular_per_tap", sealed=True)
    write_submission(folder, **own_weights(folder))
    place = folder / "records" / "mini@1"
    table = pq.read_table(place / "scores.parquet")
    values = table.column("value").to_numpy().copy()
    values[np.flatnonzero(~np.isnan(values))[0]] += 2e-7
    array = pa.array(values, pa.float32(), mask=np.isnan(values))
    write_tables(place, scores=table.set_column(5, SCORE_SCHEMA.field("value"), array))
    reseal(place)
    assert only_error(folder).message == "its scores are those of 'modular_per_tap'"


@pytest.mark.slow
def test_code_of_my_own_does_not_make_a_copied_record_mine(root: Path) -> None:
    folder = steal(root, "mine", "copy", sealed=True, method='"my-net"', weights="modular_per_tap", trust_code="true")
    edit_toml(folder, "weights = {", "# weights = {")
    (folder / CODE).write_text("raise SystemExit('imported')\n")

    def claim(content: dict[str, Any], sha256: str) -> None:
        content["submission"]["method"] = "my-net"
        for inverse in content["inverses"].values():
            inverse["files"] = {CODE: sha256}

    place = folder / "records" / "mini@1"
    reseal(place, lambda content: claim(content, OTHER))
    assert f"made with another {CODE}" in only_error(folder).message
    reseal(place, lambda content: claim(content, sha256_file(folder / CODE)))
    assert only_error(folder).message == "its scores are those of 'copy'"
