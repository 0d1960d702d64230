"""An evaluation by several processes is the one by a single process, and loses nothing when one of them dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from benchmark.content.content import Content
from benchmark.engine import jobs
from benchmark.engine.chunks import ChunkStore, find_stores
from benchmark.engine.evaluation import Evaluation, evaluate, evaluate_share
from benchmark.engine.jobs import WHOLE, Options, Share
from benchmark.engine.merging import merge_shards
from benchmark.engine.run_lock import run_lock
from benchmark.engine.torchrun import find_rank
from benchmark.errors import SpecError, UserError
from benchmark.files.paths import submissions_root
from benchmark.submissions.candidates import open_submission
from cli import main

OPTIONS = ("--submission", "copy", "--target", "mini-swin", "--limit", "24", "--batch-size", "8")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))


def options(share: Share = WHOLE) -> Options:
    return Options(torch.device("cpu"), batch_size=8, limit=24, targets=("mini-swin",), share=share)


@pytest.mark.slow
def test_shards_of_several_machines_give_the_record_of_one(
    content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = open_submission(submissions_root() / "copy", content.suite.targets, trust_code=False)
    alone = evaluate(content, candidate, options())
    caches = [tmp_path / f"machine{index}" for index in range(3)]
    for index, cache in enumerate(caches):
        monkeypatch.setenv("INVBENCH_CACHE", str(cache))
        assert evaluate_share(content, candidate, options(Share(index, 3))) == (1, 1)
        assert evaluate_share(content, candidate, options(Share(index, 3))) == (0, 1)
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "nothing"))

    def sealed(done: Evaluation, name: str) -> dict[str, bytes]:
        done.write(tmp_path / name)
        return {file: (tmp_path / name / file).read_bytes() for file in ("scores.parquet", "audit.parquet")}

    # Another kind of machine may merge: nothing is computed.
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "get_device_name", lambda device: "another machine")
        merged = merge_shards(content, candidate, options(), caches)
    assert sealed(merged, "merged") == sealed(alone, "alone")
    assert merged.record.sealed().content_digest() == alone.record.sealed().content_digest()
    assert merged.record.run.keys == alone.record.run.keys
    assert merged.record.run.device_name == alone.record.run.device_name
    assert merged.record.run.wall_s > 0

    with pytest.raises(SpecError, match=r"copy: 1 of 3 chunks are missing \(finish all shards"):
        merge_shards(content, candidate, options(), caches[1:])
    with pytest.raises(SpecError, match="no shards of 'copy' on mini@1 lie there"):
        merge_shards(content, candidate, options(), [tmp_path / "nothing"])
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "library_versions", lambda: {"torch": "0"})
        with pytest.raises(SpecError, match="no shards"):
            merge_shards(content, candidate, options(), caches)
    merged.clear()
    assert not any(list(find_stores(cache)) for cache in caches)


def run(folder: Path, *command: str) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", *command], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def torchrun(folder: Path, *more: str) -> subprocess.Popen[str]:
    launcher = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "invbench", "eval")
    return run(folder, *launcher, *OPTIONS, *more)


@pytest.mark.nightly
def test_two_processes_of_torchrun_give_the_record_of_one_also_after_one_died(tmp_path: Path) -> None:
    alone = run(tmp_path, "invbench", "eval", *OPTIONS, "--json", "--out", "alone")
    expected = json.loads(alone.communicate(timeout=300)[0])

    process = torchrun(tmp_path, "--json", "--out", "killed")
    runs = tmp_path / "cache" / "runs"
    deadline = time.monotonic() + 240
    while not list(runs.glob("*/*.npz")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    (owner,) = runs.glob("*.owner")
    assert json.loads(owner.read_text())["pid"] in children(process.pid)
    os.kill(max(children(process.pid)), signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode != 0
    assert not (tmp_path / "killed").exists()
    kept = {path: path.stat().st_mtime_ns for path in runs.glob("*/*.npz")}
    assert kept

    together = torchrun(tmp_path, "--json", "--out", "together")
    said, told = together.communicate(timeout=300)
    assert together.returncode == 0, told
    record = json.loads(said)
    assert {name: record[name] for name in ("digest", "scores_sha256", "audit_sha256")} == {
        name: expected[name] for name in ("digest", "scores_sha256", "audit_sha256")
    }
    name = "copy/records/mini@1/scores.parquet"
    assert (tmp_path / "together" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    assert not list(runs.iterdir())


def children(pid: int) -> list[int]:
    """Processes that a process started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(int(path.parent.name))
    return found


def test_a_second_process_is_told_who_has_the_run() -> None:
    store, other = ChunkStore({"target": "a"}), ChunkStore({"target": "b"})
    with run_lock([store, other], WHOLE):
        said = rf"is being evaluated by process {os.getpid()} on .+, since 20"
        with pytest.raises(UserError, match=said), run_lock([store], WHOLE):
            pass
        with run_lock([store], Share(1, 3)), run_lock([store], Share(2, 3)):
            pass
        (told, _) = sorted(store.folder.parent.glob("*.owner"))
        told.write_text("damaged")
        with pytest.raises(UserError, match="is being evaluated by another process"), run_lock([store, other], WHOLE):
            pass
    assert not list(store.folder.parent.iterdir())
    with run_lock([store], WHOLE):
        pass


HOLD = """
import os, sys
from benchmark.engine.chunks import ChunkStore
from benchmark.engine.jobs import WHOLE
from benchmark.engine.run_lock import run_lock
with run_lock([ChunkStore({"target": "a"})], WHOLE):
    os._exit(9)
"""


def test_a_process_that_dies_gives_the_run_back() -> None:
    done = subprocess.run([sys.executable, "-c", HOLD], cwd=Path(__file__).parents[2])
    store = ChunkStore({"target": "a"})
    assert done.returncode == 9 and len(list(store.folder.parent.iterdir())) == 2
    with run_lock([store], WHOLE):
        pass


def test_stores_of_other_machines_are_found_by_what_lies_beside_their_chunks(tmp_path: Path) -> None:
    import numpy as np

    store = ChunkStore({"target": "a", "sizes": (1, 2)}, tmp_path)
    store.save("x", {"values": np.arange(3)})
    for name, text in (("broken", "{"), ("list", "[]"), ("foreign", '{"target": "a"}')):
        (tmp_path / "runs" / name).mkdir()
        (tmp_path / "runs" / name / "circumstances.json").write_text(text)
    (found,) = find_stores(tmp_path)
    assert found.key == store.key and found.load("x") is not None


def test_torchrun_is_known_by_what_it_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_rank() is None
    for name, value in {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert find_rank() == (3, 8, 1)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert find_rank() is None


@pytest.mark.parametrize("shard", ["0/3", "4/3", "2", "a/b", "1/"])
def test_a_shard_that_is_none_is_told(shard: str) -> None:
    done = CliRunner().invoke(main, ["eval", "--shard", shard])
    assert done.exit_code == 2 and "is no I/N with I from 1 to N" in done.stderr
