"""The commands: what they print, as text and as JSON, and how they refuse."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from claiming import HOURS, enter_claim
from click.testing import CliRunner, Result

from benchmark.files.canonical import readable_json
from benchmark.files.paths import submissions_root
from benchmark.records.record import load_record
from benchmark.suites.lock import Lock, load_lock
from benchmark.suites.spec import Suite
from cli import main
from leaderboard.data.board import Board
from leaderboard.data.claims.catalog import ClaimReport, find_claims
from leaderboard.data.claims.findings import Question, absent, judge
from leaderboard.data.claims.reading import Evidence
from leaderboard.data.claims.runs import add_runs
from leaderboard.data.claims.texts import asked, claims_text, interval_text, target_text, value_text
from leaderboard.data.entries import load_entries

Give = Callable[..., Evidence]


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["claims", *map(str, arguments)])


@pytest.fixture
def own(few: Suite, pins: Lock, tmp_path: Path) -> Path:
    """The small suite as a file with its lock, that commands can name."""
    import tomli_w

    path = tmp_path / "suite.toml"
    data: dict[str, Any] = json.loads(few.model_dump_json(exclude_none=True))
    path.write_text(tomli_w.dumps(data), encoding="utf-8")
    (tmp_path / "mini-1.lock.json").write_text(readable_json(pins), encoding="utf-8")
    return path


def test_the_text_says_all_that_the_report_holds(give: Give) -> None:
    report = find_claims(give(modular={}, ridge={"seed": 3}))
    text = claims_text(report)
    for claim in report.claims:
        assert claim.sentence in text and claim.verdict.upper() in text and claim.reason in text
        for finding in claim.findings:
            assert finding.part in text and value_text(finding.value) in text and interval_text(finding) in text
    for line in report.rests_on:
        assert line in text
    assert "With ridge: " in text and "nan" not in text.lower().replace("finance", "")


def test_the_command_prints_the_report_of_the_records(own: Path, few: Suite, pins: Lock, tmp_path: Path) -> None:
    root = tmp_path / "submissions"
    enter_claim(few, pins, root, "modular")
    expected = Board(few, pins, load_entries(few, pins, [root])).claims
    done = invoke("--suite", own, "--records", root, "--json")
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)["suites"]
    assert ClaimReport.model_validate(found).claims == expected.claims
    text = invoke("--suite", own, "--records", root)
    assert text.exit_code == 0 and "Detail falls faster with depth than shape.\n  HOLDS" in text.stdout


@pytest.mark.slow
def test_the_committed_records_have_claims() -> None:
    done = invoke("--json")
    assert done.exit_code == 0, done.output
    assert [suite["suite"] for suite in json.loads(done.stdout)["suites"]] == ["mini@1"]


def test_without_any_record_the_command_says_so(tmp_path: Path) -> None:
    done = invoke("--records", tmp_path)
    assert (done.exit_code, done.stdout) == (0, "No suite has records.\n")
    assert json.loads(invoke("--records", tmp_path, "--json").stdout) == {"suites": []}
    named = invoke("--records", tmp_path, "--suite", "coco@1")
    assert named.exit_code == 0 and named.stdout.count("no record of modular") >= 5


def test_a_damaged_record_is_left_out_with_a_line(own: Path, few: Suite, pins: Lock, tmp_path: Path) -> None:
    root = tmp_path / "submissions"
    enter_claim(few, pins, root, "modular")
    folder = enter_claim(few, pins, root, "ridge", seed=3)
    (folder / "record.json").write_text("{", encoding="utf-8")
    done = invoke("--suite", own, "--records", root)
    assert done.exit_code == 0 and done.stderr.startswith("Left out: ") and done.stderr.count("\n") == 1
    assert "HOLDS" in done.stdout and "With ridge" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--suite", "mini@2"], "mini@2"),
        (["--records", "nowhere"], "does not exist"),
        (["--runs", "nowhere"], "does not exist"),
        (["ad"], "did you mean 'add'?"),
        (["add"], "Missing argument 'RECORD...'"),
        (["add", "nowhere", "--out", "x.json"], "Missing option '--condition'"),
        (["--suite", "coco@1", "add", "nowhere", "--condition", "equal_time", "--out", "x.json"], "stand after it"),
        (["add", "nowhere", "--condition", "equal", "--out", "x.json"], "is not one of"),
        (["add", "nowhere", "--condition", "equal_time", "--out", "x.json"], "no such file"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke(*arguments)
    assert done.exit_code == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("Error: ") and words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_runs_are_added_and_compared_by_commands(own: Path, few: Suite, pins: Lock, tmp_path: Path) -> None:
    out, folders = tmp_path / "runs.json", []
    for method, first in (("modular", 1), ("end_to_end", 11)):
        for seed in range(first, first + 3):
            training = HOURS | {"seed": seed}
            options = {"method": method, "seed": seed, "training": training, "layers": {}}
            folders.append(enter_claim(few, pins, tmp_path / "runs", f"{method}-{seed}", **options))
    done = invoke("add", "--condition", "equal_samples", "--suite", own, "--out", out, *folders)
    assert (done.exit_code, done.stdout) == (0, f"{out}: 18 runs of end_to_end, modular\n"), done.output
    root = tmp_path / "submissions"
    enter_claim(few, pins, root, "modular")
    text = invoke("--suite", own, "--records", root, "--runs", out)
    assert text.exit_code == 0 and "at equal training samples" in text.stdout and "3 and 3" in text.stdout
    (found,) = json.loads(invoke("--suite", own, "--records", root, "--runs", out, "--json").stdout)["suites"]
    assert {item["target"] for item in found["seeds"]} == {target.id for target in few.targets}
    other = invoke("--records", submissions_root(), "--suite", "mini@1", "--runs", out)
    assert other.exit_code == 3 and "another text of mini@1" in other.stderr and other.stderr.count("\n") == 1
    several = invoke("--suite", own, "--suite", "coco@1", "--records", root, "--runs", out)
    assert several.exit_code == 2 and "--runs: holds runs on one suite" in several.stderr


def test_real_records_can_be_added(mini: Suite, tmp_path: Path) -> None:
    folder = submissions_root() / "modular" / "records" / "mini@1"
    runs = add_runs(tmp_path / "runs.json", mini, load_lock(mini), "equal_samples", [folder]).runs
    record = load_record(folder)
    assert {run.target: run.record for run in runs} == dict.fromkeys(record.targets, record.digest)
    closed = submissions_root() / "ridge" / "records" / "mini@1"
    done = invoke("add", "--condition", "equal_time", "--out", tmp_path / "x.json", closed)
    assert done.exit_code == 2 and "does not state 'steps'" in done.stderr, "it is trained in closed form"


def test_hostile_names_cannot_steer_a_terminal(own: Path, few: Suite, pins: Lock, tmp_path: Path) -> None:
    root = tmp_path / "submissions"
    training = {"samples": 10, "device_hours": 1.0, "device": "\x1b[31mGPU <b>"}
    enter_claim(few, pins, root, "modular")
    enter_claim(few, pins, root, "end_to_end", seed=2)
    shutil.rmtree(root / "end_to_end")
    with pytest.raises(ValueError, match="invisible"):
        enter_claim(few, pins, root, "end_to_end", training=training)
    shutil.rmtree(root / "end_to_end", ignore_errors=True)
    enter_claim(few, pins, root, "end_to_end", training=HOURS | {"device": "GPU <b> {{ 7*7 }}"})
    done = invoke("--suite", own, "--records", root)
    assert "GPU <b> {{ 7*7 }}" in done.stdout and "\x1b" not in done.stdout


def test_numbers_in_words() -> None:
    texts = {None: "–", 0.0: "0.000", 0.1234: "0.123", 0.0002: "0.0002", -0.00004: "−0.00004"}
    assert {value: value_text(value) for value in texts} == texts
    found = judge(Question("a", -0.02), None, (0.1, 0.05, 0.2), (20, 10))
    assert (asked(found), interval_text(found), target_text(None)) == ("above −0.02", "0.050 to 0.200", "all targets")
    apart = absent(Question("a", 0.02, apart=True), "mini-vit", "why")
    assert (asked(apart), interval_text(apart), target_text("mini-vit")) == ("over 0.02 from 0", "–", "mini-vit")
    assert asked(absent(Question("a", 0.003822), None, "why")) == "above 0.004"
