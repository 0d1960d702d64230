"""A copy of coco@1 over the sample photographs, its networks at their published size with random weights, is locked."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import tomli_w
import transformers as hf
from hubserver import HubServer
from networks import FULL, build, publish, save_network

from benchmark.datasets.annotations import annotation_file, read_annotations
from benchmark.datasets.coco import select
from benchmark.errors import SpecError
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import load_lock
from benchmark.suites.spec import CocoData, Suite

COCO = load_suite("coco@1")
ALL = tuple(target.id for target in COCO.targets)


def count_eligible(data: Path) -> int:
    """How many of the photographs coco@1 could choose."""
    spec = COCO.dataset
    assert isinstance(spec, CocoData)
    annotations = read_annotations(data / annotation_file(spec.split))
    try:
        return len(select(annotations, spec.model_copy(update={"images": len(annotations.images)})))
    except SpecError as error:
        return int(error.message.split()[0])  # "70 of 96 photographs are eligible, ..."


def serve(hub: HubServer, targets: tuple[str, ...], folder: Path) -> dict[str, str]:
    """Put the networks of targets and of the judge on the Hub; their commits, by repository."""
    commits = {}
    for name in targets:
        spec = COCO.target(name)
        network = publish(case := next(c for c in FULL if c.family == spec.family), build(case), folder / name)
        assert case.size == spec.input_size
        commits[str(spec.source.repo_id)] = network
    sizes = {"depths": [3, 3, 27, 3], "hidden_sizes": [128, 256, 512, 1024], "num_labels": 1000}
    judge = hf.ConvNextForImageClassification(hf.ConvNextConfig(**sizes))
    assert COCO.judge
    commits[str(COCO.judge.repo_id)] = save_network(judge, folder / "judge")
    return {
        repo_id: hub.add_repo(repo_id, {path.name: path for path in net.iterdir()}) for repo_id, net in commits.items()
    }


def write_copy(file: Path, targets: tuple[str, ...], commits: dict[str, str], images: int, audited: int) -> Suite:
    """Write a suite like coco@1 with some of its targets, at other commits, over fewer photographs."""
    stated = tomllib.loads(Path(str(COCO._file)).read_text(encoding="utf-8"))
    stated["name"] = "copy"
    stated["audit_images"], stated["dataset"]["images"] = audited, images
    stated["targets"] = [target for target in stated["targets"] if target["id"] in targets]
    cells = [
        cell | {"targets": [name for name in cell["targets"] if name in targets]} for cell in stated["audit_cells"]
    ]
    stated["audit_cells"] = [cell for cell in cells if cell["targets"]]
    for source in (stated["judge"], *(target["source"] for target in stated["targets"])):
        source["revision"] = commits[source["repo_id"]]
    file.write_text(tomli_w.dumps(stated), encoding="utf-8")
    return load_suite(str(file))


@pytest.mark.nightly
@pytest.mark.timeout(36_000)
@pytest.mark.parametrize(
    ("targets", "images", "audited"),
    [(("detr-resnet-50", "deit3-base-16"), 8, 2), (ALL, None, 8)],
    ids=["two-targets", "all"],
)
def test_one_command_locks_the_copy_from_an_empty_cache(
    targets: tuple[str, ...],
    images: int | None,
    audited: int,
    invbench: Callable[..., subprocess.CompletedProcess[str]],
    hub: HubServer,
    hub_environment: dict[str, str],
    assets: Path,
    tmp_path: Path,
) -> None:
    data = assets / "coco_val2017_sample"
    if not data.is_dir():
        pytest.skip(f"no photographs in {data}; set INVBENCH_TEST_ASSETS")
    trunk = invbench("data", "lpips", str(assets / "lpips/alexnet_features.safetensors"))
    assert trunk.returncode == 0, trunk.stderr
    commits = serve(hub, targets, tmp_path / "networks")
    suite = write_copy(tmp_path / "copy.toml", targets, commits, images or count_eligible(data), audited)
    here = ("copy.toml", "--data-dir", str(data))
    planned = json.loads(invbench("suite", "lock", *here, "--plan", "--json", **hub_environment).stdout)
    files = [path for path in (tmp_path / "networks").rglob("*") if path.is_file()]
    assert planned["fetch_bytes"] == sum(path.stat().st_size for path in files)
    done = invbench("suite", "lock", *here, "--json", timeout=36_000, **hub_environment)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    lock = load_lock(suite)
    assert (told["gaps"], told["plan"], lock.gaps) == ([], planned, ())
    assert len(lock.images) == suite.dataset.images * len(planned["sizes"])
    assert all("lpips_alex" in answer.metrics for found in lock.answers.values() for answer in found.values())
    done = invbench("suite", "check", *here, timeout=3600, **hub_environment)
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, 1, ""), done.stdout + done.stderr
