"""`eval --all`: what could have changed is evaluated again, what could not is left alone, one failure stops nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from benchmark.commands.reevaluation import reevaluate
from benchmark.content.content import Content
from benchmark.engine.jobs import Options
from benchmark.files import paths
from benchmark.files.canonical import readable_json
from benchmark.records.record import load_record
from cli import main

COMMITTED = Path(__file__).parents[2] / "submissions"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two submissions with a record, one that cannot be evaluated, and one that has no record yet."""
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "submissions"
    for name in ("copy", "mean", "modular_per_tap", "ridge"):
        (root / name).mkdir(parents=True)
        shutil.copy(COMMITTED / name / "submission.toml", root / name)
        if name != "mean":
            shutil.copytree(COMMITTED / name / "records/mini@1", root / name / "records/mini@1")
    text = (root / "modular_per_tap/submission.toml").read_text()
    (root / "modular_per_tap/submission.toml").write_text(text.partition("[weights]")[0])
    monkeypatch.setattr(paths, "submissions_root", lambda: root)
    return root


@pytest.mark.slow
def test_only_what_could_have_changed_is_evaluated(root: Path, content: Content, capsys: pytest.CaptureFixture) -> None:
    options = Options(torch.device("cpu"), 8, limit=8, targets=("mini-vit",))

    def run(reason: str | None = None) -> dict[str, dict[str, str]]:
        rows = reevaluate(content, options, reason=reason, trust_code=False)
        return {row["submission"]: row for row in rows}

    first = run()
    assert {name: row["outcome"] for name, row in first.items()} == {
        "copy": "new digest", "modular_per_tap": "failed", "ridge": "new digest",
    }  # fmt: skip
    assert "modular_per_tap" in first["modular_per_tap"]["error"] and "weights" in capsys.readouterr().err
    assert not list((root / "ridge/records/mini@1").glob("receipts/*"))
    folder = root / "ridge/records/mini@1"
    record = load_record(folder)
    assert record.digest == first["ridge"]["digest"] and record.run.keys.keys() == {"mini-vit"}

    again = run("nothing new")
    assert {name: row["outcome"] for name, row in again.items()} == {
        "copy": "unchanged", "modular_per_tap": "failed", "ridge": "unchanged",
    }  # fmt: skip
    assert load_record(folder).run == record.run

    old = record.model_copy(update={"run": record.run.model_copy(update={"keys": {}})})
    (folder / "record.json").write_text(readable_json(old.sealed()))
    renewed = run()["ridge"]
    assert (renewed["outcome"], renewed["digest"]) == ("same digest", record.digest)
    assert load_record(folder).run.keys == record.run.keys


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--all"], "--all goes with --supersede REASON or --overwrite"),
        (["--all", "--overwrite", "--limit", "8"], "--all goes without --limit"),
        (["--all", "--overwrite", "--submission", "ridge"], "--all goes without --submission"),
    ],
)
def test_all_says_what_it_goes_with(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(main, ["eval", *arguments])
    assert done.exit_code == 2 and said in done.output


def test_a_failure_is_the_exit_code_and_rows_are_json(root: Path, tmp_path: Path) -> None:
    for name in ("copy", "ridge"):
        shutil.rmtree(root / name)
    done = CliRunner().invoke(main, ["eval", "--all", "--overwrite", "--json"])
    assert done.exit_code == 2 and "1 of 1 could not be evaluated: modular_per_tap" in done.stderr
    (row,) = json.loads(done.stdout)
    assert row["outcome"] == "failed"
