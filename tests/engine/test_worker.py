"""What a worker gives, what it makes of faults, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from working import CPU, HEAD, make_task

from benchmark.commands.isolation import isolate
from benchmark.content.content import Content
from benchmark.engine.confinement import SYSTEM_CALLS, available
from benchmark.engine.evaluation import evaluate
from benchmark.engine.jobs import Options
from benchmark.engine.launcher import Launcher
from benchmark.engine.reading import read_features
from benchmark.engine.worker import Task, WorkerInverse, open_inverse, opened
from benchmark.errors import SpecError, UserError
from benchmark.files.paths import PACKAGE, submissions_root
from benchmark.submissions.candidates import describe_candidate, open_submission
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import load_lock
from benchmark.targets import load_target
from benchmark.targets.taps import Features


@pytest.fixture(scope="module")
def content() -> Content:
    suite = load_suite("mini@1")
    return Content(suite, load_lock(suite))


FAULTS = {
    "raises": ("1 / 0", "inverse.py: line 21: ZeroDivisionError: division by zero"),
    "returns nothing": ("return None", "returned a NoneType, not a dict of recons by tap"),
    "returns a list": ("return list(images.values())", "returned a list, not a dict"),
    "returns arrays": (
        "return {t: i.numpy() for t, i in images.items()}",
        "returned a ndarray at tap 'b', not a tensor",
    ),
    "lacks a tap": ("del images['b']; return images", "returned nothing at tap 'b', not a tensor"),
    "returns shapes": ("return {t: i.to('meta') for t, i in images.items()}", "a tensor of the meta device at tap 'b'"),
    "returns complex": ("return {t: i + 0j for t, i in images.items()}", "a tensor of torch.complex64 at tap 'b'"),
    "returns integers": ("return {t: i.int() for t, i in images.items()}", "a tensor of torch.int32 at tap 'b'"),
    "another size": (
        "return {t: i[..., :9] for t, i in images.items()}",
        "(2, 3, 64, 9) at tap 'b', not (2, 3, 64, 64)",
    ),
    "exits": ("sys.exit(0)", "SystemExit: 0"),
    "exits at once": ("os._exit(7)", "its worker ended with exit code 7"),
    "is killed": ("os.abort()", "its worker was killed by signal 6"),
    "hangs": ("time.sleep(600)", "its worker did not answer within 2 s"),
    "hangs in a session of its own": ("os.setsid(); time.sleep(600)", "its worker did not answer within 2 s"),
    "closes all files": ("os.closerange(3, 99)", "its worker ended"),
    "answers for itself": (
        "scribble()",
        "its worker said something else than what was agreed",
    ),
    "forks": ("os.fork()", "PermissionError: [Errno 1] Operation not permitted"),
}


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    with Launcher() as launcher:
        yield launcher


def ask(task: Task, launcher: Launcher, text: str, *, head: str = HEAD, calls: int = 1) -> dict[str, torch.Tensor]:
    """What an inverse of the given text makes of two images at two taps."""
    assert task.code
    task.code.write_text(f"{head}        {text}\n")
    features = {tap: Features(torch.rand(2, 4, 4), seeds=(1, 2)) for tap in ("b", "a")}
    with WorkerInverse(task, launcher) as worker:
        for _ in range(calls):
            recons = worker.invert(features)
    return recons


@pytest.mark.parametrize(("text", "said"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_submitted_code_is_one_line(
    content: Content, launcher: Launcher, tmp_path: Path, text: str, said: str
) -> None:
    task = make_task(content, tmp_path, confined=True, call_seconds=2.0)
    with pytest.raises(UserError) as caught:
        ask(task, launcher, text)
    assert said in str(caught.value)
    assert str(task.code) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_worker_ends_with_the_evaluation_whatever_it_does(
    content: Content, launcher: Launcher, tmp_path: Path
) -> None:
    task = make_task(content, tmp_path, confined=True, call_seconds=1.0)
    assert task.code
    left = {path.name for path in Path("/proc").glob("[0-9]*")}
    task.code.write_text(f"{HEAD}        os.setsid()\n        time.sleep(600)\n")
    with WorkerInverse(task, launcher) as worker, pytest.raises(UserError):
        worker.invert({"a": Features(torch.rand(1, 4, 4))})
    new = {path.name for path in Path("/proc").glob("[0-9]*")} - left
    assert not [pid for pid in new if b"worker_main" in _command_line(pid)]


def _command_line(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


NEUTRAL = {
    "prints": "print('hello \\x1b[2J' * 9, 'x' * 9999); sys.stderr.write('there'); return images",
    "changes threads": "torch.set_num_threads(torch.get_num_threads() + 3); return images",
    "changes the default type": "torch.set_default_dtype(torch.float64)\n        return images",
    "draws": "return {t: i + torch.rand(1) for t, i in images.items()}",
    "seeds": "torch.manual_seed(time.time_ns()); return images",
    "leaves gradients on": "torch.set_grad_enabled(True); return images",
    "changes what it was given": "[item.tensor.zero_() for item in features.values()]; return images",
    "returns doubles": "return {t: i.double() for t, i in images.items()}",
    "returns gradients": "return {t: i.requires_grad_() for t, i in images.items()}",
    "returns more": "return images | {'another': None}",
    "returns views": "return {t: i.permute(1, 0, 2, 3).contiguous().permute(1, 0, 2, 3) for t, i in images.items()}",
}


@pytest.mark.parametrize("text", NEUTRAL.values(), ids=NEUTRAL)
def test_what_submitted_code_leaves_behind_changes_nothing(
    content: Content, launcher: Launcher, tmp_path: Path, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    task = make_task(content, tmp_path, confined=True)
    once, thrice = (ask(task, launcher, text, calls=calls) for calls in (1, 3))
    for tap, recon in once.items():
        assert recon.dtype == torch.float32 and recon.shape == (2, 3, 64, 64) and not recon.requires_grad
        assert torch.equal(recon, thrice[tap])
    told = capfd.readouterr().err
    assert "\x1b" not in told and all(len(line) < 400 for line in told.splitlines())


def test_a_worker_that_lacks_memory_says_so_and_goes_on(content: Content, launcher: Launcher, tmp_path: Path) -> None:
    task = make_task(content, tmp_path, confined=True)
    text = "if len(next(iter(features.values())).tensor) > 1: raise MemoryError\n        return images"
    with pytest.raises(MemoryError):
        ask(task, launcher, text)
    with WorkerInverse(task, launcher) as worker:
        with pytest.raises(MemoryError):
            worker.invert({"a": Features(torch.rand(2, 4, 4))})
        assert worker.invert({"a": Features(torch.rand(1, 4, 4))})["a"].shape == (1, 3, 64, 64)


def test_a_worker_gets_all_that_features_hold(content: Content, launcher: Launcher, tmp_path: Path) -> None:
    task = make_task(content, tmp_path, confined=True)
    assert task.code
    task.code.write_text(f"""{HEAD}
        item = features["a"]
        total = item.position.sum() + item.valid.sum() + sum(item.seeds) + 100 * item.grid[0] + item.tensor.sum()
        return {{"a": images["a"] * 0 + total}}
""")
    item = Features(
        torch.full((2, 4, 4), 0.25), (2, 2), torch.ones(2, 4, 4), torch.tensor([[True, False, True, True]] * 2), (3, 4)
    )
    with WorkerInverse(task, launcher) as worker:
        assert worker.invert({"a": item})["a"].unique().tolist() == [32 + 6 + 7 + 200 + 8]


def test_workers_of_one_launcher_share_nothing(content: Content, launcher: Launcher, tmp_path: Path) -> None:
    task = make_task(content, tmp_path, confined=True)
    text = """marks = os.listdir(os.environ["TMPDIR"])
        open(os.path.join(os.environ["TMPDIR"], "mark"), "w").close()
        return {t: i * 0 + len(marks) for t, i in images.items()}"""
    for _ in range(2):
        assert all(recon.eq(0).all() for recon in ask(task, launcher, text).values())


def test_what_a_worker_leaves_is_removed_however_deep_or_else_told(content: Content, tmp_path: Path) -> None:
    task = make_task(content, tmp_path, confined=True)
    with Launcher() as launcher:
        ask(task, launcher, "[(os.mkdir('a'), os.chdir('a')) for _ in range(1500)]; return images")
        assert not list(launcher.scratch.glob("invbench-worker-*"))
        refused = pytest.raises(SpecError, match="a worker left what cannot be removed")
        with refused if os.geteuid() else nullcontext():
            ask(task, launcher, "os.makedirs('a/b'); os.mkdir('a/closed', 0); return images")
        for left in launcher.scratch.glob("*/**/closed"):
            left.chmod(0o700)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["modular", "copy"])
def test_a_worker_gives_the_record_that_this_process_gives(
    content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    candidate = open_submission(submissions_root() / name, [content.suite.target("mini-swin")], trust_code=False)
    options = Options(CPU, limit=8, targets=("mini-swin",))
    records = [
        evaluate(content, replace(candidate, in_worker=in_worker), options).write(tmp_path / str(in_worker))
        for in_worker in (False, True)
    ]
    assert records[0].digest == records[1].digest
    assert [record.run.isolation for record in records] == [None, available()]
    assert records[0].run.keys != records[1].run.keys


@pytest.mark.slow
def test_an_inverse_that_descends_on_its_target_has_a_network_of_its_own(
    content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = content.suite.target("mini-swin")
    candidate = open_submission(submissions_root() / "copy", [spec], trust_code=False)
    candidate = replace(candidate, id="optimize", method="optimize")
    target = load_target(spec, content.target(spec), CPU)
    features = read_features(target, torch.rand(1, 3, *spec.input_size), ["an image"], reads_input=False)
    given = {"embeddings": features["embeddings"]}
    config, _ = describe_candidate(candidate, spec, "0" * 64)
    here = open_inverse(content, candidate, config, CPU)
    here.target = target
    there = open_inverse(content, replace(candidate, in_worker=True), config, CPU)
    with opened(there):
        assert torch.equal(here.invert(given)["embeddings"], there.invert(given)["embeddings"])


SUBMISSION = """
id = "my-net"
method = "hostile"
title = "Mine"
description = "Mine."
authors = ["A. Author"]
accounts = ["a-author"]
contact = "https://github.com/name"
license = "Apache-2.0"
trained_on = "nothing"
suites = ["mini@1"]
trust_code = true
"""
ON_THIRD = """
        item = features["embeddings"]
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls > 10:
            {fault}
        return {{tap: torch.full((len(item.tensor), 3, 96, 96), 0.5) for tap in features}}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "said"), [("os._exit(0)", "its worker ended with exit code 0"), ("raise KeyError('x')", "KeyError: 'x'")]
)
def test_a_fault_in_the_middle_names_target_and_images_and_keeps_what_was_done(
    tmp_path: Path, fault: str, said: str
) -> None:
    folder = tmp_path / "submissions" / "my-net"
    folder.mkdir(parents=True)
    (folder / "submission.toml").write_text(SUBMISSION)
    environment = os.environ | {"INVBENCH_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(PACKAGE.parent)}

    def run(text: str) -> subprocess.CompletedProcess[str]:
        (folder / "inverse.py").write_text(HEAD + text)
        command = [
            sys.executable,
            "-m",
            "invbench",
            "eval",
            "--submission",
            str(folder),
            "--trust-code",
            "--threads",
            "1",
        ]
        limits = ["--target", "mini-swin", "--limit", "16", "--batch-size", "8", "--out", str(tmp_path / "out")]
        return subprocess.run([*command, *limits], capture_output=True, text=True, env=environment, cwd=tmp_path)

    failed = run(ON_THIRD.format(fault=fault))
    assert failed.returncode == 2, failed.stderr
    (line,) = [line for line in failed.stderr.splitlines() if line.startswith("Error")]
    assert said in line and "inverse.py" in line and "target 'mini-swin', images " in line
    assert "Traceback" not in failed.stderr
    assert len(list((tmp_path / "cache").glob("runs/*/*.npz"))) == 1
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").glob("**/record.json"))
    done = run(ON_THIRD.format(fault="pass"))
    assert done.returncode == 0, done.stderr


@pytest.mark.nightly
def test_a_worker_costs_little() -> None:
    command = [sys.executable, "-m", "invbench", "bench", "worker", "--target", "mini-vit", "--rounds", "2", "--json"]
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    row, whole = json.loads(done.stdout)
    assert (row["target"], whole["target"]) == ("mini-vit", "all")
    assert row["worker / process"] == whole["worker / process"] > 0.5
    assert row["start s"] > 0


def test_a_machine_that_cannot_confine_is_told_of(
    content: Content, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmark.engine.confinement.available", lambda: (SYSTEM_CALLS,))
    candidate = open_submission(submissions_root() / "copy", content.suite.targets, trust_code=False)
    assert not isolate(candidate, wanted=False, required=False).isolated
    assert capsys.readouterr().err == ""
    assert isolate(candidate, wanted=True, required=False).isolated
    assert "no protection of files; the record says so" in capsys.readouterr().err
    with pytest.raises(SpecError, match="no protection of files"):
        isolate(candidate, wanted=False, required=True)


def test_nothing_of_a_submission_is_imported_to_open_it(tmp_path: Path, content: Content) -> None:
    folder = tmp_path / "my-net"
    folder.mkdir()
    (folder / "submission.toml").write_text(SUBMISSION)
    (folder / "inverse.py").write_text("raise SystemExit('imported')\n")
    with pytest.raises(SpecError, match=r"needs its own inverse\.py to be run"):
        open_submission(folder, content.suite.targets, trust_code=False)
    candidate = open_submission(folder, content.suite.targets, trust_code=True)
    config, info = describe_candidate(candidate, content.suite.targets[0], "0" * 64)
    assert info.parameters == 0 and config.method == "hostile"
    assert isinstance(open_inverse(content, candidate, config, CPU), WorkerInverse)
