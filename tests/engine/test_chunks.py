"""Chunks survive crashes and notice damage, another chunk under their name, and another run."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.content.content import Content
from benchmark.engine import jobs
from benchmark.engine.chunks import ChunkStore
from benchmark.engine.evaluation import Evaluation, evaluate
from benchmark.engine.jobs import Options
from benchmark.files.cache import cache_root
from benchmark.files.import_graph import LIBRARIES, code_digest, reachable_sources
from benchmark.files.paths import PACKAGE, submissions_root
from benchmark.inverses import code as trusted
from benchmark.inverses import spec
from benchmark.inverses.ridge import RidgeInverse
from benchmark.submissions.candidates import Candidate, open_submission
from benchmark.targets.taps import Features

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def store() -> ChunkStore:
    return ChunkStore({"suite": "x"})


def test_chunks_round_trip(store: ChunkStore) -> None:
    assert store.load("a") is None
    arrays = {"values": np.array([1.5, np.nan], np.float32), "codes": np.arange(3, dtype=np.uint8)}
    store.save("a", arrays)
    found = store.load("a")
    assert found is not None
    for name, array in arrays.items():
        assert np.array_equal(found[name], array, equal_nan=name == "values")
        assert found[name].dtype == array.dtype
    store.clear()
    assert not store.folder.exists()


@pytest.mark.parametrize("damage", [lambda b: b[:-7], lambda b: b[:60] + b"x" + b[61:], lambda b: b"", lambda b: b[5:]])
def test_damaged_chunks_count_as_absent(store: ChunkStore, damage: object) -> None:
    store.save("a", {"values": np.arange(100.0)})
    path = store.folder / "a.npz"
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    assert store.load("a") is None


def test_other_keys_have_other_folders(store: ChunkStore) -> None:
    assert ChunkStore({"suite": "x"}).folder == store.folder
    assert ChunkStore({"suite": "y"}).folder != store.folder


def test_a_chunk_passes_for_no_other(store: ChunkStore) -> None:
    other = ChunkStore({"suite": "y"})
    for place in (store, other):
        for name in ("a", "b"):
            place.save(name, {"values": np.arange(4.0)})
    mine = (store.folder / "a.npz").read_bytes()
    (store.folder / "b.npz").write_bytes(mine)
    (other.folder / "a.npz").write_bytes(mine)
    assert store.load("a") is not None
    assert store.has("b") and store.load("b") is None
    assert other.has("a") and other.load("a") is None
    # A checksum of the content alone, as anybody can make one.
    (store.folder / "b.npz").write_bytes(hashlib.sha256(mine[32:]).digest() + mine[32:])
    assert store.load("b") is None


def test_the_cache_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("INVBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "invbench"


def run(content: Content, name: str, limit: int = 16, *, audited: bool = False) -> Evaluation:
    """Evaluate a submission on mini-swin, in chunks of eight images."""
    candidate = open_submission(submissions_root() / name, [content.suite.target("mini-swin")], trust_code=False)
    options = Options(torch.device("cpu"), batch_size=8, limit=limit, targets=("mini-swin",), audited=audited)
    return evaluate(content, candidate, options)


def chunks_of(done: Evaluation) -> dict[str, bytes]:
    (store,) = done.chunks
    return {path.name: path.read_bytes() for path in sorted(store.folder.glob("*.npz"))}


@pytest.mark.slow
def test_audit_images_beyond_the_first_are_chunks_of_their_own(content: Content) -> None:
    ids = content.images.ids
    done = run(content, "copy", 7, audited=True)
    (audited, pixels) = done.audited["mini-swin"]
    assert audited == tuple(ids[place] for place in (9, 17, 20, 34)) and len(pixels) == 4
    assert list(chunks_of(done)) == ["000000-0007+000009-0001.npz", "000017-0001+000020-0001+000034-0001.npz"]
    assert done.record.images == 11 and done.record.status == "partial"
    rows = set(map(str, done.scores.to_pylist()))
    alike = [row for row in run(content, "copy", 10).scores.to_pylist() if row["image"] in (*ids[:7], ids[9])]
    assert {row["image"] for row in alike} == {*ids[:7], ids[9]}
    assert rows >= set(map(str, alike))


def test_what_fits_the_memory_is_remembered(
    content: Content, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[int] = []
    invert = RidgeInverse.invert

    def greedy(self: RidgeInverse, features: Mapping[str, Features]) -> dict[str, torch.Tensor]:
        seen.append(len(next(iter(features.values())).tensor))
        if fitting < seen[-1]:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return invert(self, features)

    monkeypatch.setattr(RidgeInverse, "invert", greedy)
    fitting = 4
    done = run(content, "ridge")
    assert done.record.run.micro_batch == {"mini-swin": 4}
    said = [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if "memory ran out" in line]
    assert said == [
        "memory ran out: the networks see 4 images of mini-swin at once now, which changes last digits at most"
    ]
    assert seen.count(8) == 1

    (done.chunks[0].folder / "000008-0008.npz").unlink()
    fitting = 8
    seen.clear()
    again = run(content, "ridge")
    assert max(seen) == 4
    assert again.record.digest == done.record.digest
    assert again.record.run.micro_batch == {"mini-swin": 4}


@pytest.mark.slow
def test_chunks_of_other_images_and_of_other_runs_are_computed_again(
    content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    mean, copy = run(content, "mean"), run(content, "copy")
    right = chunks_of(mean)
    assert list(right) == ["000000-0008.npz", "000008-0008.npz"]
    computed: list[str] = []
    save = ChunkStore.save
    monkeypatch.setattr(
        ChunkStore, "save", lambda self, name, arrays: computed.append(name) or save(self, name, arrays)
    )
    assert run(content, "mean").scores.equals(mean.scores)
    assert not computed, "chunks that are valid are not computed again"
    folder = mean.chunks[0].folder
    (folder / "000008-0008.npz").write_bytes(right["000000-0008.npz"])
    assert run(content, "mean").scores.equals(mean.scores)
    assert computed == ["000008-0008"]
    (folder / "000000-0008.npz").write_bytes(chunks_of(copy)["000000-0008.npz"])
    assert run(content, "mean").scores.equals(mean.scores)
    assert computed == ["000008-0008", "000000-0008"]
    (store,) = mean.chunks
    for name, body in right.items():
        with np.load(io.BytesIO(body[32:])) as before:
            again = store.load(name.removesuffix(".npz"))
            assert again is not None
            assert all(
                np.array_equal(before[field], again[field], equal_nan=before[field].dtype.kind == "f")
                for field in before.files
                if field != "times"
            )


@pytest.mark.slow
def test_the_key_holds_what_can_change_a_chunk(content: Content, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[dict[str, object]] = []
    init = ChunkStore.__init__
    monkeypatch.setattr(ChunkStore, "__init__", lambda self, known: keys.append(dict(known)) or init(self, known))
    folders = {run(content, "mean", 8).chunks[0].folder}
    (key,) = keys
    assert set(key["libraries"]) == set(LIBRARIES)  # type: ignore[call-overload]
    assert set(key["network"]) == {"config.json", "model.safetensors", "preprocessor_config.json"}  # type: ignore[call-overload]
    changes = {
        "library_versions": lambda: {"torch": "0"},
        "code_digest": lambda *entries: "0",
        "_hash_network": lambda content, source: key["network"] | {"preprocessor_config.json": "0"},  # type: ignore[operator]
    }
    for name, change in changes.items():
        with monkeypatch.context() as patch:
            patch.setattr(jobs, name, change)
            folders.add(run(content, "mean", 8).chunks[0].folder)
    draft = Content(content.suite, content.lock.model_copy(update={"gaps": ("images",), "images": {}}))
    assert draft.lock.draft
    folders.add(run(draft, "mean", 8).chunks[0].folder)
    assert len(folders) == 2 + len(changes)
    assert keys[0]["images"] is None
    assert keys[-1]["images"] == content.images.fingerprint()


SUBMITTED = '''"""A submission."""

from collections.abc import Mapping

import torch
from torch import Tensor

from benchmark.inverses.base import Inverse
from benchmark.targets.taps import Features


class Mine(Inverse):
    """Gray."""

    method = "mine"

    def invert(self, features: Mapping[str, Features]) -> dict[str, Tensor]:
        from benchmark.diagnostics.batteries_answers import own_color

        count = len(next(iter(features.values())).tensor)
        images = torch.zeros(count, 3, *self.config.input_size)
        return {tap: own_color(images, 1).expand_as(images) for tap in features}
'''


@pytest.mark.slow
def test_submitted_code_is_in_the_key_with_what_it_can_reach(
    content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries: list[tuple[str | Path, ...]] = []
    digest = code_digest
    monkeypatch.setattr(jobs, "code_digest", lambda *given: entries.append(given) or digest(*given))
    monkeypatch.setattr(spec, "TRUSTED", {})
    monkeypatch.setattr(trusted, "TRUSTED", spec.TRUSTED)
    code, folders = tmp_path / "inverse.py", set()
    for text in (SUBMITTED, SUBMITTED + "\n# Another text.\n"):
        code.write_text(text)
        candidate = Candidate("mine", trusted.load_code(code, trained=False).id, "Mine", {}, code)
        options = Options(torch.device("cpu"), limit=8, targets=("mini-swin",))
        folders.add(evaluate(content, candidate, options).chunks[0].folder)
    assert len(folders) == 2
    assert entries[0] == ("benchmark.engine.evaluation", code)
    extra = set(reachable_sources(*entries[0])) - set(reachable_sources(entries[0][0]))
    room = PACKAGE / "diagnostics"
    assert extra == {room / "__init__.py", room / "batteries_answers.py"}


LOADED = """
import sys
from benchmark.suites.catalog import load_suite
suite = load_suite("mini@1")
before = set(sys.modules) - {"benchmark.suites.spec"}  # how the suite came about is not the evaluation's
import torch
from benchmark.content.content import Content
from benchmark.engine.evaluation import evaluate
from benchmark.engine.jobs import Options
from benchmark.files.paths import submissions_root
from benchmark.submissions.candidates import open_submission
from benchmark.suites.lock import load_lock
content, swin = Content(suite, load_lock(suite)), ("mini-swin",)
for name, targets in {"modular_per_tap": None, "ridge": swin, "mean": swin, "copy": swin}.items():
    candidate = open_submission(submissions_root() / name, suite.targets, trust_code=False)
    evaluate(content, candidate, Options(torch.device("cpu"), limit=1, targets=targets))
new = {name: module for name, module in sys.modules.items() if name not in before}
files = [module.__file__ for name, module in new.items() if name.split(".")[0] in ("benchmark", "leaderboard")]
print(*files, sep="\\n")
"""


@pytest.mark.slow
def test_an_evaluation_imports_nothing_that_is_not_in_its_key() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    loaded = {Path(line) for line in done.stdout.split()}
    assert PACKAGE / "metrics" / "detail.py" in loaded
    assert loaded <= set(reachable_sources("benchmark.engine.evaluation"))
