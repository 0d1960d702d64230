"""Files of runs over several seeds: what is added to them, and all that is refused, in one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from claiming import HOURS, enter_claim

from benchmark.errors import IntegrityError, SpecError, UserError
from benchmark.files.canonical import readable_json
from benchmark.records.record import Record, load_record
from benchmark.suites.lock import Lock
from benchmark.suites.spec import Suite
from leaderboard.data.claims.runs import TrainingRuns, add_runs, load_runs, runs_file

Run = Callable[..., Path]


@pytest.fixture
def run(few: Suite, pins: Lock, tmp_path: Path) -> Run:
    """Return a function that writes the record of one training on mini-vit."""

    def _run(method: str, seed: int, **options: Any) -> Path:
        training = HOURS | {"seed": seed} | options.pop("training", {})
        options = {"only": ["mini-vit"], "method": method, "seed": seed, "layers": {}} | options
        return enter_claim(few, pins, tmp_path / "runs", f"{method}-{seed}", training=training, **options)

    return _run


def test_runs_are_added_in_order_and_say_what_their_records_say(
    few: Suite, pins: Lock, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "runs.json"
    first, second = run("modular", 2), run("end_to_end", 3)
    add_runs(path, few, pins, "equal_samples", [first])
    add_runs(path, few, pins, "equal_samples", [second / "record.json"])
    held = load_runs(path, few, pins)
    assert [run.key for run in held.runs] == [
        ("mini-vit", "equal_samples", "end_to_end", 3), ("mini-vit", "equal_samples", "modular", 2),
    ]  # fmt: skip
    record, found = load_record(first), held.runs[1]
    inverse = record.inverses["mini-vit"]
    assert found.record == record.digest and found.weights == inverse.files["model.safetensors"]
    stated = {name: getattr(found, name) for name in ("seed", "steps", "samples", "device_hours", "device")}
    assert stated == {name: inverse.training[name] for name in stated}
    assert found.scores == {axis: score.value for axis, score in record.targets["mini-vit"].axes.items()}


def test_adding_again_changes_no_byte_and_one_training_may_stand_under_both_conditions(
    few: Suite, pins: Lock, run: Run, tmp_path: Path
) -> None:
    path, folder = tmp_path / "runs.json", run("modular", 2)
    add_runs(path, few, pins, "equal_samples", [folder])
    before = path.read_bytes()
    add_runs(path, few, pins, "equal_samples", [folder, folder])
    assert path.read_bytes() == before
    assert len(add_runs(path, few, pins, "equal_time", [folder]).runs) == 2


def test_a_record_of_several_targets_is_a_run_on_each(few: Suite, pins: Lock, run: Run, tmp_path: Path) -> None:
    found = add_runs(tmp_path / "runs.json", few, pins, "equal_time", [run("modular", 1, only=None)])
    assert [one.target for one in found.runs] == sorted(target.id for target in few.targets)


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in HOURS.items() if name != key}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no seed": ({"training": {"seed": "one"}}, "field 'seed'"),
    "half a step": ({"training": {"steps": 1.5}}, "field 'steps'"),
    "a draft": ({"draft": True}, "is a draft"),
    "bfloat16": ({"precision": "bfloat16"}, "is a draft, or not in the official arithmetic"),
    "few images": ({"images": 47}, "is scored on 47 of 48 images"),
    "another text": ({"suite_digest": "0" * 64}, "made for another text or lock"),
    "another suite": ({"of_suite": "coco@1"}, "is a record on coco@1, not on mini@1"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_run_is_refused_and_nothing_is_written(
    few: Suite, pins: Lock, run: Run, tmp_path: Path, what: str
) -> None:
    options, words = BAD[what]
    path, good = tmp_path / "runs.json", run("modular", 1)
    add_runs(path, few, pins, "equal_samples", [good])
    before = path.read_bytes()
    bad = run("end_to_end", 5, **options)
    with pytest.raises(UserError) as caught:
        add_runs(path, few, pins, "equal_samples", [run("modular", 6), bad])
    assert words in str(caught.value) and "\n" not in str(caught.value) and str(bad) in str(caught.value)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir() if one.suffix == ".tmp"] == []


@pytest.mark.parametrize("key", ["seed", "steps", "samples", "device_hours", "device"])
def test_a_training_that_leaves_something_out_is_refused(few: Suite, pins: Lock, tmp_path: Path, key: str) -> None:
    folder = enter_claim(few, pins, tmp_path, "modular", training=without(key), layers={})
    with pytest.raises(SpecError, match=f"does not state '{key}'"):
        add_runs(tmp_path / "runs.json", few, pins, "equal_time", [folder])
    assert not (tmp_path / "runs.json").exists()


def test_a_recon_that_is_not_finite_is_refused(few: Suite, pins: Lock, run: Run, tmp_path: Path) -> None:
    def edit(scores: list[Any]) -> None:
        scores[0].values[0][scores[0].reasons[0] == 0] = float("nan")
        scores[0].reasons[0][scores[0].reasons[0] == 0] = 1

    with pytest.raises(SpecError, match="recon is not finite on mini-vit"):
        add_runs(tmp_path / "runs.json", few, pins, "equal_time", [run("modular", 1, edit=edit)])


def test_another_run_of_the_same_seed_and_the_same_weights_under_two_names_are_refused(
    few: Suite, pins: Lock, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "runs.json"
    add_runs(path, few, pins, "equal_samples", [run("modular", 1)])
    options: dict[str, Any] = {"method": "modular", "only": ["mini-vit"], "layers": {}}
    other = enter_claim(few, pins, tmp_path, "another", noise=0.05, **options)
    with pytest.raises(SpecError, match="another run of modular on mini-vit, equal_samples, seed 1"):
        add_runs(path, few, pins, "equal_samples", [other])
    copied = enter_claim(few, pins, tmp_path, "copied", training=HOURS | {"seed": 9}, **options)
    with pytest.raises(SpecError, match="have the same weights"):
        add_runs(path, few, pins, "equal_samples", [copied])


def test_a_training_under_both_conditions_cost_the_same(few: Suite, pins: Lock, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    add_runs(path, few, pins, "equal_samples", [run("modular", 1)])
    training = {"device_hours": 0.5}
    cheaper = enter_claim(
        few, pins, tmp_path, "cheaper", method="modular", only=["mini-vit"], layers={}, training=HOURS | training
    )
    with pytest.raises(SpecError, match="have the same weights, but are not one training"):
        add_runs(path, few, pins, "equal_time", [cheaper])


def resealed(folder: Path, change: Callable[[Any], None]) -> Path:
    """Change the content of a record and seal it again, as if it had been written so."""
    path = folder / "record.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(readable_json(Record.model_validate(content).sealed()), encoding="utf-8")
    return folder


def raise_detail(content: Any) -> None:
    content["targets"]["mini-vit"]["axes"]["detail"]["value"] = 0.99


def drop_inverse(content: Any) -> None:
    content["inverses"] = {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (raise_detail, r"mini-vit\.axes\.detail\.value': is 0\.99, but follows as 0\.\d+ from scores\.parquet"),
        (drop_inverse, "fields 'targets' and 'inverses': are not of the same targets"),
    ],
)
def test_a_record_that_does_not_follow_from_its_own_scores_is_refused(
    few: Suite, pins: Lock, run: Run, tmp_path: Path, change: Callable[[Any], None], words: str
) -> None:
    folder = resealed(run("modular", 1), change)
    load_record(folder)  # sealed well
    with pytest.raises(IntegrityError, match=words):
        add_runs(tmp_path / "runs.json", few, pins, "equal_time", [folder])
    assert not (tmp_path / "runs.json").exists()


def edited(path: Path, change: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"suite": "coco@1"}, SpecError, "holds runs on coco@1, not on mini@1"),
        ({"suite_digest": "1" * 64}, IntegrityError, "another text"),
        ({"lock_digest": "1" * 64}, IntegrityError, "another lock"),
        ({"schema_version": 2}, SpecError, "schema_version"),
        ({"more": 1}, SpecError, "more"),
        ({"runs": "all"}, SpecError, "runs"),
        ({"runs": []}, None, ""),
    ],
)
def test_a_file_of_runs_is_checked(
    few: Suite, pins: Lock, run: Run, tmp_path: Path, change: dict[str, Any], error: type[UserError] | None, words: str
) -> None:
    path = tmp_path / "runs.json"
    add_runs(path, few, pins, "equal_samples", [run("modular", 1)])
    edited(path, change)
    if error is None:
        assert load_runs(path, few, pins).runs == ()
        return
    with pytest.raises(error, match=words) as caught:
        load_runs(path, few, pins)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "null", "[]", '{"runs": [NaN]}', "\x00", "{"])
def test_what_is_no_file_of_runs_is_one_line(few: Suite, pins: Lock, tmp_path: Path, text: str) -> None:
    path = tmp_path / "runs.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load_runs(path, few, pins)
    assert "\n" not in str(caught.value)


def test_runs_out_of_order_twice_of_unknown_targets_or_not_finite_are_refused(
    few: Suite, pins: Lock, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "runs.json"
    whole = add_runs(path, few, pins, "equal_samples", [run("modular", 1), run("modular", 2)])
    entries = [one.model_dump(mode="json") for one in whole.runs]
    wrong = {
        "not in order": entries[::-1],
        "listed twice": entries[:1] * 2,
        "unknown target": [entries[0] | {"target": "mini-bert"}],
        "not scored on the axes": [entries[0] | {"scores": {"detail": 0.5}}],
        "rest on the same record": [entries[0], entries[1] | {"record": entries[0]["record"]}],
        "finite": [entries[0] | {"scores": entries[0]["scores"] | {"detail": float("nan")}}],
    }
    for words, runs in wrong.items():
        edited(path, {"runs": runs})
        with pytest.raises(SpecError, match=words):
            load_runs(path, few, pins)


def test_the_committed_runs_are_well_formed_where_there_are_some(mini: Suite) -> None:
    from benchmark.suites.lock import load_lock

    path = runs_file(mini)
    assert path.name == "mini@1.json"
    if path.exists():
        assert isinstance(load_runs(path, mini, load_lock(mini)), TrainingRuns)
