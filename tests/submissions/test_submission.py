"""The committed records: whole, of this suite and these weights, and sane science."""

from __future__ import annotations

import tomllib
from itertools import pairwise

import pytest

from benchmark.errors import SpecError
from benchmark.files.canonical import sha256_file
from benchmark.files.paths import submissions_root
from benchmark.metrics.layers import MIN_DIAGONAL
from benchmark.records.record import Record, load_audit, load_record, load_scores
from benchmark.records.store import record_folder
from benchmark.submissions.submission import (
    Submission,
    Weights,
    list_submissions,
    load_submission,
    render_candidate,
)
from benchmark.suites.lock import load_lock
from benchmark.suites.spec import Suite

SUBMISSIONS = list_submissions(submissions_root())


@pytest.fixture(scope="module")
def records(mini: Suite) -> dict[str, Record]:
    return {name: load_record(record_folder(submissions_root(), name, mini.id)) for name in SUBMISSIONS}


def test_inverses_that_a_wheel_leaves_out_say_how_to_make_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.submissions.submission.checkout", lambda: None)

    def cure_of(method: str) -> str:
        with pytest.raises(SpecError, match="the inverse of mini-x is left out of installed packages") as caught:
            Weights(path=f"assets/mini/inverses/{method}/mini-x").directory(submissions_root() / method)
        return str(caught.value.cure)

    alone = "invbench train inverse {} --target mini-x --out "
    assert alone.format("knn") + "DIR; invbench eval --inverse DIR" in cure_of("knn")
    joint = (
        alone.format("modular_per_tap") + "START; " + alone.format("modular_joint") + "DIR --start START --seed 202; "
    )
    assert joint + "invbench eval --inverse DIR" in cure_of("modular_joint")


@pytest.mark.parametrize("name", SUBMISSIONS)
def test_records_are_whole_and_of_what_is_in_the_tree(mini: Suite, records: dict[str, Record], name: str) -> None:
    record, folder = records[name], record_folder(submissions_root(), name, mini.id)
    assert record.rankable
    assert record.images == mini.dataset.images
    assert record.suite_digest == mini.digest
    assert record.lock_digest == load_lock(mini).digest
    scores, audit = load_scores(folder, record), load_audit(folder, record)
    assert set(audit["image"].to_pylist()) == set(mini.audit_images)
    taps = sum(len(target.taps) for target in mini.targets)
    rows = audit.num_rows / len(mini.audit_images) / len(mini.perturbations)
    assert rows == taps + len(mini.targets)
    assert scores.num_rows == sum(cell.scored + sum(cell.unscored.values()) for cell in record.cells)
    for target, source in load_submission(submissions_root(), name).weights.items():
        for file, digest in record.inverses[target].files.items():
            assert sha256_file(source.directory(submissions_root() / name) / file) == digest


def test_copy_is_above_modular_is_above_mean_in_detail_at_every_tap(mini: Suite, records: dict[str, Record]) -> None:
    for target in mini.targets:
        for tap in target.tap_names:
            copy, modular, mean = (
                records[name].targets[target.id].taps[tap].axes["detail"].value
                for name in ("copy", "modular_per_tap", "mean")
            )
            assert copy is not None
            assert modular is not None
            assert mean is not None
            assert copy > modular > mean, (target.id, tap)


@pytest.mark.parametrize("name", ["ridge", "modular_per_tap"])
def test_detail_falls_with_depth(mini: Suite, records: dict[str, Record], name: str) -> None:
    for target in mini.targets:
        taps = records[name].targets[target.id].taps
        stages = list(dict.fromkeys(tap.stage for tap in target.taps))
        by_stage = []
        for stage in stages:
            values = [taps[tap.name].axes["detail"].value for tap in target.taps if tap.stage == stage]
            by_stage.append([value for value in values if value is not None])
        for shallow, deep in pairwise(by_stage):
            assert min(shallow) > max(deep) - 0.002, (target.id, stages)


@pytest.mark.parametrize("name", ["mean", "ridge", "modular_per_tap"])
def test_records_tell_what_the_inverses_cost(mini: Suite, records: dict[str, Record], name: str) -> None:
    for target in mini.targets:
        training = records[name].inverses[target.id].training
        assert int(training["samples"]) >= 2048
        assert float(training["device_hours"]) > 0
        assert training["device"]
        assert records[name].run.ms_per_recon[target.id] > 0


@pytest.mark.parametrize("name", ["ridge", "modular_per_tap"])
def test_layers_are_compared_with_themselves_and_their_stage(
    mini: Suite, records: dict[str, Record], name: str
) -> None:
    stages = {(target, stage.stage): stage for target, found in records[name].layers.items() for stage in found}
    assert stages.keys() == {
        ("mini-detr", "encoder"), ("mini-detr", "decoder"), ("mini-vit", "encoder"), ("mini-swin", "stages"),
    }  # fmt: skip
    for (target, _), stage in stages.items():
        for place, tap in enumerate(stage.taps):
            own = records[name].targets[target].taps[tap].axes["detail"]
            across = stage.transfer[place][place]
            assert across is not None
            assert stage.images == mini.layer_images
            assert across == pytest.approx(own.value, abs=0.05), "of the first half of the images"
            assert stage.normalized[place][place] == (pytest.approx(1) if across >= MIN_DIAGONAL else None)
            assert stage.cka[place][place] == pytest.approx(1)
    vit = stages["mini-vit", "encoder"].normalized
    assert vit[0][5] is not None
    assert vit[4][5] is not None
    assert vit[4][5] > vit[0][5], "neighboring layers share more than distant ones"


def test_nothing_is_compared_without_features_or_above_the_mean_image(records: dict[str, Record]) -> None:
    assert records["copy"].layers == {}
    for found in records["mean"].layers.values():
        assert all(value is None for stage in found for row in stage.normalized for value in row)


def test_what_is_evaluated_without_a_submission_is_described_as_one() -> None:
    title = 'A "title": \\ [x] = 1 # \N{GRINNING FACE} ünïcode'
    found = Submission.model_validate(tomllib.loads(render_candidate("mine", "ridge", title, "mini@1")))
    assert (found.id, found.method, found.title, found.suites) == ("mine", "ridge", title, ("mini@1",))
