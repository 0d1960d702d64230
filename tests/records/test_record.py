"""Aggregates, tables, digests: what a record promises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet
import pytest
from forge import edit_json, put

from benchmark.errors import IntegrityError, SpecError
from benchmark.metrics.spec import get_metric
from benchmark.records.aggregate import image_axes, image_scores, summarize
from benchmark.records.columns import AUDIT_SCHEMA, table_digest
from benchmark.records.record import (
    InverseInfo,
    Record,
    Run,
    SubmissionInfo,
    load_audit,
    load_record,
    load_scores,
    write_record,
)
from benchmark.records.scores import (
    NOT_APPLICABLE,
    NOT_FINITE,
    ScoreArrays,
    applies,
    find_status,
    get_reason_names,
    scores_from_table,
    scores_to_table,
)
from benchmark.suites.lock import Lock
from benchmark.suites.spec import HUE_PERTURBATIONS, POOLED, Suite


@pytest.fixture
def lock(mini: Suite) -> Lock:
    names = [f"scene-{i:04d}" for i in range(12)]
    return Lock(
        suite=mini.id,
        suite_digest=mini.digest,
        files={},
        images={},
        perturbed={},
        groups={name: f"photograph-{i // 2}" for i, name in enumerate(names)},
        wear={name: "recolored" if i % 3 else "canonical" for i, name in enumerate(names) if i},
    )


def made_up(mini: Suite, images: int = 12, seed: int = 0) -> list[ScoreArrays]:
    generator = np.random.default_rng(seed)
    results = []
    for target in mini.targets:
        shape = (images, len(target.taps), len(mini.conditions), len(mini.metrics))
        values = generator.uniform(0.2, 1, shape).astype(np.float32)
        reasons = np.zeros(shape, np.uint8)
        for p, perturbation in enumerate(mini.conditions):
            for m, metric in enumerate(mini.metrics):
                if not applies(metric, perturbation):
                    reasons[:, :, p, m] = NOT_APPLICABLE
        hole = (0, slice(None), 0, mini.metrics.index("contour_f"))
        reasons[hole] = 2 + mini.metrics.index("contour_f")
        values[reasons > 0] = np.nan
        ids = tuple(f"scene-{i:04d}" for i in range(images))
        clamped = np.zeros((*shape[:2], len(mini.perturbations)), np.float32)
        results.append(ScoreArrays(target, ids, values, reasons, clamped, get_reason_names(mini)))
    return results


@pytest.fixture
def record(mini: Suite, lock: Lock, tmp_path: Path) -> Record:
    scores = made_up(mini)
    summary = summarize(mini, lock, scores)
    record = Record(
        suite=mini.id,
        suite_digest=mini.digest,
        lock_digest=lock.digest,
        submission=SubmissionInfo(id="some", method="ridge", title="Some"),
        inverses={},
        precision="float32",
        status="complete",
        draft=False,
        images=12,
        targets=summary.targets,
        score=summary.score,
        overall=summary.overall,
        cells=tuple(summary.cells),
        scores_sha256="0" * 64,
        audit_sha256="0" * 64,
        run=Run(
            code_version="0", device="cpu", device_name="cpu", threads=1, batch_size=8, started="2026-01-01T00:00:00Z",
            wall_s=0, peak_memory_mib=0, ms_per_recon={}, python="", packages={}, git_commit=None, git_dirty=None,
        ),
    )  # fmt: skip
    return write_record(tmp_path, record, scores_to_table(mini, scores), AUDIT_SCHEMA.empty_table())


def test_color_is_pooled_or_averages_the_hue_kinds(mini: Suite) -> None:
    values = made_up(mini)[0].values
    found = image_scores(mini, values, "color_ev")
    kinds = [mini.perturbations.index(p) for p in HUE_PERTURBATIONS]
    expected = values[:, :, kinds, mini.metrics.index("color_ev")].astype(np.float64).mean(2)
    assert np.allclose(found, expected)
    for metric, condition in (("ssim", "identity"), ("color_transfer", POOLED)):
        column = values[:, :, mini.conditions.index(condition), mini.metrics.index(metric)]
        assert np.array_equal(image_scores(mini, values, metric), column.astype(np.float64))


def test_axes_and_the_score_are_plain_means(mini: Suite, lock: Lock) -> None:
    scores = made_up(mini)
    for item in scores:
        item.values[...] = item.values - 1  # all below 0: nothing is clipped
    summary = summarize(mini, lock, scores)
    for item in scores:
        by_axis = image_axes(mini, item.values)
        target = summary.targets[item.target.id]
        for t, tap in enumerate(item.target.taps):
            rows = [
                item.values[:, t, 0, mini.metrics.index(metric)].astype(np.float64) for metric in mini.axes["shape"]
            ]
            expected = np.nanmean(np.nanmean(rows, axis=0))
            score = target.taps[tap.name].axes["shape"]
            assert score.value == pytest.approx(expected, abs=1e-6)
            assert score.low is not None and score.high is not None
            assert score.low <= score.value <= score.high < 0
            assert by_axis["shape"][:, t].mean() == pytest.approx(expected, abs=1e-9)
            for metric, own in zip(mini.axes["shape"], rows, strict=True):
                assert score.parts[metric] == pytest.approx(np.nanmean(own), abs=1e-6)
        for axis, score in target.axes.items():
            assert score.value == pytest.approx(by_axis[axis].mean(), abs=1e-6)
        assert target.score.value == pytest.approx(np.mean([by_axis[axis].mean() for axis in by_axis]), abs=1e-6)
    for axis, score in summary.overall.items():
        assert score.value == pytest.approx(
            np.mean([target.axes[axis].value for target in summary.targets.values()]), abs=2e-6
        )
    assert summary.score.value == pytest.approx(np.mean([score.value for score in summary.overall.values()]), abs=2e-6)


def test_the_pull_is_apart_for_what_objects_wear(mini: Suite, lock: Lock) -> None:
    (item, *_) = scores = made_up(mini)
    taps = summarize(mini, lock, scores).targets[item.target.id].taps
    values = image_scores(mini, item.values, "prototype_pull")
    for index, tap in enumerate(taps.values()):
        assert {wear: pull.images for wear, pull in tap.pull.items()} == {"canonical": 3, "recolored": 8}
        chosen = [values[i, index] for i in range(1, 12) if i % 3]
        assert tap.pull["recolored"].value == pytest.approx(np.mean(chosen), abs=1e-6)
    bare = summarize(mini, lock.model_copy(update={"wear": {}}), scores)
    assert all(tap.pull == {} for tap in bare.targets[item.target.id].taps.values())


def test_cells_count_what_was_left_unscored(mini: Suite, lock: Lock) -> None:
    cells = summarize(mini, lock, made_up(mini)).cells
    by_key = {(c.target, c.tap, c.perturbation, c.metric): c for c in cells}
    cell = by_key["mini-vit", "embeddings", "identity", "contour_f"]
    assert (cell.scored, cell.unscored) == (11, {f"contour_f: {get_metric('contour_f').unscored}": 1})
    assert ("mini-vit", "embeddings", "gray", "color_transfer") not in by_key
    assert by_key["mini-vit", "embeddings", POOLED, "color_transfer"].scored == 12
    assert all(applies(c.metric, c.perturbation) for c in cells)


def test_an_axis_without_any_score_is_absent_and_so_is_the_score(mini: Suite, lock: Lock) -> None:
    scores = made_up(mini)
    for item in scores:
        item.values[..., mini.metrics.index("contour_f")] = np.nan
    summary = summarize(mini, lock, scores)
    assert summary.targets["mini-vit"].axes["shape"].parts["contour_f"] is None
    assert summary.overall["shape"].value == summary.overall["shape"].parts["fg_transfer"], "the other metric is left"
    for item in scores:
        item.values[..., mini.metrics.index("fg_transfer")] = np.nan
    summary = summarize(mini, lock, scores)
    assert summary.overall["shape"].value is summary.overall["shape"].low is summary.score.value is None
    assert summary.overall["detail"].value is not None


def test_a_recon_that_is_not_finite_leaves_the_record_partial(mini: Suite) -> None:
    scores = made_up(mini, images=mini.dataset.images)
    assert find_status(mini, scores) == "complete"
    assert find_status(mini, scores[:2]) == "partial"
    scores[1].reasons[3, 0, 0, 0] = 1 + get_reason_names(mini).index(NOT_FINITE)
    assert find_status(mini, scores) == "partial"


def test_scores_survive_the_table(mini: Suite) -> None:
    scores = made_up(mini)
    table = scores_to_table(mini, scores)
    again = scores_from_table(mini, table, [item.target.id for item in scores], 12)
    for item, read in zip(scores, again, strict=True):
        assert (read.target, read.images) == (item.target, item.images)
        assert np.array_equal(read.values, item.values, equal_nan=True)
        assert np.array_equal(read.reasons, item.reasons)
    missing = table.filter(pa.compute.is_null(table["value"]))
    assert missing.num_rows == sum(len(item.target.taps) for item in scores)
    assert set(missing["reason"].to_pylist()) == {f"contour_f: {get_metric('contour_f').unscored}"}


def test_the_table_digest_is_of_content(mini: Suite, tmp_path: Path) -> None:
    table = scores_to_table(mini, made_up(mini))
    pa.parquet.write_table(table, tmp_path / "a.parquet", compression="none", row_group_size=100)
    assert table_digest(pa.parquet.read_table(tmp_path / "a.parquet", schema=table.schema)) == table_digest(table)
    assert table_digest(table.slice(1)) != table_digest(table)
    swapped = table.take(pa.array([1, 0, *range(2, table.num_rows)]))
    assert table_digest(swapped) != table_digest(table)


def test_records_round_trip(record: Record, tmp_path: Path, mini: Suite) -> None:
    again = load_record(tmp_path)
    assert again == record
    assert load_scores(tmp_path, again).num_rows > 0
    assert load_audit(tmp_path, again).num_rows == 0
    read = scores_from_table(mini, load_scores(tmp_path, again), again.targets.keys(), again.images)
    assert [item.target.id for item in read] == ["mini-detr", "mini-vit", "mini-swin"]


def test_the_digest_leaves_out_the_run(record: Record) -> None:
    other_run = record.run.model_copy(update={"code_version": "9.9", "device": "cuda", "wall_s": 9.0})
    assert record.model_copy(update={"run": other_run}).content_digest() == record.digest
    assert record.model_copy(update={"images": 11}).content_digest() != record.digest


def test_no_value_is_nan(tmp_path: Path, record: Record) -> None:
    constants: list[str] = []
    json.loads((tmp_path / "record.json").read_text(), parse_constant=constants.append)
    assert constants == []


def test_changed_content_is_detected(record: Record, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    content = json.loads(path.read_text())
    content["overall"]["detail"]["value"] = 0.99
    path.write_text(json.dumps(content))
    with pytest.raises(IntegrityError, match="digest does not match"):
        load_record(tmp_path)


def test_changed_scores_are_detected(record: Record, tmp_path: Path) -> None:
    table = load_scores(tmp_path, record)
    pa.parquet.write_table(table.slice(1), tmp_path / "scores.parquet")
    with pytest.raises(IntegrityError, match=r"scores\.parquet: differs"):
        load_scores(tmp_path, record)
    (tmp_path / "scores.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(SpecError, match=r"scores\.parquet: not readable"):
        load_scores(tmp_path, record)


def test_malformed_records_name_the_field(record: Record, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"images": "many"}))
    with pytest.raises(SpecError, match=r"record\.json: field 'images'"):
        load_record(tmp_path)
    with pytest.raises(SpecError, match="no such file"):
        load_record(tmp_path / "nowhere")


HUGE = 10**400
OUTSIDE: dict[str, Any] = {
    "submission/title": "\u202eevil",
    "inverses/mini-vit/parameters": 10**20,
    "inverses/mini-vit/training/device_hours": HUGE,
    "inverses/mini-vit/repo_id": "a\n::error::b",
    "inverses/mini-vit/revision": "main",
    "inverses/mini-vit/files/\x1b[2J": "0" * 64,
    "images": -1,
    "cells/0/value": 3.4e38,
    "cells/0/scored": HUGE,
    "cells/0/unscored/\x1b[2J": 1,
    "targets/mini-vit/taps/encoder.0/clamped": 1.5,
    "score/value": 5e300,
    "run/started": "\u202eyesterday",
    "run/device_name": "W" * 200_000,
    "run/code_version": "\x1b[2J",
    "run/git_commit": "not a commit",
    "run/packages/torch": "\u202e",
    "run/threads": HUGE,
    "run/batch_size": 0,
    "run/wall_s": -1e308,
    "run/peak_memory_mib": 1e308,
    "run/ms_per_recon/mini-vit": 1e308,
    "run/ms_per_recon/mini-swin": -3.0,
    "run/ms_per_recon/mini-detr": 1e-320,
    "run/stages_s": {"scores": 1e300},
}


@pytest.mark.parametrize("path", OUTSIDE, ids=ascii)
def test_every_number_has_a_range_and_every_text_a_form(record: Record, tmp_path: Path, path: str) -> None:
    inverse = InverseInfo(files={}, parameters=1)
    whole = record.model_copy(update={"inverses": {"mini-vit": inverse}}).sealed()
    (tmp_path / "record.json").write_text(whole.model_dump_json())
    load_record(tmp_path)
    edit_json(tmp_path / "record.json", put(path, OUTSIDE[path]))
    with pytest.raises(SpecError) as caught:
        load_record(tmp_path)
    assert ".".join(path.split("/")[:2]).split("\x1b")[0] in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_only_complete_locked_float32_records_rank(record: Record) -> None:
    assert record.rankable
    for change in ({"status": "partial"}, {"draft": True}, {"precision": "bfloat16"}):
        assert not record.model_copy(update=change).rankable
