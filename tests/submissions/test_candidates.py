"""Inverses from the Hub and from folders: the right ones are evaluated, hostile ones are refused and nothing else."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from hubserver import HubServer
from safetensors.torch import load_file, save

from benchmark.files.paths import PACKAGE
from benchmark.suites.catalog import load_suite
from cli import main

Invbench = Callable[..., "object"]
RIDGE = PACKAGE / "assets/mini/inverses/ridge/mini-vit"
NAME = "somebody/ridge-of-mini-vit"


def files(**changes: bytes) -> dict[str, bytes]:
    """Return the files of the embedded ridge inverse of mini-vit."""
    return {path.name: path.read_bytes() for path in RIDGE.iterdir()} | changes


def with_config(**changes: object) -> dict[str, bytes]:
    config = json.loads((RIDGE / "config.json").read_text()) | changes
    return files(**{"config.json": json.dumps(config).encode()})


def with_tensors(change: Callable[[dict[str, torch.Tensor]], None]) -> dict[str, bytes]:
    tensors = load_file(RIDGE / "model.safetensors")
    change(tensors)
    return files(**{"model.safetensors": save(tensors)})


@pytest.mark.nightly
def test_an_inverse_on_the_hub_scores_like_the_same_one_in_the_package(
    invbench: Invbench, hub: HubServer, hub_environment: dict[str, str], tmp_path: Path
) -> None:
    reference = f"{NAME}@{hub.add_repo(NAME, files())}"
    done = invbench("eval", "--inverse", reference, "--limit", "8", "--threads", "1", **hub_environment)
    assert done.returncode == 0, done.stderr
    assert "somebody-ridge-of-mini-vit (partial)" in done.stdout
    record = json.loads(
        (tmp_path / "invbench-results/somebody-ridge-of-mini-vit/records/mini@1/record.json").read_text()
    )
    info = record["inverses"]["mini-vit"]
    assert (info["repo_id"], len(info["revision"]), record["status"]) == (NAME, 40, "partial")
    own = invbench(
        "eval", "--submission", "ridge", "--target", "mini-vit", "--limit", "8", "--threads", "1", "--json",
        "--out", "own",
    )  # fmt: skip
    assert own.returncode == 0, own.stderr
    expected = json.loads(own.stdout)
    assert list(expected["targets"]) == list(record["targets"]) == ["mini-vit"]
    assert expected["scores_sha256"] == record["scores_sha256"]
    assert expected["audit_sha256"] == record["audit_sha256"]
    again = invbench("eval", "--inverse", str(RIDGE), "--limit", "8", "--threads", "1", "--json", "--out", "folder")
    assert json.loads(again.stdout)["scores_sha256"] == record["scores_sha256"]


def zip_bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(20_000_000))
    return buffer.getvalue()


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("pwned"),))  # type: ignore[return-value]


def header_that_lies(size: int) -> bytes:
    header = json.dumps({"x": {"dtype": "F32", "shape": [size], "data_offsets": [0, 4 * size]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(16)


def poison(tensors: dict[str, torch.Tensor]) -> None:
    next(iter(tensors.values())).view(-1)[3] = torch.nan


def shorten(tensors: dict[str, torch.Tensor]) -> None:
    name = next(iter(tensors))
    tensors[name] = tensors[name][:-1].clone()


def widen(tensors: dict[str, torch.Tensor]) -> None:
    name = next(iter(tensors))
    tensors[name] = tensors[name].float()


HUGE = {"embeddings": [100_000, 100_000]}
HOSTILE = {
    "a pickle in place of weights": (
        files(**{"model.safetensors": pickle.dumps(Malicious())}), "not a safetensors file", 3,
    ),
    "only a pickle": (
        {"config.json": files()["config.json"], "pytorch_model.bin": pickle.dumps(Malicious())}, "has no such file", 2,
    ),
    "a zip bomb": (files(**{"model.safetensors": zip_bomb()}), "not a safetensors file", 3),
    "a header that lies": (files(**{"model.safetensors": header_that_lies(2**40)}), "not a safetensors file", 3),
    "a link": (files(**{"model.safetensors": b"../../../../etc/passwd"}), "not a safetensors file", 3),
    "far more bytes than the configuration says": (
        files(**{"model.safetensors": bytes(30_000_000)}), "bytes, at most", 2,
    ),
    "a configuration of megabytes": (
        files(**{"config.json": b'{"method": "' + b"x" * 2_000_000 + b'"}'}), "2,000,014 bytes, at most 1,000,000", 2,
    ),
    "absurd feature shapes": (with_config(taps=HUGE, grids={}), "are allowed", 2),
    "shapes beyond any limit": (with_config(taps={"embeddings": [2**40]}), r"field 'taps.embeddings.0'", 2),
    "an absurd input size": (with_config(input_size=[10**6, 10**6]), "field 'input_size.0'", 2),
    "numbers that do not fit together": (with_config(grids={"embeddings": [0, 12]}), "field 'grids.embeddings.0'", 2),
    "a grid that does not fit": (with_config(grids={"encoder.0": [131072, 131072]}), "finer than the input", 2),
    "an architecture without its numbers": (with_config(architecture={}), "describes no 'ridge' inverse", 2),
    "a configuration that is no JSON": (files(**{"config.json": b"\x80\x04"}), "config.json: field", 2),
    "an unknown method": (with_config(method="os.system"), "unknown method 'os.system'", 2),
    "a field that asks for code": (with_config(auto_map={"AutoModel": "evil.py"}), "field 'auto_map'", 2),
    "a path as its target": (with_config(target="../../etc"), "field 'target'", 2),
    "another target": (with_config(target="mini-vat"), "did you mean 'mini-vit'", 2),
    "other weights of the target": (with_config(target_sha256="1" * 64), "was made for other weights", 2),
    "a NaN": (with_tensors(poison), "is not finite", 3),
    "another shape": (with_tensors(shorten), "its config says", 3),
    "another type": (with_tensors(widen), "is torch.float32, not torch.float16", 3),
    "one tensor too many": (with_tensors(lambda t: t.update(extra=torch.zeros(1))), "unexpected tensor 'extra'", 3),
    "one tensor too few": (with_tensors(lambda t: t.pop(next(iter(t)))), "missing tensor", 3),
}  # fmt: skip


MANY = """
import json, resource, sys
from click.testing import CliRunner
from cli import main
import torch
from benchmark.engine.evaluation import evaluate
from benchmark.engine.provenance import Meter
resource.setrlimit(resource.RLIMIT_AS, (12 * 2**30, 12 * 2**30))
for reference in sys.argv[1:]:
    done = CliRunner().invoke(main, ["eval", "--inverse", reference, "--limit", "8", "--threads", "1"])
    print(json.dumps([done.exit_code, done.stderr]))
run = Meter(torch.device("cpu")).finish(batch_size=1, micro_batch={}, times={}, recons={}, keys={})
print(json.dumps(run.peak_memory_mib))
"""


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """Evaluate every hostile repository, in one process of bounded memory; return exit codes and what it said."""
    folder = tmp_path_factory.mktemp("hostile")
    with HubServer() as hub:
        names = {name: f"somebody/net-{index}" for index, name in enumerate(HOSTILE)}
        references = [f"{names[name]}@{hub.add_repo(names[name], HOSTILE[name][0])}" for name in HOSTILE]
        environment = os.environ | hub.environment(folder / "hf") | {"INVBENCH_CACHE": str(folder / "cache")}
        command = [sys.executable, "-c", MANY, *references]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=300)
        asked = {request.path.rpartition("/")[2] for request in hub.log if "/resolve/" in request.path}
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.iterdir()} <= {"hf", "cache"}
    assert asked == {"config.json", "model.safetensors"}
    *results, peak_mib = map(json.loads, done.stdout.splitlines())
    assert peak_mib < 3000
    return dict(zip(HOSTILE, map(tuple, results), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_repository_is_refused_in_one_line(refusals: dict[str, tuple[int, str]], name: str) -> None:
    _, message, code = HOSTILE[name]
    found, said = refusals[name]
    assert message in said
    assert found == code
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("references", "message"),
    [
        (["somebody/net@main"], "not a full commit"),
        (["somebody/net"], "'somebody/net' is no folder and names no revision"),
        (["../../net@" + "0" * 40], "not the id of a repository"),
        (["a/b/c@" + "0" * 40], "not the id of a repository"),
        ([str(RIDGE), str(RIDGE)], "target 'mini-vit' is given twice"),
        ([str(RIDGE), str(RIDGE.parents[1] / "mean/mini-detr")], "methods differ: mean, ridge"),
    ],
)
def test_mistaken_references_are_named(references: list[str], message: str) -> None:
    options = [word for reference in references for word in ("--inverse", reference)]
    done = CliRunner().invoke(main, ["eval", *options])
    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_submission_and_inverse_exclude_each_other() -> None:
    done = CliRunner().invoke(main, ["eval", "--submission", "ridge", "--inverse", str(RIDGE)])
    assert (done.exit_code, "not both" in done.stderr) == (2, True)


@pytest.mark.slow
def test_an_inverse_of_other_taps_is_refused(invbench: Invbench, tmp_path: Path) -> None:
    suite = load_suite("mini@1")
    mine = tmp_path / "mine"
    mine.mkdir()
    for name, content in files().items():
        (mine / name).write_bytes(content)
    config = json.loads((mine / "config.json").read_text())
    assert set(config["taps"]) == set(suite.target("mini-vit").tap_names)
    config["taps"]["encoder.6"] = config["taps"]["encoder.5"]
    (mine / "config.json").write_text(json.dumps(config))
    done = invbench("eval", "--inverse", str(mine), "--limit", "8")
    assert done.returncode == 2
    assert "field 'taps': 'encoder.6' is unknown" in done.stderr
