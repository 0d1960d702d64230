"""End to end through the installed command, as a user runs it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
Invbench = Callable[..., "subprocess.CompletedProcess[str]"]
SLOW = pytest.mark.slow
RECORD = Path("invbench-results/modular/records/mini@1/record.json")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evil"], "unknown command 'evil' (did you mean 'eval'?)"),
        (["eval", "--suite", "mini@9"], "unknown suite 'mini@9' (did you mean 'mini@1'?)"),
        (["eval", "--submission", "rigde"], "unknown submission 'rigde' (did you mean 'ridge'?)"),
        pytest.param(
            ["eval", "--device", "cuda:77", "--limit", "1"],
            "--device: device 'cuda:77' cannot be used",
            marks=pytest.mark.slow,
        ),
        (["eval", "--limit", "0"], "Invalid value for '--limit'"),
        (["eval", "--limits", "1"], "No such option"),
        (["list", "tap"], "Invalid value"),
        (["list", "taps", "--target", "mini-vti"], "did you mean 'mini-vit'?"),
        (["train", "inverse", "rigde", "--target", "mini-vit", "--out", "x"], "did you mean 'ridge'?"),
        (["train", "inverse", "--target", "mini-vit", "--out", "x"], "give either METHOD or --code"),
        (["train", "inverse", "ridge", "--target", "mini-vit", "--out", "x", "--steps", "5"], "no use for --steps"),
        (
            ["train", "inverse", "ridge", "--target", "mini-vit", "--out", "x", "--validate-every", "5"],
            "no use for --validate-every",
        ),
        (
            ["train", "inverse", "ridge", "--target", "mini-vit", "--out", "x", "--train-data", "y"],
            "'y' does not exist",
        ),
        pytest.param(["train", "target", "mini-vat", "--out", "x"], "did you mean 'mini-vit'?", marks=SLOW),
        (["board", "build", "--records", "nowhere", "--out", "x"], "does not exist"),
        pytest.param(
            ["train", "inverse", "copy", "--target", "mini-vit", "--out", "x"],
            "method 'copy' has nothing to train",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_mistakes_end_as_one_line(invbench: Invbench, arguments: list[str], message: str) -> None:
    done = invbench(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.slow
def test_lists_are_json_for_scripts(invbench: Invbench) -> None:
    taps = json.loads(invbench("list", "taps", "--json").stdout)
    assert len(taps) == 8 + 7 + 4
    assert taps[0] == {"target": "mini-detr", "tap": "backbone", "stage": "backbone", "depth": 0.0}
    for what in ("suites", "submissions", "targets", "perturbations", "methods", "metrics"):
        rows = json.loads(invbench("list", what, "--json").stdout)
        assert rows
        assert all(rows[0].keys() == row.keys() for row in rows)


@pytest.mark.slow
def test_doctor_says_what_works_offline(invbench: Invbench) -> None:
    report = json.loads(invbench("doctor", "--json").stdout)
    assert report["suite mini@1"]["state"] == "complete, runs offline"
    coco = report["suite coco@1"]
    assert coco["detr-resnet-50"].startswith("missing, 167 MB; facebook/detr-resnet-50")
    assert coco["deit3-base-16"].startswith("missing, 346 MB; timm/deit3_base_patch16_224.fb_in1k")
    assert coco["images"].startswith("missing, 1.1 GB; ")
    assert coco["lock"].startswith("draft, ")
    assert coco["to download"] == "4.8 GB; takes up to 5.8 GB of disk"
    assert coco["memory"].startswith("about 5.5 GB")
    for suite_id, count in (("coco@1", 8), ("imagenet@1", 7), ("mini@1", 3)):
        assert len(report["costs"]["suites"][suite_id]) == count
    shown = invbench("doctor").stdout
    assert "one core here: " in shown
    assert "H100: 30 Tflop/s, 1,500 GB/s, assumed" in shown
    assert all(target in shown for target in ("detr-resnet-50", "mae-base", "mini-swin"))
    assert "cpu" in report["devices"]
    assert report["versions"]["torch"]


@pytest.mark.slow
def test_suite_check(invbench: Invbench) -> None:
    done = invbench("suite", "check")
    assert done.returncode == 0
    assert "128 images are as pinned" in done.stdout


@pytest.mark.slow
def test_eval_writes_a_record_and_a_board_that_any_batch_size_reproduces(invbench: Invbench, tmp_path: Path) -> None:
    options = ("--limit", "12", "--target", "mini-swin", "--threads", "1")
    done = invbench("eval", *options)
    assert done.returncode == 0, done.stderr
    for text in ("mini-swin", "modular (partial)", "ridge", "ceiling", "floor", "DETAIL", "Record", "Board"):
        assert text in done.stdout
    record = json.loads((tmp_path / RECORD).read_text())
    assert (record["status"], record["images"], record["draft"]) == ("partial", 12, False)
    page = (tmp_path / "invbench-results/board/index.html").read_text()
    assert "Modular inversion" in page

    again = json.loads(invbench("eval", *options, "--batch-size", "8", "--json").stdout)
    assert again["digest"] == record["digest"]
    assert again["run"]["batch_size"] == 8
    for name in ("scores_sha256", "audit_sha256"):
        assert again[name] == record[name]


@pytest.mark.slow
def test_a_killed_evaluation_goes_on_where_it_stood(invbench: Invbench, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "invbench"), "eval"]
    environment = os.environ | {"INVBENCH_CACHE": str(tmp_path / "cache")}
    options = ["--submission", "ridge", "--target", "mini-swin", "--limit", "24", "--threads", "1", "--batch-size", "8"]
    process = subprocess.Popen([*command, *options], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    runs = tmp_path / "cache" / "runs"
    deadline = time.monotonic() + 240
    while not (runs.is_dir() and len(list(runs.glob("*/*.npz"))) >= 2):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    chunks = {path: path.stat().st_mtime_ns for path in runs.glob("*/*.npz")}
    assert len(chunks) == 2
    damaged, *whole = sorted(chunks)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    spent = [np.load(io.BytesIO(path.read_bytes()[32:]))["times"][0] for path in whole]

    done = invbench("eval", *options, "--json")
    assert done.returncode == 0, done.stderr
    assert "was damaged; it is computed again" in done.stderr
    assert not list(runs.glob("*/*.npz"))
    run = json.loads(done.stdout)["run"]
    assert datetime.fromisoformat(run["started"]).timestamp() <= min(times[0] for times in spent)
    assert sum(run["stages_s"].values()) <= run["wall_s"]
    assert run["wall_s"] > sum(times[1] for times in spent)
    fresh = invbench("eval", *options, "--json", INVBENCH_CACHE=str(tmp_path / "other"))
    assert json.loads(fresh.stdout)["digest"] == json.loads(done.stdout)["digest"]


@pytest.mark.slow
def test_an_interrupt_ends_in_one_line(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "invbench"), "eval", "--submission", "ridge"]
    command += ["--batch-size", "8", "--threads", "1"]
    environment = os.environ | {"INVBENCH_CACHE": str(tmp_path / "cache")}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 240
    while not list((tmp_path / "cache").rglob("*.npz")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 130
    last = stderr.strip().splitlines()[-1]
    assert last == "Interrupted; to resume: invbench eval --submission ridge --batch-size 8 --threads 1"
    assert "Traceback" not in stderr


@pytest.mark.nightly
def test_a_wheel_runs_outside_the_checkout(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(pip, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("invbench-*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    environment = os.environ | {"PYTHONPATH": str(site), "INVBENCH_CACHE": str(tmp_path / "cache")}
    where = "import benchmark; print(benchmark.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith(str(site))
    done = subprocess.run(
        [sys.executable, "-m", "cli", "eval", "--submission", "mean", "--limit", "2", "--threads", "1"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "modular" in done.stdout
    assert (tmp_path / "invbench-results/board/static/board.css").is_file()
